//! Windows, locks, last contacts and who knocks: docs/operator.md.

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::enrolment::Enrolment;
use crate::enrolment::Window;
use crate::mac::MacAddress;
use crate::precondition::Verdict;
use crate::respond::TRIES;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::conditional;
use crate::respond::operator::answer::conflict;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::of_bytes;
use crate::respond::operator::answer::problem;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::tag_of;
use crate::respond::operator::answer::tagged;
use crate::respond::operator::answer::verdict;
use crate::store::Contact;
use crate::store::PAGE;
use crate::store::Publishing;
use crate::store::Records;

/// The longest window, in minutes: a week.
const LONGEST: u32 = 7 * 24 * 60;

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

    /// As JSON, with its entity tag.
    fn written(enrolment: &Enrolment) -> Result<(Vec<u8>, String), Problem> {
        let json = encode(&Shown::of(enrolment))?;
        let tag = tag_of(&json);
        Ok((json, tag))
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

impl<S: Records + Publishing> Asked<'_, S> {
    pub(super) async fn open_window(&self, body: &[u8]) -> Answered<S::Body> {
        let window = window(body, self.request.now)?;
        let locked = || conflict("it is locked: unlock it first");
        let open = |now: &Enrolment| now.opened(window.clone()).ok_or_else(locked);
        self.change(open).await
    }

    pub(super) async fn lock(&self) -> Answered<S::Body> {
        self.change(|now| Ok(now.locked())).await
    }

    pub(super) async fn unlock(&self) -> Answered<S::Body> {
        self.change(|now| Ok(now.unlocked())).await
    }

    pub(super) async fn show(&self) -> Answered<S::Body> {
        let device = self.device().await?;
        let (json, tag) = Shown::written(&device.0.state.enrolment)?;
        let response = of_bytes(StatusCode::OK, "application/json", json);
        conditional(self.request, response, &tag)
    }

    /// Brings a device's enrolment to another state; who sends `If-Match` does so from no other than that.
    async fn change(
        &self,
        to: impl Fn(&Enrolment) -> Result<Enrolment, Problem>,
    ) -> Answered<S::Body> {
        let mut failed = false;
        for _ in 0..TRIES {
            let (mut record, revision, mac) = self.device().await?;
            let next = to(&record.state.enrolment)?;
            // It may be so already, and may be so by us, though the store said otherwise.
            if next != record.state.enrolment {
                let (_, tag) = Shown::written(&record.state.enrolment)?;
                if verdict(self.request, &tag) != Verdict::Proceed {
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
            let (json, tag) = Shown::written(&next)?;
            return Ok(tagged(
                of_bytes(StatusCode::OK, "application/json", json),
                &tag,
            ));
        }
        let detail = "the device's record keeps changing";
        Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail))
    }

    pub(super) async fn contacts(&self) -> Answered<S::Body> {
        let (page, next) = self.page().await?;
        let seen = |(mac, contact)| Seen { mac, contact };
        let contacts = page.into_iter().map(seen).collect();
        shown(&Contacts { contacts, next })
    }

    pub(super) async fn knocking(&self) -> Answered<S::Body> {
        let (page, next) = self.page().await?;
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
        shown(&Knocking { knocking, next })
    }

    /// Last contacts after the device that the query names, and the device that the next page comes after.
    async fn page(&self) -> Result<(Vec<(MacAddress, Contact)>, Option<MacAddress>), Problem> {
        let after = self.after();
        let after = after.map(str::parse::<MacAddress>).transpose();
        let after = after.map_err(|error| problem(StatusCode::BAD_REQUEST, error.to_string()))?;
        let page = self.store.contacts(self.named.site, after).await?;
        let last = page.last().map(|(mac, _)| *mac);
        let next = last.filter(|_| page.len() >= PAGE);
        Ok((page, next))
    }
}
