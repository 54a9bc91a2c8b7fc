// The operators' Worker where it runs locally: whoever asks is on this machine. Elsewhere the platform says who asks.

import worker from "./index.js";

const ADDRESS = "cf-connecting-ip";

export default {
  fetch(request, env, context) {
    if (request.headers.has(ADDRESS)) return worker.fetch(request, env, context);
    const headers = new Headers(request.headers);
    headers.set(ADDRESS, "127.0.0.1");
    return worker.fetch(new Request(request, { headers }), env, context);
  },
};
