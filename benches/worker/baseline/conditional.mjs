// Preconditions and ranges (RFC 9110 sections 13 and 14) of GET and HEAD.

// Answers with what `body` gives for the part to send, or without reading it.
export async function conditional(request, about, body) {
  const etag = `"${about.etag}"`;
  const headers = new Headers({
    ETag: etag,
    "Accept-Ranges": "bytes",
    "Cache-Control": about.caching,
  });
  const modified = about.modified && new Date(about.modified * 1000).toUTCString();
  if (modified) headers.set("Last-Modified", modified);
  const verdict = precondition(request.headers, etag, about.modified);
  if (verdict) return new Response(null, { status: verdict, headers });
  headers.set("Content-Type", about.type);
  const range = requested(request, etag, modified, about.length);
  if (range === null) {
    headers.set("Content-Range", `bytes */${about.length}`);
    return new Response(null, { status: 416, headers });
  }
  const part = range ?? { offset: 0, length: about.length };
  headers.set("Content-Length", String(part.length));
  if (range) {
    const last = range.offset + range.length - 1;
    headers.set("Content-Range", `bytes ${range.offset}-${last}/${about.length}`);
  }
  const sent = request.method === "HEAD" ? null : await body(part);
  return new Response(sent, { status: range ? 206 : 200, headers });
}

// 304 or 412, or undefined to go on.
function precondition(headers, etag, modified) {
  const match = headers.get("If-Match");
  const unmodified = headers.get("If-Unmodified-Since");
  if (match !== null) {
    if (!names(match, (tag) => tag === etag)) return 412;
  } else if (unmodified !== null && modified > Date.parse(unmodified) / 1000) {
    return 412;
  }
  const noneMatch = headers.get("If-None-Match");
  if (noneMatch !== null) {
    return names(noneMatch, (tag) => tag.replace(/^W\//, "") === etag) ? 304 : undefined;
  }
  const since = headers.get("If-Modified-Since");
  return since !== null && modified <= Date.parse(since) / 1000 ? 304 : undefined;
}

// Whether a list of entity tags is `*` or has one that fits.
function names(list, fits) {
  const tags = list.match(/(?:W\/)?"[^"]*"|\*/g) ?? [];
  return tags.some((tag) => tag === "*" || fits(tag));
}

// What part is asked for: undefined for all of it, null for one that is not there.
function requested(request, etag, modified, size) {
  const header = request.headers.get("Range");
  const condition = request.headers.get("If-Range");
  if (header === null || request.method !== "GET") return undefined;
  if (condition !== null && condition !== etag && condition !== modified) return undefined;
  const match = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header);
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), size);
    return length === 0 ? null : { offset: size - length, length };
  }
  const offset = Number(match[1]);
  const last = match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (match[2] !== "" && Number(match[2]) < offset) return undefined;
  return offset >= size ? null : { offset, length: last - offset + 1 };
}
