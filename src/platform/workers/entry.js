// The Worker's entry: hands requests to the module, and starts the module anew after a panic.
//
// The module answers every request it understands and every it does not; an error that leaves it is a
// panic, and what the module has in memory cannot be trusted any more. Requests under way in this isolate
// are lost with it. Their promises never settle; the runtime sees that, and their phones get 500.

import { __wbg_reset_state, answer, headers } from "./index.js";

// The names of the headers that the module reads: to ask for each costs less than to go through all.
const names = headers().split("\n");
let aborted = false;

addEventListener("error", () => {
  aborted = true;
});

// What matters of a request but its body, as one text: a call into the module for each header would cost
// more than reading them there. No method, address or value can hold a line break. A line without a name has the subject
// of the client's certificate, if Cloudflare has verified one.
function head(request) {
  const { headers, method, url } = request;
  let lines = `${method}\n${url}\n`;
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) lines += `${name}:${value}\n`;
  }
  const { certSubjectDNRFC2253: subject, certVerified } = request.cf?.tlsClientAuth ?? {};
  if (certVerified === "SUCCESS") lines += `:${subject.replace(/\s/g, " ")}\n`;
  return lines;
}

// Where operators ask. The Worker that answers them has the same sources, more of them, and no other way in.
const OPERATORS = "/-/v1/";

function isOperators({ url }) {
  return url.startsWith(OPERATORS, url.indexOf("/", "https://".length));
}

export default {
  async fetch(request, env, context) {
    if (env.OPERATOR && isOperators(request)) return env.OPERATOR.fetch(request);
    if (aborted) {
      __wbg_reset_state();
      aborted = false;
    }
    try {
      const answered = answer(head(request), request.body, env, context);
      // An upload whose bytes are all here is entered even if the phone goes before it hears so.
      if (request.body) context.waitUntil(answered.catch(() => {}));
      return await answered;
    } catch (error) {
      aborted = true;
      throw error;
    }
  },
};
