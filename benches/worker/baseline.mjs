// A provisioning Worker in JavaScript, written by hand for comparison: the jobs that the benchmark asks
// for, over the same stores, with the same answers to the byte.
//
// It is what one would write for these jobs alone: Web APIs, `fetch` handler, nunjucks with templates
// compiled ahead. The file rules are those of one vendor and one model; all else is in the records.

import nunjucks from "nunjucks/browser/nunjucks-slim.js";
import compiled from "templates";
import { conditional } from "./baseline/conditional.mjs";
import { escapeXml } from "./baseline/escape.mjs";
import { deployment, device, recordContact, release, site } from "./baseline/records.mjs";
import { variables } from "./baseline/variables.mjs";

const templates = new nunjucks.Environment(new nunjucks.PrecompiledLoader(compiled), {
  autoescape: false,
  throwOnUndefined: true,
  trimBlocks: true,
  lstripBlocks: true,
});
templates.addFilter("xml", escapeXml);

const MASTER = "000000000000.cfg";
const MEDIA_TYPES = {
  cfg: "text/xml; charset=utf-8",
  jpg: "image/jpeg",
  log: "text/plain; charset=utf-8",
  png: "image/png",
  txt: "text/plain; charset=utf-8",
  ver: "text/plain; charset=utf-8",
  wav: "audio/wav",
  xml: "text/xml; charset=utf-8",
};

export default {
  async fetch(request, env, context) {
    try {
      return await answer(request, env, context);
    } catch (error) {
      console.error(error);
      return text(503, "service unavailable\n", { "Retry-After": "30" });
    }
  },
};

async function answer(request, env, context) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "method not allowed\n", { Allow: "GET, HEAD" });
  }
  const url = new URL(request.url);
  const path = clean(url.pathname);
  const located = path && locate(await deployment(env), url.hostname, path);
  if (!located) return notFound();
  const place = await site(env, located.site);
  if (!place) return notFound();
  const from = await release(env, place.release);
  return (
    (await configuration(request, env, context, place, from, located.name)) ??
    file(request, env, place, from, located.name) ??
    notFound()
  );
}

// The path decoded, without empty segments; undefined for one that climbs or does not decode.
function clean(pathname) {
  try {
    const segments = decodeURIComponent(pathname).split("/");
    if (segments.includes("..")) return undefined;
    return segments.filter((segment) => segment !== "" && segment !== ".").join("/");
  } catch {
    return undefined;
  }
}

function locate({ hosts, sites }, host, path) {
  const slash = path.indexOf("/");
  const first = path.slice(0, slash);
  if (slash > 0 && Object.hasOwn(sites, first)) return { site: first, name: path.slice(slash + 1) };
  return Object.hasOwn(hosts, host) ? { site: hosts[host], name: path } : undefined;
}

// A file that is rendered: a phone's own, by the hardware address in its name, or one for all.
async function configuration(request, env, context, place, from, path) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name === MASTER) return render(request, "_master.xml", variables(place, from), "no-cache");
  if (name === "shared.cfg") return render(request, "shared.cfg", variables(place, from), "no-cache");
  const match = /^([0-9a-f]{12})(-device|-lync)?\.cfg$/i.exec(name);
  if (!match) return undefined;
  const mac = match[1].toLowerCase();
  const settings = current(await device(env, place.name, mac), place);
  if (!settings) return notFound();
  const known = variables(place, from, mac, settings);
  if (match[2]) return render(request, "device.cfg", known, "private, no-store");
  if (!settings.firmware) return notFound();
  if (request.method === "GET") {
    context.waitUntil(recordContact(env, place.name, mac, name, request.headers.get("User-Agent")));
  }
  return render(request, "_master.xml", known, "private, no-store");
}

async function render(request, template, values, caching) {
  const bytes = new TextEncoder().encode(templates.render(template, values));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const etag = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const about = { etag, length: bytes.length, type: MEDIA_TYPES.cfg, caching };
  return conditional(request, about, ({ offset, length }) => bytes.subarray(offset, offset + length));
}

// What the site's publication says of a device: the newest entry that it reaches.
function current(record, place) {
  const numbers = Object.keys(record?.settings ?? {}).sort().reverse();
  const counts = (number) => number <= place.publication && !place.void?.includes(number);
  return record?.settings[numbers.find((number) => counts(Number(number)))];
}

// An image or a resource: known from the release, its body handed through from the bucket.
function file(request, env, place, from, path) {
  const blob = image(place, from, path) ?? from.resources[path.toLowerCase()];
  if (!blob) return undefined;
  const ending = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  const about = {
    etag: blob.sha256,
    length: blob.length,
    modified: blob.modified,
    type: MEDIA_TYPES[ending] ?? "application/octet-stream",
    caching: "no-cache",
  };
  return conditional(request, about, async (range) => {
    const whole = range.length === blob.length;
    const object = await env.OBJECTS.get(`blobs/${blob.sha256}`, whole ? undefined : { range });
    if (!object) throw new Error(`no blob ${blob.sha256}`);
    return object.body;
  });
}

// `firmware/VERSION/FILE`, or `FILE` of the version that the site, the tenant or the deployment pins.
function image(place, from, path) {
  const match = /^(?:firmware\/([^/]+)\/)?([^/]+\.ld)$/i.exec(path);
  if (!match) return undefined;
  const pins = [place.layer.firmware, from.tenant.firmware, from.deployment.firmware];
  const version = match[1] ?? pins.find((pin) => pin?.polycom)?.polycom;
  return from.firmware.polycom?.[version]?.[match[2].toLowerCase()];
}

function notFound() {
  return text(404, "not found\n");
}

function text(status, body, headers = {}) {
  const described = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": body.length };
  return new Response(body, { status, headers: { ...described, ...headers } });
}
