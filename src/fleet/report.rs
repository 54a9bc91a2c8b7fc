//! Findings for people, for programs (JSON) and for code hosts (SARIF 2.1.0).

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::finding;
use crate::fleet::finding::Severity;

/// How many findings there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// What cannot be served.
    pub errors: usize,
    /// What is probably not meant.
    pub warnings: usize,
    /// What the operator lives with.
    pub silenced: usize,
}

/// Counts findings.
pub fn counts(found: &[Diagnostic]) -> Counts {
    let mut counts = Counts::default();
    for diagnostic in found {
        let count = match (&diagnostic.silenced, diagnostic.severity) {
            (Some(_), _) => &mut counts.silenced,
            (None, Severity::Error) => &mut counts.errors,
            (None, Severity::Warning) => &mut counts.warnings,
        };
        *count += 1;
    }
    counts
}

/// For people, silenced findings counted but not shown; with the colours of a terminal if asked.
pub fn text(found: &[Diagnostic], colour: bool) -> String {
    let mut text = String::new();
    for diagnostic in found.iter().filter(|found| found.silenced.is_none()) {
        let shown = diagnostic.to_string();
        let _ = match (colour, shown.split_once(':')) {
            (true, Some((severity, rest))) => {
                let code = colour_of(diagnostic.severity);
                writeln!(text, "\u{1b}[{code}m{severity}\u{1b}[0m:{rest}")
            }
            _ => writeln!(text, "{shown}"),
        };
    }
    let counts = counts(found);
    if counts != Counts::default() {
        let _ = writeln!(text, "{}", summary(counts));
    }
    text
}

fn summary(counts: Counts) -> String {
    let several = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let errors = several(counts.errors, "error");
    let warnings = several(counts.warnings, "warning");
    match counts.silenced {
        0 => format!("{errors}, {warnings}"),
        silenced => format!("{errors}, {warnings}, {silenced} silenced"),
    }
}

/// Bold red and bold yellow (ECMA-48, section 8.3.117).
fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
    }
}

/// A list of findings, the silenced ones with their reason.
pub fn json(found: &[Diagnostic]) -> Json {
    let entry = |diagnostic: &Diagnostic| {
        json!({
            "code": diagnostic.code,
            "severity": diagnostic.severity.word(),
            "file": diagnostic.place.file,
            "line": diagnostic.place.line,
            "column": diagnostic.place.column,
            "problem": diagnostic.problem,
            "remedy": diagnostic.remedy,
            "silenced": diagnostic.silenced,
        })
    };
    found.iter().map(entry).collect()
}

/// One run of a static analysis tool: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/>.
pub fn sarif(found: &[Diagnostic]) -> Json {
    let codes: BTreeSet<&str> = found.iter().map(|diagnostic| diagnostic.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let rules: Vec<Json> = codes.iter().map(|code| rule(code)).collect();
    let results = found.iter().map(|diagnostic| result(diagnostic, &codes));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "handset check",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<Json>>(),
        }],
    })
}

fn rule(code: &str) -> Json {
    let Some(finding) = finding::find(code) else {
        return json!({"id": code});
    };
    json!({
        "id": code,
        "shortDescription": {"text": finding.title},
        "fullDescription": {"text": finding.why},
        "help": {"text": finding.remedy},
        "defaultConfiguration": {"level": finding.severity.word()},
    })
}

fn result(diagnostic: &Diagnostic, codes: &[&str]) -> Json {
    let text = match diagnostic.remedy.as_str() {
        "" => diagnostic.problem.clone(),
        remedy => format!("{}. Remedy: {remedy}", diagnostic.problem),
    };
    let mut location = Map::new();
    let file = json!({"uri": uri(&diagnostic.place.file)});
    location.insert("artifactLocation".to_owned(), file);
    location.extend(region(diagnostic).map(|region| ("region".to_owned(), region)));
    let suppression = |reason| json!([{"kind": "external", "justification": reason}]);
    let suppressions = diagnostic.silenced.as_ref().map(suppression);
    let mut result = Map::new();
    for (name, value) in [
        ("ruleId", Some(json!(diagnostic.code))),
        (
            "ruleIndex",
            codes.binary_search(&diagnostic.code).ok().map(Json::from),
        ),
        ("level", Some(json!(diagnostic.severity.word()))),
        ("message", Some(json!({"text": text}))),
        ("locations", Some(json!([{"physicalLocation": location}]))),
        ("suppressions", suppressions),
    ] {
        result.extend(value.map(|value| (name.to_owned(), value)));
    }
    Json::Object(result)
}

fn region(diagnostic: &Diagnostic) -> Option<Json> {
    let place = &diagnostic.place;
    match (place.line, place.column) {
        (0, _) => None,
        (line, 0) => Some(json!({"startLine": line})),
        (line, column) => Some(json!({"startLine": line, "startColumn": column})),
    }
}

/// A relative reference (RFC 3986): what stands for itself stays, as template names hold braces.
fn uri(file: &str) -> String {
    let mut uri = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
