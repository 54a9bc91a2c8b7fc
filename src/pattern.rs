//! Patterns of file names: what a file rule matches, holes such as `{mac}` and `{model}` included.

use std::borrow::Cow;
use std::fmt;

use crate::mac::MacAddress;
use crate::path::RequestPath;

/// A file name with holes, matched against the last segments of a request path.
///
/// Literal text matches without regard to ASCII case: phones and the Windows servers they were written
/// against disagree about it. `{mac}` and `{MAC}` match a hardware address in any spelling without
/// spaces or dots, `{part_number}` a Polycom part number (`3111-46157-002`); `{model}`, `{version}` and
/// `{name}` match any text.
///
/// Invariants: no empty segment; every hole is known; at most one hole of any length in a segment, so
/// that matching takes linear time.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pattern {
    text: String,
    segments: Vec<Vec<Token>>,
}

impl Pattern {
    /// Reads a pattern, `dir/name-{mac}.cfg`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let segments = text
            .split('/')
            .map(parse_segment)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// What the holes hold if the last segments of `path` match, else `None`.
    pub fn capture<'p>(&self, path: &'p RequestPath) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let mut segments = path.segments().rev();
        for tokens in self.segments.iter().rev() {
            let segment = segments.next()?;
            ends_as(tokens, segment).then_some(())?;
            match_tokens(tokens, segment, &mut captures)?;
        }
        Some(captures)
    }

    /// Whether a name holds the device's hardware address.
    pub fn has_mac(&self) -> bool {
        self.holds(|hole| hole == Hole::Mac)
    }

    /// Whether a name holds the model, or its part number.
    pub fn has_model(&self) -> bool {
        self.holds(|hole| matches!(hole, Hole::Model | Hole::PartNumber))
    }

    /// How many literal characters and segments it asks for: the more, the more specific.
    pub fn specificity(&self) -> usize {
        let literals = self.segments.iter().flatten().map(|token| match token {
            Token::Literal(text) => text.len(),
            Token::Hole(Hole::Mac | Hole::PartNumber) => 12,
            Token::Hole(_) => 0,
        });
        literals.sum::<usize>() + 64 * (self.segments.len() - 1)
    }

    fn holds(&self, wanted: impl Fn(Hole) -> bool) -> bool {
        self.segments
            .iter()
            .flatten()
            .any(|token| matches!(token, Token::Hole(hole) if wanted(*hole)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the holes of a pattern held in a request path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Captures<'p> {
    /// `{mac}`: the device that the file is for.
    pub mac: Option<MacAddress>,
    /// `{model}`, as spelled in the request.
    pub model: Option<&'p str>,
    /// `{name}`: any text.
    pub name: Option<&'p str>,
    /// `{part_number}`: two groups of four and five digits, and one of three.
    pub part_number: Option<&'p str>,
    /// `{version}`: any text.
    pub version: Option<&'p str>,
}

impl Captures<'_> {
    /// `template` with its holes filled; a hole that captured nothing stays as it is.
    pub fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some((literal, after)) = rest.split_once('{') {
            text.push_str(literal);
            let (hole, after) = after.split_once('}').unwrap_or((after, ""));
            match self.value(hole) {
                Some(value) => text.push_str(&value),
                None => text.extend(["{", hole, "}"]),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }

    fn value(&self, hole: &str) -> Option<Cow<'_, str>> {
        match hole {
            "MAC" => self.mac.map(|mac| mac.upper().into()),
            "mac" => self.mac.map(|mac| mac.to_string().into()),
            "model" => self.model.map(Cow::from),
            "name" => self.name.map(Cow::from),
            "part_number" => self.part_number.map(Cow::from),
            "version" => self.version.map(Cow::from),
            _ => None,
        }
    }
}

/// Why a text is no pattern; `check` shows it with the template's or resource's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PatternError {
    /// An empty segment: `//`, or a slash at an end.
    EmptySegment,
    /// Two holes of any length in one segment.
    TwoHoles,
    /// A `{` without its `}`, or the other way around.
    Unbalanced,
    /// A hole that is not `{mac}`, `{MAC}`, `{model}`, `{name}`, `{part_number}` or `{version}`.
    UnknownHole(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptySegment => f.write_str("an empty directory or file name"),
            Self::TwoHoles => f.write_str("more than one of {model}, {name}, {version} in a name"),
            Self::Unbalanced => f.write_str("a brace without its counterpart"),
            Self::UnknownHole(hole) => {
                write!(
                    f,
                    "unknown hole {{{hole}}} (known: mac, MAC, model, name, part_number, version)"
                )
            }
        }
    }
}

impl std::error::Error for PatternError {}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Token {
    Hole(Hole),
    Literal(String),
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Hole {
    Mac,
    Model,
    Name,
    PartNumber,
    Version,
}

fn parse_segment(segment: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut rest = segment;
    while let Some((literal, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}').ok_or(PatternError::Unbalanced)?;
        push_literal(&mut tokens, literal)?;
        tokens.push(Token::Hole(parse_hole(hole)?));
        rest = after;
    }
    push_literal(&mut tokens, rest)?;
    let open =
        |token: &&Token| matches!(token, Token::Hole(Hole::Model | Hole::Name | Hole::Version));
    match (tokens.is_empty(), tokens.iter().filter(open).count()) {
        (true, _) => Err(PatternError::EmptySegment),
        (_, 0 | 1) => Ok(tokens),
        _ => Err(PatternError::TwoHoles),
    }
}

fn push_literal(tokens: &mut Vec<Token>, text: &str) -> Result<(), PatternError> {
    if text.contains(['{', '}']) {
        return Err(PatternError::Unbalanced);
    }
    if !text.is_empty() {
        tokens.push(Token::Literal(text.to_owned()));
    }
    Ok(())
}

fn parse_hole(name: &str) -> Result<Hole, PatternError> {
    Ok(match name {
        "MAC" | "mac" => Hole::Mac,
        "model" => Hole::Model,
        "name" => Hole::Name,
        "part_number" => Hole::PartNumber,
        "version" => Hole::Version,
        other => return Err(PatternError::UnknownHole(other.to_owned())),
    })
}

/// Most names differ at their end, which is cheaper to compare than an address is to read.
fn ends_as(tokens: &[Token], text: &str) -> bool {
    let Some(Token::Literal(literal)) = tokens.last() else {
        return true;
    };
    let end = text
        .len()
        .checked_sub(literal.len())
        .and_then(|start| text.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(literal))
}

fn match_tokens<'p>(tokens: &[Token], text: &'p str, captures: &mut Captures<'p>) -> Option<()> {
    let Some((token, rest)) = tokens.split_first() else {
        return text.is_empty().then_some(());
    };
    match token {
        Token::Literal(literal) => match_tokens(rest, strip_literal(text, literal)?, captures),
        Token::Hole(Hole::Mac) => [12, 17].into_iter().find_map(|length| {
            let (mac, after) = text.split_at_checked(length)?;
            let mac = mac.parse().ok()?;
            match_rest(rest, after, captures, |c| agree(&mut c.mac, mac))
        }),
        Token::Hole(Hole::PartNumber) => {
            let (number, after) = text.split_at_checked(14)?;
            is_part_number(number).then_some(())?;
            match_rest(rest, after, captures, |c| agree(&mut c.part_number, number))
        }
        Token::Hole(open) => (1..=text.len()).rev().find_map(|length| {
            let (value, after) = text.split_at_checked(length)?;
            match_rest(rest, after, captures, |c| agree(slot(c, *open), value))
        }),
    }
}

/// Fills a hole and matches on; on failure the captures are as before.
fn match_rest<'p>(
    rest: &[Token],
    after: &'p str,
    captures: &mut Captures<'p>,
    fill: impl Fn(&mut Captures<'p>) -> Option<()>,
) -> Option<()> {
    if let Some(Token::Literal(literal)) = rest.first() {
        strip_literal(after, literal)?;
    }
    let mut attempt = captures.clone();
    fill(&mut attempt)?;
    match_tokens(rest, after, &mut attempt)?;
    *captures = attempt;
    Some(())
}

fn slot<'c, 'p>(captures: &'c mut Captures<'p>, hole: Hole) -> &'c mut Option<&'p str> {
    match hole {
        Hole::Model => &mut captures.model,
        Hole::Version => &mut captures.version,
        Hole::Mac | Hole::Name | Hole::PartNumber => &mut captures.name,
    }
}

/// A hole that stands twice must hold the same twice.
fn agree<T: PartialEq>(slot: &mut Option<T>, value: T) -> Option<()> {
    match slot {
        Some(earlier) => (*earlier == value).then_some(()),
        None => {
            *slot = Some(value);
            Some(())
        }
    }
}

fn strip_literal<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(literal.len())?;
    start.eq_ignore_ascii_case(literal).then_some(rest)
}

fn is_part_number(text: &str) -> bool {
    text.bytes().enumerate().all(|(index, byte)| match index {
        4 | 10 => byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use super::PatternError;
    use crate::path::RequestPath;

    #[test]
    fn patterns_match() {
        for (pattern, path, filled) in [
            (
                "{mac}-phone.cfg",
                "0004f28062d6-phone.cfg",
                Some("0004f28062d6"),
            ),
            (
                "{mac}-phone.cfg",
                "a/b/0004F28062D6-PHONE.cfg",
                Some("0004f28062d6"),
            ),
            (
                "{mac}-phone.cfg",
                "00-04-f2-80-62-d6-phone.cfg",
                Some("0004f28062d6"),
            ),
            ("{mac}.cfg", "000000000000.cfg", None),
            ("{mac}.cfg", "0004f28062d6.cfg.bak", None),
            ("{mac}.cfg", "x0004f28062d6.cfg", None),
            ("shared.cfg", "Shared.CFG", Some("")),
            ("ut/ConfigCommon.cfg", "ConfigCommon.cfg", None),
            ("ut/ConfigCommon.cfg", "x/ut/ConfigCommon.cfg", Some("")),
            (
                "{part_number}.sip.ld",
                "3111-46157-002.sip.ld",
                Some("3111-46157-002"),
            ),
            (
                "{part_number}.{part_number}.sip.ld",
                "3111-46157-002.3111-46157-002.sip.ld",
                Some("3111-46157-002"),
            ),
            (
                "{part_number}.{part_number}.sip.ld",
                "3111-46157-002.3111-46157-003.sip.ld",
                None,
            ),
            (
                "{model}_{mac}_conf.cfg",
                "440HD_001122334455_conf.cfg",
                Some("001122334455440HD"),
            ),
            (
                "firmware/{version}/{name}.img",
                "firmware/2.2.8/420HD.img",
                Some("420HD2.2.8"),
            ),
            ("{name}.img", ".img", None),
            ("{name}.img", "é.img", Some("é")),
        ] {
            let path = RequestPath::parse(path).unwrap();
            let captures = Pattern::parse(pattern).unwrap().capture(&path);
            let filled_in = captures.map(|c| {
                let holes = [c.part_number, c.model, c.name, c.version]
                    .into_iter()
                    .flatten();
                let mac = c.mac.map(|mac| mac.to_string()).unwrap_or_default();
                holes.fold(mac, |text, hole| text + hole)
            });
            assert_eq!(filled_in.as_deref(), filled, "{pattern} on {path}");
        }
    }

    #[test]
    fn broken_patterns_are_named() {
        for (pattern, error) in [
            ("", PatternError::EmptySegment),
            ("a//b", PatternError::EmptySegment),
            ("{mac", PatternError::Unbalanced),
            ("mac}", PatternError::Unbalanced),
            ("{Mac}.cfg", PatternError::UnknownHole("Mac".to_owned())),
            ("{model}-{name}", PatternError::TwoHoles),
        ] {
            assert_eq!(Pattern::parse(pattern), Err(error), "{pattern}");
        }
    }

    #[test]
    fn a_long_name_takes_linear_time() {
        let path = RequestPath::parse(&"a".repeat(255)).unwrap();
        let pattern = Pattern::parse("{name}-{mac}.cfg").unwrap();
        assert_eq!((0..10_000).find_map(|_| pattern.capture(&path)), None);
    }
}
