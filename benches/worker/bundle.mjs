// Bundles the JavaScript Worker: `node bundle.mjs OUTPUT` compiles the templates ahead, since a Worker
// may not evaluate text as code, and writes one minified script.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";

const folder = new URL(".", import.meta.url);
const tools = new URL("../../xtask/node/", folder);
const require = createRequire(new URL("package.json", tools));
const nunjucks = require("nunjucks");
const esbuild = require("esbuild");

// As the built-in templates expect: statements leave no trace, an undefined name is an error.
const options = { autoescape: false, throwOnUndefined: true, trimBlocks: true, lstripBlocks: true };

function templates() {
  const environment = new nunjucks.Environment([], options);
  // Only its name has to be known here.
  environment.addFilter("xml", (value) => value);
  const texts = new URL("templates/", folder);
  const compiled = readdirSync(texts).map((name) => {
    const text = readFileSync(new URL(name, texts), "utf8");
    return nunjucks.precompileString(text, { name, env: environment, wrapper });
  });
  return `export default {\n${compiled.join(",\n")}\n};`;
}

function wrapper([{ name, template }]) {
  return `${JSON.stringify(name)}: (() => {\n${template}\n})()`;
}

const precompiled = {
  name: "templates",
  setup(build) {
    build.onResolve({ filter: /^templates$/ }, () => ({ path: "templates", namespace: "templates" }));
    build.onLoad({ filter: /.*/, namespace: "templates" }, () => ({ contents: templates() }));
  },
};

await esbuild.build({
  entryPoints: [new URL("baseline.mjs", folder).pathname],
  outfile: process.argv[2],
  bundle: true,
  minify: true,
  format: "esm",
  logLevel: "warning",
  nodePaths: [new URL("node_modules", tools).pathname],
  plugins: [precompiled],
});
