//! Whether a rendered file can be read at all: XML 1.0, or lines of a name and a value.

use crate::vendor::Format;

/// The line and problem of a rendered file that a phone would not read.
pub(super) fn problem(format: Format, text: &str) -> Option<(&'static str, usize, String)> {
    match format {
        Format::Xml => xml_problem(text).map(|(line, problem)| ("broken-xml", line, problem)),
        Format::KeyValue => line_problem(text, "name=value", |line| {
            line.contains('=') || line.starts_with("include ")
        }),
        Format::QuotedLines => line_problem(text, "NAME=\"value\"", |line| {
            line.split_once("=\"")
                .is_some_and(|(_, value)| value.ends_with('"'))
        }),
        Format::Plain => None,
    }
}

fn line_problem(
    text: &str,
    shape: &str,
    good: impl Fn(&str) -> bool,
) -> Option<(&'static str, usize, String)> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (index, _) = lines.into_iter().find(|(_, line)| !good(line))?;
    let problem = format!("the rendered line {} is not {shape}", index + 1);
    Some(("broken-line", index + 1, problem))
}

fn xml_problem(text: &str) -> Option<(usize, String)> {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    let problem = loop {
        use quick_xml::events::Event;
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                if let Some(problem) = attribute_problem(&element) {
                    break problem;
                }
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(element)) => {
                if let Some(problem) = attribute_problem(&element) {
                    break problem;
                }
                roots += usize::from(depth == 0);
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) if depth > 0 => break "an element is not closed".to_owned(),
            Ok(Event::Eof) if roots != 1 => break format!("{roots} root elements, not one"),
            Ok(Event::Eof) => return None,
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    let position = usize::try_from(reader.error_position().max(reader.buffer_position()))
        .unwrap_or(text.len());
    let line = 1 + text
        .bytes()
        .take(position)
        .filter(|byte| *byte == b'\n')
        .count();
    Some((line, format!("not well-formed XML: {problem}")))
}

fn attribute_problem(element: &quick_xml::events::BytesStart<'_>) -> Option<String> {
    element
        .attributes()
        .find_map(|attribute| attribute.err().map(|error| error.to_string()))
}
