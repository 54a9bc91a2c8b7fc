//! Deployment, tenants, sites and models: the TOML files of a fleet directory.

use std::collections::BTreeSet;

use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::suggest;
use crate::fleet::document::Document;
use crate::fleet::document::Section;
use crate::fleet::entrance;
use crate::fleet::files::Files;
use crate::fleet::silence::Silences;
use crate::fleet::values;
use crate::map::Map;
use crate::release::ModelRecord;
use crate::site::Access;
use crate::site::Images;
use crate::site::Layer;
use crate::site::Refusal;
use crate::site::UploadLimits;
use crate::vendor;
use crate::vendor::ALL;
use crate::vendor::Vendor;

/// `handset.toml`.
#[derive(Debug, Default)]
pub(super) struct DeploymentFile {
    /// Its settings and pins.
    pub(super) layer: Layer,
    /// Its bounds on uploads.
    pub(super) uploads: Uploads,
    /// The findings that the operator lives with.
    pub(super) silences: Silences,
    /// How its images are sent.
    pub(super) images: Images,
    /// What those hear who may not.
    pub(super) refusal: Refusal,
}

/// `sites/NAME.toml`.
#[derive(Debug)]
pub(super) struct Site {
    /// From the file's name.
    pub(super) name: String,
    /// The file.
    pub(super) place: Place,
    /// Its tenant.
    pub(super) tenant: Option<String>,
    /// Who may read.
    pub(super) access: Access,
    /// Scheme and host, without a trailing slash.
    pub(super) public_url: Option<String>,
    /// Lower-case host names.
    pub(super) hosts: Vec<(String, Place)>,
    /// Settings and pins.
    pub(super) layer: Layer,
    /// Bounds on uploads.
    pub(super) uploads: Uploads,
    /// How its images are sent.
    pub(super) images: Images,
    /// What verifies its passwords, by user.
    pub(super) passwords: Map<String>,
    /// Whether its relays may keep device files.
    pub(super) relay_cache: bool,
}

/// Bounds on uploads, as far as a file gives them.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads {
    largest: Option<u64>,
    versions: Option<u64>,
    bytes: Option<u64>,
    per_minute: Option<u64>,
}

impl Uploads {
    /// The bounds of a site whose own file says `nearer`.
    pub(super) fn over(&self, nearer: &Self) -> UploadLimits {
        let default = UploadLimits::default();
        let versions = nearer
            .versions
            .or(self.versions)
            .and_then(|versions| usize::try_from(versions).ok());
        UploadLimits {
            largest: nearer.largest.or(self.largest).unwrap_or(default.largest),
            versions: versions.unwrap_or(default.versions),
            bytes: nearer.bytes.or(self.bytes).unwrap_or(default.bytes),
            per_minute: nearer
                .per_minute
                .or(self.per_minute)
                .unwrap_or(default.per_minute),
        }
    }
}

/// How a site's images are sent whose own file says `nearer`; 0 there undoes what the deployment says.
pub(super) fn images_over(deployment: &Images, nearer: &Images) -> Images {
    let redirect_over = nearer.redirect_over.or(deployment.redirect_over);
    Images {
        redirect_over: redirect_over.filter(|bytes| *bytes > 0),
    }
}

/// Reads `handset.toml`.
pub(super) fn deployment(files: &Files<'_>, diagnostics: &mut Diagnostics) -> DeploymentFile {
    let mut deployment = DeploymentFile::default();
    read(
        files,
        "handset.toml",
        diagnostics,
        |section, diagnostics| {
            deployment.layer = layer(section, diagnostics);
            deployment.uploads = uploads(section, diagnostics);
            deployment.silences = Silences::read(section, diagnostics);
            deployment.images = images(section, diagnostics);
            deployment.refusal = entrance::refusal(section, diagnostics);
        },
    );
    deployment
}

/// Reads `tenants/*.toml`.
pub(super) fn tenants(files: &Files<'_>, diagnostics: &mut Diagnostics) -> Map<Layer> {
    let mut tenants = Map::default();
    for file in files.list("tenants", ".toml", diagnostics) {
        let Some(name) = place_name(&file, diagnostics) else {
            continue;
        };
        read(files, &file, diagnostics, |section, diagnostics| {
            tenants.insert(name, layer(section, diagnostics));
        });
    }
    tenants
}

/// The sites that are sound, and the names of those that are not.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) good: Vec<Site>,
    pub(super) broken: BTreeSet<String>,
}

/// Reads `sites/*.toml`.
pub(super) fn sites(
    files: &Files<'_>,
    tenants: &Map<Layer>,
    diagnostics: &mut Diagnostics,
) -> Sites {
    let mut sites = Sites::default();
    let direct = |file: &String| file.matches('/').count() == 1;
    for file in files
        .list("sites", ".toml", diagnostics)
        .into_iter()
        .filter(direct)
    {
        let Some(name) = place_name(&file, diagnostics) else {
            continue;
        };
        sites.broken.insert(name.clone());
        read(files, &file, diagnostics, |section, diagnostics| {
            if let Some(site) = site(name, &file, section, tenants, diagnostics) {
                sites.broken.remove(&site.name);
                sites.good.push(site);
            }
        });
    }
    if sites.good.is_empty() && sites.broken.is_empty() {
        let remedy = "add sites/NAME.toml with `access = \"open\"`";
        diagnostics.report("no-site", &Place::file("sites"), "there is no site", remedy);
    }
    sites
}

/// Reads `models/*.toml`.
pub(super) fn models(files: &Files<'_>, diagnostics: &mut Diagnostics) -> Map<ModelRecord> {
    let mut models = Map::default();
    for file in files.list("models", ".toml", diagnostics) {
        read(files, &file, diagnostics, |section, diagnostics| {
            if let Some((name, record)) = model(section, diagnostics)
                && models.insert(name.clone(), record).is_some()
            {
                let remedy = "keep one file a model";
                diagnostics.report(
                    "duplicate-model",
                    &section.place(),
                    format!("model {name:?} has another file"),
                    remedy,
                );
            }
        });
    }
    models
}

fn read(
    files: &Files<'_>,
    file: &str,
    diagnostics: &mut Diagnostics,
    take: impl FnOnce(&Section<'_, '_>, &mut Diagnostics),
) {
    if let Some(text) = files.text(file, diagnostics) {
        Document::read(file, &text, &files.seals, diagnostics, take);
    }
}

fn site(
    name: String,
    file: &str,
    section: &Section<'_, '_>,
    tenants: &Map<Layer>,
    diagnostics: &mut Diagnostics,
) -> Option<Site> {
    let tenant = section.text("tenant", diagnostics);
    if let Some((tenant, place)) = &tenant
        && !tenants.contains_key(tenant)
    {
        let known = suggest(tenant, tenants.keys().map(String::as_str));
        let remedy = format!("add tenants/{tenant}.toml ({known})");
        diagnostics.report(
            "unknown-tenant",
            place,
            format!("unknown tenant {tenant:?}"),
            remedy,
        );
    }
    let access = entrance::access(section, diagnostics);
    let passwords = entrance::passwords(section, diagnostics);
    let public_url = section.text("public_url", diagnostics);
    let public_url = public_url.and_then(|(url, place)| check_url(&url, &place, diagnostics));
    let hosts = section.texts("hosts", diagnostics);
    let hosts = hosts
        .into_iter()
        .filter_map(|(host, place)| check_host(&host, place, diagnostics))
        .collect();
    Some(Site {
        name,
        place: Place::file(file),
        tenant: tenant.map(|(tenant, _)| tenant),
        access: access?,
        passwords,
        relay_cache: section.flag("relay_cache", diagnostics),
        public_url,
        hosts,
        layer: layer(section, diagnostics),
        uploads: uploads(section, diagnostics),
        images: images(section, diagnostics),
    })
}

fn check_url(url: &str, place: &Place, diagnostics: &mut Diagnostics) -> Option<String> {
    let clean = url.trim_end_matches('/');
    let parsed: Option<http::Uri> = clean.parse().ok();
    let good = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    if !good || clean.contains('@') {
        let remedy = "give scheme and host that phones reach the server by, such as https://prov.example.net";
        diagnostics.report(
            "bad-address",
            place,
            format!("public_url {url:?} is no address"),
            remedy,
        );
        return None;
    }
    Some(clean.to_owned())
}

fn check_host(host: &str, place: Place, diagnostics: &mut Diagnostics) -> Option<(String, Place)> {
    let good = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    if !good || host.contains("//") {
        diagnostics.report(
            "bad-address",
            &place,
            format!("{host:?} is no host name"),
            "give the name alone, without scheme, port or path",
        );
        return None;
    }
    Some((host.trim_end_matches('.').to_ascii_lowercase(), place))
}

fn layer(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Layer {
    let mut layer = Layer::default();
    if let Some(settings) = section.table("settings", diagnostics) {
        layer.settings = values::read(&settings, diagnostics);
    }
    if let Some(pins) = section.table("firmware", diagnostics) {
        for (name, (value, place)) in pins.entries() {
            let known = Vendor::find(name).map(|vendor| vendor.name.to_owned());
            let key =
                known.or_else(|| vendor::find_model(name).map(|(_, model)| model.name.to_owned()));
            match value.as_str() {
                // A model of the operator's own is checked with its devices.
                Some(version) => {
                    layer
                        .firmware
                        .insert(key.unwrap_or_else(|| name.to_owned()), version.to_owned());
                }
                None => {
                    let remedy = "give the name of a folder in firmware/<vendor>/, in quotes";
                    diagnostics.report(
                        "wrong-type",
                        &place,
                        format!("the version of {name:?} is not text"),
                        remedy,
                    );
                }
            }
        }
    }
    layer
}

fn uploads(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Uploads {
    let Some(table) = section.table("uploads", diagnostics) else {
        return Uploads::default();
    };
    let uploads = Uploads {
        largest: table.number("largest", diagnostics),
        versions: table.number("versions", diagnostics),
        bytes: table.number("bytes", diagnostics),
        per_minute: table.number("per_minute", diagnostics),
    };
    table.report_unknown(diagnostics);
    uploads
}

fn images(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Images {
    let Some(table) = section.table("images", diagnostics) else {
        return Images::default();
    };
    let redirect_over = table.number("redirect_over", diagnostics);
    table.report_unknown(diagnostics);
    Images { redirect_over }
}

fn model(
    section: &Section<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<(String, ModelRecord)> {
    let (name, _) = section.required(
        "model",
        "say which model, such as `model = \"VVX 400\"`",
        diagnostics,
    )?;
    let known = vendor::find_model(&name);
    let mut record = known
        .map(|(vendor, model)| of_table(vendor, model))
        .unwrap_or_default();
    let fields = [
        ("vendor", &mut record.vendor),
        ("user_agent", &mut record.user_agent),
        ("family", &mut record.family),
        ("image", &mut record.image),
        ("first_line", &mut record.first_line),
    ];
    let mut vendor_place = section.place();
    for (key, field) in fields {
        if let Some((text, place)) = section.text(key, diagnostics) {
            *field = text;
            vendor_place = place;
        }
    }
    if let Some(settings) = section.table("settings", diagnostics) {
        record.settings = values::read(&settings, diagnostics);
    }
    if Vendor::find(&record.vendor).is_none() {
        let vendors = ALL.iter().map(|vendor| vendor.name);
        let problem = format!(
            "model {name:?} is in no vendor's table, and its vendor is {:?}",
            record.vendor
        );
        let remedy = format!(
            "spell it as its maker does, or say its vendor: {}",
            suggest(&record.vendor, vendors)
        );
        diagnostics.report("unknown-vendor", &vendor_place, problem, remedy);
        return None;
    }
    Some((
        known.map_or(name, |(_, model)| model.name.to_owned()),
        record,
    ))
}

fn of_table(vendor: &Vendor, model: &vendor::Model) -> ModelRecord {
    ModelRecord {
        vendor: vendor.name.to_owned(),
        user_agent: model.user_agent.to_owned(),
        family: model.family.to_owned(),
        image: model.image.to_owned(),
        first_line: model.first_line.to_owned(),
        settings: Default::default(),
    }
}

/// A tenant's or site's name is that of its file; it stands in addresses.
fn place_name(file: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let name = file
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".toml"))
        .unwrap_or_default();
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = name.len() <= 63
        && name.bytes().next().is_some_and(letters)
        && name
            .bytes()
            .all(|byte| letters(byte) || matches!(byte, b'-' | b'_'));
    if !good {
        let remedy = "name it with lower-case letters, digits, - and _, at most 63, the first a letter or digit";
        diagnostics.report(
            "bad-place-name",
            &Place::file(file),
            format!("{name:?} cannot stand in an address"),
            remedy,
        );
    }
    good.then(|| name.to_owned())
}
