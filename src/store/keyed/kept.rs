//! What a process keeps in memory between requests: young records, and the releases used last.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::map::Map;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::keyed::DEPLOYMENT;

/// How long a record is taken for current, in milliseconds: a publish reaches every process within it.
const YOUNG: u64 = 60_000;
/// Sites kept at most; one takes some hundred bytes.
const SITES: usize = 4096;
/// Releases kept at most; one takes some hundred kilobytes, and a Worker has 128 MB.
const RELEASES: usize = 64;

/// Records and releases that earlier requests read. One a process; shared by all requests.
#[derive(Debug, Default)]
pub struct Kept {
    inner: Mutex<Inner>,
}

/// What a [`Kept`] holds.
#[derive(Debug, Default)]
struct Inner {
    deployment: Option<(u64, Arc<Deployment>)>,
    sites: Map<(u64, Arc<SiteRecord>)>,
    /// The one used last is last.
    releases: Vec<Arc<Release>>,
}

impl Kept {
    pub(super) fn deployment(&self, now: u64) -> Option<Arc<Deployment>> {
        let inner = self.lock();
        let (read, deployment) = inner.deployment.as_ref()?;
        is_young(*read, now).then(|| deployment.clone())
    }

    pub(super) fn keep_deployment(&self, now: u64, deployment: &Arc<Deployment>) {
        self.lock().deployment = Some((now, deployment.clone()));
    }

    /// Lets go of what lies under a key: it was just written.
    pub(super) fn forget(&self, key: &str) {
        let mut inner = self.lock();
        match key.strip_prefix("site/") {
            Some(site) => drop(inner.sites.remove(site)),
            None if key == DEPLOYMENT => inner.deployment = None,
            None => {}
        }
    }

    pub(super) fn site(&self, name: &str, now: u64) -> Option<Arc<SiteRecord>> {
        let inner = self.lock();
        let (read, site) = inner.sites.get(name)?;
        is_young(*read, now).then(|| site.clone())
    }

    pub(super) fn keep_site(&self, name: &str, now: u64, site: &Arc<SiteRecord>) {
        let sites = &mut self.lock().sites;
        if sites.len() >= SITES {
            sites.retain(|_, (read, _)| is_young(*read, now));
        }
        if sites.len() >= SITES {
            *sites = Map::default();
        }
        sites.insert(name.to_owned(), (now, site.clone()));
    }

    pub(super) fn release(&self, id: &ReleaseId) -> Option<Arc<Release>> {
        let releases = &mut self.lock().releases;
        let place = releases.iter().position(|release| release.id == *id)?;
        let release = releases.remove(place);
        releases.push(release.clone());
        Some(release)
    }

    pub(super) fn keep_release(&self, release: &Arc<Release>) {
        let releases = &mut self.lock().releases;
        // Requests that come at once to a new process all read it.
        if releases.iter().any(|kept| kept.id == release.id) {
            return;
        }
        if releases.len() >= RELEASES {
            releases.remove(0);
        }
        releases.push(release.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes a record old, not young for ever.
fn is_young(read: u64, now: u64) -> bool {
    now.checked_sub(read).is_some_and(|age| age < YOUNG)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Kept;
    use super::RELEASES;
    use crate::release::Release;
    use crate::release::ReleaseId;
    use crate::release::ReleaseRecord;
    use crate::site::Deployment;

    #[test]
    fn a_record_is_young_for_a_minute() {
        let kept = Kept::default();
        assert!(kept.deployment(1_000).is_none());
        kept.keep_deployment(1_000, &Arc::new(Deployment::default()));
        for (now, young) in [(1_000, true), (60_999, true), (61_000, false), (999, false)] {
            assert_eq!(kept.deployment(now).is_some(), young, "{now}");
        }
    }

    #[test]
    fn the_release_used_longest_ago_goes() {
        let kept = Kept::default();
        let id = |number: usize| ReleaseId(number.to_string());
        let keep = |number| {
            let release = Release::parse(id(number), ReleaseRecord::default()).unwrap();
            kept.keep_release(&Arc::new(release));
        };
        keep(0);
        (0..RELEASES).for_each(keep);
        assert!(kept.release(&id(0)).is_some());
        keep(RELEASES);
        assert!(kept.release(&id(0)).is_some());
        assert!(kept.release(&id(1)).is_none());
    }
}
