//! The settings file: TOML (version 1.0) whose keys are the long flags, so that each may stand in either and means the same.

use std::ffi::OsString;
use std::path::Path;

use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::error::ErrorKind;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// The flags that a file stands for, or what is wrong with it: file, line and remedy.
pub(crate) fn read(path: &Path, command: &Command) -> Result<Vec<OsString>, Vec<String>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("{shown}: {error} (--settings names another file)")])?;
    flags(&text, command).map_err(|problems| {
        let placed = problems.into_iter();
        placed
            .map(|(line, problem)| format!("{shown}:{line}: {problem}"))
            .collect()
    })
}

/// Names that a file may have, in the order of the flags.
pub(crate) fn keys(command: &Command) -> impl Iterator<Item = &str> {
    let long = command.get_arguments().filter_map(Arg::get_long);
    long.filter(|name| !["help", "settings", "version"].contains(name))
}

type Problem = (usize, String);

fn flags(text: &str, command: &Command) -> Result<Vec<OsString>, Vec<Problem>> {
    let line = |at: usize| {
        let before = text.get(..at).unwrap_or(text);
        before.matches('\n').count() + 1
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![(line(at), error.message().to_owned())]
    })?;
    let mut rows: Vec<_> = table.get_ref().iter().collect();
    rows.sort_by_key(|(key, _)| key.span().start);
    let (mut flags, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in rows {
        match flag(key.get_ref(), value, command) {
            Ok(flag) => flags.extend(flag),
            Err(problem) => problems.push((line(key.span().start), problem)),
        }
    }
    if problems.is_empty() {
        Ok(flags)
    } else {
        Err(problems)
    }
}

/// The flag of a line; none where it says `false`.
fn flag(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    command: &Command,
) -> Result<Option<OsString>, String> {
    if !keys(command).any(|known| known == key) {
        let known: Vec<&str> = keys(command).collect();
        return Err(format!("there is no `{key}`; known: {}", known.join(", ")));
    }
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(key));
    let switch = argument.is_some_and(|it| matches!(it.get_action(), ArgAction::SetTrue));
    let flag = match (value.get_ref(), switch) {
        (DeValue::Boolean(false), true) => return Ok(None),
        (DeValue::Boolean(true), true) => format!("--{key}"),
        (DeValue::String(text), false) => format!("--{key}={text}"),
        (DeValue::Integer(number), false) => format!("--{key}={number}"),
        (_, true) => return Err(format!("{key}: give true or false")),
        (_, false) => return Err(format!("{key}: give a text in quotes, or a number")),
    };
    let alone = command.clone().no_binary_name(true);
    match alone.try_get_matches_from([&flag]) {
        Err(error) if is_of_value(error.kind()) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(first.trim_start_matches("error: ").to_owned())
        }
        // What it goes together with is looked at once all of them are there.
        _ => Ok(Some(flag.into())),
    }
}

fn is_of_value(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidUtf8 | ErrorKind::InvalidValue | ErrorKind::ValueValidation
    )
}
