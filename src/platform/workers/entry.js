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
// more than reading them there. No method, address or value can hold a line break.
function head(request) {
  const { headers, method, url } = request;
  let lines = `${method}\n${url}\n`;
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) lines += `${name}:${value}\n`;
  }
  return lines;
}

export default {
  async fetch(request, env, context) {
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
