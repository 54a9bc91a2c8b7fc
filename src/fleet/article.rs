//! What comes of pasting articles: quotation marks and dashes that a web page made of plain ones.

/// What to do about a quotation mark.
pub const STRAIGHTEN: &str = "type straight quotes (\"): these are an article's";

/// What to do about a dash.
const UNDASH: &str = "type two hyphens (--) where the article shows a dash";

/// Something pasted: its code, where in the line (characters, from 1), what is wrong and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pasted {
    /// A finding's code.
    pub code: &'static str,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What stands in a line of a settings file, device table or template and came from an article.
pub fn pasted(line: &str) -> Option<Pasted> {
    let dash = DASHES
        .iter()
        .find_map(|mark| Some((line.find(mark)?, mark)));
    if let Some((at, mark)) = dash {
        let problem = format!("{mark:?} holds a dash where hyphens must stand");
        return Some(found("article-dash", line, at, problem, UNDASH));
    }
    let at = around_a_value(line)?;
    let mark = line.get(at..)?.chars().next()?;
    let problem = format!("{mark} stands where a value begins or ends");
    Some(found("curly-quote", line, at, problem, STRAIGHTEN))
}

/// Whether a line that could not be read holds such a mark.
pub fn has_curly_quote(line: &str) -> bool {
    line.contains(QUOTES)
}

fn found(
    code: &'static str,
    line: &str,
    at: usize,
    problem: String,
    remedy: &'static str,
) -> Pasted {
    let before = line.get(..at).unwrap_or_default();
    Pasted {
        code,
        column: before.chars().count() + 1,
        problem,
        remedy,
    }
}

/// Where a mark stands as the first or the last of a value; within a text it is a person's.
fn around_a_value(line: &str) -> Option<usize> {
    let marks = line.match_indices(QUOTES);
    let opens = |before: &str| before.trim_end().ends_with(['=', '"', ',', '\'']);
    let closes = |after: &str| {
        let after = after.trim_start();
        after.is_empty() || after.starts_with(['"', ',', '\'', '/', '>'])
    };
    marks
        .map(|(at, mark)| (at, at + mark.len()))
        .find(|(start, end)| {
            let before = line.get(..*start).unwrap_or_default();
            let after = line.get(*end..).unwrap_or_default();
            before.is_empty() || opens(before) || closes(after) && before.contains('=')
        })
        .map(|(start, _)| start)
}

/// Quotation marks, and the primes that the article has in their place.
const QUOTES: [char; 6] = ['“', '”', '„', '″', '‟', '〃'];

const DASHES: &[&str] = &[
    "<!–",
    "<!—",
    "–>",
    "—>",
    "–BEGIN ",
    "—BEGIN ",
    "–END ",
    "—END ",
];

#[cfg(test)]
mod tests {
    use super::pasted;

    #[test]
    fn lines_of_the_article() {
        for (line, expected) in [
            (
                "<LYNC reg.1.auth.usePinCredentials=”0″/>",
                Some(("curly-quote", 36)),
            ),
            ("CONFIG_FILES=”shared.cfg”", Some(("curly-quote", 14))),
            (
                "<!–UCS Device Configuration file for Lync–>",
                Some(("article-dash", 1)),
            ),
            (
                "ca_certificate = \"—–BEGIN CERTIFICATE—–\"",
                Some(("article-dash", 20)),
            ),
            ("label = \"”Reception”\"", Some(("curly-quote", 10))),
            ("0004f2000001,s,VVX 400,“Ann”", Some(("curly-quote", 24))),
            ("label = \"The “big” room\"", None),
            ("<!-- The “big” room -->", None),
            ("a = \"b\"", None),
        ] {
            let found = pasted(line).map(|pasted| (pasted.code, pasted.column));
            assert_eq!(found, expected, "{line}");
        }
    }
}
