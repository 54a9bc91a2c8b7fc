// What the module asks of the runtime: KV, R2, and the response.
//
// Bodies of files are streams of the runtime's, handed through: they never enter the module. Errors reach
// the module as text.

const failed = (error) => {
  throw String(error);
};

// Bytes, or null.
export const readValue = (env, key) =>
  env.RECORDS.get(key, "arrayBuffer").then((value) => value && new Uint8Array(value), failed);

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

// Without a database contacts are objects.
export const writeContact = (env, key, text) =>
  (env.CONTACTS ? env.CONTACTS.prepare(CONTACT).bind(key, text).run() : env.OBJECTS.put(key, text)).then(
    () => true,
    failed,
  );

// An empty body is none to the runtime.
export const putObject = (env, key, stream, length) =>
  env.OBJECTS.put(key, length > 0 ? stream : "").then(() => true, failed);

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

export const waitUntil = (context, promise) => context.waitUntil(promise);

export const randomNumber = () => crypto.randomUUID();

// `lines` are headers; `body` is bytes, a stream or nothing.
export const respond = (status, lines, body) => {
  const headers = {};
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon)] = line.slice(colon + 1);
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
