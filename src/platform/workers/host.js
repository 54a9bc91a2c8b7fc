// What the module asks of the runtime: KV, R2, AES, and the response.
//
// Bodies of files are streams of the runtime's, handed through: they never enter the module. Errors reach
// the module as text.

const failed = (error) => {
  throw String(error);
};

// Bytes, or null.
export const readValue = (env, key) =>
  env.RECORDS.get(key, "arrayBuffer").then((value) => value && new Uint8Array(value), failed);

// KV takes one write a second of each key, and says 429 to the next: nobody but an operator waits for it. The bytes are
// copied, for the module's memory may move meanwhile.
export const writeValue = async (env, key, bytes) => {
  const value = bytes.slice();
  for (let tries = 0; ; tries++) {
    try {
      await env.RECORDS.put(key, value);
      return true;
    } catch (error) {
      if (tries === 3 || !String(error).includes("429")) failed(error);
      await scheduler.wait(1100);
    }
  }
};

// A small object whole, or null.
export const readObject = async (env, key) => {
  try {
    const object = await env.OBJECTS.get(key);
    return object && { bytes: new Uint8Array(await object.arrayBuffer()), etag: object.etag };
  } catch (error) {
    failed(error);
  }
};

// Part of an object as a stream, and the size of the whole; or null.
export const openObject = (env, key, offset, length) =>
  env.OBJECTS.get(key, length > 0 ? { range: { length, offset } } : undefined).then(
    (object) => object && { size: object.size, stream: object.body },
    failed,
  );

// Whether the object was as `etag` says and was written: null for any, "" for none.
export const writeObject = (env, key, bytes, etag) =>
  env.OBJECTS.put(key, bytes, { onlyIf: condition(etag) }).then((object) => object !== null, failed);

const condition = (etag) => {
  if (etag === undefined) return undefined;
  return etag === "" ? { etagDoesNotMatch: "*" } : { etagMatches: etag };
};

// One row by its key, whatever stood there before.
const CONTACT = "INSERT INTO contacts (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";

// After the response. In D1 a million boots cost a dollar and the first fifty million a month nothing; as objects, which
// they are without a database, they would cost four and a half dollars, and be most of the bill of a large fleet.
export const recordContact = (env, context, key, text) => {
  const { CONTACTS, OBJECTS } = env;
  const written = CONTACTS ? CONTACTS.prepare(CONTACT).bind(key, text).run() : OBJECTS.put(key, text);
  context.waitUntil(written.catch((error) => console.error(`a contact is lost: ${error}`)));
};

// A small body whole; one that is larger is an error.
export const collect = async (stream, most) => {
  const pieces = [];
  for await (const piece of stream ?? []) {
    pieces.push(piece);
    most -= piece.length;
    if (most < 0) failed("more than there is room for");
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
};

const CONTACTS = "SELECT key, value FROM contacts WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";

// Contacts in the order of their keys, a line each: key and value, in which there is no line break.
export const listContacts = async (env, beginning, after, most) => {
  try {
    if (env.CONTACTS) {
      const rows = await env.CONTACTS.prepare(CONTACTS).bind(after, `${beginning}~`, most).all();
      return rows.results.map(({ key, value }) => `${key} ${value}`).join("\n");
    }
    const { objects } = await env.OBJECTS.list({ limit: most, prefix: beginning, startAfter: after });
    const line = async ({ key }) => `${key} ${await (await env.OBJECTS.get(key))?.text()}`;
    return (await Promise.all(objects.map(line))).join("\n");
  } catch (error) {
    failed(error);
  }
};

// AES-256-GCM; `way` is "decrypt" or "encrypt". The message is the key, the nonce and the bytes, which are copied: the
// module's memory may move while the runtime takes its time.
export const crypt = async (way, message) => {
  const name = "AES-GCM";
  const [secret, iv, bytes] = [[0, 32], [32, 44], [44]].map((range) => message.slice(...range));
  const key = await crypto.subtle.importKey("raw", secret, name, false, [way]);
  return new Uint8Array(await crypto.subtle[way]({ iv, name }, key, bytes));
};

// An empty body is none to the runtime.
export const putObject = (env, key, stream, length) =>
  env.OBJECTS.put(key, length > 0 ? stream : "").then(() => true, failed);

// Whether the bytes had this SHA-256, which R2 holds them against: what has another is not stored.
export const putContent = (env, key, sha256, stream, length) =>
  env.OBJECTS.put(key, length > 0 ? stream : "", { sha256 }).then(
    () => true,
    (error) => (MISMATCH.test(String(error)) ? false : failed(error)),
  );

// R2's errors have no fields, only texts: "put: The SHA-256 checksum you specified did not match what we received. (10037)".
const MISMATCH = /checksum you specified did not match|\(10037\)/;

// How many bytes an object has, or null.
export const size = (env, key) => env.OBJECTS.head(key).then((object) => object && object.size, failed);

// Keys in order, a line each.
export const listKeys = async (env, beginning, after, most) => {
  try {
    const { objects } = await env.OBJECTS.list({ limit: most, prefix: beginning, startAfter: after || undefined });
    return objects.map(({ key }) => key).join("\n");
  } catch (error) {
    failed(error);
  }
};

export const deleteObject = (env, key) => env.OBJECTS.delete(key).then(() => true, failed);

// Whether an address has failed too often. A limit that cannot be asked limits nobody.
export const isLimited = async (env, address) => {
  try {
    return env.FAILURES ? !(await env.FAILURES.limit({ key: address })).success : false;
  } catch {
    return false;
  }
};

export const pause = (milliseconds) => scheduler.wait(milliseconds);

export const randomNumber = () => crypto.randomUUID();

// `lines` are headers, of which a challenge has several of one name; `body` is bytes, a stream or nothing.
export const respond = (status, lines, body) => {
  const headers = new Headers();
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1));
  }
  return new Response(body, { headers, status });
};

// The parts of an upload that was appended to follow each other in one stream: the first is open, each of the
// others is opened when its turn comes, for the runtime lets few be open at once. One that fails or is not there
// cuts the body short, and the phone sees that.
export const join = (env, first, later, length, context) => {
  const { readable, writable } = new FixedLengthStream(length);
  const pipe = async () => {
    await first.pipeTo(writable, { preventClose: true });
    for (const [key, offset, length] of later) {
      const part = await openObject(env, key, offset, length);
      await part.stream.pipeTo(writable, { preventClose: true });
    }
    await writable.close();
  };
  context.waitUntil(pipe().catch((error) => writable.abort(error)).catch(() => {}));
  return readable;
};
