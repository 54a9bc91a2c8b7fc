//! `handset diff`: which phones' files change if this fleet takes the place of that one.
//!
//! Files are compared as phones get them, so that a change of a setting shows where it arrives. What
//! deliberately does not show is a secret: only that it changed.

mod images;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::fmt::Write;

use similar::ChangeTag;
use similar::TextDiff;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::outputs;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::outputs::Scope;
use crate::fleet::redaction;
use crate::mac::MacAddress;

/// What changes.
#[derive(Debug, Default)]
pub struct Difference {
    /// How much, by site and vendor.
    pub summary: BTreeMap<(String, String), Tally>,
    /// The changes, each once for all phones that it concerns, by site and file.
    pub changes: Vec<Change>,
}

/// How many phones of a site and vendor are concerned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Phones there will be.
    pub phones: usize,
    /// Phones with a file that changes.
    pub changed: usize,
    /// Phones there are not yet.
    pub added: usize,
    /// Phones there will not be any more.
    pub removed: usize,
}

/// One change, and whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The sites, the first one's phone or model being `whose`.
    pub sites: BTreeSet<String>,
    /// Whose: the first that has it.
    pub whose: String,
    /// How many phones more have it, where it is about phones one by one.
    pub more: usize,
    /// A unified diff, or a line that says it.
    pub text: String,
}

impl Difference {
    /// The summary as a table.
    pub fn table(&self) -> String {
        let widest = self.summary.keys().map(|(site, _)| site.len()).max();
        let width = widest.unwrap_or_default().max("site".len());
        let mut text = format!(
            "{:<width$}  {:<12}{:>8}{:>9}{:>7}{:>9}\n",
            "site", "vendor", "phones", "changed", "new", "removed"
        );
        for ((site, vendor), tally) in &self.summary {
            let _ = writeln!(
                text,
                "{site:<width$}  {vendor:<12}{:>8}{:>9}{:>7}{:>9}",
                tally.phones, tally.changed, tally.added, tally.removed
            );
        }
        text
    }

    /// Whether nothing changes for any phone.
    pub fn is_empty(&self) -> bool {
        let quiet = |tally: &Tally| tally.changed + tally.added + tally.removed == 0;
        self.changes.is_empty() && self.summary.values().all(quiet)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = self.sites.first().map_or("", String::as_str);
        write!(f, "# {site}: {}", self.whose)?;
        if self.more > 0 {
            write!(f, ", and {} more with the same change", self.more)?;
        }
        if self.sites.len() > 1 {
            write!(f, ", in {} sites", self.sites.len())?;
        }
        write!(f, "\n{}", self.text)
    }
}

/// Compares two fleets.
pub fn diff(old: &Fleet, new: &Fleet) -> Difference {
    let (olds, news) = (Side::of(old), Side::of(new));
    let mut difference = Difference::default();
    let mut collected = Collected::default();
    let names = &old.sealed_parameters | &new.sealed_parameters;
    let shared = shared_changes(&olds, &news, &names, &mut collected);
    let phones: Vec<Phone<'_>> = news.phones().collect();
    let own = outputs::on_every_core(&phones, |phone| own_changes(&olds, phone, &names));
    for (phone, own) in phones.iter().zip(own) {
        let tally = difference.tally(phone.group);
        tally.phones += 1;
        let Some(own) = own else {
            tally.added += 1;
            continue;
        };
        let key = (phone.group.site.name.as_str(), phone.group.model.name);
        let concerned = !own.is_empty() || shared.get(&key).copied().unwrap_or_default();
        tally.changed += usize::from(concerned);
        for change in own {
            collected.add_phone(&phone.group.site.name, phone.mac, change);
        }
    }
    for phone in olds.phones().filter(|phone| news.find(phone.mac).is_none()) {
        difference.tally(phone.group).removed += 1;
    }
    images::resources(old, new, &mut collected);
    difference.changes = collected.into_changes();
    difference
}

impl Difference {
    fn tally(&mut self, group: &Group<'_>) -> &mut Tally {
        let key = (group.site.name.clone(), group.model.vendor.to_owned());
        self.summary.entry(key).or_default()
    }
}

/// A fleet whose phones are found by address.
struct Side<'f> {
    groups: Vec<Group<'f>>,
    places: HashMap<MacAddress, (usize, usize)>,
}

/// A phone and where it stands.
#[derive(Clone, Copy)]
struct Phone<'s> {
    group: &'s Group<'s>,
    mac: MacAddress,
    settings: &'s DeviceSettings,
}

impl<'f> Side<'f> {
    fn of(fleet: &'f Fleet) -> Self {
        let groups = outputs::groups(fleet);
        let mut places = HashMap::new();
        for (index, group) in groups.iter().enumerate() {
            let macs = group.phones.iter().map(|(mac, _)| *mac).enumerate();
            places.extend(macs.map(|(place, mac)| (mac, (index, place))));
        }
        Self { groups, places }
    }

    fn phones(&self) -> impl Iterator<Item = Phone<'_>> {
        self.groups.iter().flat_map(|group| {
            group.phones.iter().map(move |(mac, settings)| Phone {
                group,
                mac: *mac,
                settings,
            })
        })
    }

    fn find(&self, mac: MacAddress) -> Option<Phone<'_>> {
        let (group, place) = self.places.get(&mac)?;
        let group = self.groups.get(*group)?;
        let (mac, settings) = group.phones.get(*place)?;
        Some(Phone {
            group,
            mac: *mac,
            settings,
        })
    }

    fn group(&self, site: &str, model: &str) -> Option<&Group<'_>> {
        let same = |group: &&Group<'_>| group.site.name == site && group.model.name == model;
        self.groups.iter().find(same)
    }
}

/// A change before it is known how many have it.
struct Found {
    /// What tells it from others: the file and the lines that change, without those around them.
    key: String,
    /// What is shown of the first that has it.
    text: String,
}

/// Changes by whose they are and what tells them apart, each with the first that has it.
#[derive(Default)]
struct Collected(BTreeMap<(String, String), Change>);

impl Collected {
    /// A change of one phone's own files.
    fn add_phone(&mut self, site: &str, mac: MacAddress, found: Found) {
        let change = self.add(
            site,
            (String::new(), found.key),
            &mac.to_string(),
            found.text,
        );
        change.more += 1;
    }

    /// A change of what all of `whose` phones share.
    fn add_shared(&mut self, site: &str, whose: &str, found: Found) {
        self.add(site, (whose.to_owned(), found.key), whose, found.text);
    }

    fn add(&mut self, site: &str, key: (String, String), whose: &str, text: String) -> &mut Change {
        let change = self.0.entry(key).or_insert_with(|| Change {
            sites: BTreeSet::new(),
            whose: whose.to_owned(),
            more: 0,
            text,
        });
        change.sites.insert(site.to_owned());
        change
    }

    /// By site; the first phone is no further one.
    fn into_changes(self) -> Vec<Change> {
        let mut changes: Vec<Change> = self.0.into_values().collect();
        for change in &mut changes {
            change.more = change.more.saturating_sub(1);
        }
        changes.sort_by(|a, b| a.sites.first().cmp(&b.sites.first()));
        changes
    }
}

/// The changes of shared files, and the sites and models that they concern.
fn shared_changes<'n>(
    olds: &Side<'_>,
    news: &'n Side<'_>,
    names: &BTreeSet<String>,
    collected: &mut Collected,
) -> HashMap<(&'n str, &'n str), bool> {
    let mut concerned = HashMap::new();
    let changes = outputs::on_every_core(&news.groups, |new| {
        let old = olds.group(&new.site.name, new.model.name)?;
        let mut found = Vec::new();
        if !is_same_release(old, new) {
            let secrets = redaction::Secrets::of(None, None, names);
            found = files(old.shared(), new.shared(), &secrets);
            found.extend(images::pinned(old, new).map(|image| (Scope::Model, image)));
        }
        Some(found)
    });
    for (group, changes) in news.groups.iter().zip(changes) {
        let site = group.site.name.as_str();
        let key = (site, group.model.name);
        let changes = changes.unwrap_or_default();
        concerned.insert(key, !changes.is_empty());
        for (scope, found) in changes {
            let whose = match scope {
                Scope::Site => format!("every {} phone", group.model.vendor),
                Scope::Device | Scope::Model => format!("every {}", group.model.name),
            };
            collected.add_shared(site, &whose, found);
        }
    }
    concerned
}

/// The changes of a phone's own files; `None` for one that is not there yet.
fn own_changes(olds: &Side<'_>, new: &Phone<'_>, names: &BTreeSet<String>) -> Option<Vec<Found>> {
    let old = olds.find(new.mac)?;
    if is_same_release(old.group, new.group) && old.settings == new.settings {
        return Some(Vec::new());
    }
    let secrets = redaction::Secrets::of(
        Some((old.group, old.settings)),
        Some((new.group, new.settings)),
        names,
    );
    let files = files(
        old.group.own(old.mac, old.settings),
        new.group.own(new.mac, new.settings),
        &secrets,
    );
    let mut found: Vec<Found> = files.into_iter().map(|(_, found)| found).collect();
    found.extend(moved(&old, new));
    found.extend(images::own(&old, new));
    Some(found)
}

/// Whether what is rendered can differ by the phone's own settings alone.
fn is_same_release(old: &Group<'_>, new: &Group<'_>) -> bool {
    old.site == new.site && old.release.id == new.release.id && old.model == new.model
}

fn moved(old: &Phone<'_>, new: &Phone<'_>) -> Option<Found> {
    let place = |phone: &Phone<'_>| {
        (
            phone.group.site.name.clone(),
            phone.group.model.name.to_owned(),
        )
    };
    let (was, is) = (place(old), place(new));
    (was != is).then(|| {
        let text = format!("a {} of {} becomes a {} of {}\n", was.1, was.0, is.1, is.0);
        Found {
            key: text.clone(),
            text,
        }
    })
}

/// What differs between the files of then and now.
fn files(
    old: Vec<Output>,
    new: Vec<Output>,
    secrets: &redaction::Secrets<'_>,
) -> Vec<(Scope, Found)> {
    let mut pairs = BTreeMap::<String, (Option<Output>, Option<Output>)>::new();
    for output in old {
        let pair = pairs.entry(output.template.clone()).or_default();
        pair.0 = Some(output);
    }
    for output in new {
        let pair = pairs.entry(output.template.clone()).or_default();
        pair.1 = Some(output);
    }
    let changed = pairs.into_iter().filter_map(|(template, (old, new))| {
        let (was, is) = (text_of(old.as_ref()), text_of(new.as_ref()));
        let scope = new.as_ref().or(old.as_ref())?.scope;
        let names = (old.as_ref().map(shown_name), new.as_ref().map(shown_name));
        (was != is).then(|| (scope, unified(&template, names, &was, &is, secrets)))
    });
    changed.collect()
}

/// A phone's own file by the name that it asks for; a shared one by its template's, which tells families apart.
fn shown_name(output: &Output) -> String {
    let template = output.template.split_once('/').map(|(_, name)| name);
    match output.scope {
        Scope::Device => output.name().to_owned(),
        Scope::Model | Scope::Site => template.unwrap_or_default().to_owned(),
    }
}

/// A file that cannot be rendered is as good as the reason.
fn text_of(output: Option<&Output>) -> String {
    match output.map(|output| &output.text) {
        None => String::new(),
        Some(Ok(text)) => text.clone(),
        Some(Err(error)) => format!("(cannot be rendered: {error})\n"),
    }
}

fn unified(
    template: &str,
    names: (Option<String>, Option<String>),
    was: &str,
    is: &str,
    secrets: &redaction::Secrets<'_>,
) -> Found {
    let (was, is) = secrets.redact(was, is);
    let diff = TextDiff::from_lines(&was, &is);
    let changes = diff
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal);
    let lines: String = changes
        .map(|change| format!("{}{}", change.tag(), change.value()))
        .collect();
    let absent = || "/dev/null".to_owned();
    let (old, new) = (
        names.0.unwrap_or_else(absent),
        names.1.unwrap_or_else(absent),
    );
    let mut shown = diff.unified_diff();
    Found {
        key: format!("{template}\n{lines}"),
        text: shown
            .context_radius(2)
            .header(&old, &new)
            .to_string()
            .replace('\r', ""),
    }
}
