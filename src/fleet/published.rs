//! A fleet as a running server has published it, for looking at: its secrets are not in it.
//!
//! Where it is compared with one that we have, the server is sent ours and says of each secret whether it is the same,
//! so that neither side ever shows one.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::plan::Plan;
use crate::fleet::plan::SitePlan;
use crate::fleet::push;
use crate::fleet::push::preview::changed;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Request;
use crate::fleet::server::Sent;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::at_once;
use crate::fleet::server::pages;
use crate::fleet::server::read;
use crate::fleet::silence::Silences;
use crate::mac::MacAddress;
use crate::publish::BATCH;
use crate::publish::Batch;
use crate::publish::Compared;
use crate::publish::Devices;
use crate::publish::SiteState;
use crate::publish::redaction;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::directory::Snapshot;

/// What a server gives the phones of these sites.
pub fn fetch(server: &impl Server, sites: &[String]) -> Result<Fleet, Trouble> {
    let mut fleet = empty(access(server)?);
    for name in sites {
        let state: SiteState = read(server, &Request::new(Method::GET, format!("sites/{name}")))?;
        let Some(record) = state.record else {
            continue;
        };
        if !fleet.releases.contains_key(&record.release) {
            let target = format!("releases/{}", record.release);
            let release = read(server, &Request::new(Method::GET, target))?;
            add_release(&mut fleet, &record.release, release)?;
        }
        let target = format!("sites/{name}/devices");
        let devices = pages(server, &target, |page: Devices| {
            let next = page.next.map(|next| next.to_string());
            (page.devices, next)
        })?;
        let known = devices.into_iter().filter(|device| device.model.is_some());
        let macs: Vec<MacAddress> = known.map(|device| device.mac).collect();
        let settings = compared(server, name, &macs, |macs| {
            let nothing = macs.iter().map(|mac| (mac.to_string(), None));
            Batch::from_iter(nothing)
        })?;
        add_site(&mut fleet, record, settings);
    }
    Ok(of_snapshot(fleet))
}

/// Ours and theirs, as far as they differ and made alike where they do not.
#[derive(Debug)]
pub struct Pair {
    /// What phones get.
    pub published: Fleet,
    /// What they would get.
    pub local: Fleet,
    /// Sites that the server has and we have not: a push leaves them alone.
    pub left_over: Vec<String>,
}

/// Compares a fleet with what a server has published of these sites; of all of them without any.
pub fn compare(server: &impl Server, fleet: &Fleet, sites: &[String]) -> Result<Pair, Trouble> {
    let wish = push::Wish {
        sites: sites.to_vec(),
        ..push::Wish::default()
    };
    let plan = push::plan_of(fleet, &wish)?;
    let known = push::published(server)?;
    let deployment = Deployment::clone(&fleet.snapshot.deployment);
    let mut old = empty(deployment.clone());
    let mut new = empty(deployment);
    for site in &plan.sites {
        let before = known.get(site.name()).filter(|line| line.publication > 0);
        match before {
            Some(line) => {
                let both = Both {
                    server,
                    plan: &plan,
                    site,
                };
                both.compare(line.publication, &mut old, &mut new)?;
            }
            None => {
                let record = redaction::site(site.record);
                copy_release(&plan, &record.release, &mut new);
                add_site(&mut new, record, settings(site)?);
            }
        }
    }
    let with_names = |snapshot| Fleet {
        sealed_parameters: fleet.sealed_parameters.clone(),
        ..of_snapshot(snapshot)
    };
    Ok(Pair {
        published: with_names(old),
        local: with_names(new),
        left_over: push::left_over(server, fleet, &wish)?,
    })
}

/// A site that both sides have.
struct Both<'a, S> {
    server: &'a S,
    plan: &'a Plan<'a>,
    site: &'a SitePlan<'a>,
}

impl<S: Server> Both<'_, S> {
    fn compare(
        &self,
        publication: u64,
        old: &mut Snapshot,
        new: &mut Snapshot,
    ) -> Result<(), Trouble> {
        let name = self.site.name();
        let target = format!("sites/{name}/compare");
        let request = Request::new(Method::POST, target).json(self.site.record);
        let theirs: SiteRecord = read(self.server, &request)?;
        let ours = redaction::site(self.site.record);
        self.releases(&theirs.release, old, new)?;
        let difference = changed(self.server, self.site, publication)?;
        let mut before = settings(self.site)?;
        let mut after = before.clone();
        let asked: Vec<MacAddress> = [&difference.write[..], &difference.gone[..]].concat();
        let mut found = compared(self.server, name, &asked, |macs| {
            let sent = macs.iter().map(|mac| {
                // One that moves is compared with what it is where it goes to.
                let here = after.get(mac).cloned();
                let elsewhere = || serde_json::from_slice(self.plan.device(*mac)?).ok();
                (mac.to_string(), here.or_else(elsewhere))
            });
            Batch::from_iter(sent)
        })?;
        for mac in asked {
            before.remove(&mac);
            if let Some(theirs) = found.remove(&mac) {
                before.insert(mac, theirs);
            }
            if let Some(ours) = after.get_mut(&mac) {
                *ours = redaction::device(ours, None);
            }
        }
        add_site(old, numbered_as(theirs, &ours), before);
        add_site(new, ours, after);
        Ok(())
    }

    /// The release of each side: one for both, or two without secrets.
    fn releases(
        &self,
        theirs: &ReleaseId,
        old: &mut Snapshot,
        new: &mut Snapshot,
    ) -> Result<(), Trouble> {
        let ours = &self.site.record.release;
        if theirs == ours {
            copy_release(self.plan, ours, old);
            copy_release(self.plan, ours, new);
            return Ok(());
        }
        let Some(local) = self.plan.releases.get(ours) else {
            return Ok(());
        };
        if !old.releases.contains_key(theirs) {
            let target = format!("releases/{theirs}/compare");
            let request = Request {
                body: Sent::Json(local.record.encode().1),
                ..Request::new(Method::POST, target)
            };
            add_release(old, theirs, read(self.server, &request)?)?;
        }
        if !new.releases.contains_key(ours) {
            add_release(new, ours, redaction::release(&local.record, None))?;
        }
        Ok(())
    }
}

/// The numbers of publications are no difference that a phone could see.
fn numbered_as(theirs: SiteRecord, ours: &SiteRecord) -> SiteRecord {
    SiteRecord {
        publication: ours.publication,
        previous: ours.previous,
        void: ours.void.clone(),
        canary: None,
        ..theirs
    }
}

/// Published settings of devices, those of them that have any.
fn compared(
    server: &impl Server,
    site: &str,
    macs: &[MacAddress],
    batch: impl Fn(&[MacAddress]) -> Batch + Sync,
) -> Result<BTreeMap<MacAddress, DeviceSettings>, Trouble> {
    let parts: Vec<&[MacAddress]> = macs.chunks(BATCH).collect();
    let pages = at_once(AT_ONCE, &parts, |macs| {
        let target = format!("sites/{site}/devices/compare");
        let request = Request::new(Method::POST, target).json(&batch(macs));
        read::<Compared>(server, &request)
    })?;
    let mut found = BTreeMap::new();
    for (mac, settings) in pages.into_iter().flatten() {
        if let (Ok(mac), Some(settings)) = (mac.parse(), settings) {
            found.insert(mac, settings);
        }
    }
    Ok(found)
}

/// Who may read, if the token reaches so far: it decides whether phones are handed an address of their own.
fn access(server: &impl Server) -> Result<Deployment, Trouble> {
    let current = push::deployment::current(server)?;
    Ok(current.unwrap_or_default().0)
}

fn settings(site: &SitePlan<'_>) -> Result<BTreeMap<MacAddress, DeviceSettings>, Trouble> {
    let devices = site.devices().map(|(mac, json)| {
        let settings = serde_json::from_slice(json);
        let broken = |_| Trouble::Own(format!("the settings of {mac} cannot be read"));
        Ok((mac, settings.map_err(broken)?))
    });
    devices.collect()
}

fn empty(deployment: Deployment) -> Snapshot {
    Snapshot {
        deployment: Arc::new(deployment),
        ..Snapshot::default()
    }
}

fn copy_release(plan: &Plan<'_>, id: &ReleaseId, to: &mut Snapshot) {
    if let Some(release) = plan.shared_release(id) {
        to.releases.insert(id.clone(), release);
    }
}

fn add_release(to: &mut Snapshot, id: &ReleaseId, record: ReleaseRecord) -> Result<(), Trouble> {
    let release = Release::parse(id.clone(), record);
    let broken = |error| Trouble::Own(format!("release {id} cannot be read: {error}"));
    let release = Arc::new(release.map_err(broken)?);
    to.releases.insert(id.clone(), release);
    Ok(())
}

fn add_site(to: &mut Snapshot, record: SiteRecord, devices: BTreeMap<MacAddress, DeviceSettings>) {
    let encoded: HashMap<MacAddress, Box<[u8]>> = devices
        .into_iter()
        .map(|(mac, settings)| {
            // Maps of texts and numbers always have a JSON form.
            let json = serde_json::to_vec(&settings).unwrap_or_default();
            (mac, json.into_boxed_slice())
        })
        .collect();
    to.devices.insert(record.name.clone(), encoded);
    to.sites.insert(record.name.clone(), Arc::new(record));
}

fn of_snapshot(snapshot: Snapshot) -> Fleet {
    Fleet {
        snapshot,
        devices: BTreeMap::new(),
        warnings: Vec::new(),
        directory: PathBuf::new(),
        sealed_parameters: Default::default(),
        silences: Silences::default(),
    }
}
