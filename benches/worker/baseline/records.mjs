// The records of docs/storage.md: deployment, sites and releases from KV, devices from R2.

// How long a record is taken for current, in milliseconds.
const YOUNG = 60_000;

// What this isolate has from earlier requests. Releases never change, and are kept by their id.
const kept = new Map();
const releases = new Map();

export function deployment(env) {
  return young(env, "deployment");
}

export function site(env, name) {
  return young(env, `site/${name}`);
}

export async function release(env, id) {
  let found = releases.get(id);
  if (!found) {
    found = await env.RECORDS.get(`release/${id}`, "json");
    if (!found) throw new Error(`no release ${id}`);
    releases.set(id, found);
  }
  return found;
}

export async function device(env, site, mac) {
  const object = await env.OBJECTS.get(`device/${site}/${mac}`);
  return object?.json();
}

export function recordContact(env, site, mac, file, agent) {
  const contact = { at: Date.now(), file, user_agent: agent ?? undefined };
  return env.OBJECTS.put(`contacts/${site}/${mac}`, JSON.stringify(contact));
}

async function young(env, key) {
  const found = kept.get(key);
  if (found && Date.now() - found.read < YOUNG) return found.record;
  const record = await env.RECORDS.get(key, "json");
  if (record) kept.set(key, { record, read: Date.now() });
  return record;
}
