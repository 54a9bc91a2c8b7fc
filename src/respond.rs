//! Carries out a route against the stores: HTTP semantics (RFC 9110) alike on every platform.

mod door;
mod files;
#[cfg(feature = "operator")]
mod operator;
mod uploads;

use std::ops::Range;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::access;
use crate::access::Fault;
use crate::access::Permission;
use crate::access::RelayWord;
use crate::access::Replays;
use crate::access::Standing;
use crate::client::Client;
use crate::device::DeviceRecord;
use crate::device::DeviceSettings;
use crate::enrolment::Visit;
use crate::key::Holder;
use crate::key::Key;
use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::release::Model;
use crate::release::Release;
use crate::release::sha256_hex;
use crate::respond::door::Denied;
use crate::respond::door::Door;
use crate::respond::files::File;
#[cfg(feature = "operator")]
pub use crate::respond::operator::admitted;
use crate::route::Address;
use crate::route::Asked;
use crate::route::Candidates;
use crate::route::Class;
use crate::route::Explanation;
use crate::route::Route;
use crate::route::Verb;
use crate::seal::Place;
use crate::secret::DeploymentSecrets;
use crate::settings::Settings;
use crate::site::Access;
use crate::site::SiteRecord;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::user_agent;
use crate::user_agent::UserAgent;
use crate::variables::Subject;
use crate::variables::Variables;
use crate::vendor::FileKind;

/// A request without its body, and what the platform knows of its circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query as they came.
    pub target: &'a str,
    /// The host that was asked, from the Host header or the connection.
    pub host: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Milliseconds since 1970.
    pub now: u64,
    /// A number that no other request of the deployment has.
    pub id: u128,
    /// The site of requests whose path and host name none.
    pub fallback_site: Option<&'a str>,
    /// Who asks.
    pub client: Client<'a>,
    /// What keys are made with; sites that ask for keys are 503 without it.
    pub secrets: Option<&'a DeploymentSecrets>,
    /// The uses of nonces.
    pub replays: &'a dyn Replays,
    /// Whether it is no request at all, but the operator who looks at what phones would get.
    pub operator: bool,
}

/// What the device gets, what the log gets and what is left to do.
#[derive(Debug)]
pub struct Response<Body> {
    /// The status.
    pub status: StatusCode,
    /// The headers; Content-Length is always there.
    pub headers: HeaderMap,
    /// The body; nothing on HEAD.
    pub body: Payload<Body>,
    /// Why it is so.
    pub explanation: Explanation,
    /// Whether it was refused a wrong key or password: a platform that counts those may answer 429 instead.
    pub failed: bool,
    /// A contact to record once the response is out.
    pub contact: Option<(String, MacAddress, Contact)>,
}

/// A response's body.
#[derive(Debug)]
pub enum Payload<Body> {
    /// Bytes made here.
    Bytes(Vec<u8>),
    /// Bodies of the store, to be sent one after the other.
    Stored(Vec<Body>),
}

/// An upload's header: the offset at which it continues what was uploaded before.
pub const APPEND: HeaderName = HeaderName::from_static("handset-append");

/// The request headers that the handler reads, for platforms where each costs something.
pub static HEADERS_READ: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    APPEND,
    access::RELAY,
    access::RELAY_BASE,
    access::RELAY_DEVICE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::USER_AGENT,
];

const NOT_FOUND: &str = "not found\n";
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");
const RETRY_AFTER_FAILURES: HeaderValue = HeaderValue::from_static("60");
/// How often an upload's bookkeeping is tried when others write the same device's record.
const TRIES: usize = 32;

/// The answer to one who has failed or uploaded too often.
pub fn too_many<Body>(explanation: Explanation) -> Response<Body> {
    let body = "too many requests\n";
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, body, explanation);
    response
        .headers
        .insert(header::RETRY_AFTER, RETRY_AFTER_FAILURES);
    response
}

/// The answer where a platform has no store to ask.
pub fn unavailable<Body>(error: &StoreError) -> Response<Body> {
    let explanation = Explanation {
        outcome: "refuse",
        ..Explanation::default()
    };
    store_failed(error, explanation)
}

/// Answers a request.
pub async fn respond<S: Records + Publishing>(
    store: &S,
    request: Request<'_>,
    upload: S::Upload,
) -> Response<S::Body> {
    #[cfg(feature = "operator")]
    if operator::is_asked(request.target) {
        return operator::respond(store, &request, upload).await;
    }
    let mut explanation = Explanation {
        outcome: "refuse",
        ..Explanation::default()
    };
    let mut response = match answer(store, &request, upload, &mut explanation).await {
        Ok(response) => response,
        Err(Failure::Denied(denied)) => door::response(*denied, explanation),
        Err(Failure::NotFound(reason)) => {
            explanation.reason = reason;
            text(StatusCode::NOT_FOUND, NOT_FOUND, explanation)
        }
        Err(Failure::Status(status, reason)) => {
            explanation.reason = reason;
            let body = format!(
                "{}\n",
                status
                    .canonical_reason()
                    .unwrap_or_default()
                    .to_ascii_lowercase()
            );
            let mut response = text(status, &body, explanation);
            if status == StatusCode::METHOD_NOT_ALLOWED {
                let allowed = HeaderValue::from_static("GET, HEAD, PUT, POST");
                response.headers.insert(header::ALLOW, allowed);
            }
            response
        }
        Err(Failure::Store(error)) => store_failed(&error, explanation),
        Err(Failure::TooMany) => {
            explanation.reason = "more uploads than the site takes of a device".to_owned();
            too_many(explanation)
        }
    };
    if request.method == Method::HEAD {
        response.body = Payload::Bytes(Vec::new());
    }
    response
}

/// A request that gets no file.
enum Failure {
    NotFound(String),
    Status(StatusCode, String),
    Store(StoreError),
    /// It has uploaded too often.
    TooMany,
    /// It may not have it, or nobody may know whether it may.
    Denied(Box<Denied>),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn answer<S: Records + Blobs>(
    store: &S,
    request: &Request<'_>,
    upload: S::Upload,
    explanation: &mut Explanation,
) -> Result<Response<S::Body>, Failure> {
    let verb = verb(request.method)?;
    let deployment = store.deployment().await?;
    let door = Door {
        store,
        request,
        deployment: &deployment,
    };
    let path = door.path()?;
    if path.as_str() == "-/health" && verb == Verb::Read {
        explanation.reason = "health".to_owned();
        return Ok(text(StatusCode::OK, "ok\n", std::mem::take(explanation)));
    }
    let address = door.locate(&path)?;
    explanation.site = Some(address.site.clone());
    let standing = door.admit(&address).await?;
    inside(&door, verb, &address, &standing, upload, explanation).await
}

/// Answers a request that has come in at its site.
async fn inside<S: Records + Blobs>(
    door: &Door<'_, S>,
    verb: Verb,
    address: &Address,
    standing: &Standing,
    upload: S::Upload,
    explanation: &mut Explanation,
) -> Result<Response<S::Body>, Failure> {
    let (store, request) = (door.store, door.request);
    let agent = agent(request.headers).and_then(UserAgent::parse);
    let site = door.site(&address.site).await?;
    let site = site.content_for(standing.says_itself(agent.as_ref()));
    let release = store.release(&site.release).await?;
    let candidates = Candidates::of(&release, &address.path);
    // Whoever names two devices costs what others do.
    let device = match candidates.mac().or_else(|| standing.named.other()) {
        Some(mac) => store.device(&site.name, mac).await?,
        None => None,
    };
    let known = match &device {
        Some((record, _)) => record.at(site).map_err(|_| newer(&site.name))?,
        None => None,
    };
    let device = device.as_ref().filter(|_| known.is_some());
    let record = device.map(|(record, _)| record);
    let asked = Asked {
        verb,
        agent,
        site,
        release: &release,
        device: record,
        settings: known.map(|(_, settings)| settings),
    };
    let (route, explained) = asked.route(&candidates);
    *explanation = explained;
    let context = Context {
        store,
        request,
        site,
        release: &release,
        device: record,
        known,
        standing,
        access: door.deployment.sites.get(&site.name),
    };
    if let Err(reason) = context.permit(explanation, device).await? {
        return Err(context.refusal(door, &address.path, explanation, reason));
    }
    context
        .carry_out(route, &address.path, upload, explanation)
        .await
}

fn verb(method: &Method) -> Result<Verb, Failure> {
    match *method {
        Method::GET | Method::HEAD => Ok(Verb::Read),
        Method::POST => Ok(Verb::Post),
        Method::PUT => Ok(Verb::Put),
        _ => Err(Failure::Status(
            StatusCode::METHOD_NOT_ALLOWED,
            "no phone uses this method".to_owned(),
        )),
    }
}

/// Everything that a route is carried out with.
struct Context<'a, S> {
    store: &'a S,
    request: &'a Request<'a>,
    site: &'a SiteRecord,
    release: &'a Arc<Release>,
    device: Option<&'a DeviceRecord>,
    /// What the operator says of it, under the publication that does.
    known: Option<(&'a str, &'a DeviceSettings)>,
    standing: &'a Standing,
    access: Option<&'a Access>,
}

impl<S: Records + Blobs> Context<'_, S> {
    async fn carry_out(
        &self,
        route: Route<'_>,
        path: &RequestPath,
        upload: S::Upload,
        explanation: &mut Explanation,
    ) -> Result<Response<S::Body>, Failure> {
        let mut response = match route {
            // A phone that begins with a name that there is nothing for has begun all the same.
            Route::Refuse => text(StatusCode::NOT_FOUND, NOT_FOUND, Explanation::default()),
            Route::Render(template, model) => {
                let opened = self.open_sealed(explanation).await?;
                self.render(&template, model, opened.as_ref(), explanation)?
            }
            Route::Serve(serve) => self.serve(path, serve, explanation).await?,
            Route::Accept(name, rule) => self.accept(&name, rule, upload, explanation).await?,
        };
        response.contact = self.contact(path, explanation, None);
        response.explanation = std::mem::take(explanation);
        Ok(response)
    }

    fn mac(&self, explanation: &Explanation) -> Option<MacAddress> {
        explanation.mac.filter(|_| self.device.is_some())
    }

    /// Decides on the file, and brings the device's record to what the decision asks for; `Err` has the
    /// reason why not.
    async fn permit(
        &self,
        explanation: &Explanation,
        device: Option<&(DeviceRecord, Revision)>,
    ) -> Result<Result<(), &'static str>, Failure> {
        let class = explanation.class.unwrap_or(Class::Shared);
        let (visit, mac) = (self.visit(), explanation.mac);
        let mut again = None;
        let mut failed = false;
        for _ in 0..TRIES {
            let current = again.as_ref().map_or(device, Option::as_ref);
            let state = current.map(|(record, _)| &record.state);
            let permission = access::permit(self.standing, class, mac, state, &visit);
            let (enrolment, mac, (record, revision)) = match (permission, mac, current) {
                (Permission::After(enrolment), Some(mac), Some(device)) => (enrolment, mac, device),
                (Permission::Refused(reason), ..) => return Ok(Err(reason)),
                (Permission::Missing(reason), ..) => {
                    return Err(Failure::NotFound(reason.to_owned()));
                }
                _ => return Ok(Ok(())),
            };
            let mut record = record.clone();
            record.state.enrolment = enrolment;
            let site = &self.site.name;
            let updated = self.store.update_device(site, mac, revision, &record);
            match updated.await {
                Ok(true) => return Ok(Ok(())),
                Err(error) if failed => return Err(error.into()),
                // It may be written all the same.
                result => failed = result.is_err(),
            }
            again = Some(self.store.device(site, mac).await?);
        }
        Err(self.keeps_changing())
    }

    fn refusal(
        &self,
        door: &Door<'_, S>,
        path: &RequestPath,
        explanation: &Explanation,
        reason: &'static str,
    ) -> Failure {
        let contact = self.contact(path, explanation, Some(reason));
        let fault = Fault {
            counts: self.standing.faulty,
            ..Fault::of(reason)
        };
        door.deny(&self.site.name, contact, fault)
    }

    fn visit(&self) -> Visit<'_> {
        let relay = RelayWord::parse(self.request.headers).filter(|_| self.standing.relayed);
        let behind = relay.and_then(|relay| relay.client);
        Visit {
            now: self.request.now,
            network: behind.or(self.request.client.network),
            family: agent(self.request.headers).map(user_agent::family),
        }
    }

    /// The absolute address that stands before the names of files: of the relay that the phone reaches us
    /// by, of the device where the file is its own, so that a file is the same whichever way it was asked
    /// for, and else of whoever asked.
    ///
    /// It says as well whether that is an address that a device can come to on its own.
    fn base(&self, explanation: &Explanation) -> (Option<String>, bool) {
        let relay = RelayWord::parse(self.request.headers);
        let relay = relay.filter(|_| self.standing.relayed || self.standing.open);
        if let Some(base) = relay.and_then(|relay| relay.base) {
            return (Some(base.to_owned()), false);
        }
        let own = explanation
            .mac
            .filter(|_| explanation.class == Some(Class::Device));
        let keyed = matches!(self.access, Some(Access::Keys(_)));
        let has_key = keyed && self.request.secrets.is_some();
        (self.keyed_base(own), own.is_some() && has_key)
    }

    fn keyed_base(&self, own: Option<MacAddress>) -> Option<String> {
        let base = self.site.base()?;
        let (Some(Access::Keys(terms)), Some(secrets)) = (self.access, self.request.secrets) else {
            return Some(base);
        };
        let mac = own.or(self.standing.own);
        let keyed = self.standing.generation.is_some() || self.request.operator;
        if mac.is_none() && !keyed {
            return Some(base);
        }
        let holder = Holder {
            site: &self.site.name,
            mac,
            relay: None,
        };
        let key = Key::make(secrets, terms.generation, &holder)?.text();
        let key = key.expose_text()?;
        Some(match mac {
            Some(mac) => format!("{base}/{key}/{mac}"),
            None => format!("{base}/{key}"),
        })
    }

    fn render(
        &self,
        template: &str,
        model: Option<Model<'_>>,
        opened: Option<&Settings>,
        explanation: &mut Explanation,
    ) -> Result<Response<S::Body>, Failure> {
        let (base, own_address) = self.base(explanation);
        let subject = Subject {
            site: self.site,
            release: self.release,
            base,
            own_address,
            vendor: template
                .split_once('/')
                .and_then(|(vendor, _)| crate::vendor::Vendor::find(vendor)),
            model,
            device: self.settings(explanation),
            opened,
        };
        let variables = Variables::of(&subject);
        let rendered = self.release.templates.render(template, &variables);
        // For `handset explain`; no log has it.
        #[cfg(feature = "diagnostics")]
        {
            explanation.settings = variables.used();
        }
        let rendered = rendered.map_err(|error| {
            Failure::Status(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        })?;
        let media_type = self
            .release
            .templates
            .format(template)
            .map_or("text/plain", |format| format.media_type());
        let etag = etag(&sha256_hex(rendered.as_bytes()));
        let file = File {
            etag: &etag,
            modified: None,
            length: length_of(&rendered),
            media_type,
        };
        let bytes = rendered.into_bytes();
        Ok(self.conditional(&file, explanation.class, |range| slice(bytes, range)))
    }

    /// The device that a file is for, and what the operator says of it.
    fn settings(&self, explanation: &Explanation) -> Option<(MacAddress, &DeviceSettings)> {
        let (_, settings) = self.known?;
        Some((explanation.mac?, settings))
    }

    /// What of a device's settings lies sealed.
    async fn open_sealed(&self, explanation: &Explanation) -> Result<Option<Settings>, StoreError> {
        let (Some((publication, settings)), Some(mac)) = (self.known, explanation.mac) else {
            return Ok(None);
        };
        let Some(sealed) = &settings.sealed else {
            return Ok(None);
        };
        let place = Place {
            site: &self.site.name,
            mac,
            publication,
        };
        self.store.open_sealed(&place, sealed).await.map(Some)
    }

    fn keeps_changing(&self) -> Failure {
        Failure::Status(
            StatusCode::SERVICE_UNAVAILABLE,
            "the device's record keeps changing".to_owned(),
        )
    }

    fn contact(
        &self,
        path: &RequestPath,
        explanation: &Explanation,
        refused: Option<&str>,
    ) -> Option<(String, MacAddress, Contact)> {
        let agent = agent(self.request.headers);
        let by_agent = || agent.and_then(UserAgent::parse)?.mac;
        let mac = explanation
            .mac
            .or_else(by_agent)
            .filter(|_| explanation.starts_boot || knocks(explanation, refused))?;
        self.device.filter(|_| self.request.method == Method::GET)?;
        let contact = Contact {
            at: self.request.now,
            file: path.name().to_owned(),
            user_agent: agent.map(str::to_owned),
            generation: self.standing.generation,
            refused: refused.map(str::to_owned),
            publication: self.site.publication,
        };
        Some((self.site.name.clone(), mac, contact))
    }
}

/// Whether it is for a configuration that a device is refused: some begin with a file that is not their own.
fn knocks(explanation: &Explanation, refused: Option<&str>) -> bool {
    refused.is_some() && explanation.kind == Some(FileKind::Configuration)
}

fn store_failed<Body>(error: &StoreError, mut explanation: Explanation) -> Response<Body> {
    explanation.reason = match &error.source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    if error.kind == StoreErrorKind::Incomplete {
        return text(StatusCode::BAD_REQUEST, "bad request\n", explanation);
    }
    let mut response = text(
        StatusCode::SERVICE_UNAVAILABLE,
        "service unavailable\n",
        explanation,
    );
    response.headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// A publication has come since this process read the site's record: what the device's record says is none of that one.
fn newer(site: &str) -> StoreError {
    let problem =
        "the device's settings are of a publication that is newer than the site's record here";
    StoreError::new(StoreErrorKind::Down, site, problem)
}

fn missing(key: impl std::fmt::Display) -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        key,
        "a record names it, but it is not there",
    )
}

fn text<Body>(status: StatusCode, text: &str, explanation: Explanation) -> Response<Body> {
    let mut response = empty(status);
    put(
        &mut response.headers,
        header::CONTENT_TYPE,
        "text/plain; charset=utf-8",
    );
    put(
        &mut response.headers,
        header::CONTENT_LENGTH,
        &text.len().to_string(),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response.body = Payload::Bytes(text.as_bytes().to_vec());
    response.explanation = explanation;
    response
}

fn empty<Body>(status: StatusCode) -> Response<Body> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    let explanation = Explanation::default();
    Response {
        status,
        headers,
        body: Payload::Bytes(Vec::new()),
        explanation,
        failed: false,
        contact: None,
    }
}

/// Values made here are printable; one that is not is left out rather than sent broken.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn etag(name: &str) -> String {
    format!("\"{name}\"")
}

fn length_of(text: &str) -> u64 {
    text.len().try_into().unwrap_or(u64::MAX)
}

fn slice(mut bytes: Vec<u8>, range: Range<u64>) -> Vec<u8> {
    let bound = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    bytes.truncate(bound(range.end));
    bytes.split_off(bound(range.start).min(bytes.len()))
}

fn agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::USER_AGENT)?.to_str().ok()
}
