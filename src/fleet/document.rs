//! TOML documents (TOML 1.1) read with lines, so that every finding can name one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;
use toml::de::DeValue;

use crate::fleet::article;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::suggest;
use crate::fleet::sealed::Seals;

/// A document's text with the places of its lines.
#[derive(Debug)]
pub(super) struct Document<'t> {
    file: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
    seals: &'t Seals<'t>,
}

impl<'t> Document<'t> {
    /// Parses a document; what does not parse is reported, and what does is given to `read`.
    pub(super) fn read(
        file: &str,
        text: &str,
        seals: &Seals<'_>,
        diagnostics: &mut Diagnostics,
        read: impl FnOnce(&Section<'_, '_>, &mut Diagnostics),
    ) {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(index, _)| index + 1);
        let document = Document {
            file,
            text,
            line_starts: [0].into_iter().chain(breaks).collect(),
            seals,
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = document.place(&error.span().unwrap_or_default());
            let line = text.lines().nth(place.line.saturating_sub(1));
            let remedy = match line.is_some_and(article::has_curly_quote) {
                true => article::STRAIGHTEN,
                false => "see toml.io for the notation",
            };
            diagnostics.report("toml-syntax", &place, error.message(), remedy);
        }
        if errors.is_empty() {
            let section = Section::new(&document, table.get_ref(), "", table.span());
            read(&section, diagnostics);
            section.report_unknown(diagnostics);
        }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = self
            .line_starts
            .partition_point(|start| *start <= span.start);
        let start = self.line_starts.get(line.saturating_sub(1)).copied();
        let before = self.text.get(start.unwrap_or_default()..span.start);
        Place {
            file: self.file.to_owned(),
            line,
            column: before.map_or(0, |before| before.chars().count() + 1),
        }
    }
}

/// A table of a document. Keys that nobody asked for are reported at the end.
#[derive(Debug)]
pub(super) struct Section<'d, 't> {
    document: &'d Document<'d>,
    table: &'d DeTable<'t>,
    name: String,
    span: Range<usize>,
    asked: RefCell<BTreeSet<String>>,
}

/// A value with its place.
pub(super) type Found<'d, 't> = (&'d DeValue<'t>, Place);

impl<'d, 't> Section<'d, 't> {
    fn new(
        document: &'d Document<'d>,
        table: &'d DeTable<'t>,
        name: &str,
        span: Range<usize>,
    ) -> Self {
        Self {
            document,
            table,
            name: name.to_owned(),
            span,
            asked: RefCell::default(),
        }
    }

    /// What opens its secrets.
    pub(super) fn seals(&self) -> &'d Seals<'d> {
        self.document.seals
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> Place {
        self.document.place(&self.span)
    }

    /// Every entry: for tables whose keys are free.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d str, Found<'d, 't>)> {
        self.table.iter().map(|(key, value)| {
            self.asked.borrow_mut().insert(key.get_ref().to_string());
            (
                key.get_ref().as_ref(),
                (value.get_ref(), self.document.place(&key.span())),
            )
        })
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Found<'d, 't>> {
        self.asked.borrow_mut().insert(key.to_owned());
        let (key, value) = self.table.get_key_value(key)?;
        Some((value.get_ref(), self.document.place(&key.span())))
    }

    /// The text of a key.
    pub(super) fn text(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<(String, Place)> {
        let (value, place) = self.get(key)?;
        match value.as_str() {
            Some(text) => Some((text.to_owned(), place)),
            None => {
                self.wrong_type(key, value, &place, "text", diagnostics);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required(
        &self,
        key: &str,
        remedy: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<(String, Place)> {
        if self.get(key).is_none() {
            diagnostics.report(
                "missing-key",
                &self.place(),
                format!("{} is missing", self.full(key)),
                remedy,
            );
        }
        self.text(key, diagnostics)
    }

    /// A whole number of a key, not negative.
    pub(super) fn number(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<u64> {
        let (value, place) = self.get(key)?;
        let number = integer(value).and_then(|number| u64::try_from(number).ok());
        if number.is_none() {
            self.wrong_type(
                key,
                value,
                &place,
                "a whole number, not negative",
                diagnostics,
            );
        }
        number
    }

    /// Yes or no; no where nothing is said.
    pub(super) fn flag(&self, key: &str, diagnostics: &mut Diagnostics) -> bool {
        let Some((value, place)) = self.get(key) else {
            return false;
        };
        if value.as_bool().is_none() {
            self.wrong_type(key, value, &place, "true or false", diagnostics);
        }
        value.as_bool().unwrap_or(false)
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str, diagnostics: &mut Diagnostics) -> Vec<(String, Place)> {
        let Some((value, place)) = self.get(key) else {
            return Vec::new();
        };
        let items = value.as_array().map(|items| {
            items.iter().map(|item| {
                Some((
                    item.get_ref().as_str()?.to_owned(),
                    self.document.place(&item.span()),
                ))
            })
        });
        match items.and_then(Iterator::collect::<Option<Vec<_>>>) {
            Some(texts) => texts,
            None => {
                self.wrong_type(key, value, &place, "a list of texts", diagnostics);
                Vec::new()
            }
        }
    }

    /// The table of a key.
    pub(super) fn table(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        let (value, place) = self.get(key)?;
        let section = self.section(&self.full(key), value, &place);
        if section.is_none() {
            self.wrong_type(key, value, &place, "a table", diagnostics);
        }
        section
    }

    /// The tables of a list, each with its place.
    pub(super) fn tables(&self, key: &str, diagnostics: &mut Diagnostics) -> Vec<Self> {
        let Some((value, place)) = self.get(key) else {
            return Vec::new();
        };
        let sections = value.as_array().map(|items| {
            items.iter().map(|item| {
                let table = item.get_ref().as_table()?;
                Some(Self::new(
                    self.document,
                    table,
                    &self.full(key),
                    item.span(),
                ))
            })
        });
        match sections.and_then(Iterator::collect::<Option<Vec<_>>>) {
            Some(sections) => sections,
            None => {
                self.wrong_type(key, value, &place, "a list of tables", diagnostics);
                Vec::new()
            }
        }
    }

    /// A value as a table, if it is one.
    pub(super) fn section(
        &self,
        name: &str,
        value: &'d DeValue<'t>,
        place: &Place,
    ) -> Option<Self> {
        let table = value.as_table()?;
        let start = self
            .document
            .line_starts
            .get(place.line.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        Some(Self::new(self.document, table, name, start..start))
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn report_unknown(&self, diagnostics: &mut Diagnostics) {
        let asked = self.asked.borrow();
        for key in self
            .table
            .keys()
            .filter(|key| !asked.contains(key.get_ref().as_ref()))
        {
            let place = self.document.place(&key.span());
            let name = key.get_ref().as_ref();
            let problem = format!("unknown key {:?}", self.full(name));
            diagnostics.report(
                "unknown-key",
                &place,
                problem,
                suggest(name, asked.iter().map(String::as_str)),
            );
        }
    }

    fn wrong_type(
        &self,
        key: &str,
        value: &DeValue<'_>,
        place: &Place,
        wanted: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let given = integer(value).map_or_else(|| kind(value), |number| number.to_string());
        let problem = format!("{} is {given}, not {wanted}", self.full(key));
        diagnostics.report(
            "wrong-type",
            place,
            problem,
            format!("give {} as {wanted}", self.full(key)),
        );
    }

    /// The name of a key, with the tables that it stands in.
    pub(super) fn full(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// A whole number, in any base.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// What a value is, with its article.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value.type_str() {
        "string" => "text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        other => format!("a {other}"),
    }
}
