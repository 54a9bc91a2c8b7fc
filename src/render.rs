//! Rendering: template and variables to the text that a phone reads. Same input, same bytes.
//!
//! What this deliberately does not do: no time, no randomness, no files; a template sees what it is
//! given. Values are escaped by the format of the file, so that no value can add a setting.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;

use minijinja::AutoEscape;
use minijinja::Environment;
use minijinja::ErrorKind;
use minijinja::Output;
use minijinja::State;
use minijinja::UndefinedBehavior;
use minijinja::filters;
use minijinja::functions;
use minijinja::syntax::SyntaxConfig;
use minijinja::tests;

use crate::map::Map;
use crate::release::TemplateRecord;
use crate::variables::Variables;
use crate::vendor::Format;

/// The templates of a release, parsed.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    formats: Arc<Map<Format>>,
}

impl Templates {
    /// Parses templates, by name.
    pub fn parse(records: &Map<TemplateRecord>) -> Result<Self, RenderError> {
        let mut formats = Map::default();
        for (name, record) in records {
            formats.insert(name.clone(), record.format);
        }
        let formats = Arc::new(formats);
        let mut environment = language();
        #[cfg(feature = "diagnostics")]
        environment.set_debug(true);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SYNTAX.clone());
        environment.set_formatter(write_value);
        let by_name = formats.clone();
        environment.set_auto_escape_callback(move |name| escape_of(by_name.get(name)));
        for (name, record) in records {
            let added = environment.add_template_owned(name.clone(), record.text.clone());
            added.map_err(|error| RenderError::of_template(name, &error))?;
        }
        Ok(Self {
            environment,
            formats,
        })
    }

    /// Whether there is a template of this name.
    pub fn has(&self, name: &str) -> bool {
        self.formats.contains_key(name)
    }

    /// How values are written into a template.
    pub fn format(&self, name: &str) -> Option<Format> {
        self.formats.get(name).copied()
    }

    /// Renders a template.
    pub fn render(&self, name: &str, variables: &Variables) -> Result<String, RenderError> {
        let template = self.environment.get_template(name);
        let template = template.map_err(|error| RenderError::of_template(name, &error))?;
        let format = self.formats.get(name).copied().unwrap_or(Format::Xml);
        let text = template.render(variables.root()).map_err(|error| {
            let mut error = RenderError::of_template(name, &error);
            error.settings = variables.settings_where(|text| format.forbids(text));
            error
        })?;
        finish(name, format, text)
    }
}

/// Jinja as templates may use it. Filters that mark a value as escaped are not among it, so that no template
/// can write one unescaped; nor are those that no configuration needs, for they would be most of what a
/// Worker's bundle has to spare.
fn language() -> Environment<'static> {
    let mut language = Environment::empty();
    language.add_filter("abs", filters::abs);
    language.add_filter("capitalize", filters::capitalize);
    language.add_filter("default", filters::default);
    language.add_filter("first", filters::first);
    language.add_filter("format", filters::format);
    language.add_filter("int", filters::int);
    language.add_filter("items", filters::items);
    language.add_filter("join", filters::join);
    language.add_filter("last", filters::last);
    language.add_filter("length", filters::length);
    language.add_filter("list", filters::list);
    language.add_filter("lower", filters::lower);
    language.add_filter("map", filters::map);
    language.add_filter("max", filters::max);
    language.add_filter("min", filters::min);
    language.add_filter("reject", filters::reject);
    language.add_filter("rejectattr", filters::rejectattr);
    language.add_filter("replace", filters::replace);
    language.add_filter("reverse", filters::reverse);
    language.add_filter("select", filters::select);
    language.add_filter("selectattr", filters::selectattr);
    language.add_filter("sort", filters::sort);
    language.add_filter("split", filters::split);
    language.add_filter("string", filters::string);
    language.add_filter("trim", filters::trim);
    language.add_filter("unique", filters::unique);
    language.add_filter("upper", filters::upper);
    add_tests(&mut language);
    language.add_function("dict", functions::dict);
    language.add_function("namespace", functions::namespace);
    language.add_function("range", functions::range);
    language
}

fn add_tests(language: &mut Environment<'_>) {
    language.add_test("defined", tests::is_defined);
    language.add_test("divisibleby", tests::is_divisibleby);
    language.add_test("endingwith", tests::is_endingwith);
    language.add_test("eq", tests::is_eq);
    language.add_test("even", tests::is_even);
    language.add_test("false", tests::is_false);
    language.add_test("ge", tests::is_ge);
    language.add_test("gt", tests::is_gt);
    language.add_test("in", tests::is_in);
    language.add_test("le", tests::is_le);
    language.add_test("lt", tests::is_lt);
    language.add_test("mapping", tests::is_mapping);
    language.add_test("ne", tests::is_ne);
    language.add_test("none", tests::is_none);
    language.add_test("number", tests::is_number);
    language.add_test("odd", tests::is_odd);
    language.add_test("sequence", tests::is_sequence);
    language.add_test("startingwith", tests::is_startingwith);
    language.add_test("string", tests::is_string);
    language.add_test("true", tests::is_true);
    language.add_test("undefined", tests::is_undefined);
}

/// A template that does not parse, or could not be rendered. The device sees 500.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RenderError {
    /// The template, `vendor/name`.
    pub template: String,
    /// The line, from 1, in the template; for an over-long line, in the rendered file.
    pub line: Option<usize>,
    /// What is wrong, without any value.
    pub problem: String,
    /// Settings with a character that the format cannot hold, where that was the problem.
    pub settings: Vec<String>,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "templates/{}", self.template)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.settings.is_empty() {
            write!(f, " in setting {}", self.settings.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for RenderError {}

impl RenderError {
    fn of_template(name: &str, error: &minijinja::Error) -> Self {
        let error = innermost(error);
        let name = error.name().unwrap_or(name);
        let problem = match error.kind() {
            ErrorKind::UndefinedError => undefined_problem(error),
            ErrorKind::InvalidOperation | ErrorKind::SyntaxError | ErrorKind::TemplateNotFound => {
                error
                    .detail()
                    .map(str::to_owned)
                    .unwrap_or_else(|| error.kind().to_string())
            }
            other => other.to_string(),
        };
        Self {
            template: name.to_owned(),
            line: error.line(),
            problem,
            settings: Vec::new(),
        }
    }

    fn of_output(name: &str, line: Option<usize>, problem: String) -> Self {
        Self {
            template: name.to_owned(),
            line,
            problem,
            settings: Vec::new(),
        }
    }
}

/// Longest line of Panasonic's standard format, in bytes without its end.
const LONGEST_LINE: usize = 537;
/// Largest file of Panasonic's standard format that every model reads.
const LARGEST_FILE: usize = 120 * 1024;

impl Format {
    /// The format of a file that begins so: XML where it looks like that, else the vendor's text.
    pub fn of_text(text: &str, otherwise: Self) -> Self {
        if text.trim_start().starts_with('<') {
            Self::Xml
        } else {
            otherwise
        }
    }

    /// Whether a value cannot be written in this format.
    pub fn forbids(self, text: &str) -> bool {
        match self {
            Self::KeyValue => text.contains(['\r', '\n', '\0']),
            Self::Plain => text.contains('\0'),
            Self::QuotedLines => text.contains(['\r', '\n', '\0', '"']),
            Self::Xml => !is_xml(text),
        }
    }

    /// The media type that a rendered file is sent with.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::KeyValue | Self::Plain | Self::QuotedLines => "text/plain; charset=utf-8",
            Self::Xml => "text/xml; charset=utf-8",
        }
    }

    /// The format of text that a template escapes for.
    fn word(self) -> &'static str {
        match self {
            Self::KeyValue => "key-value",
            Self::Plain => "plain",
            Self::QuotedLines => "quoted-lines",
            Self::Xml => "xml",
        }
    }
}

/// Templates are written one statement a line; the statements leave no trace.
static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    syntax.unwrap_or_default()
});

fn escape_of(format: Option<&Format>) -> AutoEscape {
    match format {
        None | Some(Format::Xml) => AutoEscape::Html,
        Some(other) => AutoEscape::Custom(other.word().into()),
    }
}

fn write_value(
    out: &mut Output,
    state: &mut State,
    value: &minijinja::Value,
) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Err(minijinja::Error::from(ErrorKind::UndefinedError));
    }
    let format = match state.auto_escape() {
        AutoEscape::Custom(word) if word == Format::KeyValue.word() => Format::KeyValue,
        AutoEscape::Custom(word) if word == Format::Plain.word() => Format::Plain,
        AutoEscape::Custom(_) => Format::QuotedLines,
        _ => Format::Xml,
    };
    let written = if value.is_safe() {
        out.write_str(value.as_str().unwrap_or_default())
    } else if let Some(text) = value.as_str() {
        return write_text(out, format, text);
    } else {
        write!(out, "{value}")
    };
    written.map_err(minijinja::Error::from)
}

fn write_text(out: &mut Output, format: Format, text: &str) -> Result<(), minijinja::Error> {
    if format.forbids(text) {
        return Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            forbidden(format),
        ));
    }
    let written = match format {
        Format::Xml => write_xml(out, text),
        Format::KeyValue | Format::Plain | Format::QuotedLines => out.write_str(text),
    };
    written.map_err(minijinja::Error::from)
}

fn forbidden(format: Format) -> &'static str {
    match format {
        Format::KeyValue => "a line break or NUL, which would begin another setting,",
        Format::Plain => "NUL",
        Format::QuotedLines => "a quote, a line break or NUL, which would begin another setting,",
        Format::Xml => "a character that XML 1.0 forbids",
    }
}

/// Escapes for attribute values and text alike: white space too, which a reader would turn into blanks.
fn write_xml(out: &mut Output, text: &str) -> fmt::Result {
    let mut written = 0;
    // By bytes: what is escaped is ASCII, and a certificate has thousands of characters that are not.
    for (place, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b' ' | b'('..=b';' | b'?'.. => continue,
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            b'\t' => "&#9;",
            b'\n' => "&#10;",
            b'\r' => "&#13;",
            _ => continue,
        };
        out.write_str(text.get(written..place).unwrap_or_default())?;
        out.write_str(escaped)?;
        written = place + 1;
    }
    out.write_str(text.get(written..).unwrap_or_default())
}

/// XML 1.0 section 2.2: whether all characters may stand in a document. Those outside of it begin with one
/// of few bytes.
fn is_xml(text: &str) -> bool {
    let sure = |byte: u8| byte >= b' ' && byte != 0xEF || matches!(byte, b'\t' | b'\n' | b'\r');
    text.bytes().all(sure) || text.chars().all(is_xml_character)
}

fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What the whole file must obey.
fn finish(name: &str, format: Format, text: String) -> Result<String, RenderError> {
    if format != Format::QuotedLines {
        return Ok(text);
    }
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    if text.len() > LARGEST_FILE {
        let problem = format!(
            "the file has {} bytes, the phone takes {LARGEST_FILE}",
            text.len()
        );
        return Err(RenderError::of_output(name, None, problem));
    }
    match text
        .split("\r\n")
        .position(|line| line.len() > LONGEST_LINE)
    {
        None => Ok(text),
        Some(index) => {
            let problem = format!("the rendered line is over {LONGEST_LINE} bytes");
            Err(RenderError::of_output(name, Some(index + 1), problem))
        }
    }
}

/// What went wrong in an included part is the source of what went wrong where it is included.
fn innermost(error: &minijinja::Error) -> &minijinja::Error {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref())
        .map_or(error, innermost)
}

fn undefined_problem(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("undefined name: {detail}"),
        None => "undefined name".to_owned(),
    }
}
