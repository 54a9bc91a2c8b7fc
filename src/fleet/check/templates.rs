//! The operator's templates: those that reach no phone, and names that two vendors' templates share.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::map::Map;
use crate::release::Release;
use crate::release::TemplateRecord;
use crate::release::is_part;
use crate::vendor::Vendor;

/// Looks at every template of the operator's once, whichever sites have it.
pub(super) fn check(
    fleet: &Fleet,
    groups: &[Group<'_>],
    shared: &[Vec<Output>],
    diagnostics: &mut Diagnostics,
) {
    let mut uses = BTreeMap::<&str, bool>::new();
    for release in fleet.snapshot.releases.values() {
        let reached = Reached::of(release, groups, shared);
        let own = release.record.templates.iter();
        for (name, file) in own.filter_map(|(name, record)| Some((name, record.file.as_ref()?))) {
            *uses.entry(file).or_default() |= reached.has(release, name);
        }
        check_names(release, diagnostics);
    }
    for (file, _) in uses.into_iter().filter(|(_, used)| !used) {
        let problem = "reaches no phone";
        let remedy = "name it where phones look (CONFIG_FILES, {% include %}), or remove it";
        diagnostics.report("unused-template", &Place::file(file), problem, remedy);
    }
}

/// What the phones of a release get, as far as names are concerned.
struct Reached {
    /// Templates that are rendered for somebody.
    templates: BTreeSet<String>,
    /// All that is sent to the first phone of each kind: what it is told of.
    told: String,
}

impl Reached {
    fn of(release: &Release, groups: &[Group<'_>], shared: &[Vec<Output>]) -> Self {
        let mut reached = Self {
            templates: BTreeSet::new(),
            told: String::new(),
        };
        let mine = |(group, _): &(&Group<'_>, &Vec<Output>)| group.release.id == release.id;
        for (group, shared) in groups.iter().zip(shared).filter(mine) {
            let pins = group
                .phones
                .iter()
                .find(|(_, phone)| phone.firmware.is_some());
            let samples = group.phones.first().into_iter().chain(pins);
            let own = samples.flat_map(|(mac, phone)| group.own(*mac, phone));
            for output in own.chain(shared.iter().cloned()) {
                reached
                    .told
                    .push_str(output.text.as_deref().unwrap_or_default());
                reached.templates.insert(output.template);
            }
        }
        reached
    }

    fn has(&self, release: &Release, name: &str) -> bool {
        let (folder, file) = name.split_once('/').unwrap_or_default();
        if is_part(file) {
            return is_included(&release.record.templates, name);
        }
        let own_name = Vendor::find(folder).is_some_and(|vendor| {
            let mut rules = release.rules().iter();
            rules.any(|rule| {
                rule.own && same(rule.vendor, vendor) && rule.pattern.to_string() == file
            })
        });
        let included = || is_included(&release.record.templates, name);
        self.templates.contains(name) && (!own_name || self.told.contains(longest_literal(file)))
            || included()
    }
}

fn same(one: Option<&Vendor>, other: &Vendor) -> bool {
    one.is_some_and(|one| one.name == other.name)
}

fn is_included(templates: &Map<TemplateRecord>, name: &str) -> bool {
    let quoted = [format!("\"{name}\""), format!("'{name}'")];
    let mut texts = templates.values().map(|template| &template.text);
    texts.any(|text| quoted.iter().any(|quoted| text.contains(quoted.as_str())))
}

/// What of a name stands in any text that names it, whatever the phone puts into the holes.
fn longest_literal(pattern: &str) -> &str {
    let parts = pattern
        .split('{')
        .map(|part| part.rsplit('}').next().unwrap_or_default());
    parts.max_by_key(|part| part.len()).unwrap_or_default()
}

/// Names without an address that two vendors' phones may mean.
fn check_names(release: &Release, diagnostics: &mut Diagnostics) {
    let named = |rule: &&crate::release::Rule| !rule.is_device() && rule.vendor.is_some();
    let rules: Vec<_> = release.rules().iter().filter(named).collect();
    for rule in rules.iter().filter(|rule| rule.own) {
        let name = rule.pattern.to_string();
        let other = rules.iter().find(|other| {
            let vendors = (other.vendor.map(|v| v.name), rule.vendor.map(|v| v.name));
            vendors.0 != vendors.1 && other.pattern.to_string().eq_ignore_ascii_case(&name)
        });
        let (Some(vendor), Some(other)) = (rule.vendor, other.and_then(|other| other.vendor))
        else {
            continue;
        };
        let template = release
            .record
            .templates
            .get(&format!("{}/{name}", vendor.name));
        let file = template.and_then(|template| template.file.as_deref());
        let problem = format!("phones of {} ask for {name} too", other.name);
        let remedy = "give each vendor's file a name of its own";
        let place = Place::file(file.unwrap_or_default());
        diagnostics.report("name-of-two-vendors", &place, problem, remedy);
    }
}
