//! Silences: findings that the operator has decided to live with, and why. `[[silence]]` of `handset.toml`.

use crate::fleet::diagnostic::Diagnostic;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::suggest;
use crate::fleet::document::Section;
use crate::fleet::finding;
use crate::fleet::finding::FINDINGS;
use crate::fleet::finding::Severity;

/// Every silence of a fleet.
#[derive(Debug, Default)]
pub(super) struct Silences(Vec<Silence>);

#[derive(Debug)]
struct Silence {
    code: String,
    /// The finding's file, `*` standing for any text.
    file: Option<String>,
    /// What the finding says.
    text: Option<String>,
    reason: String,
    place: Place,
}

impl Silences {
    /// Reads the list of `handset.toml`.
    pub(super) fn read(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Self {
        let tables = section.tables("silence", diagnostics);
        let silences = tables
            .iter()
            .filter_map(|table| silence(table, diagnostics));
        Self(silences.collect())
    }

    /// Marks the findings that are silenced, and adds those about silences without use.
    pub(super) fn apply(&self, found: &mut Vec<Diagnostic>) {
        let mut used = vec![false; self.0.len()];
        for diagnostic in &mut *found {
            let mut silences = self.0.iter().zip(&mut used);
            let silence = silences.find(|(silence, _)| silence.concerns(diagnostic));
            if let Some((silence, used)) = silence {
                diagnostic.silenced = Some(silence.reason.clone());
                *used = true;
            }
        }
        let mut unused = Diagnostics::default();
        for (silence, _) in self.0.iter().zip(used).filter(|(_, used)| !used) {
            let problem = format!("silences no finding of {}", silence.code);
            unused.report("unused-silence", &silence.place, problem, "remove it");
        }
        found.extend(unused.into_sorted());
    }
}

impl Silence {
    fn concerns(&self, diagnostic: &Diagnostic) -> bool {
        let file = self.file.as_deref();
        let text = self.text.as_deref();
        self.code == diagnostic.code
            && diagnostic.severity == Severity::Warning
            && file.is_none_or(|pattern| is_like(pattern, &diagnostic.place.file))
            && text.is_none_or(|text| diagnostic.problem.contains(text))
    }
}

fn silence(table: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Silence> {
    let place = table.place();
    let code = table.required("code", "name the finding that you live with", diagnostics);
    let why = "say why: whoever comes after you has to know";
    let reason = table.required("reason", why, diagnostics);
    let file = table.text("file", diagnostics).map(|(file, _)| file);
    let text = table.text("text", diagnostics).map(|(text, _)| text);
    table.report_unknown(diagnostics);
    let ((code, code_place), (reason, reason_place)) = (code?, reason?);
    if reason.trim().is_empty() {
        diagnostics.report("bad-silence", &reason_place, "the reason is empty", why);
    }
    check_code(&code, &code_place, diagnostics)?;
    Some(Silence {
        code,
        file,
        text,
        reason,
        place,
    })
}

fn check_code(code: &str, place: &Place, diagnostics: &mut Diagnostics) -> Option<()> {
    let (problem, remedy) = match finding::find(code).map(|finding| finding.severity) {
        Some(Severity::Warning) => return Some(()),
        Some(Severity::Error) => {
            let problem = format!("{code} is an error, which cannot be silenced");
            (problem, "mend what it is about".to_owned())
        }
        None => {
            let known = FINDINGS
                .iter()
                .filter(|finding| finding.severity == Severity::Warning);
            let remedy = suggest(code, known.map(|finding| finding.code));
            (format!("unknown finding {code:?}"), remedy)
        }
    };
    diagnostics.report("bad-silence", place, problem, remedy);
    None
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter()
        .any(|at| is_like(after, rest.get(at..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("devices/a.csv", "devices/a.csv", true),
            ("devices/a.csv", "devices/b.csv", false),
            ("devices/*", "devices/b.csv", true),
            ("*.csv", "devices/b.csv", true),
            ("*/{mac}*.cfg", "templates/{mac}-x.cfg", true),
            ("*.toml", "devices/b.csv", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
