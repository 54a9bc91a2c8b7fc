//! A push of a site, in steps that each leave the publication before whole: begin, the lists of devices, batches of their
//! settings, and last the record that makes them count (docs/publishing.md).

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

use crate::device::DeviceRecord;
use crate::device::DeviceSettings;
use crate::device::publication_key;
use crate::encoding::hex;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::publish::BATCH;
use crate::publish::Batch;
use crate::publish::Begin;
use crate::publish::Begun;
use crate::publish::Difference;
use crate::publish::SHARDS;
use crate::publish::Shard;
use crate::publish::Staging;
use crate::publish::Written;
use crate::publish::hash_of;
use crate::publish::shard_of;
use crate::respond::TRIES;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::conflict;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::json;
use crate::respond::operator::answer::not_found;
use crate::respond::operator::answer::problem;
use crate::respond::operator::answer::read;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::tagged;
use crate::respond::operator::answer::unfit;
use crate::respond::operator::authority;
use crate::respond::operator::authority::Authority;
use crate::respond::operator::authority::Held;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::keyed;
use crate::store::keyed::Condition;

/// The devices of a shard that a publication has.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct List {
    /// What their settings' hashes are made into under the deployment's secret: by a plain one, whoever reads the store
    /// could try passwords.
    pub(super) devices: Map<String>,
    /// Devices that a list before this one, of the same number, had written or taken away: they have an entry of this
    /// number, which has to be made right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    again: Vec<MacAddress>,
}

/// Where a shard's list lies.
pub(super) fn list_key(site: &str, number: u64, shard: &str) -> String {
    format!("manifests/{site}/{number}/{shard}")
}

impl<S: Records + Publishing> Asked<'_, S> {
    /// Gives a push its number.
    pub(super) async fn begin(&self, body: &[u8]) -> Answered<S::Body> {
        let wish: Begin = if body.is_empty() {
            Begin::default()
        } else {
            read(body)?
        };
        let held = match authority::site(self.store, self.named.site).await? {
            Some(held) => held,
            // A tenant's token does not come here: nothing is a tenant's before it is published.
            None => authority::new_site()?,
        };
        authority::mend_site(self.store, self.named.site, &held).await?;
        if let Some(number) = wish.resume {
            return self.resume(&held, number);
        }
        let plan = wish.plan.as_deref().map(|plan| self.kept_plan(plan));
        let plan = plan.transpose()?;
        if let Some(known) = plan.as_deref().and_then(|plan| known(&held, plan)) {
            return Ok(tagged(json(StatusCode::OK, &known)?, &held.tag));
        }
        let mut next = held.value.clone();
        if let Some(other) = next.staging.take() {
            let stale = other.base != next.publication();
            let ours = plan
                .as_deref()
                .is_some_and(|plan| next.is_of(other.number, plan));
            // Of the same plan, and begun before another was published: it cannot end, and misses nobody.
            if !(wish.take_over || stale && ours) {
                return Err(busy(&other));
            }
            next.withdraw(other.number);
        }
        let staging = Staging {
            number: next.next,
            base: next.publication(),
            by: self.token.tenant.clone(),
            at: self.request.now,
        };
        next.plans.extend(plan.map(|plan| (next.next, plan)));
        next.next += 1;
        next.floor = next.previous().unwrap_or_else(|| next.publication());
        next.staging = Some(staging.clone());
        let held = authority::set_site(self.store, self.named.site, &held, next).await?;
        begun(StatusCode::CREATED, &staging, &held.tag)
    }

    fn resume(&self, held: &Held<Authority>, number: u64) -> Answered<S::Body> {
        match &held.value.staging {
            Some(staging) if staging.number == number && staging.by == self.token.tenant => {
                begun(StatusCode::OK, staging, &held.tag)
            }
            Some(other) => Err(busy(other)),
            None => Err(conflict(format!(
                "publication {number} is not under way: begin another push"
            ))),
        }
    }

    /// What holds of the site while this number's push is under way.
    async fn staged(&self) -> Result<Held<Authority>, Problem> {
        let held = self.site_held().await?;
        match &held.value.staging {
            Some(staging) if staging.number == self.named.number => Ok(held),
            _ => Err(not_staged(self.named.number)),
        }
    }

    /// Takes in the devices of a shard, and says which of them have to be written.
    pub(super) async fn list(&self, body: &[u8]) -> Answered<S::Body> {
        let devices = self.listed(&read(body)?)?;
        let held = self.staged().await?;
        let base = held.value.publication();
        let before = self.list_of(base, &held.value, &devices).await?;
        for _ in 0..TRIES {
            let key = list_key(self.named.site, self.named.number, self.named.text);
            let (earlier, condition) = match self.store.read_object(&key).await? {
                Some((bytes, revision)) => {
                    let list: List = keyed::parse(&key, &bytes)?;
                    (Some(list), Some(revision))
                }
                None => (None, None),
            };
            let mut list = List {
                devices: devices.clone(),
                again: earlier
                    .as_ref()
                    .map(|it| it.again.clone())
                    .unwrap_or_default(),
            };
            if let Some(earlier) = &earlier {
                let was = difference(&before, &earlier.devices);
                list.again.extend(was.write);
                list.again.extend(was.gone);
                list.again.sort_unstable();
                list.again.dedup();
            }
            let condition = condition.as_ref().map_or(Condition::Absent, Condition::At);
            if self
                .store
                .write_object(&key, encode(&list)?, condition)
                .await?
            {
                let mut found = difference(&before, &list.devices);
                again(&mut found, &list);
                return shown(&found);
            }
        }
        Err(changed())
    }

    /// The same against the publication that phones get; nothing is written.
    pub(super) async fn changed(&self, body: &[u8]) -> Answered<S::Body> {
        let devices = self.listed(&read(body)?)?;
        let held = self.site_held().await?;
        let base = match held.value.record {
            Some(_) => self.looked_at(&held.value).await?.publication,
            None => 0,
        };
        let before = self.list_of(base, &held.value, &devices).await?;
        shown(&difference(&before, &devices))
    }

    /// What was sent as a list, with its hashes as they are kept.
    fn listed(&self, sent: &Shard) -> Result<Map<String>, Problem> {
        let mut devices = Map::default();
        let mut wrong = Vec::new();
        for (text, hash) in sent {
            let mac: MacAddress = text
                .parse()
                .map_err(|_| unfit(format!("{text:?} is no hardware address")))?;
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            if shard_of(mac) != self.named.text || mac.to_string() != *text || !is_hash {
                wrong.push(mac);
            }
            devices.insert(mac.to_string(), self.kept_hash(hash)?);
        }
        if wrong.is_empty() {
            return Ok(devices);
        }
        let detail = format!(
            "a device stands in another shard than {}, under another spelling than 12 small digits, or without a SHA-256",
            self.named.text
        );
        Err(unfit(detail).about(wrong))
    }

    /// What a hash of settings is kept as.
    fn kept_hash(&self, hash: &str) -> Result<String, Problem> {
        let secrets = self.request.secrets;
        let secrets =
            secrets.ok_or_else(|| conflict("publishing needs the deployment's secret"))?;
        let hash = hash.to_ascii_lowercase();
        Ok(hex(&secrets.tag(&[LISTED, hash.as_bytes()])))
    }

    /// The devices of a shard that a publication has. Where their list is not there (the store was filled by other means)
    /// they are looked for, and all of them are written.
    async fn list_of(
        &self,
        number: u64,
        authority: &Authority,
        now: &Map<String>,
    ) -> Result<Map<String>, Problem> {
        let site = self.named.site;
        if number == 0 {
            return Ok(Map::default());
        }
        if let Some(list) = self.read_list(number).await? {
            return Ok(list.devices);
        }
        let mut found = Map::default();
        let beginning = format!("device/{site}/");
        let mut after = beginning.clone();
        loop {
            let keys = self.store.keys(&beginning, &after, KEYS).await?;
            let macs = keys.iter().filter_map(|key| Some(keyed::device_of(key)?.1));
            for mac in macs.filter(|mac| shard_of(*mac) == self.named.text) {
                let text = mac.to_string();
                if now.contains_key(&text) || self.has(authority, mac).await? {
                    found.insert(text, String::new());
                }
            }
            match keys.last().filter(|_| keys.len() >= KEYS) {
                Some(last) => after.clone_from(last),
                None => return Ok(found),
            }
        }
    }

    /// Whether phones of the site's publication include this one.
    async fn has(&self, authority: &Authority, mac: MacAddress) -> Result<bool, Problem> {
        let found = self.store.device(self.named.site, mac).await?;
        let record = found.as_ref().zip(authority.record.as_ref());
        Ok(record.is_some_and(|((device, _), site)| matches!(device.at(site), Ok(Some(_)))))
    }

    /// What a plan is kept as.
    fn kept_plan(&self, plan: &str) -> Result<String, Problem> {
        let secrets = self.request.secrets;
        let secrets =
            secrets.ok_or_else(|| conflict("publishing needs the deployment's secret"))?;
        Ok(hex(&secrets.tag(&[PLANNED, plan.as_bytes()])))
    }

    async fn read_list(&self, number: u64) -> Result<Option<List>, Problem> {
        let key = list_key(self.named.site, number, self.named.text);
        let found = self.store.read_object(&key).await?;
        let list = found.map(|(bytes, _)| keyed::parse(&key, &bytes));
        Ok(list.transpose()?)
    }

    /// Writes devices of a shard under the number of the push.
    pub(super) async fn batch(&self, body: &[u8]) -> Answered<S::Body> {
        let batch: Batch = read(body)?;
        if batch.len() > BATCH {
            let detail =
                format!("{BATCH} devices at most: each is a read and a write of the store");
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let held = self.staged().await?;
        let Some(list) = self.read_list(self.named.number).await? else {
            let detail = format!(
                "the list of shard {} comes before its batches",
                self.named.text
            );
            return Err(conflict(detail));
        };
        let mut devices = Vec::new();
        let mut wrong = Vec::new();
        for (text, settings) in batch {
            let mac: MacAddress = text
                .parse()
                .map_err(|_| unfit(format!("{text:?} is no hardware address")))?;
            let same = mac.to_string() == text && shard_of(mac) == self.named.text;
            if !same || !self.is_listed(&list, &text, settings.as_ref())? {
                wrong.push(mac);
            }
            devices.push((mac, settings));
        }
        if !wrong.is_empty() {
            let detail = "a device is not as the shard's list says: send the list again if the fleet has changed";
            return Err(unfit(detail).about(wrong));
        }
        for (mac, settings) in &devices {
            self.write_device(&held.value, *mac, settings.as_ref())
                .await?;
        }
        shown(&Written {
            written: devices.len(),
        })
    }

    /// Whether a device is as the list says: so no batch of another state of the fleet gets in between.
    fn is_listed(
        &self,
        list: &List,
        mac: &str,
        settings: Option<&DeviceSettings>,
    ) -> Result<bool, Problem> {
        Ok(match (list.devices.get(mac), settings) {
            (Some(listed), Some(settings)) => {
                settings.sealed.is_none() && *listed == self.kept_hash(&hash_of(settings))?
            }
            (None, None) => true,
            _ => false,
        })
    }

    /// Writes a device's settings under the number of the push. Its state is nobody's but the requests'.
    async fn write_device(
        &self,
        authority: &Authority,
        mac: MacAddress,
        settings: Option<&DeviceSettings>,
    ) -> Result<(), Problem> {
        let site = self.named.site;
        let mut failed = false;
        for _ in 0..TRIES {
            let found = self.store.device(site, mac).await?;
            let written = match found {
                None if settings.is_none() => return Ok(()),
                None => {
                    let mut record = DeviceRecord::default();
                    enter(
                        &mut record,
                        authority,
                        (self.named.number, self.request.now),
                        settings,
                    );
                    self.store.create_device(site, mac, &record).await
                }
                Some((mut record, revision)) => {
                    enter(
                        &mut record,
                        authority,
                        (self.named.number, self.request.now),
                        settings,
                    );
                    self.store
                        .update_device(site, mac, &revision, &record)
                        .await
                }
            };
            match written {
                Ok(true) => return Ok(()),
                Err(error) if failed => return Err(error.into()),
                // It may be written all the same: that the next attempt sees.
                result => failed = result.is_err(),
            }
        }
        let detail = format!("the record of {mac} keeps changing");
        Err(problem(StatusCode::SERVICE_UNAVAILABLE, detail).about(vec![mac]))
    }

    /// Gives a push up, or ends a canary: its number never counts.
    pub(super) async fn abandon(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        let number = self.named.number;
        let mut next = held.value.clone();
        if next.staging.as_ref().is_some_and(|it| it.number == number) {
            next.staging = None;
            next.withdraw(number);
        } else if next.canary() == Some(number) {
            next.end_canary(self.request.now);
        } else if next.void.contains(&number) {
            // Done before, and asked again.
            authority::mend_site(self.store, self.named.site, &held).await?;
            return Ok(tagged(shown(&next.shown(self.named.site))?, &held.tag));
        } else {
            return Err(not_staged(number));
        }
        let held = authority::set_site(self.store, self.named.site, &held, next).await?;
        self.drop_lists(number).await;
        Ok(tagged(
            shown(&held.value.shown(self.named.site))?,
            &held.tag,
        ))
    }

    /// Best effort: lists that nothing is compared with any more take up room, and no more.
    pub(super) async fn drop_lists(&self, number: u64) {
        for shard in SHARDS {
            let key = list_key(self.named.site, number, shard);
            let _ = self.store.delete_object(&key).await;
        }
    }
}

/// Keys that are listed at once.
const KEYS: usize = 1000;

/// The first field of what listed hashes are made over.
const LISTED: &[u8] = b"handset listed settings 1";
/// The same of plans.
const PLANNED: &[u8] = b"handset plan 1";

fn begun<Body>(status: StatusCode, staging: &Staging, tag: &str) -> Answered<Body> {
    let begun = goes_on(staging, tag);
    Ok(tagged(json(status, &begun)?, tag))
}

fn goes_on(staging: &Staging, tag: &str) -> Begun {
    Begun {
        number: staging.number,
        base: staging.base,
        etag: tag.to_owned(),
        unchanged: false,
        whole: false,
    }
}

/// What is there of a plan already: all of it for everybody, or for some, or a push that was interrupted.
fn known(held: &Held<Authority>, plan: &str) -> Option<Begun> {
    let authority = &held.value;
    let base = authority.publication();
    let is_ours = |number: &u64| authority.is_of(*number, plan);
    let canary = authority.canary();
    if let Some(number) = canary.filter(is_ours) {
        return Some(Begun {
            number,
            base,
            etag: held.tag.clone(),
            unchanged: false,
            whole: true,
        });
    }
    // While some devices get something else, this is not what the site is.
    if canary.is_none() && is_ours(&base) {
        return Some(Begun {
            number: base,
            base,
            etag: held.tag.clone(),
            unchanged: true,
            whole: true,
        });
    }
    let staging = authority.staging.as_ref();
    let staging = staging.filter(|it| it.base == base && is_ours(&it.number))?;
    Some(goes_on(staging, &held.tag))
}

fn busy(other: &Staging) -> Problem {
    let by = match &other.by {
        Some(tenant) => format!("the tenant {tenant}"),
        None => "the deployment's operator".to_owned(),
    };
    let (number, at) = (other.number, other.at);
    conflict(format!(
        "publication {number} is under way, by {by}, since {at} (milliseconds since 1970): wait for it, go on with it by \
         {{\"resume\": {number}}}, or give it up for this one by {{\"take-over\": true}}"
    ))
}

pub(super) fn not_staged(number: u64) -> Problem {
    not_under_way(number, "it was given up, published, or never begun")
}

fn not_under_way(number: u64, why: &str) -> Problem {
    conflict(format!("publication {number} is not under way: {why}"))
}

/// What has to be written for one list to become another.
fn difference(before: &Map<String>, now: &Map<String>) -> Difference {
    let parsed = |text: &String| text.parse().ok();
    let other = |(mac, hash): &(&String, &String)| before.get(mac) != Some(*hash);
    let write = now.iter().filter(other).filter_map(|(mac, _)| parsed(mac));
    let gone = before.keys().filter(|mac| !now.contains_key(mac));
    Difference {
        write: write.collect(),
        gone: gone.filter_map(parsed).collect(),
    }
}

/// What an earlier list of the same number had written is written again.
fn again(found: &mut Difference, list: &List) {
    for mac in &list.again {
        let listed = list.devices.contains_key(&mac.to_string());
        let place = if listed {
            &mut found.write
        } else {
            &mut found.gone
        };
        place.push(*mac);
    }
    for place in [&mut found.write, &mut found.gone] {
        place.sort_unstable();
        place.dedup();
    }
}

/// Enters settings under a number, and lets go of what counts for nobody any more.
///
/// What counts for the publication before, for the one that phones get, and whatever is newer than that stays, but for
/// pushes that were given up: those nobody was ever served. What was served and taken back stays while a process may
/// have it in memory.
fn enter(
    record: &mut DeviceRecord,
    authority: &Authority,
    (number, now): (u64, u64),
    settings: Option<&DeviceSettings>,
) {
    let current = authority.publication();
    let counts = |publication: u64| {
        let numbers = record
            .settings
            .keys()
            .filter_map(|key| key.parse::<u64>().ok());
        let counting = numbers.filter(|it| *it <= publication && !authority.void.contains(it));
        counting.max()
    };
    let kept = [authority.previous().and_then(counts), counts(current)];
    record.settings.retain(|key, _| {
        let Ok(entry) = key.parse::<u64>() else {
            return false;
        };
        let newer = entry > current && !authority.void.contains(&entry);
        kept.contains(&Some(entry)) || newer || authority.is_in_memory(entry, now)
    });
    record
        .settings
        .insert(publication_key(number), settings.cloned());
}

/// A site whose first publication has not come.
pub(super) fn unpublished(site: &str) -> Problem {
    not_found(format!("site {site} has no publication yet"))
}

#[cfg(test)]
mod tests {
    use super::Authority;
    use super::enter;
    use crate::device::DeviceRecord;
    use crate::device::DeviceSettings;
    use crate::device::publication_key;
    use crate::site::SiteRecord;

    const NOW: u64 = 1_800_000_000_000;

    fn site(publication: u64, previous: Option<u64>) -> SiteRecord {
        let json = serde_json::json!({
            "name": "hq", "release": "", "uploads": {}, "publication": publication, "previous": previous,
        });
        serde_json::from_value(json).unwrap()
    }

    /// The publication and the one before, void numbers, those of them that were served, the entries that are there,
    /// the number that is written, and the entries that are there then.
    #[test]
    fn a_write_keeps_what_counts_and_what_may_be_in_memory() {
        type Row<'r> = (
            u64,
            Option<u64>,
            &'r [u64],
            &'r [u64],
            &'r [u64],
            u64,
            &'r [u64],
        );
        let rows: &[Row<'_>] = &[
            (0, None, &[], &[], &[], 1, &[1]),
            (1, None, &[], &[], &[1], 2, &[1, 2]),
            (5, Some(4), &[], &[], &[1, 4, 5], 6, &[4, 5, 6]),
            (5, Some(4), &[], &[], &[1, 3, 5], 6, &[3, 5, 6]),
            (5, Some(4), &[], &[], &[1, 3], 6, &[3, 6]),
            (5, Some(4), &[], &[], &[6], 6, &[6]),
            // Given up: nobody was served it.
            (5, Some(4), &[6], &[], &[4, 6], 7, &[4, 7]),
            // Rolled back from 5 to 4: a process may have 5 in memory.
            (4, Some(3), &[5], &[5], &[3, 4, 5], 6, &[3, 4, 5, 6]),
            (6, Some(4), &[5], &[5], &[3, 4, 5, 6], 7, &[4, 5, 6, 7]),
            (6, Some(4), &[5], &[], &[3, 4, 5, 6], 7, &[4, 6, 7]),
            // A canary that ended, two publications ago.
            (4, Some(2), &[3], &[3], &[1, 2, 3, 4], 5, &[2, 3, 4, 5]),
            // Written by a push that began before another was published: what is newer is none of its business.
            (5, Some(4), &[], &[], &[4, 5, 7], 6, &[4, 5, 6, 7]),
        ];
        for (publication, previous, void, withdrawn, entries, number, expected) in rows {
            let authority = Authority {
                record: (*publication > 0).then(|| site(*publication, *previous)),
                void: void.to_vec(),
                withdrawn: withdrawn.iter().map(|number| (*number, NOW + 1)).collect(),
                ..Authority::default()
            };
            let mut record = DeviceRecord::default();
            for entry in *entries {
                record.settings.insert(publication_key(*entry), None);
            }
            enter(
                &mut record,
                &authority,
                (*number, NOW),
                Some(&DeviceSettings::default()),
            );
            let found: Vec<u64> = record
                .settings
                .keys()
                .map(|key| key.parse().unwrap())
                .collect();
            assert_eq!(
                found, *expected,
                "{publication} {previous:?} {void:?} {entries:?} {number}"
            );
        }
    }
}
