//! How phones read files: as strictly as they do, with the line of what they would not take.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;

/// An element: its path below the root, its attributes and its text.
#[derive(Clone, Debug, Default)]
pub(super) struct Element {
    /// Names from the root on, joined by slashes.
    pub(super) path: String,
    /// Attributes in order.
    pub(super) attributes: Vec<(String, String)>,
    /// Text directly in it, trimmed.
    pub(super) text: String,
}

impl Element {
    /// The last name of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Deeper nesting is no configuration.
const DEEPEST: usize = 32;

/// Reads XML whole, or says why the phone would not.
pub(super) fn xml(bytes: &[u8]) -> Result<Vec<Element>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    let mut open: Vec<usize> = Vec::new();
    let mut elements: Vec<Element> = Vec::new();
    loop {
        let event = reader.read_event();
        let line = || line_of(text, reader.error_position());
        match event.map_err(|error| format!("line {}: {error}", line()))? {
            Event::Start(start) => {
                let index = push(&mut elements, &open, &start)?;
                open.push(index);
            }
            Event::Empty(start) => drop(push(&mut elements, &open, &start)?),
            Event::End(_) => drop(open.pop()),
            Event::Text(content) => add_text(&mut elements, &open, &content)?,
            Event::CData(content) => add_text(&mut elements, &open, &content)?,
            Event::GeneralRef(reference) => {
                let reference = format!("&{};", &*reference);
                let resolved =
                    quick_xml::escape::unescape(&reference).map_err(|error| error.to_string())?;
                add_text(&mut elements, &open, &resolved)?;
            }
            Event::Eof if !open.is_empty() => {
                return Err("the file ends within an element".to_owned());
            }
            Event::Eof if elements.is_empty() => {
                return Err("no element: at least one tag must be there".to_owned());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    for element in &mut elements {
        element.text = element.text.trim().to_owned();
    }
    Ok(elements)
}

fn push(
    elements: &mut Vec<Element>,
    open: &[usize],
    start: &BytesStart<'_>,
) -> Result<usize, String> {
    let name = start.name().as_ref().to_owned();
    if open.len() >= DEEPEST {
        return Err(format!("{name}: nested too deep"));
    }
    let parent = open.last().and_then(|index| elements.get(*index));
    let path = match parent {
        Some(parent) => format!("{}/{name}", parent.path),
        None if elements.is_empty() => name,
        None => return Err(format!("{name}: a second root element")),
    };
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("{path}: {error}"))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| format!("{path}: {error}"))?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    elements.push(Element {
        path,
        attributes,
        text: String::new(),
    });
    Ok(elements.len() - 1)
}

fn add_text(elements: &mut [Element], open: &[usize], text: &str) -> Result<(), String> {
    match open.last().and_then(|index| elements.get_mut(*index)) {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside of the root element".to_owned()),
    }
    Ok(())
}

fn line_of(text: &str, position: u64) -> usize {
    let position = usize::try_from(position).unwrap_or(text.len());
    1 + text
        .bytes()
        .take(position)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// Values by name, and the files to include.
type KeyValues = (Vec<(String, String)>, Vec<String>);

/// Reads `name=value` lines; `include FILE` lines come back apart.
pub(super) fn key_values(bytes: &[u8]) -> Result<KeyValues, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut values = Vec::new();
    let mut includes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
            continue;
        }
        if let Some(file) = line.strip_prefix("include ") {
            includes.push(file.trim().to_owned());
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {}: no name=value", index + 1))?;
        values.push((name.to_owned(), value.to_owned()));
    }
    Ok((values, includes))
}

/// Longest line and largest file of Panasonic's standard format.
const LONGEST_LINE: usize = 537;
const LARGEST_FILE: usize = 120 * 1024;

/// Reads Panasonic's standard format: first line, CRLF, `NAME="value"`, an empty line at the end.
pub(super) fn quoted_lines(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    if bytes.len() > LARGEST_FILE {
        return Err(format!(
            "{} bytes, the phone takes {LARGEST_FILE}",
            bytes.len()
        ));
    }
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return Err("lines must end in CR LF".to_owned());
    }
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    if !matches!(
        first,
        "# Panasonic SIP Phone Standard Format File #" | "# PCC Standard Format File #"
    ) {
        return Err(format!(
            "line 1: {first:?} is not the first line of the standard format"
        ));
    }
    if !text.ends_with("\r\n\r\n") {
        return Err("the file must end with an empty line".to_owned());
    }
    let mut values = Vec::new();
    for (index, line) in lines
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let at = |problem: &str| format!("line {}: {problem}", index + 2);
        if line.len() > LONGEST_LINE {
            return Err(at("longer than 537 bytes"));
        }
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| at("no NAME=\"value\""))?;
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        let value = value
            .filter(|value| !value.contains('"'))
            .ok_or_else(|| at("the value is not in quotes"))?;
        values.push((name.to_owned(), value.to_owned()));
    }
    Ok(values)
}

/// The elements with text, by their path below the root.
pub(super) fn leaves(elements: &[Element]) -> BTreeMap<String, String> {
    let leaves = elements.iter().filter(|element| !element.text.is_empty());
    leaves
        .map(|element| {
            let below = element.path.split_once('/').map_or("", |(_, below)| below);
            (below.to_owned(), element.text.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::key_values;
    use super::quoted_lines;
    use super::xml;

    #[test]
    fn what_a_phone_would_not_read() {
        for text in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a b=c/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a b=”1”/>",
            "<!–x–><a/>",
            "x<a/>",
            "<a>&nope;</a>",
        ] {
            assert!(xml(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(
            xml(b"<a b='x&#10;&lt;y'><c>d&amp;e</c></a>").unwrap()[1].text,
            "d&e"
        );
        for text in [
            "A=\"1\"\r\n\r\n",
            "# Panasonic SIP Phone Standard Format File #\nA=\"1\"\n\n",
            "# Panasonic SIP Phone Standard Format File #\r\nA=1\r\n\r\n",
            "# Panasonic SIP Phone Standard Format File #\r\nA=\"1\"\r\n",
        ] {
            assert!(quoted_lines(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(key_values(b"a=1\nb\n").is_err());
    }
}
