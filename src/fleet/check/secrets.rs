//! Secrets in files that every phone of a site may read: by the parameter's name, and by the value.

use std::collections::HashMap;
use std::fs;

use serde_json::Value as Json;

use crate::fleet::Fleet;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::parameters;
use crate::fleet::parameters::Parameter;
use crate::settings::LINE_FIELDS;
use crate::settings::SETTINGS;
use crate::vendor::ALL;
use crate::vendor::Format;
use crate::vendor::habits;

/// Looks at what is rendered for many phones, and at the resources that are text.
pub(super) fn check(
    fleet: &Fleet,
    groups: &[Group<'_>],
    shared: &[Vec<Output>],
    diagnostics: &mut Diagnostics,
) {
    let known = Known::of(groups);
    for (group, outputs) in groups.iter().zip(shared) {
        for output in outputs {
            check_output(group, output, &known, diagnostics);
        }
    }
    for file in resources(fleet) {
        check_resource(fleet, &file, &known, diagnostics);
    }
}

/// The secrets of all devices. A short value stands in any file by chance.
struct Known<'f>(HashMap<&'f str, String>);

const SHORTEST: usize = 6;

impl<'f> Known<'f> {
    fn of(groups: &'f [Group<'_>]) -> Self {
        let mut known = HashMap::new();
        for (mac, settings) in groups.iter().flat_map(|group| &group.phones) {
            let secret = SETTINGS.iter().filter(|setting| setting.secret);
            let own = secret.filter_map(|setting| settings.settings.get(setting.name));
            let lines = settings.settings.get("lines").and_then(Json::as_array);
            let fields = LINE_FIELDS.iter().filter(|field| field.secret);
            let of_line = lines.into_iter().flatten().flat_map(|line| {
                let fields = fields.clone();
                fields.filter_map(|field| line.get(field.name))
            });
            let values = own.chain(of_line).filter_map(Json::as_str);
            for value in values.filter(|value| value.len() >= SHORTEST) {
                known.insert(value, format!("a secret of {mac}"));
            }
        }
        Self(known)
    }

    /// What makes a parameter a secret, if anything does.
    fn reason(&self, parameter: &Parameter) -> Option<&str> {
        let own = self.0.get(parameter.value.as_str()).map(String::as_str);
        let numbered = parameter
            .name
            .trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let mut names = ALL.iter().filter_map(|vendor| habits::find(vendor.name));
        let named = names.any(|habits| habits.secrets.iter().any(|end| numbered.ends_with(end)));
        let named = named && !parameter.value.is_empty();
        own.or_else(|| named.then_some("a password by its name"))
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
    for (parameter, reason) in secrets(&parameters, known) {
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
        diagnostics.report("secret-in-shared-file", &place, problem, remedy);
    }
}

fn check_resource(fleet: &Fleet, file: &str, known: &Known<'_>, diagnostics: &mut Diagnostics) {
    let Ok(text) = fs::read_to_string(fleet.directory.join(file)) else {
        return;
    };
    let format = Format::of_text(&text, Format::KeyValue);
    for (parameter, reason) in secrets(&parameters::read(format, &text), known) {
        let place = Place::line(file, line_of(&text, &parameter.name));
        let problem = format!("{} is {reason}, and resources are for all", parameter.name);
        let remedy =
            "give it to the device itself: in devices/, or in a template with {mac} in its name";
        diagnostics.report("secret-in-shared-file", &place, problem, remedy);
    }
}

fn secrets<'p>(
    parameters: &'p [Parameter],
    known: &'p Known<'_>,
) -> impl Iterator<Item = (&'p Parameter, &'p str)> {
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
