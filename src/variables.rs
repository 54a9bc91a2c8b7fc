//! The variables of a template: five layers of settings, the nearest winning, and what the request adds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use minijinja::value::Enumerator;
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
    /// Whether `base` is the device's own address, which opens its files without a window.
    pub own_address: bool,
    /// Whose template it is.
    pub vendor: Option<&'static Vendor>,
    /// The model that the file is for, where it is for one.
    pub model: Option<Model<'a>>,
    /// The device that the file is for; without one, nothing secret is in reach.
    pub device: Option<(MacAddress, &'a DeviceSettings)>,
    /// The device's settings that lay sealed, opened.
    pub opened: Option<&'a Settings>,
}

/// Variables ready for a template, with the layer that each setting comes from.
#[derive(Clone, Debug)]
pub struct Variables {
    root: Arc<Root>,
}

/// What stands at the root: every setting by its name, `settings` and `own` that hold them, and facts.
#[derive(Debug)]
struct Root {
    facts: Vec<(&'static str, minijinja::Value)>,
    table: Arc<Table>,
}

/// The settings of all layers, and `own`, those of the model and the device alone.
#[derive(Debug)]
struct View {
    table: Arc<Table>,
    own: bool,
}

type Table = Map<Known>;

/// What is known of a setting.
#[derive(Debug)]
struct Known {
    value: minijinja::Value,
    own: Option<minijinja::Value>,
    layer: LayerName,
    /// Whether a template asked for it.
    asked: AtomicBool,
}

impl Variables {
    /// The variables of a file.
    pub fn of(subject: &Subject<'_>) -> Self {
        let merged = merge(subject, LayerName::Deployment, |_| true);
        let mut own = merge(subject, LayerName::Model, is_composed);
        let mut table = Table::default();
        for (name, (value, layer)) in merged {
            let value = minijinja::Value::from(Serde(value.as_ref()));
            let own = match own.remove(&name) {
                Some((own, _)) => Some(minijinja::Value::from(Serde(own.as_ref()))),
                None => (layer >= LayerName::Model && !is_composed(&name)).then(|| value.clone()),
            };
            let asked = AtomicBool::new(false);
            let known = Known {
                value,
                own,
                layer,
                asked,
            };
            table.insert(name, known);
        }
        let root = Root {
            facts: facts(subject),
            table: Arc::new(table),
        };
        Self {
            root: Arc::new(root),
        }
    }

    /// The root that a template is rendered with.
    pub fn root(&self) -> minijinja::Value {
        minijinja::Value::from_dyn_object(self.root.clone())
    }

    /// The settings that templates have asked for so far, and where each comes from.
    pub fn used(&self) -> Map<LayerName> {
        let mut used = Map::default();
        for (name, known) in self.root.table.iter() {
            if known.asked.load(Ordering::Relaxed) {
                used.insert(name.clone(), known.layer);
            }
        }
        used
    }

    /// The names of all settings with a text for which `bad` holds: `lines.1.password (device)`.
    pub fn settings_where(&self, bad: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (name, known) in self.root.table.iter() {
            collect_texts(&known.value, name, &mut |path, text| {
                if bad(text) {
                    found.push(format!("{path} ({} layer)", known.layer.word()));
                }
            });
        }
        found.sort_unstable();
        found
    }
}

impl Known {
    /// The value; templates have asked for it.
    fn ask(&self, own: bool) -> Option<minijinja::Value> {
        let value = if own {
            self.own.as_ref()
        } else {
            Some(&self.value)
        }?;
        self.asked.store(true, Ordering::Relaxed);
        Some(value.clone())
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<minijinja::Value> {
        if name == "settings" || name == "own" {
            let table = self.table.clone();
            let own = name == "own";
            return Some(minijinja::Value::from_object(View { table, own }));
        }
        if let Some(known) = self.table.get(name) {
            return known.ask(false);
        }
        let (_, value) = self.facts.iter().find(|(fact, _)| *fact == name)?;
        Some(value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let facts = self.facts.iter().map(|(name, _)| *name);
        in_order(self.table.keys().map(String::as_str).chain(facts))
    }
}

impl Object for View {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<minijinja::Value> {
        self.table.get(name)?.ask(self.own)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let known = self.table.iter();
        let known = known.filter(|(_, known)| !self.own || known.own.is_some());
        in_order(known.map(|(name, _)| name.as_str()))
    }
}

/// The same input gives the same bytes.
fn in_order<'n>(names: impl Iterator<Item = &'n str>) -> Enumerator {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    Enumerator::Values(names.into_iter().map(minijinja::Value::from).collect())
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

type Merged<'a> = Map<(Cow<'a, Json>, LayerName)>;

/// Whether a setting's value is put together from several layers or from other settings.
fn is_composed(name: &str) -> bool {
    matches!(name, "keys" | "lines" | "parameters")
}

/// The settings of all layers from `farthest` in, as far as the file may see them and `wanted` holds.
fn merge<'a>(
    subject: &Subject<'a>,
    farthest: LayerName,
    wanted: impl Fn(&str) -> bool,
) -> Merged<'a> {
    let mut merged = Merged::default();
    for (layer, settings) in layers(subject)
        .into_iter()
        .filter(|(layer, _)| *layer >= farthest)
    {
        for (name, value) in settings.into_iter().flatten() {
            // A line without a server of its own takes the setting's.
            let wanted = wanted(name) || LINE_DEFAULTS.iter().any(|(_, setting)| setting == name);
            if wanted && (subject.device.is_some() || is_shared(name)) {
                put(&mut merged, name, value, layer);
            }
        }
    }
    merged.retain(|_, (value, _)| !value.is_null());
    narrow_parameters(&mut merged, subject.vendor);
    complete_lists(&mut merged);
    merged.retain(|name, _| wanted(name));
    merged
}

fn layers<'a>(subject: &Subject<'a>) -> [(LayerName, Option<&'a Settings>); 6] {
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
        (LayerName::Device, subject.opened),
    ]
}

/// Whether a file that several phones get may see a setting: nothing secret, and no accounts.
fn is_shared(name: &str) -> bool {
    let secret = settings::find(settings::SETTINGS, name).is_some_and(|setting| setting.secret);
    !secret && !matches!(name, "keys" | "lines")
}

/// The nearer value replaces the farther one; a vendor's own parameters are replaced one by one.
fn put<'a>(merged: &mut Merged<'a>, name: &str, value: &'a Json, layer: LayerName) {
    match (merged.get_mut(name), value) {
        (Some((farther, origin)), Json::Object(nearer))
            if name == "parameters" && farther.is_object() =>
        {
            *origin = layer;
            if let Json::Object(farther) = farther.to_mut() {
                replace_parameters(farther, nearer);
            }
        }
        _ => drop(merged.insert(name.to_owned(), (Cow::Borrowed(value), layer))),
    }
}

fn replace_parameters(farther: &mut Settings, nearer: &Settings) {
    for (vendor, parameters) in nearer {
        match (farther.get_mut(vendor), parameters) {
            (Some(Json::Object(old)), Json::Object(new)) => old.extend(new.clone()),
            _ => drop(farther.insert(vendor.clone(), parameters.clone())),
        }
    }
}

/// Templates see their own vendor's parameters only.
fn narrow_parameters(merged: &mut Merged<'_>, vendor: Option<&Vendor>) {
    let Some((value, layer)) = merged.remove("parameters") else {
        return;
    };
    let mine = vendor.and_then(|vendor| value.get(vendor.name));
    if let Some(mine) = mine.cloned() {
        merged.insert("parameters".to_owned(), (Cow::Owned(mine), layer));
    }
}

/// What a line takes from a setting if it does not say it itself: field and setting.
const LINE_DEFAULTS: [(&str, &str); 3] = [
    ("server", "sip_server"),
    ("port", "sip_port"),
    ("transport", "sip_transport"),
];

/// Keys get their positions, and lines the site's server where they name none.
fn complete_lists(merged: &mut Merged<'_>) {
    let default = |setting: &str| merged.get(setting).map(|(value, _)| value.as_ref().clone());
    let defaults = LINE_DEFAULTS.map(|(field, setting)| (field, default(setting)));
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
    merged: &'m mut Merged<'_>,
    name: &str,
) -> impl Iterator<Item = (usize, &'m mut Settings)> {
    let list = merged
        .get_mut(name)
        .and_then(|(value, _)| value.to_mut().as_array_mut());
    let tables = list.into_iter().flatten().filter_map(Json::as_object_mut);
    tables.enumerate().map(|(index, table)| (index + 1, table))
}

/// What is no setting: the address, the place, the phone.
fn facts(subject: &Subject<'_>) -> Vec<(&'static str, minijinja::Value)> {
    let mut values = Vec::with_capacity(11);
    let mut put = |name: &'static str, value| values.push((name, value));
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
    if let (Some(base), true) = (&subject.base, is_handed_over(subject)) {
        put("own_address", minijinja::Value::from(base));
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

/// Whether the file tells its device to come to its own address from now on.
fn is_handed_over(subject: &Subject<'_>) -> bool {
    let model = subject.model.as_ref().zip(subject.vendor);
    let reaches = model.is_some_and(|(model, vendor)| vendor.hand_over.reaches(model.family));
    subject.own_address && subject.device.is_some() && reaches
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
