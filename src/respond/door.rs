//! The door: which site a request is for, whether it may come in, and the one answer where it may not.

use std::hint::black_box;
use std::sync::Arc;

use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::access;
use crate::access::Evidence;
use crate::access::Fault;
use crate::access::RelayWord;
use crate::access::Standing;
use crate::credential::Algorithm;
use crate::credential::Challenge;
use crate::credential::Nonce;
use crate::credential::Offer;
use crate::key::Key;
use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::respond::Failure;
use crate::respond::Request;
use crate::respond::Response;
use crate::respond::missing;
use crate::respond::text;
use crate::route;
use crate::route::Address;
use crate::route::Explanation;
use crate::secret::DeploymentSecrets;
use crate::site::Access;
use crate::site::Deployment;
use crate::site::Refusal;
use crate::site::SiteRecord;
use crate::site::Terms;
use crate::store::Contact;
use crate::store::Records;
use crate::user_agent::UserAgent;

/// What is known before any site's record is read.
pub(super) struct Door<'a, S> {
    pub(super) store: &'a S,
    pub(super) request: &'a Request<'a>,
    pub(super) deployment: &'a Deployment,
}

/// The one answer, and what is left to do with it.
pub(super) struct Denied {
    /// The lines of a challenge; `None` where the deployment does not challenge.
    challenge: Option<Vec<String>>,
    fault: Fault,
    contact: Option<(String, MacAddress, Contact)>,
}

impl<S: Records> Door<'_, S> {
    /// The path that is asked for.
    pub(super) fn path(&self) -> Result<RequestPath, Failure> {
        let path = self.request.target.split(['?', '#']).next();
        RequestPath::parse(path.unwrap_or_default())
            .map_err(|error| self.deny("", None, Fault::of(error.to_string())))
    }

    /// The site that a path is for. One that is no site is refused like one whose key is missing.
    pub(super) fn locate(&self, path: &RequestPath) -> Result<Address, Failure> {
        let Request {
            host,
            fallback_site,
            ..
        } = self.request;
        let found = route::locate(self.deployment, *host, *fallback_site, path);
        found.ok_or_else(|| self.nowhere(path))
    }

    /// The answer where no site is meant. It is judged all the same, and takes as long: time would tell which names
    /// are sites.
    fn nowhere(&self, path: &RequestPath) -> Failure {
        let address = Address {
            site: path.segments().next().unwrap_or_default().to_owned(),
            key: path.segments().find_map(Key::parse),
            device: None,
            path: path.clone(),
        };
        if let Ok(secrets) = self.secrets() {
            let (terms, evidence) = (Terms::default(), self.evidence(&address));
            drop(black_box(access::judge(
                &address.site,
                &terms,
                None,
                secrets,
                &evidence,
            )));
        }
        let fault = Fault {
            // Whoever tries keys may try sites too.
            counts: address.key.is_some(),
            ..Fault::of("no site of this name")
        };
        self.deny(&address.site, None, fault)
    }

    /// What a request may count on at its site, before any record is read; but for the site's own where that
    /// holds passwords, which is then read for whoever asks.
    pub(super) async fn admit(&self, address: &Address) -> Result<Standing, Failure> {
        if self.request.operator {
            return Ok(Standing::open());
        }
        let terms = match self.deployment.sites.get(&address.site) {
            Some(Access::Keys(terms)) => terms,
            Some(Access::Open) => return Ok(Standing::open()),
            None => return Err(self.deny(&address.site, None, Fault::of("no site of this name"))),
        };
        let secrets = self.secrets()?;
        let site = match terms.passwords {
            true => Some(self.site(&address.site).await?),
            false => None,
        };
        let passwords = site.as_ref().map(|site| &site.passwords);
        let evidence = self.evidence(address);
        let judged = access::judge(&address.site, terms, passwords, secrets, &evidence);
        judged.map_err(|fault| self.deny(&address.site, None, fault))
    }

    /// A site's record. The deployment names it: one that is not there yet is on its way, and no missing
    /// file.
    pub(super) async fn site(&self, name: &str) -> Result<Arc<SiteRecord>, Failure> {
        let site = self.store.site(name).await?;
        site.ok_or_else(|| missing(name).into())
    }

    /// The one answer.
    pub(super) fn deny(
        &self,
        site: &str,
        contact: Option<(String, MacAddress, Contact)>,
        fault: Fault,
    ) -> Failure {
        let challenges = self.deployment.refusal == Refusal::Challenge;
        let challenge = match (challenges, self.secrets()) {
            (false, _) => None,
            (true, Ok(secrets)) => Some(self.challenge(site, secrets, fault.stale)),
            (true, Err(failure)) => return failure,
        };
        Failure::Denied(Box::new(Denied {
            challenge,
            fault,
            contact,
        }))
    }

    fn challenge(&self, site: &str, secrets: &DeploymentSecrets, stale: bool) -> Vec<String> {
        let (now, id) = (self.request.now, self.request.id);
        // Two of one process are never the same, for its requests' numbers rise and its clock does not fall: where
        // uses are counted, two phones with one nonce would take each other for replays.
        let [high, low] = [id >> 64, id & u128::from(u64::MAX)];
        let [_, _, _, _, _, _, _, _, random @ ..] = (high + low + u128::from(now)).to_be_bytes();
        let challenge = Challenge {
            realm: access::REALM,
            nonce: &Nonce::make(secrets, site, now / 1000, random),
            stale,
        };
        let digest = [
            Offer::Digest(Algorithm::Md5),
            Offer::Digest(Algorithm::Sha256),
        ];
        let mut lines = challenge.lines(&digest);
        if self.request.client.secure || self.takes_plain_http() {
            lines.extend(challenge.lines(&[Offer::Basic]));
        }
        lines
    }

    /// Whether passwords may go over plain HTTP. One rule for all sites, or the answer would tell which names are
    /// some: a phone is not asked to send its password to a site that does not take it.
    fn takes_plain_http(&self) -> bool {
        let mut sites = self.deployment.sites.values();
        sites.all(|access| !matches!(access, Access::Keys(terms) if !terms.plain_http))
    }

    fn secrets(&self) -> Result<&DeploymentSecrets, Failure> {
        self.request.secrets.ok_or_else(|| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Failure::Status(status, "the deployment has no secret".to_owned())
        })
    }

    fn evidence<'e>(&'e self, address: &'e Address) -> Evidence<'e> {
        let request = self.request;
        let authorization = request.headers.get(header::AUTHORIZATION);
        Evidence {
            method: request.method.as_str(),
            target: request.target,
            address,
            authorization: authorization.map(HeaderValue::as_bytes),
            agent: super::agent(request.headers).and_then(|agent| UserAgent::parse(agent)?.mac),
            certificate: request.client.certificate,
            relay: RelayWord::parse(request.headers),
            secure: request.client.secure,
            now: request.now,
            replays: request.replays,
        }
    }
}

/// The same for all who may not: nothing in it depends on what there is.
pub(super) fn response<Body>(denied: Denied, mut explanation: Explanation) -> Response<Body> {
    explanation.outcome = "refuse";
    explanation.reason = denied.fault.reason.into();
    let mut response = match denied.challenge {
        Some(lines) => {
            let mut response = text(StatusCode::UNAUTHORIZED, "unauthorized\n", explanation);
            let lines = lines
                .iter()
                .filter_map(|line| HeaderValue::from_str(line).ok());
            for line in lines {
                response.headers.append(header::WWW_AUTHENTICATE, line);
            }
            response
        }
        None => text(StatusCode::NOT_FOUND, super::NOT_FOUND, explanation),
    };
    response.failed = denied.fault.counts;
    response.contact = denied.contact;
    response
}
