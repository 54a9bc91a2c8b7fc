// Runs Workers side by side in one miniflare: `node serve.mjs CONFIGURATION`, a JSON text.
//
// {"persist": FOLDER, "entries": FILE or null, "workers": {NAME: [MODULE, …]}}: every Worker has a socket
// of its own, without a proxy before it, and all have the same stores, which last in FOLDER. FILE lists
// what to fill them with first: [{"place": "values" or "objects", "key": …, "file": PATH}, …].
// Prints one line, {"urls": {NAME: URL}}, and ends when its input does.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname } from "node:path";

const require = createRequire(new URL("../../xtask/node/package.json", import.meta.url));
const { Miniflare } = require("miniflare");

const { persist, entries, workers } = JSON.parse(process.argv[2]);

function worker([name, modules]) {
  return {
    name,
    compatibilityDate: "2026-04-01",
    modulesRoot: dirname(modules[0]),
    modules: modules.map((path) => ({
      type: path.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
      path,
    })),
    kvNamespaces: { RECORDS: "records" },
    r2Buckets: { OBJECTS: "objects" },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

// In order: what others name comes first, as docs/storage.md has it.
async function fill(miniflare, name) {
  const values = await miniflare.getKVNamespace("RECORDS", name);
  const objects = await miniflare.getR2Bucket("OBJECTS", name);
  for (const entry of JSON.parse(await readFile(entries, "utf8"))) {
    const store = entry.place === "values" ? values : objects;
    // Not the Buffer itself: a Worker knows no such type.
    await store.put(entry.key, new Uint8Array(await readFile(entry.file)).buffer);
  }
}

const names = Object.keys(workers);
const miniflare = new Miniflare({
  cf: false, // else it asks the network where it is
  kvPersist: `${persist}/kv`,
  r2Persist: `${persist}/r2`,
  host: "127.0.0.1",
  port: 0,
  workers: Object.entries(workers).map(worker),
});
await miniflare.ready;
if (entries) await fill(miniflare, names[0]);
const urls = {};
for (const name of names) urls[name] = (await miniflare.unsafeGetDirectURL(name)).origin;
console.log(JSON.stringify({ urls }));
process.stdin.resume();
process.stdin.once("end", async () => {
  await miniflare.dispose();
  process.exit(0);
});
