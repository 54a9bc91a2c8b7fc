//! Spin: WASI HTTP's requests and responses to the handler's and back.
//!
//! An instance answers many requests, several at once, which take turns where they wait: what it keeps
//! between them is what any of them may use, and no lock is held while one waits.

mod body;
mod proxy;
mod settings;
mod values;
mod wire;

use std::sync::LazyLock;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use spin_sdk::wasip3;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::service;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::random::random::get_random_u64;

use crate::access::Uncounted;
use crate::client::Client;
use crate::platform::spin::proxy::Proxy;
use crate::platform::spin::values::Values;
use crate::platform::spin::wire::Outbound;
use crate::respond;
use crate::respond::Request;
use crate::store::Records;
use crate::store::keyed::Kept;
use crate::store::keyed::KeyedStore;
use crate::store::s3::S3;

/// What this instance has in memory from earlier requests.
static KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);

/// What the host calls. The SDK's own macro gives 500 to a request that `http` has no type for; here it gets the
/// same answer as on every platform.
struct Component;

service::export!(Component with_types_in wasip3);

impl Guest for Component {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        answer(request).await
    }
}

async fn answer(request: types::Request) -> Result<types::Response, ErrorCode> {
    let now = wire::now();
    let settings = match settings::read(now).await {
        Ok(settings) => settings,
        Err(error) => return finish(respond::unavailable(&error)),
    };
    // A method that is none is refused like one that no phone uses.
    let method = Method::try_from(request.get_method()).unwrap_or(Method::TRACE);
    let target = request.get_path_with_query().unwrap_or_default();
    let host = request.get_authority();
    let fields = request.get_headers().copy_all();
    let proxy = Proxy::of(&settings, &fields);
    let network = proxy.network();
    let headers = headers(&fields);
    let head = Request {
        method: &method,
        target: &target,
        host: host.as_deref(),
        headers: &headers,
        now,
        id: number(&method),
        fallback_site: None,
        client: Client {
            network: network.as_deref(),
            secure: proxy.secure().unwrap_or_else(|| is_secure(&request)),
            certificate: proxy.device(),
        },
        secrets: settings.secrets.as_ref(),
        replays: &Uncounted,
        operator: false,
    };
    let mut response = respond::respond(&store(&settings.bucket, now), head, request).await;
    if let Some((site, mac, contact)) = response.contact.take() {
        // It goes on when the response is out. A contact that cannot be written is no reason to trouble the
        // phone.
        wasip3::spawn(async move {
            let store = store(&settings.bucket, now);
            let _ = store.record_contact(&site, mac, &contact).await;
        });
    }
    finish(response)
}

fn store(bucket: &S3<Outbound>, now: u64) -> KeyedStore<'_, Values, &S3<Outbound>> {
    KeyedStore {
        values: Values,
        objects: bucket,
        kept: &KEPT,
        now,
    }
}

/// Whether the device's own request came over TLS, which ends at Spin or before it.
fn is_secure(request: &types::Request) -> bool {
    matches!(request.get_scheme(), Some(types::Scheme::Https))
}

fn finish(response: respond::Response<body::Stored>) -> Result<types::Response, ErrorCode> {
    if response.status.is_server_error() {
        let line = serde_json::to_string(&response.explanation.logged());
        eprintln!("{}", line.unwrap_or_default());
    }
    body::translate(response)
}

/// Header fields as the host hands them over.
type Fields = [(String, Vec<u8>)];

fn headers(fields: &Fields) -> HeaderMap {
    let read = fields.iter().filter_map(|(name, value)| {
        let name: HeaderName = name.parse().ok()?;
        let read = respond::HEADERS_READ.contains(&name);
        read.then_some((name, HeaderValue::from_bytes(value).ok()?))
    });
    read.collect()
}

/// A number that no other upload has; what only reads needs none.
fn number(method: &Method) -> u128 {
    if *method == Method::GET || *method == Method::HEAD {
        return 0;
    }
    u128::from(get_random_u64()) << 64 | u128::from(get_random_u64())
}
