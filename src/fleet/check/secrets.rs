//! Secrets in files that every phone of a site may read: by the parameter's name, and by the value.

use std::collections::HashMap;
use std::fs;

use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::parameters;
use crate::fleet::parameters::Parameter;
use crate::fleet::redaction;
use crate::settings::Settings;
use crate::vendor::Format;
use crate::vendor::habits;

/// Looks at what is rendered for many phones, and at the resources that are text.
pub(super) fn check(
    fleet: &Fleet,
    groups: &[Group<'_>],
    shared: &[Vec<Output>],
    diagnostics: &mut Diagnostics,
) {
    let known = Known::of(fleet, groups);
    for (group, outputs) in groups.iter().zip(shared) {
        for output in outputs {
            check_output(group, output, &known, diagnostics);
        }
    }
    for file in resources(fleet) {
        check_resource(fleet, &file, &known, diagnostics);
    }
}

/// The secrets of all devices, and of the layers above them. A short value stands in any file by chance.
struct Known<'f> {
    values: HashMap<String, String>,
    fleet: &'f Fleet,
}

const SHORTEST: usize = 6;

impl<'f> Known<'f> {
    fn of(fleet: &'f Fleet, groups: &[Group<'_>]) -> Self {
        let mut known = HashMap::new();
        let mut enter = |layer: &Settings, whose: &str| {
            for value in redaction::values(layer).filter(|value| value.len() >= SHORTEST) {
                known.insert(value, format!("a secret of {whose}"));
            }
        };
        for group in groups {
            let record = &group.release.record;
            enter(&record.deployment.settings, "handset.toml");
            enter(&record.tenant.settings, "its tenant");
            enter(&group.site.layer.settings, &group.site.name);
            if let Some(settings) = group.model.settings {
                enter(settings, group.model.name);
            }
            for (mac, device) in &group.phones {
                enter(&device.settings, &mac.to_string());
            }
        }
        Self {
            values: known,
            fleet,
        }
    }

    /// What makes a parameter a secret, if anything does, and the finding that it is.
    fn reason(&self, parameter: &Parameter) -> Option<(&str, &'static str)> {
        let own = self.values.get(&parameter.value).map(String::as_str);
        let sealed = self.fleet.sealed_parameters.contains(&parameter.name);
        let named = (sealed || habits::is_secret(&parameter.name)) && !parameter.value.is_empty();
        own.map(|own| (own, "secret-setting-shared"))
            .or_else(|| named.then_some(("a password by its name", "secret-in-shared-file")))
    }
}

fn check_output(
    group: &Group<'_>,
    output: &Output,
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) {
    let record = group.release.record.templates.get(&output.template);
    let (Ok(text), Some(record)) = (&output.text, record) else {
        return;
    };
    let site = format!("sites/{}.toml", group.site.name);
    let parameters = parameters::read(record.format, text);
    for (parameter, (reason, code)) in secrets(&parameters, known) {
        let place = match &record.file {
            Some(file) => Place::line(file, line_of(&record.text, &parameter.name)),
            None => Place::file(&site),
        };
        let name = &parameter.name;
        let problem = format!(
            "{} gives {name}, {reason}, to every phone that asks",
            output.name()
        );
        let remedy =
            "give it to the device itself: in devices/, or in a template with {mac} in its name";
        diagnostics.report(code, &place, problem, remedy);
    }
}

fn check_resource(fleet: &Fleet, file: &str, known: &Known<'_>, diagnostics: &mut Diagnostics) {
    let Ok(text) = fs::read_to_string(fleet.directory.join(file)) else {
        return;
    };
    let format = Format::of_text(&text, Format::KeyValue);
    for (parameter, (reason, code)) in secrets(&parameters::read(format, &text), known) {
        let place = Place::line(file, line_of(&text, &parameter.name));
        let problem = format!("{} is {reason}, and resources are for all", parameter.name);
        let remedy =
            "give it to the device itself: in devices/, or in a template with {mac} in its name";
        diagnostics.report(code, &place, problem, remedy);
    }
}

fn secrets<'p>(
    parameters: &'p [Parameter],
    known: &'p Known<'_>,
) -> impl Iterator<Item = (&'p Parameter, (&'p str, &'static str))> {
    parameters
        .iter()
        .filter_map(|parameter| Some((parameter, known.reason(parameter)?)))
}

/// The line that names a parameter; 0 if none does.
fn line_of(text: &str, name: &str) -> usize {
    let place = text.lines().position(|line| line.contains(name));
    place.map_or(0, |index| index + 1)
}

/// Resources for all phones that may be text; one with a phone's address in its name is that phone's.
fn resources(fleet: &Fleet) -> Vec<String> {
    let text = [".cfg", ".conf", ".csv", ".txt", ".xml"];
    let sources = fleet.snapshot.files.values();
    let small = sources.filter(|source| source.length <= 1 << 20);
    let files = small.filter_map(|source| {
        let file = source.path.strip_prefix(&fleet.directory).ok()?;
        Some(file.to_str()?.replace('\\', "/"))
    });
    let shared = |file: &String| {
        let own = file.to_ascii_lowercase();
        own.contains("resources/")
            && !own.contains("{mac}")
            && text.iter().any(|end| own.ends_with(end))
    };
    let mut files: Vec<String> = files.filter(shared).collect();
    files.sort();
    files
}
