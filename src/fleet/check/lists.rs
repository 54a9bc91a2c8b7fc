//! Lists of files in master files: how long they are, whether what they name is there, and which of two
//! values a phone keeps that reads the files in this order.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use super::Problem;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::outputs::Scope;
use crate::fleet::parameters;
use crate::fleet::parameters::Parameter;
use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::vendor::FileKind;
use crate::vendor::Source;
use crate::vendor::habits;
use crate::vendor::habits::Habits;
use crate::vendor::habits::Hole;
use crate::vendor::habits::Keeps;
use crate::vendor::habits::List;

/// A group's shared files, read once for all of its phones.
#[derive(Clone)]
pub(super) struct Shared<'f>(Arc<Vec<(&'f Output, Vec<Parameter>)>>);

impl<'f> Shared<'f> {
    /// Reads a group's shared files.
    pub(super) fn of(group: &Group<'_>, outputs: &'f [Output]) -> Self {
        Self(Arc::new(
            outputs
                .iter()
                .map(|output| (output, read(group, output)))
                .collect(),
        ))
    }
}

/// What is wrong with the lists that this phone reads.
pub(super) fn problems(
    group: &Group<'_>,
    shared: &Shared<'_>,
    mac: MacAddress,
    own: &[Output],
) -> Vec<Problem> {
    let Some(habits) = habits::find(group.model.vendor) else {
        return Vec::new();
    };
    let own: Vec<_> = own
        .iter()
        .map(|output| (output, read(group, output)))
        .collect();
    let files: Vec<_> = own.iter().chain(shared.0.iter()).collect();
    let is_master = |(output, _): &&&(&Output, _)| output.kind == FileKind::MasterConfiguration;
    let Some((master, parameters)) = files.iter().find(is_master) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for list in habits.lists {
        let Some(value) = value_of(group, list, parameters) else {
            continue;
        };
        let names = names(value);
        problems.extend(lengths(list, value, &names).map(|fault| in_master(group, master, fault)));
        if list.configuration {
            let asked: Vec<String> = names
                .iter()
                .map(|name| fill(group, habits, mac, name))
                .collect();
            let missing = asked
                .iter()
                .zip(&names)
                .filter(|(asked, _)| !is_there(group, &files, asked));
            problems.extend(missing.map(|(_, name)| in_master(group, master, missing_file(name))));
            problems.extend(lost(habits, &files, &asked));
        }
    }
    problems
}

/// The parameters that this phone takes from the files its master lists, each with the value that it keeps.
pub(in crate::fleet) fn kept(
    group: &Group<'_>,
    mac: MacAddress,
    outputs: &[Output],
) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let Some(habits) = habits::find(group.model.vendor) else {
        return kept;
    };
    let files: Vec<_> = outputs
        .iter()
        .map(|output| (output, read(group, output)))
        .collect();
    let is_master = |(output, _): &&(&Output, _)| output.kind == FileKind::MasterConfiguration;
    let master = files.iter().find(is_master);
    let lists = habits.lists.iter().filter(|list| list.configuration);
    let values =
        lists.filter_map(|list| master.and_then(|(_, found)| value_of(group, list, found)));
    let asked: Vec<String> = values
        .flat_map(names)
        .map(|name| fill(group, habits, mac, name))
        .collect();
    let find = |name: &String| files.iter().find(|(output, _)| output.is_named(name));
    let mut read: Vec<_> = asked.iter().filter_map(find).collect();
    if habits.keeps == Keeps::Last {
        read.reverse();
    }
    for parameter in read.into_iter().flat_map(|(_, parameters)| parameters) {
        kept.entry(parameter.name.clone())
            .or_insert_with(|| parameter.value.clone());
    }
    kept
}

/// Code, problem, remedy.
type Fault = (&'static str, String, &'static str);

/// A model's own list goes before the one for all.
fn value_of<'p>(group: &Group<'_>, list: &List, parameters: &'p [Parameter]) -> Option<&'p str> {
    let own = format!("{}_{}", list.attribute, token(group));
    let value = |name: &str| parameters.iter().find(|parameter| parameter.name == name);
    let found = value(&own).or_else(|| value(list.attribute))?;
    Some(&found.value)
}

fn names(list: &str) -> Vec<&str> {
    let names = list.split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

fn lengths(list: &List, value: &str, names: &[&str]) -> impl Iterator<Item = Fault> {
    let (name, most) = (list.attribute, list.longest);
    let whole = value.chars().count();
    let long = names.iter().map(|name| name.chars().count()).max();
    let long = long.filter(|long| *long > list.longest_name);
    let whole = (whole > most).then(|| {
        let problem = format!("{name} has {whole} characters, the phone reads {most}");
        (
            "list-too-long",
            problem,
            "name fewer files, or shorter ones",
        )
    });
    let most = list.longest_name;
    let long = long.map(|long| {
        let problem = format!("a name in {name} has {long} characters, the phone reads {most}");
        ("name-too-long", problem, "shorten the name")
    });
    whole.into_iter().chain(long)
}

fn missing_file(name: &str) -> Fault {
    let problem = format!("names {name}, which nobody serves");
    let remedy = "add a template or resource of that name, or take it out of the list";
    ("listed-file-missing", problem, remedy)
}

/// At the operator's master, or at the site that the built-in one is made for.
fn in_master(
    group: &Group<'_>,
    master: &Output,
    (code, problem, remedy): (&'static str, String, &str),
) -> Problem {
    let record = group.release.record.templates.get(&master.template);
    let file = record.and_then(|record| record.file.clone());
    let site = || format!("sites/{}.toml", group.site.name);
    let shared = master.scope < Scope::Device;
    Problem {
        code,
        place: file.or_else(|| shared.then(site)).map(Place::file),
        problem: format!("the master file {}: {problem}", master.name()),
        remedy: remedy.to_owned(),
    }
}

/// A name as this phone asks for it.
fn fill(group: &Group<'_>, habits: &Habits, mac: MacAddress, name: &str) -> String {
    let holes = habits.holes.iter();
    holes.fold(name.to_owned(), |name, (text, hole)| {
        let value = match hole {
            Hole::Mac => mac.to_string(),
            Hole::Model => token(group),
            Hole::PartNumber => {
                let number = group.model.image.split('.').next();
                number.unwrap_or_default().to_owned()
            }
        };
        name.replace(text, &value)
    })
}

/// The model as master files spell it.
fn token(group: &Group<'_>) -> String {
    group.model.user_agent.replace('_', "")
}

/// Whether the server has an answer to this name; another server's addresses are its own affair.
fn is_there(group: &Group<'_>, files: &[&(&Output, Vec<Parameter>)], name: &str) -> bool {
    let name = name.trim_start_matches(['.', '/']);
    let rendered = || files.iter().any(|(output, _)| output.is_named(name));
    let stored = || {
        let path = RequestPath::parse(name).ok();
        let rules = path.as_ref().map(|path| group.release.matching(path));
        let mut sources = rules.iter().flatten().flat_map(|(rule, _)| &rule.sources);
        let template = |source: &Source<String>| match source {
            Source::Template(template) => !template.contains("{family}"),
            Source::Upload | Source::NamedResource(_) => true,
            _ => false,
        };
        sources.any(template)
    };
    name.contains("://") || rendered() || group.release.resource(name).is_some() || stored()
}

/// Parameters of the phone's own file that another file takes away.
fn lost(habits: &Habits, files: &[&(&Output, Vec<Parameter>)], asked: &[String]) -> Vec<Problem> {
    let find = |name: &String| files.iter().find(|(output, _)| output.is_named(name));
    let mut read: Vec<_> = asked.iter().filter_map(find).collect();
    if habits.keeps == Keeps::Last {
        read.reverse();
    }
    let mut kept = HashMap::new();
    let mut lost = Vec::new();
    for (output, parameters) in read {
        for parameter in parameters {
            let (winner, value) = *kept
                .entry(parameter.name.as_str())
                .or_insert((*output, parameter.value.as_str()));
            if value != parameter.value && winner.scope < output.scope {
                lost.push(lost_parameter(&parameter.name, winner, output));
            }
        }
    }
    lost
}

fn lost_parameter(name: &str, winner: &Output, loser: &Output) -> Problem {
    let whose = match loser.scope {
        Scope::Device => "the phone's own",
        Scope::Model | Scope::Site => "the model's",
    };
    Problem {
        code: "lost-parameter",
        place: None,
        problem: format!(
            "{name} of {whose} {} is lost: {} is read before it and gives another value",
            pattern(loser),
            pattern(winner)
        ),
        remedy: format!("name {} first in the list", pattern(loser)),
    }
}

/// The file's name for all phones alike, so that what many suffer from is one finding.
fn pattern(output: &Output) -> &str {
    let name = output.template.split_once('/');
    name.map_or(&output.template, |(_, name)| name)
}

fn read(group: &Group<'_>, output: &Output) -> Vec<Parameter> {
    let format = group.release.templates.format(&output.template);
    match (&output.text, format) {
        (Ok(text), Some(format)) => parameters::read(format, text),
        _ => Vec::new(),
    }
}
