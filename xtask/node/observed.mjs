// The Worker with its bindings watched: counts their calls, and makes them fail where a test asks for it.
//
// GET /.observed/counts gives the calls since it was asked last. PUT /.observed/faults takes a JSON object
// of call and fault: { "R2.get": "down" }, and what is not named works.

import worker from "./index.js";

let counts = {};
let faults = {};

const failing = {
  // Whatever is asked, the store does not answer.
  down: () => Promise.reject(new Error("internal error; please try again (10001)")),
  // The next write of a device's record comes too soon after another, and the one after it does not.
  soon: (call, proceed, key) => {
    if (!key.startsWith("device/")) return proceed();
    delete faults[call];
    return Promise.reject(new Error("put: Reduce your concurrent request rate for the same object. (10058)"));
  },
  // The next write of a device's record takes place, and the word of it is lost.
  late: async (call, proceed, key) => {
    const written = await proceed();
    if (!key.startsWith("device/")) return written;
    delete faults[call];
    throw new Error("put: internal error; please try again (10001)");
  },
  // The module asks for more memory than there is, and aborts.
  abort: () => Promise.resolve({ arrayBuffer: () => Promise.resolve(new ArrayBuffer(2 ** 31)), etag: "" }),
};

function watched(name, binding) {
  return new Proxy(binding, {
    get(target, property) {
      const value = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      return (...passed) => {
        const call = `${name}.${property}`;
        counts[call] = (counts[call] ?? 0) + 1;
        const proceed = () => value.apply(target, passed);
        return call in faults ? failing[faults[call]](call, proceed, passed[0]) : proceed();
      };
    },
  });
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/.observed/counts") {
      const counted = counts;
      counts = {};
      return Response.json(counted);
    }
    if (pathname === "/.observed/faults") {
      faults = await request.json();
      return new Response();
    }
    const bindings = {
      ...env,
      CONTACTS: watched("D1", env.CONTACTS),
      OBJECTS: watched("R2", env.OBJECTS),
      RECORDS: watched("KV", env.RECORDS),
    };
    // A certificate that the platform has looked at, as a test says.
    const certificate = request.headers.get("observed-certificate");
    const asked = certificate ? new Request(request, { cf: { tlsClientAuth: JSON.parse(certificate) } }) : request;
    return worker.fetch(asked, bindings, context);
  },
};
