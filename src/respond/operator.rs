//! The operator's endpoints: JSON under `/-/v1/` (RFC 9110), with a token (RFC 6750), problems as in RFC 9457.
//!
//! A row of the table an endpoint. No site can be named `-`, so that nothing here is in a phone's way.

use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde::Serialize;

use crate::client;
use crate::enrolment::Enrolment;
use crate::enrolment::Window;
use crate::mac::MacAddress;
use crate::precondition;
use crate::precondition::Validators;
use crate::precondition::Verdict;
use crate::release::sha256_hex;
use crate::respond::Payload;
use crate::respond::RETRY_AFTER;
use crate::respond::Request;
use crate::respond::Response;
use crate::respond::TRIES;
use crate::respond::empty;
use crate::respond::etag;
use crate::respond::put;
use crate::route::Explanation;
use crate::store::Blobs;
use crate::store::Contact;
use crate::store::PAGE;
use crate::store::Records;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::token::Scope;
use crate::token::Token;

/// Whether a target is an operator's.
pub(super) fn is_asked(target: &str) -> bool {
    target.starts_with(ROOT)
}

/// Answers an operator.
pub(super) async fn respond<S: Records + Blobs>(
    store: &S,
    request: &Request<'_>,
    body: S::Upload,
) -> Response<S::Body> {
    let mut explanation = Explanation {
        outcome: "operate",
        ..Explanation::default()
    };
    let answered = answer(store, request, body, &mut explanation).await;
    let mut response = match answered {
        Ok(answer) => answer.response(),
        Err(problem) => {
            explanation.outcome = "refuse";
            explanation.reason = problem.detail.clone();
            problem.response()
        }
    };
    let private = HeaderValue::from_static("private, no-store");
    response.headers.insert(header::CACHE_CONTROL, private);
    response.explanation = explanation;
    response
}

/// Whose token a request has; or what it is answered with. For endpoints that are a platform's own.
pub fn admitted<Body>(request: &Request<'_>) -> Result<Token, Box<Response<Body>>> {
    admit(request).map_err(|problem| {
        let reason = problem.detail.clone();
        let mut response = problem.response();
        response.explanation.outcome = "refuse";
        response.explanation.reason = reason;
        Box::new(response)
    })
}

const ROOT: &str = "/-/v1/";
/// No body of an operator's is larger.
const LARGEST: usize = 4096;
/// The longest window, in minutes: a week.
const LONGEST: u32 = 7 * 24 * 60;

/// An endpoint.
struct Row {
    method: &'static str,
    path: &'static str,
    scope: Scope,
    action: Action,
}

/// What an endpoint does.
#[derive(Clone, Copy)]
enum Action {
    Contacts,
    Knocking,
    Lock,
    Open,
    Show,
    Unlock,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("GET",  "sites/{site}/devices/{mac}/enrolment", Scope::Read,  Action::Show),
    row("PUT",  "sites/{site}/devices/{mac}/enrolment", Scope::Write, Action::Open),
    row("POST", "sites/{site}/devices/{mac}/lock",      Scope::Write, Action::Lock),
    row("POST", "sites/{site}/devices/{mac}/unlock",    Scope::Write, Action::Unlock),
    row("GET",  "sites/{site}/contacts",                Scope::Read,  Action::Contacts),
    row("GET",  "sites/{site}/knocking",                Scope::Read,  Action::Knocking),
];

const fn row(method: &'static str, path: &'static str, scope: Scope, action: Action) -> Row {
    Row {
        method,
        path,
        scope,
        action,
    }
}

/// What a path names.
#[derive(Default)]
struct Named<'a> {
    site: &'a str,
    mac: Option<MacAddress>,
}

impl Row {
    fn capture<'a>(&self, path: &'a str) -> Option<Named<'a>> {
        let mut named = Named::default();
        let mut segments = path.split('/');
        for wanted in self.path.split('/') {
            let segment = segments.next()?;
            match wanted {
                "{site}" => named.site = segment,
                "{mac}" => named.mac = Some(segment.parse().ok()?),
                _ if segment == wanted => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(named)
    }

    fn takes(&self, method: &str) -> bool {
        self.method == method || self.method == "GET" && method == "HEAD"
    }
}

/// What an operator gets.
struct Answer {
    status: StatusCode,
    json: Vec<u8>,
    etag: Option<String>,
}

impl Answer {
    fn of(shown: &impl Serialize) -> Result<Self, Problem> {
        let json = serde_json::to_vec(shown);
        let broken = |_| {
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "it cannot be written down",
            )
        };
        Ok(Self {
            status: StatusCode::OK,
            json: json.map_err(broken)?,
            etag: None,
        })
    }

    fn response<Body>(self) -> Response<Body> {
        let mut response = json_response(self.status, "application/json", self.json);
        if let Some(tag) = self.etag {
            put(&mut response.headers, header::ETAG, &tag);
        }
        response
    }
}

/// Why an operator gets nothing.
#[derive(Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
    /// Methods that the path has.
    #[serde(skip)]
    allow: String,
    /// Whether it was a wrong token.
    #[serde(skip)]
    wrong: bool,
}

fn problem(status: StatusCode, detail: impl Into<String>) -> Problem {
    Problem {
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: detail.into(),
        allow: String::new(),
        wrong: false,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Incomplete => problem(StatusCode::BAD_REQUEST, error.to_string()),
            _ => problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl Problem {
    fn response<Body>(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let json = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = json_response(status, "application/problem+json", json);
        let headers = &mut response.headers;
        match status {
            StatusCode::METHOD_NOT_ALLOWED => put(headers, header::ALLOW, &self.allow),
            StatusCode::SERVICE_UNAVAILABLE => {
                drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER))
            }
            StatusCode::UNAUTHORIZED => put(headers, header::WWW_AUTHENTICATE, "Bearer"),
            _ => {}
        }
        response.failed = self.wrong;
        response
    }
}

fn json_response<Body>(status: StatusCode, media_type: &str, json: Vec<u8>) -> Response<Body> {
    let mut response = empty(status);
    let headers = &mut response.headers;
    put(headers, header::CONTENT_TYPE, media_type);
    put(headers, header::CONTENT_LENGTH, &json.len().to_string());
    response.body = Payload::Bytes(json);
    response
}

async fn answer<S: Records + Blobs>(
    store: &S,
    request: &Request<'_>,
    body: S::Upload,
    explanation: &mut Explanation,
) -> Result<Answer, Problem> {
    let token = admit(request)?;
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((request.target, ""));
    let path = path.strip_prefix(ROOT).unwrap_or_default();
    let (row, named) = find(request.method.as_str(), path)?;
    if row.scope > token.scope {
        return Err(problem(StatusCode::FORBIDDEN, "this token may only look"));
    }
    explanation.site = Some(named.site.to_owned());
    explanation.mac = named.mac;
    let asked = Asked {
        store,
        request,
        named,
    };
    asked.admit(&token).await?;
    match row.action {
        Action::Contacts => asked.contacts(query).await,
        Action::Knocking => asked.knocking(query).await,
        Action::Lock => asked.change(|now| Ok(now.locked())).await,
        Action::Open => {
            let window = window(&store.collect(body, LARGEST).await?, request.now)?;
            let locked = || problem(StatusCode::CONFLICT, "it is locked: unlock it first");
            let open = |now: &Enrolment| now.opened(window.clone()).ok_or_else(locked);
            asked.change(open).await
        }
        Action::Show => asked.show().await,
        Action::Unlock => asked.change(|now| Ok(now.unlocked())).await,
    }
}

/// Whether whoever asks has a token, before anything is read. The operator's own tool, beside the store, needs
/// none.
fn admit(request: &Request<'_>) -> Result<Token, Problem> {
    if request.operator {
        return Ok(Token {
            scope: Scope::Write,
            tenant: None,
        });
    }
    if !request.client.secure && !request.client.network.is_some_and(client::is_loopback) {
        let detail = "a token goes over HTTPS, or stays on this machine";
        return Err(problem(StatusCode::FORBIDDEN, detail));
    }
    let Some(secrets) = request.secrets else {
        let detail = "the deployment has no secret";
        return Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let detail = "a token is needed: `handset token` makes one";
    let given = request.headers.get(header::AUTHORIZATION);
    let bearer = given.and_then(|value| value.to_str().ok()?.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = bearer.and_then(|(_, text)| Token::verify(secrets, text.trim()));
    token.ok_or_else(|| Problem {
        wrong: given.is_some(),
        ..problem(StatusCode::UNAUTHORIZED, detail)
    })
}

fn find<'a>(method: &str, path: &'a str) -> Result<(&'static Row, Named<'a>), Problem> {
    let mut allow = String::new();
    for row in ROWS {
        match row.capture(path) {
            Some(named) if row.takes(method) => return Ok((row, named)),
            Some(_) if allow.is_empty() => row.method.clone_into(&mut allow),
            Some(_) => {
                allow.push_str(", ");
                allow.push_str(row.method);
            }
            None => {}
        }
    }
    if allow.is_empty() {
        return Err(problem(StatusCode::NOT_FOUND, "there is no such endpoint"));
    }
    Err(Problem {
        allow,
        ..problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "the endpoint has other methods",
        )
    })
}

/// What opens a window.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Opening {
    until_minutes: Option<u32>,
    #[serde(default)]
    until_first_boot: bool,
    bind: Option<bool>,
}

fn window(json: &[u8], now: u64) -> Result<Window, Problem> {
    let detail = "say {\"until-minutes\": 30} (a week at most) or {\"until-first-boot\": true}, and \
                  \"bind\": false if the window is not to belong to whoever comes first";
    let unclear = || problem(StatusCode::BAD_REQUEST, detail);
    let opening: Opening = serde_json::from_slice(json).map_err(|_| unclear())?;
    let until = match (opening.until_minutes, opening.until_first_boot) {
        (Some(minutes @ 1..=LONGEST), false) => {
            Some(now.saturating_add(u64::from(minutes) * 60_000))
        }
        (None, true) => None,
        _ => return Err(unclear()),
    };
    Ok(Window {
        until,
        binds: opening.bind.unwrap_or(true),
        ..Window::default()
    })
}

/// A device's enrolment as operators see it.
#[derive(Default, Serialize)]
struct Shown<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn of(enrolment: &'a Enrolment) -> Self {
        let state = enrolment.word();
        match enrolment {
            Enrolment::Enrolled { since } => Self {
                state,
                since: Some(*since),
                ..Self::default()
            },
            Enrolment::Enrolling(window) => Self {
                state,
                until: window.until,
                bind: Some(window.binds),
                network: window.network.as_deref(),
                family: window.family.as_deref(),
                ..Self::default()
            },
            Enrolment::Locked { enrolled } => Self {
                state,
                since: *enrolled,
                ..Self::default()
            },
            Enrolment::Staged => Self {
                state,
                ..Self::default()
            },
        }
    }

    fn answer(enrolment: &Enrolment) -> Result<Answer, Problem> {
        let mut answer = Answer::of(&Shown::of(enrolment))?;
        answer.etag = Some(etag(&sha256_hex(&answer.json)));
        Ok(answer)
    }
}

/// The last contacts of a site's devices.
#[derive(Serialize)]
struct Contacts {
    contacts: Vec<Seen>,
    /// The address after which the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<MacAddress>,
}

#[derive(Serialize)]
struct Seen {
    mac: MacAddress,
    #[serde(flatten)]
    contact: Contact,
}

/// The devices of a site that may be admitted.
#[derive(Serialize)]
struct Knocking {
    knocking: Vec<Knock>,
    /// The address after which the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<MacAddress>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Knock {
    mac: MacAddress,
    at: u64,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    reason: String,
}

/// What is asked for, once it is known who asks.
struct Asked<'a, S> {
    store: &'a S,
    request: &'a Request<'a>,
    named: Named<'a>,
}

impl<S: Records + Blobs> Asked<'_, S> {
    /// A tenant's token does not tell which sites others have.
    async fn admit(&self, token: &Token) -> Result<(), Problem> {
        let site = self.named.site;
        let mut known = self.store.deployment().await?.sites.contains_key(site);
        if let (true, Some(tenant)) = (known, &token.tenant) {
            let record = self.store.site(site).await?;
            known = record.is_some_and(|record| record.tenant.as_ref() == Some(tenant));
        }
        if known {
            return Ok(());
        }
        Err(problem(StatusCode::NOT_FOUND, "no site of this name"))
    }

    async fn show(&self) -> Result<Answer, Problem> {
        let device = self.device().await?;
        let mut answer = Shown::answer(&device.0.state.enrolment)?;
        match self.verdict(&answer) {
            Verdict::Failed => return Err(changed()),
            Verdict::NotModified => {
                answer.status = StatusCode::NOT_MODIFIED;
                answer.json.clear();
            }
            Verdict::Proceed => {}
        }
        if self.request.method == http::Method::HEAD {
            answer.json.clear();
        }
        Ok(answer)
    }

    /// Brings a device's enrolment to another state; who sends `If-Match` does so from no other than that.
    async fn change(
        &self,
        to: impl Fn(&Enrolment) -> Result<Enrolment, Problem>,
    ) -> Result<Answer, Problem> {
        let mut failed = false;
        for _ in 0..TRIES {
            let (mut record, revision, mac) = self.device().await?;
            let next = to(&record.state.enrolment)?;
            // It may be so already, and may be so by us, though the store said otherwise.
            if next != record.state.enrolment {
                if self.verdict(&Shown::answer(&record.state.enrolment)?) != Verdict::Proceed {
                    return Err(changed());
                }
                record.state.enrolment = next.clone();
                let site = self.named.site;
                match self
                    .store
                    .update_device(site, mac, &revision, &record)
                    .await
                {
                    Ok(true) => {}
                    Err(error) if failed => return Err(error.into()),
                    result => {
                        failed = result.is_err();
                        continue;
                    }
                }
            }
            return Shown::answer(&next);
        }
        let detail = "the device's record keeps changing";
        Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail))
    }

    async fn device(
        &self,
    ) -> Result<
        (
            crate::device::DeviceRecord,
            crate::store::Revision,
            MacAddress,
        ),
        Problem,
    > {
        let unknown = || problem(StatusCode::NOT_FOUND, "the site has no such device");
        let mac = self.named.mac.ok_or_else(unknown)?;
        let device = self.store.device(self.named.site, mac).await?;
        let (record, revision) = device.ok_or_else(unknown)?;
        Ok((record, revision, mac))
    }

    fn verdict(&self, answer: &Answer) -> Verdict {
        let validators = Validators {
            etag: answer.etag.as_deref().unwrap_or_default(),
            modified: None,
        };
        precondition::evaluate(self.request.headers, validators)
    }

    async fn contacts(&self, query: &str) -> Result<Answer, Problem> {
        let (page, next) = self.page(query).await?;
        let seen = |(mac, contact)| Seen { mac, contact };
        let contacts = page.into_iter().map(seen).collect();
        Answer::of(&Contacts { contacts, next })
    }

    async fn knocking(&self, query: &str) -> Result<Answer, Problem> {
        let (page, next) = self.page(query).await?;
        let mut knocking = Vec::new();
        for (mac, contact) in page {
            if let Some(reason) = contact.refused {
                knocking.push(Knock {
                    mac,
                    at: contact.at,
                    file: contact.file,
                    user_agent: contact.user_agent,
                    reason,
                });
            }
        }
        Answer::of(&Knocking { knocking, next })
    }

    /// Last contacts after the device that the query names, and the device that the next page comes after.
    async fn page(
        &self,
        query: &str,
    ) -> Result<(Vec<(MacAddress, Contact)>, Option<MacAddress>), Problem> {
        let after = query
            .split('&')
            .find_map(|part| part.strip_prefix("after="));
        let after = after.map(str::parse::<MacAddress>).transpose();
        let after = after.map_err(|error| problem(StatusCode::BAD_REQUEST, error.to_string()))?;
        let page = self.store.contacts(self.named.site, after).await?;
        let last = page.last().map(|(mac, _)| *mac);
        let next = last.filter(|_| page.len() >= PAGE);
        Ok((page, next))
    }
}

fn changed() -> Problem {
    let detail = "it is not as If-Match says any more: look again";
    problem(StatusCode::PRECONDITION_FAILED, detail)
}
