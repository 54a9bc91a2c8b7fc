//! The operator's endpoints: JSON under `/-/v1/` (RFC 9110), with a token (RFC 6750), problems as in RFC 9457.
//!
//! A row of the table (`rows.rs`) an endpoint, and a file a matter. No site can be named `-`, so that nothing here is in
//! a phone's way.

mod answer;
mod audit;
mod authority;
mod content;
mod document;
mod enrolment;
mod publishing;
mod push;
mod reading;
mod rows;
mod uploads;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use crate::client;
use crate::device::DeviceRecord;
use crate::mac::MacAddress;
use crate::respond::Payload;
use crate::respond::Request;
use crate::respond::Response;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::conflict;
use crate::respond::operator::answer::not_found;
use crate::respond::operator::answer::of_bytes;
use crate::respond::operator::answer::problem;
use crate::respond::operator::document::DOCUMENT;
use crate::respond::operator::rows::Action;
use crate::respond::operator::rows::Named;
use crate::respond::operator::rows::ROOT;
use crate::respond::operator::rows::Row;
use crate::respond::operator::rows::find;
use crate::route::Explanation;
use crate::site::SiteRecord;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::Revision;
use crate::token::Scope;
use crate::token::Token;

/// Bytes of the bodies that are read whole, at most: a window, and what a publication is made of.
const SMALL: usize = 4096;
const LARGE: usize = 24 << 20;
/// And of those that are only compared: whoever may look is trusted with less of the memory.
const COMPARED: usize = 4 << 20;

/// Whether a target is an operator's.
pub(super) fn is_asked(target: &str) -> bool {
    target.starts_with(ROOT)
}

/// Answers an operator.
pub(super) async fn respond<S: Records + Publishing>(
    store: &S,
    request: &Request<'_>,
    body: S::Upload,
) -> Response<S::Body> {
    let mut explanation = Explanation {
        outcome: "operate",
        ..Explanation::default()
    };
    let answered = answer(store, request, body, &mut explanation).await;
    let mut response = answered.unwrap_or_else(|problem| {
        explanation.outcome = "refuse";
        explanation.reason.clone_from(&problem.detail);
        problem.response()
    });
    let private = HeaderValue::from_static("private, no-store");
    response.headers.insert(header::CACHE_CONTROL, private);
    if request.method == Method::HEAD {
        response.body = Payload::Bytes(Vec::new());
    }
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

async fn answer<S: Records + Publishing>(
    store: &S,
    request: &Request<'_>,
    body: S::Upload,
    explanation: &mut Explanation,
) -> Answered<S::Body> {
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
    explanation.site = Some(named.site.to_owned()).filter(|site| !site.is_empty());
    explanation.mac = named.mac;
    let mut asked = Asked {
        store,
        request,
        named,
        query,
        token,
        of: None,
    };
    asked.admit(row).await?;
    let answered = asked.carry_out(row, body).await;
    if row.scope == Scope::Write && store.takes_publications() {
        let status = answered
            .as_ref()
            .map_or_else(|it| it.status, |it| it.status);
        // What was asked is done: a line that cannot be written does not undo it.
        if let Err(error) = asked.note(path, status).await {
            explanation.warning = Some(format!("the audit has no line of this: {error}"));
        }
    }
    answered
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

/// What is asked for, once it is known who asks.
struct Asked<'a, S> {
    store: &'a S,
    request: &'a Request<'a>,
    named: Named<'a>,
    query: &'a str,
    token: Token,
    /// The tenant whose site it is about.
    of: Option<String>,
}

impl<S: Records + Publishing> Asked<'_, S> {
    /// Whether there is such a site for this token. A tenant's token does not tell which sites others have.
    async fn admit(&mut self, row: &Row) -> Result<(), Problem> {
        let action = row.action;
        if matches!(action, Action::Document) {
            return Ok(());
        }
        let operates = action.operates();
        if !operates && !self.store.takes_publications() {
            let detail = "this server serves a fleet directory: change the directory. What is published to is a bucket, a \
                          Worker, Spin, or `handset serve --store DIR`";
            return Err(conflict(detail));
        }
        if self.named.site.is_empty() {
            return Ok(());
        }
        let unknown = || not_found("no site of this name");
        if operates {
            let site = self.named.site;
            let known = self.store.deployment().await?.sites.contains_key(site);
            // The audit says whose it was.
            let asks = self.token.tenant.is_some() || row.scope == Scope::Write;
            let record = match known && asks {
                true => self.store.site(site).await?,
                false => None,
            };
            self.of = record.and_then(|record| record.tenant.clone());
            return if known && self.is_ours() {
                Ok(())
            } else {
                Err(unknown())
            };
        }
        let held = authority::site(self.store, self.named.site).await?;
        let begins = held.is_none() && action == Action::Begin && self.token.tenant.is_none();
        if held.is_none() && !begins {
            return Err(unknown());
        }
        self.of = held.and_then(|held| held.value.record?.tenant);
        if self.is_ours() {
            Ok(())
        } else {
            Err(unknown())
        }
    }

    /// Whether a site's record is of a time when the site was the token's tenant's.
    fn may_see(&self, record: &SiteRecord) -> bool {
        self.token.tenant.is_none() || record.tenant == self.token.tenant
    }

    fn is_ours(&self) -> bool {
        self.token.tenant.is_none() || self.of == self.token.tenant
    }

    async fn carry_out(&self, row: &Row, body: S::Upload) -> Answered<S::Body> {
        match row.action {
            Action::Audit => self.audit().await,
            Action::Contacts => self.contacts().await,
            Action::DeleteUpload => self.delete_upload().await,
            Action::Deployment => self.deployment().await,
            Action::Device => self.one_device().await,
            Action::Devices => self.devices().await,
            Action::Document => {
                let json = DOCUMENT.as_bytes().to_vec();
                Ok(of_bytes(StatusCode::OK, "application/json", json))
            }
            Action::Knocking => self.knocking().await,
            Action::Lock => self.lock().await,
            Action::Publication => self.publication().await,
            Action::Publications => self.publications().await,
            Action::PutBlob => self.put_blob(body).await,
            Action::ReadBlob => self.blob().await,
            Action::ReadUpload => self.read_upload().await,
            Action::Release => self.release().await,
            Action::Show => self.show().await,
            Action::Site => self.site().await,
            Action::Sites => self.sites().await,
            Action::Unlock => self.unlock().await,
            Action::Uploads => self.uploads().await,
            Action::Abandon => self.abandon().await,
            Action::Promote => self.promote().await,
            Action::Rollback => self.roll_back().await,
            _ => {
                if row.action == Action::CompareRelease
                    && !self.may_see_release(self.named.text).await?
                {
                    return Err(not_found("no release of this name"));
                }
                let body = self.body(row, body).await?;
                self.carry_out_with(row.action, body).await
            }
        }
    }

    /// What takes a body that is read whole.
    async fn carry_out_with(&self, action: Action, body: Vec<u8>) -> Answered<S::Body> {
        match action {
            Action::Batch => self.batch(&body).await,
            Action::Begin => self.begin(&body).await,
            Action::Changed => self.changed(&body).await,
            Action::CompareDevices => self.compare_devices(&body).await,
            Action::CompareRelease => self.compare_release(&body).await,
            Action::CompareSite => self.compare_site(&body).await,
            Action::List => self.list(&body).await,
            Action::Open => self.open_window(&body).await,
            Action::Publish => self.publish(&body).await,
            Action::PutDeployment => self.put_deployment(&body).await,
            Action::PutRelease => self.put_release(body).await,
            _ => Err(not_found("there is no such endpoint")),
        }
    }

    /// The body of a request, if it is not too large.
    async fn body(&self, row: &Row, body: S::Upload) -> Result<Vec<u8>, Problem> {
        let most = match row.action {
            Action::Begin | Action::Open => SMALL,
            _ if row.scope == Scope::Read => COMPARED,
            _ => LARGE,
        };
        let said = self.request.headers.get(header::CONTENT_LENGTH);
        let said = said.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        if said.is_some_and(|said| said > most) {
            let detail = format!("the body has {most} bytes at most");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(self.store.collect(body, most).await?)
    }

    async fn device(&self) -> Result<(DeviceRecord, Revision, MacAddress), Problem> {
        let unknown = || not_found("the site has no such device");
        let mac = self.named.mac.ok_or_else(unknown)?;
        let device = self.store.device(self.named.site, mac).await?;
        let (record, revision) = device.ok_or_else(unknown)?;
        Ok((record, revision, mac))
    }
}
