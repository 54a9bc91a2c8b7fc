//! What makes a publication count: the record that phones' requests read, for all of a site's devices or for a few of
//! them first, and the way back.

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::enrolment::Enrolment;
use crate::mac::MacAddress;
use crate::publish::BATCH;
use crate::publish::Publish;
use crate::publish::SHARDS;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::conflict;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::hold;
use crate::respond::operator::answer::problem;
use crate::respond::operator::answer::read;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::tagged;
use crate::respond::operator::answer::unfit;
use crate::respond::operator::authority;
use crate::respond::operator::authority::Authority;
use crate::respond::operator::authority::Held;
use crate::respond::operator::push::list_key;
use crate::respond::operator::push::not_staged;
use crate::site::Canary;
use crate::site::Chosen;
use crate::site::SiteRecord;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::keyed;
use crate::store::keyed::Condition;
use crate::user_agent::UserAgent;

/// A publication as it was, for the way back and for whoever asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Past {
    /// When it was published.
    pub(super) at: u64,
    /// By whose token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    pub(super) record: SiteRecord,
}

/// Where a publication is kept. Numbers are padded, so that a listing is in their order; the newest come first.
pub(super) fn past_key(site: &str, number: u64) -> String {
    let backwards = u64::from(u32::MAX).saturating_sub(number);
    format!("{}{backwards:010}", pasts_of(site))
}

/// Where the keys of a site's publications begin.
pub(super) fn pasts_of(site: &str) -> String {
    format!("history/{site}/")
}

impl<S: Records + Publishing> Asked<'_, S> {
    /// Publishes the push of this number, or makes it a canary.
    pub(super) async fn publish(&self, body: &[u8]) -> Answered<S::Body> {
        let wish: Publish = read(body)?;
        let held = self.site_held().await?;
        if self.is_done(&held.value, &wish) {
            authority::mend_site(self.store, self.named.site, &held).await?;
            return self.site_shown(&held);
        }
        hold(self.request, Some(&held.tag))?;
        if held.value.canary() == Some(self.named.number) {
            return self.choose(&held, wish.canary).await;
        }
        self.check(&held.value, &wish).await?;
        if let Some(chosen) = &wish.canary {
            self.check_chosen(chosen).await?;
        }
        let record = self.numbered(&held.value, wish.record);
        let mut next = held.value.clone();
        next.staging = None;
        // Whatever a few devices had until now, all of them get something else.
        next.end_canary(self.request.now);
        let past = record.clone();
        match (wish.canary, &mut next.record) {
            (None, _) => next.record = Some(record),
            (Some(chosen), Some(current)) => {
                let record = Box::new(record);
                current.canary = Some(Canary { record, chosen });
            }
            (Some(_), None) => {
                let detail = "a site's first publication cannot be a canary: there is nothing for the other devices";
                return Err(conflict(detail));
            }
        }
        // Before it counts, and after all that could be wrong with it.
        self.keep_past(&past).await?;
        let held = authority::set_site(self.store, self.named.site, &held, next).await?;
        self.drop_lists_below(held.value.floor).await;
        self.site_shown(&held)
    }

    /// Best effort: nothing is compared any more with the publication before the oldest that a rollback goes to.
    async fn drop_lists_below(&self, floor: u64) {
        let key = past_key(self.named.site, floor);
        if let Ok(Some((bytes, _))) = self.store.read_object(&key).await
            && let Ok(past) = keyed::parse::<Past>(&key, &bytes)
            && let Some(before) = past.record.previous
        {
            self.drop_lists(before).await;
        }
    }

    /// Whether it was published already: the answer was lost, and it is asked again.
    fn is_done(&self, authority: &Authority, wish: &Publish) -> bool {
        let record = authority.record.as_ref();
        let same = |record: &SiteRecord| {
            let mut theirs = wish.record.clone();
            theirs.publication = record.publication;
            theirs.previous = record.previous;
            theirs.void.clone_from(&record.void);
            theirs.canary.clone_from(&record.canary);
            theirs == *record
        };
        match &wish.canary {
            None => record.is_some_and(|it| it.publication == self.named.number && same(it)),
            Some(chosen) => {
                let canary = record.and_then(|it| it.canary.as_ref());
                canary.is_some_and(|it| {
                    it.record.publication == self.named.number
                        && it.chosen == *chosen
                        && same(&it.record)
                })
            }
        }
    }

    /// Whether the push is whole, and still for what phones get.
    async fn check(&self, authority: &Authority, wish: &Publish) -> Result<(), Problem> {
        let (site, number) = (self.named.site, self.named.number);
        let staging = authority.staging.as_ref().filter(|it| it.number == number);
        let staging = staging.ok_or_else(|| not_staged(number))?;
        if staging.base != authority.publication() {
            let detail = format!(
                "publication {number} was made to follow {}, and the site has another by now: give it up and push again",
                staging.base
            );
            return Err(conflict(detail));
        }
        if wish.record.name != site {
            return Err(unfit(format!("the record is of site {}", wish.record.name)));
        }
        if self.token.tenant.is_some() && wish.record.tenant != self.token.tenant {
            let detail = "a tenant's token keeps the site the tenant's";
            return Err(problem(StatusCode::FORBIDDEN, detail));
        }
        // One call, for a platform may bound how many a request makes.
        let beginning = list_key(site, number, "");
        let lists = self.store.keys(&beginning, &beginning, SHARDS.len());
        let lists = lists.await?;
        let is_missing = |shard: &&&str| !lists.contains(&list_key(site, number, shard));
        if let Some(shard) = SHARDS.iter().find(is_missing) {
            let detail = format!("the list of shard {shard} is missing; an empty one is {{}}");
            return Err(conflict(detail));
        }
        let current = authority.record.as_ref();
        let is_had = current.is_some_and(|it| it.release == wish.record.release);
        let tenant = wish.record.tenant.as_deref();
        self.grant_release(&wish.record.release.0, tenant, is_had)
            .await
    }

    fn numbered(&self, authority: &Authority, mut record: SiteRecord) -> SiteRecord {
        record.publication = self.named.number;
        record.previous = Some(authority.publication()).filter(|number| *number > 0);
        record.void.clear();
        record.canary = None;
        record
    }

    async fn keep_past(&self, record: &SiteRecord) -> Result<(), Problem> {
        let key = past_key(self.named.site, record.publication);
        let past = Past {
            at: self.request.now,
            by: self.token.tenant.clone(),
            record: record.clone(),
        };
        let written = self
            .store
            .write_object(&key, encode(&past)?, Condition::Always);
        written.await?;
        Ok(())
    }

    /// Another choice of devices for the canary that is there.
    async fn choose(&self, held: &Held<Authority>, chosen: Option<Chosen>) -> Answered<S::Body> {
        let Some(chosen) = chosen else {
            let detail = "it is a canary: POST to its /publish makes it everybody's";
            return Err(conflict(detail));
        };
        self.check_chosen(&chosen).await?;
        let mut next = held.value.clone();
        if let Some(canary) = next.record.as_mut().and_then(|it| it.canary.as_mut()) {
            canary.chosen = chosen;
        }
        let held = authority::set_site(self.store, self.named.site, held, next).await?;
        self.site_shown(&held)
    }

    /// Whether each of the devices can be one of a few: one that fetches shared files without saying who it is would get
    /// some files of one publication and some of another.
    async fn check_chosen(&self, chosen: &Chosen) -> Result<(), Problem> {
        let devices = match chosen {
            Chosen::Percent(0..=100) => return Ok(()),
            Chosen::Percent(_) => return Err(unfit("a percentage is 100 at most")),
            Chosen::Devices(devices) => devices,
        };
        if devices.is_empty() || devices.len() > BATCH {
            let detail = format!("name between 1 and {BATCH} devices, or a percentage");
            return Err(unfit(detail));
        }
        let mut unfit_devices = Vec::new();
        for mac in devices {
            if !self.says_itself(*mac).await? {
                unfit_devices.push(*mac);
            }
        }
        if unfit_devices.is_empty() {
            return Ok(());
        }
        let detail = "these devices are unknown, or fetch what phones share without saying who they are, and would get \
                      files of two publications: a device has to come with a credential of its own, or name itself in \
                      its User-Agent";
        Err(unfit(detail).about(unfit_devices))
    }

    async fn says_itself(&self, mac: MacAddress) -> Result<bool, Problem> {
        let site = self.named.site;
        let Some((record, _)) = self.store.device(site, mac).await? else {
            return Ok(false);
        };
        if matches!(record.state.enrolment, Enrolment::Enrolled { .. }) {
            return Ok(true);
        }
        let contact = self.store.contact(site, mac).await?;
        let agent = contact.and_then(|contact| contact.user_agent);
        let named = agent.as_deref().and_then(UserAgent::parse);
        Ok(named.is_some_and(|agent| agent.mac == Some(mac)))
    }

    /// The canary of this number becomes everybody's.
    pub(super) async fn promote(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        let number = self.named.number;
        if held.value.publication() == number {
            authority::mend_site(self.store, self.named.site, &held).await?;
            return self.site_shown(&held);
        }
        hold(self.request, Some(&held.tag))?;
        let mut next = held.value.clone();
        let canary = next.record.as_mut().and_then(|it| it.canary.take());
        let Some(canary) = canary.filter(|it| it.record.publication == number) else {
            return Err(conflict(format!("publication {number} is no canary")));
        };
        next.record = Some(*canary.record);
        // It was to follow what phones get no more.
        next.end_push();
        let held = authority::set_site(self.store, self.named.site, &held, next).await?;
        self.site_shown(&held)
    }

    /// Back to the publication before; what phones get now never counts again.
    pub(super) async fn roll_back(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        hold(self.request, Some(&held.tag))?;
        let mut next = held.value.clone();
        let previous = next.previous().filter(|previous| *previous >= next.floor);
        let Some(previous) = previous else {
            let detail = "there is no publication before this one that devices still have their settings of: push the \
                          state that you want";
            return Err(conflict(detail));
        };
        let key = past_key(self.named.site, previous);
        let Some((bytes, _)) = self.store.read_object(&key).await? else {
            let detail =
                format!("publication {previous} is not kept: push the state that you want");
            return Err(conflict(detail));
        };
        let past: Past = keyed::parse(&key, &bytes)?;
        if !self.may_see(&past.record) {
            let detail = "the publication before is of the time when the site was another tenant's";
            return Err(problem(StatusCode::FORBIDDEN, detail));
        }
        let floor = next.floor;
        next.end_canary(self.request.now);
        next.end_push();
        next.withdraw_served(held.value.publication(), self.request.now);
        let mut record = past.record;
        record.previous = record.previous.filter(|number| *number >= floor);
        next.record = Some(record);
        let held = authority::set_site(self.store, self.named.site, &held, next).await?;
        self.site_shown(&held)
    }

    /// A site as it is, with the tag that a later write names.
    pub(super) fn site_shown(&self, held: &Held<Authority>) -> Answered<S::Body> {
        Ok(tagged(
            shown(&held.value.shown(self.named.site))?,
            &held.tag,
        ))
    }

    /// What holds of the site that the path names.
    pub(super) async fn site_held(&self) -> Result<Held<Authority>, Problem> {
        let held = authority::site(self.store, self.named.site).await?;
        held.ok_or_else(changed_or_missing)
    }
}

/// It was there when it was looked at who asks.
fn changed_or_missing() -> Problem {
    changed()
}
