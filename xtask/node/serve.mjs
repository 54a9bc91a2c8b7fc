// Runs the Worker's bundle in workerd, with KV and R2 filled from what `cargo xtask` wrote down.
//
// usage: node serve.mjs SETTINGS, a JSON file:
//   bundle    folder with index.js and index_bg.wasm
//   operator  the same of the Worker that answers operators
//   listen    [{ "host", "port" }]: one Worker each, all over the same stores; port 0 is the system's choice
//   observed  whether calls are counted and can be made to fail (observed.mjs)
//   failures  wrong keys and passwords a minute and address, or null for no limit
//   persist   folder that the stores lie in, or null for stores in memory
//   records   JSON file of entries: { "place", "key", "record" | "file" }
//   commands  whether lines of the input are commands; if not, it runs until it is interrupted
//
// Says where it listens once it is up; to a program that sends commands in JSON, { "addresses": [] }. Each
// command is answered by a line: "fill" brings the records back to what they were published as, "reset" also
// removes what phones wrote. The end of the input is the end.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";

// What keys are made with comes as it does natively, so that it lies in no file.
const { HANDSET_SECRET } = process.env;
const here = dirname(fileURLToPath(import.meta.url));
const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const entries = JSON.parse(readFileSync(settings.records, "utf8"));
// Many requests of a device file would wait for each other; many of all files would wait for the disk.
const AT_ONCE = 16;

const text = (path) => readFileSync(path, "utf8");

// A bundle, behind a script of ours if there is one.
function modules(bundle, wrapper) {
  const script = { contents: text(join(bundle, "index.js")), path: "index.js", type: "ESModule" };
  const module = { contents: readFileSync(join(bundle, "index_bg.wasm")), path: "index_bg.wasm", type: "CompiledWasm" };
  if (!wrapper) return [script, module];
  return [{ contents: text(join(here, wrapper)), path: wrapper, type: "ESModule" }, script, module];
}

const both = {
  bindings: HANDSET_SECRET ? { HANDSET_SECRET } : {},
  compatibilityDate: "2026-04-01",
  d1Databases: { CONTACTS: "contacts" },
  kvNamespaces: { RECORDS: "records" },
  ...(settings.failures && { ratelimits: { FAILURES: { namespace_id: "5060", simple: { limit: settings.failures, period: 60 } } } }),
  r2Buckets: { OBJECTS: "objects" },
};

const workers = settings.listen.map((listen, index) => ({
  ...both,
  modules: modules(settings.bundle, settings.observed && "observed.mjs"),
  name: `handset-${index}`,
  serviceBindings: { OPERATOR: "handset-operator" },
  unsafeDirectSockets: [listen],
}));

const operator = { ...both, modules: modules(settings.operator, "local.mjs"), name: "handset-operator" };

const miniflare = new Miniflare({
  cf: false,
  ...(settings.persist && { kvPersist: join(settings.persist, "kv"), r2Persist: join(settings.persist, "r2"), d1Persist: join(settings.persist, "d1") }),
  workers: [...workers, operator],
});

// Miniflare makes the first call of each method in a way that fails now and then on a busy machine, and never
// recovers. So there is one object for each store, and the methods that "reset" needs are called at the start: a
// process that got through it works, and whoever starts one that did not starts another.
const objects = await miniflare.getR2Bucket("OBJECTS", "handset-0");
const values = await miniflare.getKVNamespace("RECORDS", "handset-0");
const contacts = await miniflare.getD1Database("CONTACTS", "handset-0");
await objects.list({ prefix: "device/", limit: 1 });
await objects.delete("nothing");

// What publishing does: new settings, and the state that requests wrote before.
async function device(objects, { key, record }) {
  const current = await objects.get(key);
  const state = current && JSON.parse(await current.text()).state;
  const { settings: published } = JSON.parse(record);
  await objects.put(key, JSON.stringify(state ? { settings: published, state } : { settings: published }));
}

// A file is named by its hash: one that is there is the one.
async function file(objects, { key, file: path }) {
  if (!(await objects.head(key))) await objects.put(key, new Uint8Array(readFileSync(path)));
}

async function write({ objects, values }, entry) {
  if (entry.place === "values") await values.put(entry.key, entry.record);
  else if (entry.place === "devices") await device(objects, entry);
  else if (entry.file) await file(objects, entry);
  else await objects.put(entry.key, entry.record);
}

// What `wrangler d1 migrations apply` does, once.
async function migrate() {
  const { results } = await contacts.prepare("SELECT name FROM sqlite_master WHERE name = 'contacts'").all();
  if (results.length > 0) return;
  const statement = text(join(here, "../../deploy/d1/0001_contacts.sql")).replace(/^--.*$/gm, "");
  await contacts.exec(statement.trim().replaceAll("\n", " "));
}

async function fill() {
  const to = { objects, values };
  const last = entries.filter((entry) => entry.place === "values");
  const first = entries.filter((entry) => entry.place !== "values");
  for (let at = 0; at < first.length; at += AT_ONCE) {
    await Promise.all(first.slice(at, at + AT_ONCE).map((entry) => write(to, entry)));
  }
  for (const entry of last) await write(to, entry);
}

async function reset() {
  await contacts.exec("DELETE FROM contacts");
  for (const prefix of ["device/", "uploads/"]) {
    let more;
    do {
      const { objects: found, cursor, truncated } = await objects.list({ cursor: more, prefix });
      await Promise.all(found.map(({ key }) => objects.delete(key)));
      more = truncated ? cursor : undefined;
    } while (more);
  }
  await fill();
}

const commands = { fill, reset };

await migrate();
await fill();
const addresses = await Promise.all(workers.map(({ name }) => miniflare.unsafeGetDirectURL(name)));
if (settings.commands) console.log(JSON.stringify({ addresses: addresses.map((address) => address.host) }));
else console.log(`listening on ${addresses[0].origin}; Ctrl-C ends it`);
for await (const command of settings.commands ? createInterface({ input: process.stdin }) : []) {
  await commands[command]();
  console.log(JSON.stringify({ done: command }));
}
if (settings.commands) await miniflare.dispose();
