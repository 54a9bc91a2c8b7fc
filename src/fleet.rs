//! The fleet directory, the operator's source of truth, compiled into the records that the stores hold.
//!
//! The handler sees nothing but those records, so that a case means the same on every platform. What
//! this deliberately does not do: only `generations` and `sealed` write a file that a
//! person wrote.

pub mod article;
mod builtin;
pub mod check;
mod devices;
pub mod dhcp;
pub mod diagnostic;
pub mod diff;
mod document;
pub mod drift;
mod entrance;
pub mod entries;
pub mod export;
mod files;
pub mod fill;
pub mod finding;
pub mod firmware;
pub mod generations;
pub mod import;
pub mod keys;
pub mod outputs;
mod parameters;
pub mod password;
mod places;
pub mod plan;
pub mod preview;
pub mod published;
pub mod push;
pub mod redaction;
pub mod report;
pub mod sealed;
pub mod server;
mod silence;
pub mod starter;
pub mod status;
pub mod time_zone;
mod values;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::files::Files;
use crate::fleet::places::Site;
use crate::fleet::sealed::FleetKey;
use crate::fleet::sealed::Seen;
use crate::fleet::silence::Silences;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::release::Release;
use crate::release::ReleaseError;
use crate::release::ReleaseId;
use crate::release::ReleaseRecord;
use crate::site::Deployment;
use crate::site::SiteRecord;
use crate::store::directory::Snapshot;

pub use files::Hashes;

/// A fleet directory, compiled.
#[derive(Debug)]
pub struct Fleet {
    /// What the stores hold.
    pub snapshot: Snapshot,
    /// Where each device stands in the directory.
    pub devices: BTreeMap<MacAddress, (String, Place)>,
    /// What its author probably did not mean.
    pub warnings: Vec<Diagnostic>,
    /// Where it was read from.
    pub directory: PathBuf,
    /// Parameters that stand sealed in it, and are secret for that alone.
    pub sealed_parameters: BTreeSet<String>,
    silences: Silences,
}

impl Fleet {
    /// Forgets all sites but these; none without any.
    pub fn retain_sites(&mut self, wanted: &[String]) {
        if wanted.is_empty() {
            return;
        }
        let is_wanted = |site: &String| wanted.contains(site);
        self.snapshot.sites.retain(|site, _| is_wanted(site));
        self.snapshot.devices.retain(|site, _| is_wanted(site));
        self.devices.retain(|_, (site, _)| is_wanted(site));
    }
}

/// Compiles a fleet directory; or says everything that is wrong with it, at once.
///
/// `hashes` remembers the SHA-256 of files over several calls.
pub fn compile(directory: &Path, hashes: &mut Hashes) -> Result<Fleet, Vec<Diagnostic>> {
    compile_with(directory, hashes, None)
}

/// The same with the key that opens what is sealed in it. Without one, sealed text stands for the values: good for
/// looking at the fleet, not for serving it.
pub fn compile_with(
    directory: &Path,
    hashes: &mut Hashes,
    key: Option<&FleetKey>,
) -> Result<Fleet, Vec<Diagnostic>> {
    let reading = Reading { directory, key };
    read(reading, hashes, |compiled, devices, _, diagnostics| {
        compiled.check_pins(devices, diagnostics);
    })
}

/// The same for phones: what is sealed and does not open is an error.
pub fn compile_to_serve(
    directory: &Path,
    hashes: &mut Hashes,
    key: Option<&FleetKey>,
) -> Result<Fleet, Vec<Diagnostic>> {
    let reading = Reading { directory, key };
    read(reading, hashes, |compiled, devices, seen, diagnostics| {
        compiled.check_pins(devices, diagnostics);
        if key.is_none() {
            seen.report_closed(diagnostics);
        }
    })
}

/// Compiles a fleet directory whose pinned images may be missing still: for those who bring them.
pub(crate) fn compile_without_images(
    directory: &Path,
    hashes: &mut Hashes,
) -> Result<Fleet, Vec<Diagnostic>> {
    let key = None;
    read(Reading { directory, key }, hashes, |_, _, _, _| {})
}

/// What is read, and with what.
#[derive(Clone, Copy)]
struct Reading<'a> {
    directory: &'a Path,
    key: Option<&'a FleetKey>,
}

fn read(
    Reading { directory, key }: Reading<'_>,
    hashes: &mut Hashes,
    check: impl FnOnce(&Compiled, &devices::Devices, &Seen, &mut Diagnostics),
) -> Result<Fleet, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let mut files = Files::new(directory, hashes, key);
    let deployment = places::deployment(&files, &mut diagnostics);
    let tenants = places::tenants(&files, &mut diagnostics);
    let models = places::models(&files, &mut diagnostics);
    let sites = places::sites(&files, &tenants, &mut diagnostics);
    let shared = ReleaseRecord {
        deployment: deployment.layer.clone(),
        firmware: files.firmware(&mut diagnostics),
        models,
        resources: files.resources("resources", &mut diagnostics),
        templates: with(
            builtin::templates(),
            files.templates("templates", &mut diagnostics),
        ),
        tenant: Default::default(),
    };
    let mut compiled = Compiled {
        deployment: Deployment {
            refusal: deployment.refusal,
            ..Deployment::default()
        },
        broken: sites.broken,
        ..Compiled::default()
    };
    for site in sites.good {
        let record = release_of(&site, &shared, &tenants, &mut files, &mut diagnostics);
        compiled.add_site(site, record, &deployment, &mut diagnostics);
    }
    let devices = devices::read(&files, &compiled, &mut diagnostics);
    let seen = files.seals.into_seen();
    seen.report_clear(&mut diagnostics);
    check(&compiled, &devices, &seen, &mut diagnostics);
    let places = devices
        .iter()
        .map(|(mac, device)| (*mac, (device.site.clone(), device.place.clone())))
        .collect();
    if diagnostics.has_errors() {
        return Err(diagnostics.into_sorted());
    }
    let snapshot = Snapshot {
        deployment: Arc::new(compiled.deployment),
        sites: compiled.sites,
        releases: compiled.releases,
        devices: devices::encode(devices),
        files: files.sources,
    };
    Ok(Fleet {
        snapshot,
        devices: places,
        warnings: diagnostics.into_sorted(),
        directory: directory.to_owned(),
        sealed_parameters: seen.parameters,
        silences: deployment.silences,
    })
}

/// What of the snapshot is known before the devices are.
#[derive(Debug, Default)]
struct Compiled {
    deployment: Deployment,
    sites: HashMap<String, Arc<SiteRecord>>,
    releases: HashMap<ReleaseId, Arc<Release>>,
    places: HashMap<String, Place>,
    /// Sites whose file has been found wrong: nobody need hear of it from every device.
    broken: BTreeSet<String>,
}

impl Compiled {
    fn add_site(
        &mut self,
        site: Site,
        record: ReleaseRecord,
        deployment: &places::DeploymentFile,
        diagnostics: &mut Diagnostics,
    ) {
        let (id, _) = record.encode();
        if !self.releases.contains_key(&id) {
            let file_of = |error: &ReleaseError| match error {
                ReleaseError::Template(error) => {
                    record.templates.get(&error.template)?.file.clone()
                }
                _ => None,
            };
            match Release::parse(id.clone(), record.clone()) {
                Ok(release) => drop(self.releases.insert(id.clone(), Arc::new(release))),
                Err(error) => {
                    self.broken.insert(site.name);
                    return report_release(file_of(&error).as_deref(), &error, diagnostics);
                }
            }
        }
        for (host, place) in site.hosts {
            if let Some(other) = self
                .deployment
                .hosts
                .insert(host.clone(), site.name.clone())
            {
                let remedy = "a host name can have one site at its root";
                diagnostics.report(
                    "host-of-two-sites",
                    &place,
                    format!("host {host:?} belongs to site {other:?} already"),
                    remedy,
                );
            }
        }
        self.deployment.sites.insert(site.name.clone(), site.access);
        self.places.insert(site.name.clone(), site.place);
        let record = SiteRecord {
            name: site.name.clone(),
            tenant: site.tenant,
            public_url: site.public_url,
            release: id,
            layer: site.layer,
            uploads: deployment.uploads.over(&site.uploads),
            images: places::images_over(&deployment.images, &site.images),
            passwords: site.passwords,
            relay_cache: site.relay_cache,
            publication: 1,
            previous: None,
            void: Vec::new(),
            canary: None,
        };
        self.sites.insert(site.name, Arc::new(record));
    }

    fn release(&self, site: &str) -> Option<(&SiteRecord, &Release)> {
        let site = self.sites.get(site)?;
        Some((site, self.releases.get(&site.release)?))
    }

    /// A pinned image that is not there would be noticed by the phone.
    fn check_pins(&self, devices: &devices::Devices, diagnostics: &mut Diagnostics) {
        let mut checked = HashSet::new();
        for device in devices.values() {
            let Some((site, release)) = self.release(&device.site) else {
                continue;
            };
            let own = device.settings.firmware.is_some();
            if own || checked.insert((device.site.as_str(), device.settings.model.as_str())) {
                let place = if own {
                    &device.place
                } else {
                    self.places.get(&device.site).unwrap_or(&device.place)
                };
                check_pin(site, release, device, place, diagnostics);
            }
        }
    }
}

fn check_pin(
    site: &SiteRecord,
    release: &Release,
    device: &devices::Device,
    place: &Place,
    diagnostics: &mut Diagnostics,
) {
    let Some(model) = release.model(None, &device.settings.model) else {
        return;
    };
    let Some(vendor) = crate::vendor::Vendor::find(model.vendor) else {
        return;
    };
    let pin = crate::variables::pinned_version(
        site,
        release,
        vendor,
        Some(&model),
        Some(&device.settings),
    );
    let Some((version, layer)) = pin.filter(|_| !model.image.is_empty()) else {
        return;
    };
    let file = model.image.replace("{version}", version);
    if release.image(vendor.name, version, &file).is_none() {
        let path = format!("firmware/{}/{version}/{file}", vendor.name);
        let problem = format!(
            "{} in site {} is pinned to {version} ({} layer), but {path} is missing",
            model.name,
            site.name,
            layer.word()
        );
        diagnostics.report(
            "image-missing",
            place,
            problem,
            format!("put the image at {path}, or pin another version"),
        );
    }
}

/// The release that a site's phones get: what the deployment has, the tenant's layer, the site's own files.
fn release_of(
    site: &Site,
    shared: &ReleaseRecord,
    tenants: &Map<crate::site::Layer>,
    files: &mut Files<'_>,
    diagnostics: &mut Diagnostics,
) -> ReleaseRecord {
    let folder = format!("sites/{}", site.name);
    let mut record = shared.clone();
    record.tenant = site
        .tenant
        .as_ref()
        .and_then(|tenant| tenants.get(tenant))
        .cloned()
        .unwrap_or_default();
    record
        .templates
        .extend(files.templates(&format!("{folder}/templates"), diagnostics));
    record
        .resources
        .extend(files.resources(&format!("{folder}/resources"), diagnostics));
    record
}

/// A name that is no pattern was reported where the file was read.
fn report_release(file: Option<&str>, error: &ReleaseError, diagnostics: &mut Diagnostics) {
    if let ReleaseError::Template(error) = error {
        let file = file.unwrap_or(&error.template).to_owned();
        let place = Place::line(file, error.line.unwrap_or_default());
        let remedy = "templates are written in Jinja; see docs/templates.md";
        diagnostics.report("template-syntax", &place, error.problem.clone(), remedy);
    }
}

fn with<V>(mut below: Map<V>, above: Map<V>) -> Map<V> {
    below.extend(above);
    below
}
