//! What holds of a site and of the deployment: objects that are written on conditions, and the copies of them that
//! phones' requests read.
//!
//! The copies are written after, read back against what holds, and written again if that changed meanwhile: whoever
//! crashes in between leaves a copy that is older, whole, and mended by the next push.

use serde::Deserialize;
use serde::Serialize;

use crate::publish::CanaryState;
use crate::publish::SiteState;
use crate::publish::Staging;
use crate::publish::redaction;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::tag_of;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::Publishing;
use crate::store::Revision;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::keyed;
use crate::store::keyed::Condition;

/// What holds of a site.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Authority {
    /// The number that the next push gets: none is given out twice.
    pub(super) next: u64,
    /// The push that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staging: Option<Staging>,
    /// The oldest publication of which every device still has what counts: a push keeps that of the publication
    /// before, and no more.
    #[serde(default)]
    pub(super) floor: u64,
    /// Numbers that never count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) void: Vec<u64>,
    /// Those of them that phones were served, and until when (milliseconds since 1970) a process may have them in memory
    /// still, and need their entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) withdrawn: Vec<(u64, u64)>,
    /// Of which plan publications are that may be asked for again, by number: a hash under the deployment's secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) plans: Vec<(u64, String)>,
    /// The record that phones get; nothing before the first publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<SiteRecord>,
}

/// What holds, as it was read.
#[derive(Clone, Debug)]
pub(super) struct Held<T> {
    pub(super) value: T,
    /// What it was read with; nothing where it does not lie there yet.
    revision: Option<Revision>,
    /// Its entity tag.
    pub(super) tag: String,
}

impl Authority {
    /// The publication that phones get, 0 before the first.
    pub(super) fn publication(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.publication)
    }

    /// The publication before.
    pub(super) fn previous(&self) -> Option<u64> {
        self.record.as_ref()?.previous
    }

    /// The publication that some devices get.
    pub(super) fn canary(&self) -> Option<u64> {
        let canary = self.record.as_ref()?.canary.as_ref()?;
        Some(canary.record.publication)
    }

    /// Whether a publication is of this plan.
    pub(super) fn is_of(&self, number: u64, plan: &str) -> bool {
        let mut plans = self.plans.iter();
        plans.any(|(of, known)| *of == number && known == plan)
    }

    /// Makes a number one that never counts.
    pub(super) fn withdraw(&mut self, number: u64) {
        if !self.void.contains(&number) {
            self.void.push(number);
        }
    }

    /// The same with one that phones were served until now.
    pub(super) fn withdraw_served(&mut self, number: u64, now: u64) {
        self.withdraw(number);
        self.withdrawn.retain(|(_, until)| *until > now);
        self.withdrawn.push((number, now + IN_MEMORY));
    }

    /// Whether a process may have a number in memory that was taken back.
    pub(super) fn is_in_memory(&self, number: u64, now: u64) -> bool {
        let mut withdrawn = self.withdrawn.iter();
        withdrawn.any(|(of, until)| *of == number && *until > now)
    }

    /// Ends the push that is under way, if there is one.
    pub(super) fn end_push(&mut self) {
        if let Some(staging) = self.staging.take() {
            self.withdraw(staging.number);
        }
    }

    /// Ends the canary, if there is one.
    pub(super) fn end_canary(&mut self, now: u64) {
        let number = self.canary();
        if let (Some(record), Some(number)) = (&mut self.record, number) {
            record.canary = None;
            self.withdraw_served(number, now);
        }
    }

    /// The record says of itself what holds: which numbers are void. Plans are known of what may come to count.
    fn settle(&mut self) {
        let staged = self.staging.as_ref().map(|staging| staging.number);
        let live = [
            Some(self.publication()),
            self.previous(),
            self.canary(),
            staged,
        ];
        self.plans
            .retain(|(number, _)| live.contains(&Some(*number)));
        if let Some(record) = &mut self.record {
            record.void.clone_from(&self.void);
            if let Some(canary) = &mut record.canary {
                canary.record.void.clone_from(&self.void);
            }
        }
    }

    /// As operators see it.
    pub(super) fn shown(&self, site: &str) -> SiteState {
        let canary = self.record.as_ref().and_then(|it| it.canary.as_ref());
        SiteState {
            site: site.to_owned(),
            publication: self.publication(),
            previous: self.previous(),
            staging: self.staging.clone(),
            canary: canary.map(|canary| CanaryState {
                number: canary.record.publication,
                release: canary.record.release.clone(),
                chosen: canary.chosen.clone(),
            }),
            record: self.record.as_ref().map(redaction::site),
        }
    }
}

/// For how long a record may be served that was replaced, in milliseconds: a minute in a process, another in the store of
/// some platforms, and as much again for clocks that differ.
const IN_MEMORY: u64 = 4 * 60_000;

/// Where what holds of a site lies.
pub(super) fn site_authority(site: &str) -> String {
    format!("{SITES}{site}")
}

/// Where all of those begin.
pub(super) const SITES: &str = "published/site/";
const DEPLOYMENT: &str = "published/deployment";

/// What holds of a site, or nothing for one that nobody has begun. One that was filled by other means is taken over
/// as it is.
pub(super) async fn site<S: Publishing>(
    store: &S,
    site: &str,
) -> Result<Option<Held<Authority>>, Problem> {
    let key = site_authority(site);
    if let Some((bytes, revision)) = store.read_object(&key).await? {
        return held(keyed::parse(&key, &bytes)?, Some(revision)).map(Some);
    }
    let key = keyed::site_key(site);
    let Some(bytes) = store.read_value(&key).await? else {
        return Ok(None);
    };
    let record: SiteRecord = keyed::parse(&key, &bytes)?;
    let authority = Authority {
        next: record.publication + 1,
        floor: record.previous.unwrap_or(record.publication),
        void: record.void.clone(),
        record: Some(record),
        ..Authority::default()
    };
    held(authority, None).map(Some)
}

/// One that nobody has begun.
pub(super) fn new_site() -> Result<Held<Authority>, Problem> {
    let authority = Authority {
        next: 1,
        ..Authority::default()
    };
    held(authority, None)
}

/// Replaces what holds of a site, if it is still what was read, and then its copy; gives what holds then.
pub(super) async fn set_site<S: Publishing>(
    store: &S,
    site: &str,
    was: &Held<Authority>,
    mut authority: Authority,
) -> Result<Held<Authority>, Problem> {
    authority.settle();
    let key = site_authority(site);
    let written = store.write_object(&key, encode(&authority)?, was.condition());
    if !written.await? {
        return Err(changed());
    }
    let copied = was.value.record != authority.record;
    if copied {
        copy_site(store, site).await?;
    }
    let now = self::site(store, site).await?;
    now.ok_or_else(|| lost(&key).into())
}

/// Brings the copy of a site's record to what holds.
pub(super) async fn copy_site<S: Publishing>(store: &S, site: &str) -> Result<(), Problem> {
    let key = keyed::site_key(site);
    for _ in 0..COPIES {
        let Some(held) = self::site(store, site).await? else {
            return Ok(());
        };
        let Some(record) = &held.value.record else {
            return Ok(());
        };
        store.write_value(&key, encode(record)?).await?;
        let now = self::site(store, site).await?;
        if now.is_some_and(|now| now.tag == held.tag) {
            return Ok(());
        }
    }
    Err(StoreError::new(StoreErrorKind::Down, key, RESTLESS).into())
}

/// The same, if it is another one: what a crash left is mended.
pub(super) async fn mend_site<S: Publishing>(
    store: &S,
    site: &str,
    held: &Held<Authority>,
) -> Result<(), Problem> {
    let Some(record) = &held.value.record else {
        return Ok(());
    };
    let copy = store.read_value(&keyed::site_key(site)).await?;
    if copy.is_some_and(|copy| encode(record).is_ok_and(|record| record == copy)) {
        return Ok(());
    }
    copy_site(store, site).await
}

/// What holds of the deployment; nothing before it was published.
pub(super) async fn deployment<S: Publishing>(
    store: &S,
) -> Result<Option<Held<Deployment>>, Problem> {
    if let Some((bytes, revision)) = store.read_object(DEPLOYMENT).await? {
        return held(keyed::parse(DEPLOYMENT, &bytes)?, Some(revision)).map(Some);
    }
    let Some(bytes) = store.read_value(keyed::DEPLOYMENT).await? else {
        return Ok(None);
    };
    held(keyed::parse(keyed::DEPLOYMENT, &bytes)?, None).map(Some)
}

/// Replaces it, if it is still what was read, and then its copy.
pub(super) async fn set_deployment<S: Publishing>(
    store: &S,
    was: Option<&Held<Deployment>>,
    deployment: &Deployment,
) -> Result<(), Problem> {
    let condition = was.map_or(Condition::Absent, Held::condition);
    let bytes = encode(deployment)?;
    if !store.write_object(DEPLOYMENT, bytes, condition).await? {
        return Err(changed());
    }
    copy_deployment(store).await
}

/// Brings its copy to what holds.
pub(super) async fn copy_deployment<S: Publishing>(store: &S) -> Result<(), Problem> {
    for _ in 0..COPIES {
        let Some(held) = deployment(store).await? else {
            return Ok(());
        };
        let bytes = encode(&held.value)?;
        store.write_value(keyed::DEPLOYMENT, bytes).await?;
        let now = deployment(store).await?;
        if now.is_some_and(|now| now.tag == held.tag) {
            return Ok(());
        }
    }
    Err(StoreError::new(StoreErrorKind::Down, DEPLOYMENT, RESTLESS).into())
}

/// How often a copy is written while what holds keeps changing.
const COPIES: usize = 4;
const RESTLESS: &str = "it changes faster than it can be copied";

impl<T> Held<T> {
    fn condition(&self) -> Condition<'_> {
        match &self.revision {
            Some(revision) => Condition::At(revision),
            None => Condition::Absent,
        }
    }
}

fn held<T: Serialize>(value: T, revision: Option<Revision>) -> Result<Held<T>, Problem> {
    let tag = tag_of(&encode(&value)?);
    Ok(Held {
        value,
        revision,
        tag,
    })
}

fn lost(key: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Damaged,
        key,
        "it was just written and is gone",
    )
}
