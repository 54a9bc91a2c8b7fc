//! The parameters of a rendered file: names and values, with their lines.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;

use crate::vendor::Format;

/// A name with a value, as a phone reads it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Parameter {
    /// Its name: an attribute's, an element's or a line's.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// Every parameter of a file in its order; of a broken one, those before the fault.
pub(super) fn read(format: Format, text: &str) -> Vec<Parameter> {
    match format {
        Format::KeyValue | Format::QuotedLines => text.lines().filter_map(of_line).collect(),
        Format::Plain => Vec::new(),
        Format::Xml => of_xml(text),
    }
}

fn of_line(line: &str) -> Option<Parameter> {
    let (name, value) = line.split_once('=')?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    (!name.starts_with('#')).then(|| Parameter {
        name: name.trim().to_owned(),
        value: quoted.unwrap_or(value).to_owned(),
    })
}

fn of_xml(text: &str) -> Vec<Parameter> {
    let mut reader = Reader::from_str(text);
    let mut found = Vec::new();
    let mut element = String::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                attributes(&start, &mut found);
                element = start.name().as_ref().to_owned();
            }
            Ok(Event::Empty(start)) => attributes(&start, &mut found),
            Ok(Event::Text(content)) if !content.trim().is_empty() => found.push(Parameter {
                name: element.clone(),
                value: content.trim().to_owned(),
            }),
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn attributes(start: &BytesStart<'_>, found: &mut Vec<Parameter>) {
    for attribute in start.attributes().flatten() {
        let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0) else {
            continue;
        };
        found.push(Parameter {
            name: attribute.key.as_ref().to_owned(),
            value: value.into_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::vendor::Format;

    #[test]
    fn every_format_has_parameters() {
        for (format, text) in [
            (Format::KeyValue, "# c=d\na=1\nb=x=y\n"),
            (
                Format::QuotedLines,
                "# c=\"d\"\r\n\r\na=\"1\"\r\nb=\"x=y\"\r\n",
            ),
            (
                Format::Xml,
                "<?xml version=\"1.0\"?><r a=\"1\"><b>x=y</b></r>",
            ),
            (Format::Xml, "<r a=\"1\"><s b=\"x=y\"/><broken"),
        ] {
            let found = read(format, text);
            let found: Vec<_> = found.iter().map(|p| (&*p.name, &*p.value)).collect();
            assert_eq!(found, [("a", "1"), ("b", "x=y")], "{text}");
        }
    }
}
