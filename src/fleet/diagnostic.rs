//! What is wrong with a fleet directory: the file, the line, the problem and what to do about it.

use std::fmt;

use crate::fleet::finding;
use crate::fleet::finding::Severity;

/// One finding.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// Its row of the table of findings.
    pub code: &'static str,
    /// Whether nothing can be served before it is mended.
    pub severity: Severity,
    /// The operator's reason to live with it.
    pub silenced: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.word();
        write!(
            f,
            "{severity}: {}: {} [{}]",
            self.place, self.problem, self.code
        )?;
        if !self.remedy.is_empty() {
            write!(f, "\n  remedy: {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Findings as they come in; all are reported at once.
#[derive(Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a finding of this code, with what to do about this one in particular.
    pub fn report(
        &mut self,
        code: &'static str,
        place: &Place,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        debug_assert!(finding::find(code).is_some(), "{code} is in no table");
        self.0.push(Diagnostic {
            place: place.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
            code,
            severity: finding::find(code).map_or(Severity::Error, |finding| finding.severity),
            silenced: None,
        });
    }

    /// Whether an error is among them.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, by file and line, each once.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

/// Where something stands.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file, relative to the fleet directory.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The character in the line, from 1; 0 for the line as a whole.
    pub column: usize,
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            ..Self::default()
        }
    }

    /// A line as a whole.
    pub fn line(file: impl Into<String>, line: usize) -> Self {
        Self {
            file: file.into(),
            line,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column] {
            if number == 0 {
                break;
            }
            write!(f, ":{number}")?;
        }
        Ok(())
    }
}

/// "did you mean" for a misspelt word, or the list of what is known.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None if known.clone().next().is_none() => "there is none yet".to_owned(),
        None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The known word that is the fewest edits away, if they are few for its length.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.len() / 4;
    let distances = known.map(|candidate| (distance(word, candidate), candidate));
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two words (Levenshtein), without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, c) in one.to_lowercase().chars().enumerate() {
        let mut next = vec![index + 1];
        for (pair, known) in row.windows(2).zip(&other) {
            let [diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            next.push(
                (diagonal + usize::from(c != *known))
                    .min(above + 1)
                    .min(left + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;
    use super::suggest;

    #[test]
    fn misspelt_words_are_recognised() {
        assert_eq!(distance("sip_sever", "sip_server"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(
            suggest("sip_sever", ["sip_port", "sip_server"].into_iter()),
            "did you mean \"sip_server\"?"
        );
        assert_eq!(suggest("zzzzzz", ["a", "b"].into_iter()), "known: a, b");
    }
}
