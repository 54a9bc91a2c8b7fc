//! What is there: the deployment, sites, publications and devices, page by page and without a secret.

use crate::device::DeviceRecord;
use crate::device::DeviceSettings;
use crate::encoding::hex;
use crate::mac::MacAddress;
use crate::publish::BATCH;
use crate::publish::Batch;
use crate::publish::Compared;
use crate::publish::DeviceLine;
use crate::publish::Devices;
use crate::publish::PublicationLine;
use crate::publish::Publications;
use crate::publish::SiteLine;
use crate::publish::Sites;
use crate::publish::redaction;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::conditional;
use crate::respond::operator::answer::conflict;
use crate::respond::operator::answer::hold;
use crate::respond::operator::answer::not_found;
use crate::respond::operator::answer::problem;
use crate::respond::operator::answer::read;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::tagged;
use crate::respond::operator::answer::unfit;
use crate::respond::operator::authority;
use crate::respond::operator::authority::Authority;
use crate::respond::operator::content::tag;
use crate::respond::operator::publishing::Past;
use crate::respond::operator::publishing::past_key;
use crate::respond::operator::publishing::pasts_of;
use crate::respond::operator::push::unpublished;
use crate::respond::operator::rows::is_site_name;
use crate::seal::Place;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::keyed;

/// Lines of a page that take a read each: what a platform allows one request is more than twice as much.
const LINES: usize = 20;
/// Names that are looked through at once.
const NAMES: usize = 1000;
/// The first field of what a page calls a name of another's.
const PAGE: &[u8] = b"handset page of sites 1";

impl<S: Records + Publishing> Asked<'_, S> {
    /// Hosts, sites and who may read from them.
    pub(super) async fn deployment(&self) -> Answered<S::Body> {
        self.deployment_wide()?;
        let missing = || not_found("nothing was published yet");
        let held = authority::deployment(self.store)
            .await?
            .ok_or_else(missing)?;
        conditional(self.request, shown(&held.value)?, &held.tag)
    }

    pub(super) async fn put_deployment(&self, body: &[u8]) -> Answered<S::Body> {
        self.deployment_wide()?;
        let deployment: Deployment = read(body)?;
        check_deployment(&deployment)?;
        let held = authority::deployment(self.store).await?;
        if held.as_ref().is_some_and(|held| held.value == deployment) {
            // Done before: the answer was lost, or the copy.
            authority::copy_deployment(self.store).await?;
        } else {
            hold(self.request, held.as_ref().map(|held| held.tag.as_str()))?;
            authority::set_deployment(self.store, held.as_ref(), &deployment).await?;
        }
        let now = tag(&deployment)?;
        Ok(tagged(shown(&deployment)?, &now))
    }

    /// Sites that the deployment has or that somebody has begun, in the order of their names; a tenant's own for its
    /// token.
    pub(super) async fn sites(&self) -> Answered<S::Body> {
        let after = self.after_site().await?;
        let names = self.site_names(&after, LINES).await?;
        let mut page = Sites::default();
        for name in &names {
            let Some(held) = authority::site(self.store, name).await? else {
                continue;
            };
            let record = held.value.record.as_ref();
            let tenant = record.and_then(|it| it.tenant.clone());
            if self.token.tenant.is_some() && tenant != self.token.tenant {
                continue;
            }
            page.sites.push(SiteLine {
                name: name.clone(),
                tenant,
                publication: held.value.publication(),
                release: record.map(|it| it.release.clone()),
            });
        }
        let last = names.last().filter(|_| names.len() >= LINES);
        page.next = last.map(|name| self.page_after(name));
        shown(&page)
    }

    /// What a page calls the name that the next one comes after. It may be another tenant's, and then is not for this one.
    fn page_after(&self, name: &str) -> String {
        match (&self.token.tenant, self.request.secrets) {
            (Some(tenant), Some(secrets)) => {
                hex(&secrets.tag(&[PAGE, tenant.as_bytes(), name.as_bytes()]))
            }
            _ => name.to_owned(),
        }
    }

    /// The name that a page comes after.
    async fn after_site(&self) -> Result<String, Problem> {
        let after = self.after().unwrap_or_default();
        if after.is_empty() || self.token.tenant.is_none() {
            return Ok(after.to_owned());
        }
        let mut from = String::new();
        loop {
            let names = self.site_names(&from, NAMES).await?;
            if let Some(name) = names.iter().find(|name| self.page_after(name) == after) {
                return Ok(name.clone());
            }
            match names.last().filter(|_| names.len() >= NAMES) {
                Some(last) => from.clone_from(last),
                None => return Err(unfit("after= takes what a page has as its next")),
            }
        }
    }

    /// The names after another.
    async fn site_names(&self, after: &str, most: usize) -> Result<Vec<String>, Problem> {
        let after_key = authority::site_authority(after);
        let begun = self.store.keys(authority::SITES, &after_key, most).await?;
        let begun = begun
            .iter()
            .filter_map(|key| key.strip_prefix(authority::SITES));
        let mut names: Vec<String> = begun.map(str::to_owned).collect();
        // Those that were filled by other means nobody has begun.
        let deployment = authority::deployment(self.store).await?;
        if let Some(deployment) = deployment {
            let known = deployment.value.sites.keys();
            names.extend(known.filter(|name| name.as_str() > after).cloned());
        }
        names.sort_unstable();
        names.dedup();
        names.truncate(most);
        Ok(names)
    }

    pub(super) async fn site(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        conditional(
            self.request,
            shown(&held.value.shown(self.named.site))?,
            &held.tag,
        )
    }

    /// The site's record beside one that the sender has: secrets say whether they are the same.
    pub(super) async fn compare_site(&self, body: &[u8]) -> Answered<S::Body> {
        let theirs: SiteRecord = read(body)?;
        let held = self.site_held().await?;
        let record = self.looked_at(&held.value).await?;
        shown(&redaction::site_beside(&record, Some(&theirs)))
    }

    /// The publication that the query names, as long as devices have what counts for it; the one that phones get, if it
    /// names none.
    pub(super) async fn looked_at(&self, authority: &Authority) -> Result<SiteRecord, Problem> {
        let record = authority.record.clone();
        let record = record.ok_or_else(|| unpublished(self.named.site))?;
        let Some(number) = self.asked_for("publication=") else {
            return Ok(record);
        };
        let number = number.parse::<u64>();
        let number = number.map_err(|_| unfit("publication= takes a number"))?;
        if number == record.publication {
            return Ok(record);
        }
        if let Some(canary) = &record.canary
            && canary.record.publication == number
        {
            return Ok(*canary.record.clone());
        }
        let gone = || {
            conflict(format!(
                "devices do not have the settings of publication {number} any more: there are those of the one that \
                 phones get, of the one before it and of the canary"
            ))
        };
        if record.previous != Some(number) || number < authority.floor {
            return Err(gone());
        }
        let key = past_key(self.named.site, number);
        let (bytes, _) = self.store.read_object(&key).await?.ok_or_else(gone)?;
        let past: Past = keyed::parse(&key, &bytes)?;
        Ok(SiteRecord {
            void: record.void,
            ..past.record
        })
    }

    /// What was published, the newest first.
    pub(super) async fn publications(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        let beginning = pasts_of(self.named.site);
        let after = self.after().and_then(|after| after.parse().ok());
        let after = after.map_or_else(|| beginning.clone(), |it| past_key(self.named.site, it));
        let keys = self.store.keys(&beginning, &after, LINES).await?;
        let mut page = Publications::default();
        for key in &keys {
            let Some((bytes, _)) = self.store.read_object(key).await? else {
                continue;
            };
            let past: Past = keyed::parse(key, &bytes)?;
            if !self.may_see(&past.record) {
                // Nor those before it: the list goes back in time.
                return shown(&page);
            }
            page.publications.push(PublicationLine {
                number: past.record.publication,
                at: past.at,
                by: past.by,
                state: state(&held.value, past.record.publication).to_owned(),
                release: past.record.release,
            });
        }
        let last = page.publications.last().filter(|_| keys.len() >= LINES);
        page.next = last.map(|line| line.number);
        shown(&page)
    }

    /// The record of one of them.
    pub(super) async fn publication(&self) -> Answered<S::Body> {
        let key = past_key(self.named.site, self.named.number);
        let missing = || not_found("the site has no such publication");
        let (bytes, _) = self.store.read_object(&key).await?.ok_or_else(missing)?;
        let past: Past = keyed::parse(&key, &bytes)?;
        if !self.may_see(&past.record) {
            return Err(missing());
        }
        let record = redaction::site(&past.record);
        let tag = tag(&record)?;
        conditional(self.request, shown(&record)?, &tag)
    }

    /// The site's devices, in the order of their addresses.
    pub(super) async fn devices(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        let beginning = format!("device/{}/", self.named.site);
        let after = self.after().map(str::parse::<MacAddress>).transpose();
        let after = after.map_err(|error| unfit(error.to_string()))?;
        let after = after.map_or_else(
            || beginning.clone(),
            |mac| keyed::device_key(self.named.site, mac),
        );
        let keys = self.store.keys(&beginning, &after, LINES).await?;
        let mut page = Devices::default();
        for key in &keys {
            let Some((_, mac)) = keyed::device_of(key) else {
                continue;
            };
            if let Some((record, _)) = self.store.device(self.named.site, mac).await? {
                page.devices.push(line(&held.value, mac, &record));
            }
        }
        let last = keys.last().filter(|_| keys.len() >= LINES);
        page.next = last.and_then(|key| Some(keyed::device_of(key)?.1));
        shown(&page)
    }

    /// One device, with its settings.
    pub(super) async fn one_device(&self) -> Answered<S::Body> {
        let held = self.site_held().await?;
        let (record, _, mac) = self.device().await?;
        let mut line = line(&held.value, mac, &record);
        let settings = match &held.value.record {
            Some(site) => self.settings_of(site, mac, &record).await?,
            None => None,
        };
        line.settings = settings.map(|settings| redaction::device(&settings, None).settings);
        let tag = tag(&line)?;
        conditional(self.request, shown(&line)?, &tag)
    }

    /// Published settings beside those that the sender has.
    pub(super) async fn compare_devices(&self, body: &[u8]) -> Answered<S::Body> {
        let sent: Batch = read(body)?;
        if sent.len() > BATCH {
            let detail = format!("{BATCH} devices at most");
            return Err(problem(http::StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let held = self.site_held().await?;
        let site = self.looked_at(&held.value).await?;
        let mut compared = Compared::default();
        for (text, theirs) in sent {
            let mac: MacAddress = text
                .parse()
                .map_err(|_| unfit(format!("{text:?} is no hardware address")))?;
            let ours = match self.store.device(self.named.site, mac).await? {
                Some((record, _)) => self.settings_of(&site, mac, &record).await?,
                None => None,
            };
            let theirs = theirs.unwrap_or_default();
            let shown = ours.map(|ours| redaction::device(&ours, Some(&theirs)));
            compared.insert(mac.to_string(), shown);
        }
        shown(&compared)
    }

    /// A device's settings under a publication, whole.
    async fn settings_of(
        &self,
        site: &SiteRecord,
        mac: MacAddress,
        record: &DeviceRecord,
    ) -> Result<Option<DeviceSettings>, Problem> {
        let Some((publication, settings)) = counting(site, record) else {
            return Ok(None);
        };
        let mut settings = settings.clone();
        if let Some(sealed) = settings.sealed.clone() {
            let place = Place {
                site: self.named.site,
                mac,
                publication,
            };
            settings.put_back(self.store.open_sealed(&place, &sealed).await?);
        }
        Ok(Some(settings))
    }

    /// What a page comes after.
    pub(super) fn after(&self) -> Option<&str> {
        self.asked_for("after=")
    }

    /// A part of the query.
    pub(super) fn asked_for(&self, name: &str) -> Option<&str> {
        let mut parts = self.query.split('&');
        parts.find_map(|part| part.strip_prefix(name))
    }

    fn deployment_wide(&self) -> Result<(), Problem> {
        if self.token.tenant.is_none() {
            return Ok(());
        }
        let detail = "a tenant's token neither sees nor changes which sites there are and who may read from them: that \
                      takes one of the deployment's own";
        Err(problem(http::StatusCode::FORBIDDEN, detail))
    }
}

fn counting<'r>(
    site: &SiteRecord,
    record: &'r DeviceRecord,
) -> Option<(&'r str, &'r DeviceSettings)> {
    record.at(site).ok().flatten()
}

fn line(authority: &Authority, mac: MacAddress, record: &DeviceRecord) -> DeviceLine {
    let site = authority.record.as_ref();
    let settings = site.and_then(|site| counting(site, record));
    let settings = settings.map(|(_, settings)| settings);
    let numbers = record.settings.keys();
    DeviceLine {
        mac,
        model: settings.map(|settings| settings.model.clone()),
        firmware: settings.and_then(|settings| settings.firmware.clone()),
        enrolment: record.state.enrolment.word().to_owned(),
        publications: numbers.filter_map(|number| number.parse().ok()).collect(),
        settings: None,
    }
}

/// What a publication is now.
fn state(authority: &Authority, number: u64) -> &'static str {
    if number == authority.publication() {
        "current"
    } else if Some(number) == authority.canary() {
        "canary"
    } else if Some(number) == authority.previous() {
        "previous"
    } else if authority.void.contains(&number) {
        "void"
    } else {
        "past"
    }
}

/// Names that can be named, and hosts that lead somewhere.
fn check_deployment(deployment: &Deployment) -> Result<(), Problem> {
    if let Some(name) = deployment.sites.keys().find(|name| !is_site_name(name)) {
        let detail = format!("{name:?} is no name of a site: letters, digits, - and _, 64 at most");
        return Err(unfit(detail));
    }
    let nowhere = |(_, site): &(&String, &String)| !deployment.sites.contains_key(site);
    match deployment.hosts.iter().find(nowhere) {
        Some((host, site)) => Err(unfit(format!(
            "host {host} leads to {site}, which is no site"
        ))),
        None => Ok(()),
    }
}
