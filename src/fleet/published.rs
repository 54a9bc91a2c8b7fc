//! A fleet as a running server has published it, for looking at: its secrets are not in it.
//!
//! Where it is compared with one that we have, the server is sent ours and says of each secret whether it is the same,
//! so that neither side ever shows one.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use serde_json::Value;

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
use crate::publish::SECRET;
use crate::publish::SiteState;
use crate::release::Release;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::settings::Settings;
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
        let target = format!("sites/{name}/devices/compare");
        let settings = compared(server, &target, &macs, |macs| {
            let nothing = macs.iter().map(|mac| (mac.to_string(), None));
            Batch::from_iter(nothing)
        })?;
        add_site(&mut fleet, record, settings);
    }
    Ok(of_snapshot(fleet))
}

/// What a server has published of the sites of a fleet (of these, if there are any), secrets that are the same as the
/// fleet's being the fleet's: what is left of others is [`OTHER_SECRET`](crate::publish::OTHER_SECRET).
///
/// `publication` is another one than phones get: the one before, or the canary.
pub fn beside(
    server: &impl Server,
    fleet: &Fleet,
    sites: &[String],
    publication: Option<u64>,
) -> Result<Fleet, Trouble> {
    let query = publication.map(|number| format!("?publication={number}"));
    let query = query.unwrap_or_default();
    let wish = push::Wish {
        sites: sites.to_vec(),
        ..push::Wish::default()
    };
    let plan = push::plan_of(fleet, &wish)?;
    let known = push::published(server)?;
    let mut old = empty(Deployment::clone(&fleet.snapshot.deployment));
    for site in &plan.sites {
        let before = known.get(site.name()).filter(|line| line.publication > 0);
        if let Some(line) = before {
            let ours = Ours {
                server,
                plan: &plan,
                site,
                query: &query,
            };
            ours.compare(line.publication, &mut old)?;
        }
    }
    Ok(Fleet {
        sealed_parameters: fleet.sealed_parameters.clone(),
        ..of_snapshot(old)
    })
}

/// A site that the server has published too.
struct Ours<'a, S> {
    server: &'a S,
    plan: &'a Plan<'a>,
    site: &'a SitePlan<'a>,
    /// Names the publication, if it is not the one that phones get.
    query: &'a str,
}

impl<S: Server> Ours<'_, S> {
    fn compare(&self, publication: u64, old: &mut Snapshot) -> Result<(), Trouble> {
        let (name, ours) = (self.site.name(), self.site.record);
        let target = format!("sites/{name}/compare{}", self.query);
        let request = Request::new(Method::POST, target).json(ours);
        let mut theirs: SiteRecord = read(self.server, &request)?;
        restore_site(&mut theirs, ours);
        self.release(&theirs.release, old)?;
        let difference = changed(self.server, self.site, publication, self.query)?;
        let mut devices = settings(self.site)?;
        let asked: Vec<MacAddress> = [&difference.write[..], &difference.gone[..]].concat();
        // One that moves is compared with what it is where it goes to.
        let local = |mac: MacAddress| -> Option<DeviceSettings> {
            serde_json::from_slice(self.plan.device(mac)?).ok()
        };
        let target = format!("sites/{name}/devices/compare{}", self.query);
        let mut found = compared(self.server, &target, &asked, |macs| {
            let sent = macs.iter().map(|mac| (mac.to_string(), local(*mac)));
            Batch::from_iter(sent)
        })?;
        for mac in asked {
            devices.remove(&mac);
            if let Some(mut theirs) = found.remove(&mac) {
                if let Some(ours) = local(mac) {
                    restore(&mut theirs.settings, &ours.settings);
                }
                devices.insert(mac, theirs);
            }
        }
        add_site(old, numbered_as(theirs, ours), devices);
        Ok(())
    }

    fn release(&self, theirs: &ReleaseId, old: &mut Snapshot) -> Result<(), Trouble> {
        if old.releases.contains_key(theirs) {
            return Ok(());
        }
        if let Some(same) = self.plan.shared_release(theirs) {
            old.releases.insert(theirs.clone(), same);
            return Ok(());
        }
        let Some(ours) = self.plan.releases.get(&self.site.record.release) else {
            return Ok(());
        };
        let request = Request {
            body: Sent::Json(ours.record.encode().1),
            ..Request::new(Method::POST, format!("releases/{theirs}/compare"))
        };
        let mut record: ReleaseRecord = read(self.server, &request)?;
        restore(
            &mut record.deployment.settings,
            &ours.record.deployment.settings,
        );
        restore(&mut record.tenant.settings, &ours.record.tenant.settings);
        for (name, model) in record.models.iter_mut() {
            if let Some(ours) = ours.record.models.get(name) {
                restore(&mut model.settings, &ours.settings);
            }
        }
        add_release(old, theirs, record)
    }
}

fn restore_site(theirs: &mut SiteRecord, ours: &SiteRecord) {
    restore(&mut theirs.layer.settings, &ours.layer.settings);
    for (user, password) in theirs.passwords.iter_mut() {
        if let Some(ours) = ours.passwords.get(user).filter(|_| password == SECRET) {
            password.clone_from(ours);
        }
    }
}

/// Puts our secrets where theirs are the same.
fn restore(theirs: &mut Settings, ours: &Settings) {
    for (name, value) in theirs.iter_mut() {
        if let Some(ours) = ours.get(name) {
            restore_value(value, ours);
        }
    }
}

fn restore_value(theirs: &mut Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => restore(theirs, ours),
        (Value::Array(theirs), Value::Array(ours)) => {
            for (theirs, ours) in theirs.iter_mut().zip(ours) {
                restore_value(theirs, ours);
            }
        }
        (theirs, ours) if *theirs == SECRET => theirs.clone_from(ours),
        _ => {}
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
    target: &str,
    macs: &[MacAddress],
    batch: impl Fn(&[MacAddress]) -> Batch + Sync,
) -> Result<BTreeMap<MacAddress, DeviceSettings>, Trouble> {
    let parts: Vec<&[MacAddress]> = macs.chunks(BATCH).collect();
    let pages = at_once(AT_ONCE, &parts, |macs| {
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
