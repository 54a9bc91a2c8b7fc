//! Cloudflare Workers: the Fetch standard's requests and responses to the handler's and back.
//!
//! A file's body is handed on as the runtime's own stream, from the store to the response and from the
//! request to the store: it never passes through the module's memory. What else crosses the module's
//! border does so in as few calls as can be, for each costs more than the work behind it.

mod host;
mod store;

use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::OnceLock;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::access::Uncounted;
use crate::certificate;
use crate::client;
use crate::client::Client;
use crate::platform::workers::host::Context;
use crate::platform::workers::host::Env;
use crate::platform::workers::host::Stream;
use crate::platform::workers::store::Bucket;
use crate::platform::workers::store::Opened;
use crate::platform::workers::store::Stored;
use crate::platform::workers::store::Values;
use crate::respond;
use crate::respond::Payload;
use crate::respond::Request;
use crate::secret::DeploymentSecrets;
use crate::store::keyed;
use crate::store::keyed::Kept;
use crate::store::keyed::KeyedStore;

/// Where Cloudflare says who asks.
const CLIENT_ADDRESS: &str = "cf-connecting-ip";

/// What this isolate has in memory from earlier requests.
static KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);

/// The deployment's secret, which lives as long as the isolate.
static SECRETS: OnceLock<Option<DeploymentSecrets>> = OnceLock::new();

/// Makes a panic say where it was before it aborts the module. What it says of itself may be a request's.
#[expect(unreachable_pub, reason = "JavaScript calls it")]
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        host::error(&format!("panic at {}", place.unwrap_or_default()));
    }));
}

/// The names of the headers that are read, a line each, for `entry.js`.
#[expect(unreachable_pub, reason = "JavaScript calls it")]
#[wasm_bindgen(js_name = headers)]
pub fn header_names() -> String {
    let names = respond::HEADERS_READ.iter().map(|name| name.as_str());
    names.chain([CLIENT_ADDRESS]).collect::<Vec<_>>().join("\n")
}

/// Answers a request. `head` has the method, the address and then a header a line, as `entry.js` writes it.
#[expect(unreachable_pub, reason = "JavaScript calls it")]
#[wasm_bindgen]
pub async fn answer(
    head: String,
    body: Option<Stream>,
    env: Env,
    context: Context,
) -> host::Response {
    let now = js_sys::Date::now() as u64;
    let store = KeyedStore {
        values: Values(env.clone()),
        objects: Bucket(env.clone()),
        kept: &KEPT,
        now,
    };
    let network = client::network(said(&head, CLIENT_ADDRESS));
    let mut lines = head.lines();
    let method = lines.next().unwrap_or_default();
    let (host, target) = split(lines.next().unwrap_or_default());
    let request = Request {
        // A method that is none is refused like one that no phone uses.
        method: &Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE),
        target,
        host: Some(host),
        headers: &headers(lines),
        now,
        id: number(method),
        fallback_site: None,
        client: Client {
            network: network.as_deref(),
            secure: is_secure(&head),
            certificate: certificate::of_subject(said(&head, "")),
        },
        secrets: secrets(&env),
        replays: &Uncounted,
        operator: false,
    };
    let mut response = respond::respond(&store, request, body).await;
    if response.failed && is_limited(&env, network.as_deref()).await {
        response = respond::too_many(response.explanation);
    }
    if response.status.is_server_error() {
        let line = serde_json::to_string(&response.explanation.logged());
        host::error(&line.unwrap_or_default());
    }
    if let Some((site, mac, contact)) = response.contact.take() {
        // A contact that cannot be written is no reason to trouble the phone.
        let text = serde_json::to_string(&contact).unwrap_or_default();
        host::record_contact(&env, &context, &keyed::contact_key(&site, mac), &text);
    }
    translate(response, &env, &context)
}

/// Whether whoever asks has failed too often. One whose address is not known shares it with nobody.
async fn is_limited(env: &Env, network: Option<&str>) -> bool {
    match network {
        Some(network) => host::is_limited(env, network).await.is_truthy(),
        None => false,
    }
}

/// What keys are made with, read once: a new secret is a new deployment.
fn secrets(env: &Env) -> Option<&'static DeploymentSecrets> {
    let secrets = SECRETS.get_or_init(|| {
        let read = DeploymentSecrets::parse(&env.secret()?);
        read.map_err(|error| host::error(&format!("HANDSET_SECRET: {error}")))
            .ok()
    });
    secrets.as_ref()
}

/// Whether the phone's own connection has TLS.
fn is_secure(head: &str) -> bool {
    let url = head.lines().nth(1);
    url.is_some_and(|url| url.starts_with("https://"))
}

/// Host and target of an absolute address, as the runtime writes one.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

fn headers<'h>(lines: impl Iterator<Item = &'h str>) -> HeaderMap {
    let read = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = respond::HEADERS_READ.iter().find(|read| *read == name)?;
        Some((name.clone(), HeaderValue::from_str(value).ok()?))
    });
    read.collect()
}

/// What Cloudflare says of the client under a name.
fn said<'h>(head: &'h str, name: &str) -> &'h str {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(given, _)| *given == name);
    line.map_or("", |(_, value)| value)
}

/// A number that no other upload has; what only reads needs none.
fn number(method: &str) -> u128 {
    if method == "GET" || method == "HEAD" {
        return 0;
    }
    let digits = host::random_number().replace('-', "");
    u128::from_str_radix(&digits, 16).unwrap_or_default()
}

fn translate(response: respond::Response<Stored>, env: &Env, context: &Context) -> host::Response {
    let mut lines = String::new();
    for (name, value) in &response.headers {
        let _ = writeln!(lines, "{name}:{}", value.to_str().unwrap_or_default());
    }
    let body = body(response.body, env, context);
    host::respond(response.status.as_u16(), &lines, &body)
}

/// Bytes made here are copied out once; a stored file is handed through.
fn body(payload: Payload<Stored>, env: &Env, context: &Context) -> JsValue {
    let parts = match payload {
        Payload::Bytes(bytes) if bytes.is_empty() => return JsValue::NULL,
        Payload::Bytes(bytes) => return js_sys::Uint8Array::from(bytes.as_slice()).into(),
        Payload::Stored(parts) => parts,
    };
    let length = parts.iter().map(|part| part.length).sum();
    let mut first = None;
    let later = js_sys::Array::new();
    for Stored { part, length } in parts {
        match part {
            Opened::Now(stream) => first = Some(stream),
            Opened::Later(key, offset) => {
                let (offset, length) = (store::number(offset), store::number(length));
                later.push(&js_sys::Array::of3(
                    &key.into(),
                    &offset.into(),
                    &length.into(),
                ));
            }
        }
    }
    match first {
        Some(first) if later.length() > 0 => {
            host::join(env, &first, later, store::number(length), context).into()
        }
        first => first.map_or(JsValue::NULL, JsValue::from),
    }
}
