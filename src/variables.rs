//! The variables of a template: five layers of settings, the nearest winning, and what the request adds.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use minijinja::value::Object;
use minijinja::value::Serde;
use serde_json::Value as Json;

use crate::device::DeviceSettings;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::release::Model;
use crate::release::Release;
use crate::settings;
use crate::settings::LayerName;
use crate::settings::Settings;
use crate::site::SiteRecord;
use crate::vendor::Vendor;

/// What a file is rendered for.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The site that the file was asked from.
    pub site: &'a SiteRecord,
    /// The release that it is rendered from.
    pub release: &'a Release,
    /// Absolute address of the site's root, with the key that the request came with.
    pub base: Option<String>,
    /// Whose template it is.
    pub vendor: Option<&'static Vendor>,
    /// The model that the file is for, where it is for one.
    pub model: Option<Model<'a>>,
    /// The device that the file is for; without one, nothing secret is in reach.
    pub device: Option<(MacAddress, &'a DeviceSettings)>,
}

/// Variables ready for a template, with the layer that each setting comes from.
#[derive(Clone, Debug)]
pub struct Variables {
    /// The root first; then those that it holds under a name.
    names: Vec<Arc<Names>>,
    origins: HashMap<String, LayerName>,
}

impl Variables {
    /// The variables of a file.
    pub fn of(subject: &Subject<'_>) -> Self {
        let merged = merge(subject, LayerName::Deployment);
        let own = merge(subject, LayerName::Model);
        let mut origins = HashMap::with_capacity(merged.len());
        let mut values = facts(subject);
        for (name, (value, layer)) in &merged {
            origins.insert(name.clone(), *layer);
            values.insert(name.clone(), named(minijinja::Value::from(Serde(value))));
        }
        let mut names = Vec::with_capacity(3);
        for (name, map) in [("settings", merged), ("own", own)] {
            let mut inner = HashMap::with_capacity(map.len());
            for (name, (value, _)) in map {
                inner.insert(name, named(minijinja::Value::from(Serde(&value))));
            }
            let inner = Arc::new(Names { values: inner });
            let value = minijinja::Value::from_dyn_object(inner.clone());
            values.insert(name.to_owned(), named(value));
            names.push(inner);
        }
        names.insert(0, Arc::new(Names { values }));
        Self { names, origins }
    }

    /// The root that a template is rendered with.
    pub fn root(&self) -> minijinja::Value {
        let root = self.names.first().cloned();
        root.map_or(
            minijinja::Value::UNDEFINED,
            minijinja::Value::from_dyn_object,
        )
    }

    /// The settings that templates have asked for so far, and where each comes from.
    pub fn used(&self) -> Map<LayerName> {
        let mut used = Map::default();
        for (name, layer) in &self.origins {
            let asked = |names: &Arc<Names>| {
                let value = names.values.get(name);
                value.is_some_and(|(_, asked)| asked.load(Ordering::Relaxed))
            };
            if self.names.iter().any(asked) {
                used.insert(name.clone(), *layer);
            }
        }
        used
    }

    /// The names of all settings with a text for which `bad` holds: `lines.1.password (device)`.
    pub fn settings_where(&self, bad: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        let values = self.names.iter().take(1).flat_map(|root| &root.values);
        for (name, (value, _)) in values {
            let Some(layer) = self.origins.get(name) else {
                continue;
            };
            collect_texts(value, name, &mut |path, text| {
                if bad(text) {
                    found.push(format!("{path} ({} layer)", layer.word()));
                }
            });
        }
        found.sort_unstable();
        found
    }
}

/// A map that remembers which of its names were asked for.
#[derive(Debug)]
struct Names {
    values: HashMap<String, Named>,
}

/// A value, and whether it was asked for.
type Named = (minijinja::Value, AtomicBool);

fn named(value: minijinja::Value) -> Named {
    (value, AtomicBool::new(false))
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<minijinja::Value> {
        let (value, asked) = self.values.get(name)?;
        asked.store(true, Ordering::Relaxed);
        Some(value.clone())
    }

    /// In the order of their names: the same input gives the same bytes.
    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        let mut names: Vec<&String> = self.values.keys().collect();
        names.sort_unstable();
        let names = names.into_iter().map(minijinja::Value::from);
        minijinja::value::Enumerator::Values(names.collect())
    }
}

impl LayerName {
    /// The layer as settings files and reports call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Tenant => "tenant",
            Self::Site => "site",
            Self::Model => "model",
            Self::Device => "device",
        }
    }
}

/// The firmware version that a phone should run, and the layer that pins it: the device's own, else by
/// model, else by vendor, each from the site outwards.
pub fn pinned_version<'a>(
    site: &'a SiteRecord,
    release: &'a Release,
    vendor: &Vendor,
    model: Option<&Model<'_>>,
    device: Option<&'a DeviceSettings>,
) -> Option<(&'a str, LayerName)> {
    if let Some(version) = device.and_then(|device| device.firmware.as_deref()) {
        return Some((version, LayerName::Device));
    }
    let layers = [
        (LayerName::Site, &site.layer),
        (LayerName::Tenant, &release.record.tenant),
        (LayerName::Deployment, &release.record.deployment),
    ];
    let keys = model
        .map(|model| model.name)
        .into_iter()
        .chain([vendor.name]);
    keys.flat_map(|key| layers.map(|(name, layer)| (name, layer.firmware.get(key))))
        .find_map(|(name, version)| Some((version?.as_str(), name)))
}

/// Whether a shared file of the site sees this setting.
pub fn is_set(site: &SiteRecord, release: &Release, name: &str) -> bool {
    let layers = [
        &site.layer,
        &release.record.tenant,
        &release.record.deployment,
    ];
    let nearest = layers
        .into_iter()
        .find_map(|layer| layer.settings.get(name));
    nearest.is_some_and(|value| !value.is_null())
}

type Merged = HashMap<String, (Json, LayerName)>;

/// The settings of all layers from `farthest` in, as far as the file may see them.
fn merge(subject: &Subject<'_>, farthest: LayerName) -> Merged {
    let mut merged = Merged::new();
    for (layer, settings) in layers(subject)
        .into_iter()
        .filter(|(layer, _)| *layer >= farthest)
    {
        for (name, value) in settings.into_iter().flatten() {
            if subject.device.is_some() || is_shared(name) {
                put(&mut merged, name, value, layer);
            }
        }
    }
    merged.retain(|_, (value, _)| !value.is_null());
    narrow_parameters(&mut merged, subject.vendor);
    complete_lists(&mut merged);
    merged
}

fn layers<'a>(subject: &Subject<'a>) -> [(LayerName, Option<&'a Settings>); 5] {
    let record = &subject.release.record;
    [
        (LayerName::Deployment, Some(&record.deployment.settings)),
        (LayerName::Tenant, Some(&record.tenant.settings)),
        (LayerName::Site, Some(&subject.site.layer.settings)),
        (
            LayerName::Model,
            subject.model.as_ref().and_then(|model| model.settings),
        ),
        (
            LayerName::Device,
            subject.device.map(|(_, device)| &device.settings),
        ),
    ]
}

/// Whether a file that several phones get may see a setting: nothing secret, and no accounts.
fn is_shared(name: &str) -> bool {
    let secret = settings::find(settings::SETTINGS, name).is_some_and(|setting| setting.secret);
    !secret && !matches!(name, "keys" | "lines")
}

/// The nearer value replaces the farther one; a vendor's own parameters are replaced one by one.
fn put(merged: &mut Merged, name: &str, value: &Json, layer: LayerName) {
    match (merged.get_mut(name), value) {
        (Some((Json::Object(farther), origin)), Json::Object(nearer)) if name == "parameters" => {
            *origin = layer;
            for (vendor, parameters) in nearer {
                match (farther.get_mut(vendor), parameters) {
                    (Some(Json::Object(old)), Json::Object(new)) => old.extend(new.clone()),
                    _ => drop(farther.insert(vendor.clone(), parameters.clone())),
                }
            }
        }
        _ => drop(merged.insert(name.to_owned(), (value.clone(), layer))),
    }
}

/// Templates see their own vendor's parameters only.
fn narrow_parameters(merged: &mut Merged, vendor: Option<&Vendor>) {
    let Some((mut value, layer)) = merged.remove("parameters") else {
        return;
    };
    let mine = vendor
        .and_then(|vendor| value.get_mut(vendor.name))
        .map(Json::take);
    if let Some(mine) = mine {
        merged.insert("parameters".to_owned(), (mine, layer));
    }
}

/// Keys get their positions, and lines the site's server where they name none.
fn complete_lists(merged: &mut Merged) {
    let default = |name: &str| merged.get(name).map(|(value, _)| value.clone());
    let defaults = [
        ("server", "sip_server"),
        ("port", "sip_port"),
        ("transport", "sip_transport"),
    ]
    .map(|(field, setting)| (field, default(setting)));
    for (_, line) in items(merged, "lines") {
        if let (None, Some(user)) = (line.get("auth_id"), line.get("user").cloned()) {
            line.insert("auth_id".to_owned(), user);
        }
        for (field, value) in &defaults {
            if let (None, Some(value)) = (line.get(*field), value) {
                line.insert((*field).to_owned(), value.clone());
            }
        }
    }
    for (index, key) in items(merged, "keys") {
        key.entry("position").or_insert_with(|| Json::from(index));
    }
}

fn items<'m>(
    merged: &'m mut Merged,
    name: &str,
) -> impl Iterator<Item = (usize, &'m mut Settings)> {
    let list = merged
        .get_mut(name)
        .and_then(|(value, _)| value.as_array_mut());
    let tables = list.into_iter().flatten().filter_map(Json::as_object_mut);
    tables.enumerate().map(|(index, table)| (index + 1, table))
}

/// What is no setting: the address, the place, the phone.
fn facts(subject: &Subject<'_>) -> HashMap<String, Named> {
    let mut values = HashMap::new();
    let mut put = |name: &str, value| drop(values.insert(name.to_owned(), named(value)));
    put("site", minijinja::Value::from(&subject.site.name));
    put(
        "own_firmware",
        minijinja::Value::from(
            subject
                .device
                .is_some_and(|(_, device)| device.firmware.is_some()),
        ),
    );
    if let Some(base) = &subject.base {
        put("base", minijinja::Value::from(base));
    }
    if let Some(tenant) = &subject.site.tenant {
        put("tenant", minijinja::Value::from(tenant));
    }
    if let Some(vendor) = subject.vendor {
        put("vendor", minijinja::Value::from(vendor.name));
        put("models", models(subject.release, vendor));
    }
    if let Some(model) = &subject.model {
        put("model", model_value(model));
        if let Some(firmware) = firmware(subject, model) {
            put("firmware", firmware);
        }
    }
    if let Some((mac, _)) = subject.device {
        put("mac", minijinja::Value::from(mac.to_string()));
        put("mac_upper", minijinja::Value::from(mac.upper()));
    }
    values
}

/// The vendor's models that the operator says something of, for files that name models.
fn models(release: &Release, vendor: &'static Vendor) -> minijinja::Value {
    let own = release
        .record
        .models
        .iter()
        .filter(|(_, record)| record.vendor == vendor.name);
    let own = own.filter_map(|(name, _)| release.model(Some(vendor), name));
    own.map(|model| model_value(&model)).collect()
}

fn model_value(model: &Model<'_>) -> minijinja::Value {
    let shared = model
        .settings
        .into_iter()
        .flatten()
        .filter(|(name, _)| is_shared(name));
    let shared = shared.map(|(name, value)| (name.as_str(), minijinja::Value::from(Serde(value))));
    let token = model.user_agent.replace('_', "");
    let mut facts = vec![
        ("name", minijinja::Value::from(model.name)),
        ("token", minijinja::Value::from(token)),
        ("family", minijinja::Value::from(model.family)),
        ("image", minijinja::Value::from(model.image)),
    ];
    if !model.first_line.is_empty() {
        facts.push(("first_line", minijinja::Value::from(model.first_line)));
    }
    // A fact goes before a setting of its name.
    map(shared.chain(facts))
}

fn firmware(subject: &Subject<'_>, model: &Model<'_>) -> Option<minijinja::Value> {
    let device = subject.device.map(|(_, device)| device);
    let (version, _) = pinned_version(
        subject.site,
        subject.release,
        subject.vendor?,
        Some(model),
        device,
    )?;
    let file = model.image.replace("{version}", version);
    let mut values = vec![("version", minijinja::Value::from(version))];
    if let (Some(base), false) = (&subject.base, file.is_empty()) {
        values.push((
            "url",
            minijinja::Value::from(format!("{base}/firmware/{version}/{file}")),
        ));
    }
    values.push(("file", minijinja::Value::from(file)));
    Some(map(values))
}

fn map<'n>(values: impl IntoIterator<Item = (&'n str, minijinja::Value)>) -> minijinja::Value {
    let mut map = BTreeMap::new();
    for (name, value) in values {
        map.insert(name.to_owned(), value);
    }
    minijinja::Value::from(map)
}

fn collect_texts(value: &minijinja::Value, path: &str, visit: &mut impl FnMut(&str, &str)) {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::String => visit(path, value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            for key in value.try_iter().into_iter().flatten() {
                let item = value.get_item(&key).unwrap_or_default();
                collect_texts(&item, &format!("{path}.{key}"), visit);
            }
        }
        ValueKind::Seq => {
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                collect_texts(&item, &format!("{path}.{}", index + 1), visit);
            }
        }
        _ => {}
    }
}
