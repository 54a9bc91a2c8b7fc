//! What a fleet gives out: every file of every phone, rendered as the server would render it.
//!
//! Phones of one site and model share everything but their own files, so they make a group.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::mac::MacAddress;
use crate::pattern::Captures;
use crate::release::Model;
use crate::release::Release;
use crate::release::Rule;
use crate::render::RenderError;
use crate::site::Access;
use crate::site::SiteRecord;
use crate::variables::Subject;
use crate::variables::Variables;
use crate::variables::is_set;
use crate::vendor::FileKind;
use crate::vendor::Source;
use crate::vendor::Vendor;

/// The phones of one site and model.
#[derive(Debug)]
pub struct Group<'f> {
    /// Where they stand.
    pub site: &'f SiteRecord,
    /// What their site gives out.
    pub release: &'f Release,
    /// What they are.
    pub model: Model<'f>,
    /// Whether their own files hand them an address of their own.
    keyed: bool,
    /// The phones, by address.
    pub phones: Vec<(MacAddress, DeviceSettings)>,
    plans: Vec<Plan>,
}

/// A file as one phone, or every phone of a group, gets it.
#[derive(Clone, Debug)]
pub struct Output {
    /// The names that it is asked for by, the vendor's own first.
    pub names: Vec<String>,
    /// What it is to the phone.
    pub kind: FileKind,
    /// The template, `vendor/name`.
    pub template: String,
    /// Whose it is.
    pub scope: Scope,
    /// Its text, or why there is none.
    pub text: Result<String, RenderError>,
}

impl Output {
    /// The name that the vendor's table gives it.
    pub fn name(&self) -> &str {
        self.names.first().map_or(&self.template, String::as_str)
    }

    /// Whether a phone that asks for this name gets it.
    pub fn is_named(&self, name: &str) -> bool {
        let named = |own: &String| own.eq_ignore_ascii_case(name);
        self.names.iter().any(named)
    }
}

/// How many phones a file is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Every phone of the site.
    Site,
    /// Every phone of the model.
    Model,
    /// One phone.
    Device,
}

/// A template that a phone's rules name, before it is known for which phone.
#[derive(Clone, Debug)]
struct Plan {
    template: String,
    patterns: Vec<String>,
    kind: FileKind,
    scope: Scope,
    /// Whether only a phone that pins its own version has it.
    pinned: bool,
}

/// Every group, by site and model.
pub fn groups(fleet: &Fleet) -> Vec<Group<'_>> {
    let mut groups = BTreeMap::<(&str, String), Group<'_>>::new();
    for (name, devices) in &fleet.snapshot.devices {
        let Some((site, release)) = place_of(fleet, name) else {
            continue;
        };
        for (mac, settings) in devices {
            let Ok(settings) = serde_json::from_slice::<DeviceSettings>(settings) else {
                continue;
            };
            let Some(model) = release.model(None, &settings.model) else {
                continue;
            };
            let key = (name.as_str(), model.name.to_owned());
            let group = groups.entry(key).or_insert_with(|| Group {
                site,
                release,
                plans: plans(site, release, &model),
                model,
                keyed: matches!(
                    fleet.snapshot.deployment.sites.get(name),
                    Some(Access::Keys(_))
                ),
                phones: Vec::new(),
            });
            group.phones.push((*mac, settings));
        }
    }
    let mut groups: Vec<Group<'_>> = groups.into_values().collect();
    for group in &mut groups {
        group.phones.sort_by_key(|(mac, _)| *mac);
    }
    groups
}

/// The site of this name and its release.
pub fn place_of<'f>(fleet: &'f Fleet, site: &str) -> Option<(&'f SiteRecord, &'f Release)> {
    let site = fleet.snapshot.sites.get(site)?;
    Some((site, fleet.snapshot.releases.get(&site.release)?))
}

impl Group<'_> {
    /// What all of its phones get alike.
    pub fn shared(&self) -> Vec<Output> {
        let shared = self.plans.iter().filter(|plan| plan.scope < Scope::Device);
        shared
            .map(|plan| {
                let model = (plan.scope == Scope::Model).then(|| self.model.clone());
                let mut subject = self.subject(model, None);
                subject.vendor = self.vendor();
                self.output(plan, &subject)
            })
            .collect()
    }

    /// What this phone alone gets.
    pub fn own(&self, mac: MacAddress, settings: &DeviceSettings) -> Vec<Output> {
        let pins = settings.firmware.is_some();
        let own = self.plans.iter().filter(|plan| {
            let mine = plan.scope == Scope::Device;
            mine && (!plan.pinned || pins)
        });
        own.map(|plan| {
            let subject = self.subject(Some(self.model.clone()), Some((mac, settings)));
            self.output(plan, &subject)
        })
        .collect()
    }

    /// Whose phones they are.
    pub fn vendor(&self) -> Option<&'static Vendor> {
        Vendor::find(self.model.vendor)
    }

    fn subject<'a>(
        &'a self,
        model: Option<Model<'a>>,
        device: Option<(MacAddress, &'a DeviceSettings)>,
    ) -> Subject<'a> {
        let vendor = model.as_ref().and_then(|model| Vendor::find(model.vendor));
        Subject {
            site: self.site,
            release: self.release,
            base: self.site.base(),
            own_address: self.keyed && device.is_some(),
            vendor,
            model,
            device,
            opened: None,
        }
    }

    fn output(&self, plan: &Plan, subject: &Subject<'_>) -> Output {
        let holes = Captures {
            mac: subject.device.map(|(mac, _)| mac),
            model: Some(self.model.name),
            ..Captures::default()
        };
        let templates = &self.release.templates;
        Output {
            names: plan.patterns.iter().map(|name| holes.fill(name)).collect(),
            kind: plan.kind,
            template: plan.template.clone(),
            scope: plan.scope,
            text: templates.render(&plan.template, &Variables::of(subject)),
        }
    }
}

/// What `work` makes of each item, on every core, in the items' order.
pub fn on_every_core<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return done;
            };
            done.push((index, work(item)));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(take)).collect();
        let joined = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        let results = workers.into_iter().map(joined);
        results.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The templates that rules of the model's vendor render, each once, with the names it answers to.
fn plans(site: &SiteRecord, release: &Release, model: &Model<'_>) -> Vec<Plan> {
    let mut plans = BTreeMap::<String, Plan>::new();
    let mine = |rule: &&Rule| {
        rule.vendor
            .is_some_and(|vendor| vendor.name == model.vendor)
    };
    for rule in release.rules().iter().filter(mine) {
        for source in &rule.sources {
            let Some((name, pinned)) = template_of(site, release, source) else {
                continue;
            };
            let file = name.replace("{family}", model.family);
            let template = format!("{}/{file}", model.vendor);
            if is_of_other_family(model, name) || !release.templates.has(&template) {
                continue;
            }
            let plan = plans.entry(template.clone()).or_insert_with(|| Plan {
                template,
                patterns: Vec::new(),
                kind: rule.kind,
                scope: scope_of(rule),
                pinned,
            });
            plan.patterns.push(rule.pattern.to_string());
        }
    }
    plans.into_values().collect()
}

/// A source's template, and whether only phones with a pin of their own have it.
fn template_of<'s>(
    site: &SiteRecord,
    release: &Release,
    source: &'s Source<String>,
) -> Option<(&'s str, bool)> {
    match source {
        Source::PinnedTemplate(name) => Some((name, true)),
        Source::SettingTemplate(name, setting) if is_set(site, release, setting) => {
            Some((name, false))
        }
        Source::Template(name) => Some((name, false)),
        _ => None,
    }
}

/// A folder that is another family's is not this model's.
fn is_of_other_family(model: &Model<'_>, name: &str) -> bool {
    let models = Vendor::find(model.vendor).map_or(&[][..], |vendor| vendor.models);
    let folder = name.split_once('/').map(|(folder, _)| folder);
    folder.is_some_and(|folder| {
        let family = |other: &crate::vendor::Model| other.family == folder;
        folder != model.family && models.iter().any(family)
    })
}

fn scope_of(rule: &Rule) -> Scope {
    if rule.is_device() {
        Scope::Device
    } else if rule.pattern.has_model() {
        Scope::Model
    } else {
        Scope::Site
    }
}

#[cfg(test)]
mod tests {
    use super::on_every_core;

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<u64> = (0..1000).collect();
        let squares: Vec<u64> = items.iter().map(|item| item * item).collect();
        assert_eq!(on_every_core(&items, |item| item * item), squares);
    }
}
