//! `handset check`: renders every file of every phone, so that what a phone would suffer is found first.
//!
//! What can be found, and what to do about it, is the table of `finding.rs`.

mod directory;
mod hand_over;
mod images;
pub(super) mod lists;
mod phones;
mod rendered;
mod secrets;
mod templates;
mod well_formed;

use std::collections::BTreeMap;

use crate::device::DeviceSettings;
use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::mac::MacAddress;

/// Everything that is wrong with a fleet that compiles, the silenced findings marked.
pub fn check(fleet: &Fleet) -> Vec<Diagnostic> {
    let groups = outputs::groups(fleet);
    let mut diagnostics = Diagnostics::default();
    let shared = outputs::on_every_core(&groups, Group::shared);
    let mut sufferings = Sufferings::default();
    for (group, shared) in groups.iter().zip(&shared) {
        let place = Place::file(format!("sites/{}.toml", group.site.name));
        let whose = format!("for site {}", group.site.name);
        for problem in rendered::problems(group, shared) {
            sufferings.add(problem, &place, &whose);
        }
    }
    own_files(fleet, &groups, &shared, &mut sufferings);
    sufferings.report(&mut diagnostics);
    directory::check(fleet, &mut diagnostics);
    hand_over::check(fleet, &groups, &mut diagnostics);
    images::check(fleet, &groups, &mut diagnostics);
    phones::check(fleet, &groups, &mut diagnostics);
    secrets::check(fleet, &groups, &shared, &mut diagnostics);
    templates::check(fleet, &groups, &shared, &mut diagnostics);
    let mut found = diagnostics.into_sorted();
    found.extend(fleet.warnings.iter().cloned());
    found.sort();
    fleet.silences.apply(&mut found);
    found
}

/// What is wrong with a file, before it is known how many phones suffer from it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Problem {
    code: &'static str,
    /// The operator's file at fault; `None` where it is what is said of the phone or site.
    place: Option<Place>,
    problem: String,
    remedy: String,
}

/// One finding for all the phones that suffer from it: by whom first, and how many.
#[derive(Default)]
struct Sufferings(BTreeMap<Problem, Suffering>);

struct Suffering {
    place: Place,
    whose: String,
    count: usize,
}

impl Sufferings {
    fn add(&mut self, problem: Problem, place: &Place, whose: &str) {
        let first = problem.place.clone().unwrap_or_else(|| place.clone());
        let suffering = self.0.entry(problem).or_insert_with(|| Suffering {
            place: first,
            whose: whose.to_owned(),
            count: 0,
        });
        suffering.count += 1;
    }

    fn report(self, diagnostics: &mut Diagnostics) {
        for (problem, suffering) in self.0 {
            let more = match suffering.count {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            let text = format!("{} ({}{more})", problem.problem, suffering.whose);
            diagnostics.report(problem.code, &suffering.place, text, problem.remedy);
        }
    }
}

/// The files of each phone alone, on every core: they are most of the work.
fn own_files(
    fleet: &Fleet,
    groups: &[Group<'_>],
    shared: &[Vec<Output>],
    sufferings: &mut Sufferings,
) {
    let phones = groups.iter().zip(shared).flat_map(|(group, shared)| {
        let shared = lists::Shared::of(group, shared);
        group
            .phones
            .iter()
            .map(move |phone| (group, shared.clone(), phone))
    });
    let phones: Vec<_> = phones.collect();
    let found = outputs::on_every_core(&phones, |(group, shared, (mac, settings))| {
        of_phone(group, shared, *mac, settings)
    });
    for ((_, _, (mac, _)), problems) in phones.iter().zip(found) {
        let place = fleet.devices.get(mac).map(|(_, place)| place.clone());
        let place = place.unwrap_or_default();
        for problem in problems {
            sufferings.add(problem, &place, &format!("for {mac}"));
        }
    }
}

fn of_phone(
    group: &Group<'_>,
    shared: &lists::Shared<'_>,
    mac: MacAddress,
    settings: &DeviceSettings,
) -> Vec<Problem> {
    let own = group.own(mac, settings);
    let mut problems = rendered::problems(group, &own);
    problems.extend(lists::problems(group, shared, mac, &own));
    problems
}
