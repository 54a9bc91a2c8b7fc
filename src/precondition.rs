//! Conditional requests (RFC 9110 section 13), decided from what is known of a file before it is read.

use http::HeaderMap;
use http::header;

use crate::date::Date;

/// What identifies the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The strong entity tag, quotes included.
    pub etag: &'a str,
    /// When it last changed, in seconds since 1970, if that is known.
    pub modified: Option<u64>,
}

/// What the preconditions of a GET or HEAD ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// 412: a condition does not hold.
    Failed,
    /// 304: the client has it.
    NotModified,
    /// Go on.
    Proceed,
}

/// Evaluates the conditions in the order of RFC 9110 section 13.2.2 (without If-Range).
pub fn evaluate(headers: &HeaderMap, validators: Validators<'_>) -> Verdict {
    if headers.contains_key(header::IF_MATCH) {
        if !any_tag(headers, &header::IF_MATCH, |tag| tag == validators.etag) {
            return Verdict::Failed;
        }
    } else if let (Some(date), Some(modified)) = (
        date(headers, &header::IF_UNMODIFIED_SINCE),
        validators.modified,
    ) && modified > date
    {
        return Verdict::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let known = any_tag(headers, &header::IF_NONE_MATCH, |tag| {
            weak(tag) == weak(validators.etag)
        });
        return if known {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        };
    }
    match (
        date(headers, &header::IF_MODIFIED_SINCE),
        validators.modified,
    ) {
        (Some(date), Some(modified)) if modified <= date => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

/// Whether a Range header counts: If-Range is absent or names exactly this representation.
pub fn range_counts(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    let Some(condition) = headers.get(header::IF_RANGE) else {
        return true;
    };
    match condition.to_str().map(str::trim) {
        Ok(tag) if tag.starts_with('"') => tag == validators.etag,
        Ok(_) => {
            validators.modified.is_some() && date(headers, &header::IF_RANGE) == validators.modified
        }
        Err(_) => false,
    }
}

/// Whether the header is `*` or holds a tag for which `matches` holds, over all lines and lists.
fn any_tag(headers: &HeaderMap, name: &header::HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    let lines = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines.flat_map(tags).any(|tag| tag == "*" || matches(tag))
}

/// The entity tags of a list. A comma may stand inside the quotes of a tag.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim).filter(|tag| !tag.is_empty())
}

fn weak(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    Date::parse(text).map(Date::seconds)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;

    use super::Validators;
    use super::Verdict;
    use super::evaluate;
    use super::range_counts;

    const FILE: Validators<'static> = Validators {
        etag: "\"a\"",
        modified: Some(784_111_777),
    };
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn conditions() {
        for (lines, verdict) in [
            (&[][..], Verdict::Proceed),
            (&[("if-none-match", "\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "W/\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "\"b\", \"a\"")], Verdict::NotModified),
            (&[("if-none-match", "\"b,\",\"a\"")], Verdict::NotModified),
            (&[("if-none-match", "\"x,\"a\"")], Verdict::Proceed),
            (&[("if-none-match", "*")], Verdict::NotModified),
            (&[("if-none-match", "\"b\"")], Verdict::Proceed),
            (&[("if-none-match", "a")], Verdict::Proceed),
            (
                &[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")],
                Verdict::NotModified,
            ),
            (
                &[("if-none-match", "\"b\""), ("if-modified-since", THEN)],
                Verdict::Proceed,
            ),
            (&[("if-modified-since", THEN)], Verdict::NotModified),
            (
                &[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")],
                Verdict::NotModified,
            ),
            (
                &[("if-modified-since", "Sun Nov  6 08:49:37 1994")],
                Verdict::NotModified,
            ),
            (&[("if-modified-since", BEFORE)], Verdict::Proceed),
            (&[("if-modified-since", "yesterday")], Verdict::Proceed),
            (&[("if-match", "\"a\"")], Verdict::Proceed),
            (&[("if-match", "W/\"a\"")], Verdict::Failed),
            (&[("if-match", "\"b\"")], Verdict::Failed),
            (&[("if-match", "*")], Verdict::Proceed),
            (&[("if-unmodified-since", BEFORE)], Verdict::Failed),
            (&[("if-unmodified-since", THEN)], Verdict::Proceed),
        ] {
            assert_eq!(evaluate(&headers(lines), FILE), verdict, "{lines:?}");
        }
    }

    #[test]
    fn if_range() {
        for (value, counts) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            (THEN, true),
            (BEFORE, false),
            ("?", false),
        ] {
            assert_eq!(
                range_counts(&headers(&[("if-range", value)]), FILE),
                counts,
                "{value}"
            );
        }
        assert!(range_counts(&headers(&[]), FILE));
    }
}
