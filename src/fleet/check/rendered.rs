//! Rendered files, each by itself: whether there is one, whether a phone could read it, and how it begins and ends.

use std::collections::HashMap;

use super::Problem;
use super::well_formed;
use crate::fleet::diagnostic::Place;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::parameters;
use crate::render::RenderError;
use crate::settings;
use crate::vendor::Format;
use crate::vendor::habits;
use crate::vendor::habits::Habits;
use crate::vendor::habits::Keeps;

/// What is wrong with these files of a group.
pub(super) fn problems(group: &Group<'_>, outputs: &[Output]) -> Vec<Problem> {
    outputs
        .iter()
        .flat_map(|output| match &output.text {
            Err(error) => vec![failure(group, error)],
            Ok(text) => of_text(group, output, text),
        })
        .collect()
}

fn of_text(group: &Group<'_>, output: &Output, text: &str) -> Vec<Problem> {
    let Some(format) = group.release.templates.format(&output.template) else {
        return Vec::new();
    };
    if let Some((code, line, problem)) = well_formed::problem(format, text) {
        let remedy = "mend the template";
        return vec![at(group, &output.template, code, line, &problem, remedy)];
    }
    let Some(habits) = habits::find(group.model.vendor) else {
        return Vec::new();
    };
    let checks = [
        wrong_encoding(format, text),
        wrong_first_line(group, habits, format, text),
        unended(format, text),
        duplicate(group, habits, format, text),
    ];
    let found = checks.into_iter().flatten();
    found
        .map(|(code, line, problem, remedy)| {
            at(group, &output.template, code, line, &problem, &remedy)
        })
        .collect()
}

/// Code, line, problem and remedy.
type Fault = (&'static str, usize, String, String);

/// What we send is UTF-8, whatever the first line says.
fn wrong_encoding(format: Format, text: &str) -> Option<Fault> {
    let first = text.lines().next().filter(|_| format == Format::Xml)?;
    let (_, rest) = first.split_once("encoding=")?;
    let quote = rest.chars().next()?;
    let encoding = rest.get(1..)?.split(quote).next()?;
    let good = encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8");
    (!good).then(|| {
        let problem = format!("says that it is in {encoding}, and is in UTF-8");
        (
            "wrong-encoding",
            1,
            problem,
            "write encoding=\"utf-8\"".to_owned(),
        )
    })
}

fn wrong_first_line(
    group: &Group<'_>,
    habits: &Habits,
    format: Format,
    text: &str,
) -> Option<Fault> {
    let (wanted_format, usual) = habits.first_line?;
    let wanted = match group.model.first_line {
        "" => usual,
        own => own,
    };
    let first = text.lines().next().unwrap_or_default();
    // A shared file is read by models of either kind.
    let good = format != wanted_format || first == wanted || first == usual;
    (!good).then(|| {
        let problem = format!("begins with {first:?}");
        let remedy = format!("begin the file with {wanted:?}");
        ("first-line", 1, problem, remedy)
    })
}

fn unended(format: Format, text: &str) -> Option<Fault> {
    let lines = matches!(format, Format::KeyValue | Format::QuotedLines);
    let good = !lines || text.is_empty() || text.ends_with('\n');
    (!good).then(|| {
        let problem = "ends without a line break".to_owned();
        let remedy = "end the template with an empty line".to_owned();
        ("last-line", text.lines().count(), problem, remedy)
    })
}

/// A parameter with two values; the elements of other files' XML may repeat.
fn duplicate(group: &Group<'_>, habits: &Habits, format: Format, text: &str) -> Option<Fault> {
    let own_format = group.vendor().is_some_and(|vendor| vendor.text == format);
    let parameters = own_format.then(|| parameters::read(format, text))?;
    let mut seen = HashMap::new();
    let twice = parameters.iter().find(|parameter| {
        let first = seen.insert(parameter.name.as_str(), parameter.value.as_str());
        first.is_some_and(|first| first != parameter.value)
    })?;
    let kept = match habits.keeps {
        Keeps::First => "first",
        Keeps::Last => "last",
    };
    let lines = text.lines().enumerate();
    let at = lines.filter(|(_, line)| line.contains(&twice.name)).last();
    let problem = format!("{} stands twice with two values", twice.name);
    let remedy = format!("keep one: the phone takes the {kept}");
    let line = at.map_or(0, |(index, _)| index + 1);
    Some(("duplicate-parameter", line, problem, remedy))
}

fn failure(group: &Group<'_>, error: &RenderError) -> Problem {
    let line = error.line.unwrap_or_default();
    if error.settings.is_empty() {
        let (code, remedy) = blame(&error.problem);
        return at(group, &error.template, code, line, &error.problem, remedy);
    }
    let settings = error.settings.join(", ");
    Problem {
        code: "forbidden-character",
        place: None,
        problem: format!(
            "template {}:{line}: {} in setting {settings}",
            error.template, error.problem
        ),
        remedy: "take the character out of the value".to_owned(),
    }
}

/// The code and remedy of a failure that is no value's fault.
fn blame(problem: &str) -> (&'static str, &'static str) {
    let asks_for = |name: &str| problem.contains(&format!("`{name}` is undefined"));
    let secret = settings::SETTINGS.iter().filter(|setting| setting.secret);
    let mut hidden = secret.map(|setting| setting.name).chain(["keys", "lines"]);
    match problem {
        _ if problem.contains("bytes") => ("too-large", "shorten the value, or split the file"),
        _ if asks_for("base") => (
            "no-public-url",
            "give the site a public_url: this file needs absolute addresses",
        ),
        _ if hidden.any(asks_for) => (
            "secret-out-of-reach",
            "secrets, lines and keys are in reach of a device's own files only: put it into one of those",
        ),
        _ if problem.contains("undefined name") => (
            "template-fails",
            "set it in a layer that this file sees, or test it with `is defined`",
        ),
        _ => ("template-fails", "mend the template"),
    }
}

/// The problem, at the operator's template where there is one.
fn at(
    group: &Group<'_>,
    template: &str,
    code: &'static str,
    line: usize,
    problem: &str,
    remedy: &str,
) -> Problem {
    let record = group.release.record.templates.get(template);
    let file = record.and_then(|record| record.file.clone());
    let place = file.map(|file| Place::line(file, line));
    let shown = match line {
        _ if place.is_some() => String::new(),
        0 => format!("template {template}: "),
        line => format!("template {template}:{line}: "),
    };
    Problem {
        code,
        place,
        problem: format!("{shown}{problem}"),
        remedy: remedy.to_owned(),
    }
}
