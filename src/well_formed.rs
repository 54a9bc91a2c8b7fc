//! Whether an uploaded file is well-formed XML 1.0 (fifth edition), without a DTD and not nested too deeply.
//!
//! A phone must not lose what its user has set to a check that knows better than the phone: nothing at all is
//! fine, and so are a byte order mark, white space around the document and zeros behind it. What it deliberately
//! does not do: it builds nothing, and knows neither namespaces nor which letters beyond ASCII a name may have.

use std::collections::BinaryHeap;
use std::fmt;

/// Elements within elements; phones' own files have four.
pub const DEEPEST: usize = 64;

/// Why a file is not kept. It holds nothing of the file, and the device sees 400.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// Elements lie deeper in each other than [`DEEPEST`].
    Deep,
    /// There is a document type, or something else that only a DTD has.
    Doctype,
    /// It is in an encoding that hides its markup, or not in the one that it says.
    Encoding,
    /// It is no XML.
    Malformed,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deep => "XML that is nested too deeply",
            Self::Doctype => "XML with a DTD",
            Self::Encoding => "XML in another encoding than it says",
            Self::Malformed => "no well-formed XML",
        })
    }
}

impl std::error::Error for Flaw {}

/// Checks a whole file.
pub fn check(file: &[u8]) -> Result<(), Flaw> {
    let zeros = file.iter().rev().take_while(|byte| **byte == 0).count();
    let text = file.get(..file.len() - zeros).unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(());
    }
    if text.iter().any(|byte| *byte < b' ' && !is_space(*byte)) {
        return Err(Flaw::Malformed);
    }
    let mut scanner = Scanner {
        rest: text,
        open: Vec::new(),
        rooted: false,
    };
    if scanner.declares_utf_8()? && std::str::from_utf8(text).is_err() {
        return Err(Flaw::Encoding);
    }
    scanner.document()
}

/// What is left to look at, and the names of the elements that are open.
struct Scanner<'t> {
    rest: &'t [u8],
    open: Vec<&'t [u8]>,
    rooted: bool,
}

impl<'t> Scanner<'t> {
    /// Reads the XML declaration, if there is one.
    fn declares_utf_8(&mut self) -> Result<bool, Flaw> {
        if !self.rest.starts_with(b"<?xml") || !self.rest.get(5).is_some_and(|byte| is_space(*byte))
        {
            return Ok(true);
        }
        self.rest = self.rest.get(5..).unwrap_or_default();
        let mut encoding: &[u8] = b"utf-8";
        loop {
            let apart = self.skip_space();
            if self.take(b"?>") {
                break;
            }
            match self.attribute()? {
                (b"encoding", value) if apart => encoding = value,
                (b"version" | b"standalone", _) if apart => {}
                _ => return Err(Flaw::Malformed),
            }
        }
        let encoding = encoding.to_ascii_lowercase();
        // Bytes below 128 are ASCII in all of these, so that no markup hides.
        let others: [&[u8]; 3] = [b"iso-8859-", b"windows-125", b"us-ascii"];
        let known = others.iter().any(|other| encoding.starts_with(other));
        match encoding == b"utf-8" || known {
            true => Ok(!known),
            false => Err(Flaw::Encoding),
        }
    }

    fn document(&mut self) -> Result<(), Flaw> {
        while !self.rest.is_empty() {
            if self.take(b"<?") {
                self.instruction()?;
            } else if self.take(b"<!--") {
                self.past(b"--")?;
                self.need(b">")?;
            } else if self.take(b"<![CDATA[") {
                self.past(b"]]>")?;
                self.within()?;
            } else if self.rest.starts_with(b"<!") {
                return Err(Flaw::Doctype);
            } else if self.take(b"</") {
                self.end_tag()?;
            } else if self.take(b"<") {
                self.start_tag()?;
            } else {
                self.text()?;
            }
        }
        match self.rooted && self.open.is_empty() {
            true => Ok(()),
            false => Err(Flaw::Malformed),
        }
    }

    fn instruction(&mut self) -> Result<(), Flaw> {
        let name = self.name()?;
        let apart = self.rest.starts_with(b"?>") || self.skip_space();
        self.past(b"?>")?;
        match apart && !name.eq_ignore_ascii_case(b"xml") {
            true => Ok(()),
            false => Err(Flaw::Malformed),
        }
    }

    fn start_tag(&mut self) -> Result<(), Flaw> {
        let name = self.name()?;
        if self.open.is_empty() && std::mem::replace(&mut self.rooted, true) {
            return Err(Flaw::Malformed);
        }
        if self.open.len() >= DEEPEST {
            return Err(Flaw::Deep);
        }
        let mut attributes = BinaryHeap::new();
        loop {
            let apart = self.skip_space();
            if self.take(b"/>") {
                break;
            }
            if self.take(b">") {
                self.open.push(name);
                break;
            }
            if !apart {
                return Err(Flaw::Malformed);
            }
            attributes.push(self.attribute()?.0);
        }
        let mut last = None;
        while let Some(attribute) = attributes.pop() {
            if last.replace(attribute) == Some(attribute) {
                return Err(Flaw::Malformed);
            }
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), Flaw> {
        let name = self.name()?;
        self.skip_space();
        self.need(b">")?;
        match self.open.pop() == Some(name) {
            true => Ok(()),
            false => Err(Flaw::Malformed),
        }
    }

    /// Text up to the next markup.
    fn text(&mut self) -> Result<(), Flaw> {
        let text = self.take_while(|byte| byte != b'<');
        if text.iter().all(|byte| is_space(*byte)) {
            return Ok(());
        }
        self.within()?;
        match text.windows(3).any(|three| three == b"]]>") {
            true => Err(Flaw::Malformed),
            false => references(text),
        }
    }

    /// A name and a value in quotes.
    fn attribute(&mut self) -> Result<(&'t [u8], &'t [u8]), Flaw> {
        let name = self.name()?;
        self.skip_space();
        self.need(b"=")?;
        self.skip_space();
        let quote = match self.take(b"\"") {
            true => b'"',
            false => {
                self.need(b"'")?;
                b'\''
            }
        };
        let value = self.take_while(|byte| byte != quote && byte != b'<');
        self.need(&[quote])?;
        references(value)?;
        Ok((name, value))
    }

    fn name(&mut self) -> Result<&'t [u8], Flaw> {
        let name = self.take_while(|byte| {
            byte.is_ascii_alphanumeric() || b"_:-.".contains(&byte) || byte >= 128
        });
        let begins = |byte: &u8| !byte.is_ascii_digit() && !b"-.".contains(byte);
        name.first()
            .is_some_and(begins)
            .then_some(name)
            .ok_or(Flaw::Malformed)
    }

    /// What comes next lies within the root.
    fn within(&self) -> Result<(), Flaw> {
        match self.open.is_empty() {
            true => Err(Flaw::Malformed),
            false => Ok(()),
        }
    }

    fn skip_space(&mut self) -> bool {
        !self.take_while(is_space).is_empty()
    }

    /// Whether this comes next, which is then behind us.
    fn take(&mut self, next: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(next);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn need(&mut self, next: &[u8]) -> Result<(), Flaw> {
        match self.take(next) {
            true => Ok(()),
            false => Err(Flaw::Malformed),
        }
    }

    fn take_while(&mut self, taken: impl Fn(u8) -> bool) -> &'t [u8] {
        let end = self.rest.iter().position(|byte| !taken(*byte));
        let end = end.unwrap_or(self.rest.len());
        let (before, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        before
    }

    /// Goes behind the next `end`.
    fn past(&mut self, end: &[u8]) -> Result<(), Flaw> {
        let mut windows = self.rest.windows(end.len());
        let at = windows.position(|window| window == end);
        let rest = at.and_then(|at| self.rest.get(at + end.len()..));
        self.rest = rest.ok_or(Flaw::Malformed)?;
        Ok(())
    }
}

/// Whether every `&` begins a character's number or one of the five names that need no DTD.
fn references(text: &[u8]) -> Result<(), Flaw> {
    let mut pieces = text.split(|byte| *byte == b'&');
    let _before = pieces.next();
    for piece in pieces {
        let name = piece.split(|byte| *byte == b';').next();
        let ended = name.is_some_and(|name| name.len() < piece.len());
        if !ended || !name.is_some_and(is_reference) {
            return Err(Flaw::Malformed);
        }
    }
    Ok(())
}

fn is_reference(name: &[u8]) -> bool {
    let names: [&[u8]; 5] = [b"amp", b"lt", b"gt", b"quot", b"apos"];
    let Some(number) = name.strip_prefix(b"#") else {
        return names.contains(&name);
    };
    let (digits, radix) = match number.strip_prefix(b"x") {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let mut value = None;
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix);
        value = digit.and_then(|digit| {
            let value: u32 = value.unwrap_or_default();
            value.checked_mul(radix)?.checked_add(digit)
        });
        if value.is_none() {
            return false;
        }
    }
    let character = value.and_then(char::from_u32);
    character.is_some_and(|character| character >= ' ' || "\t\n\r".contains(character))
}

fn is_space(byte: u8) -> bool {
    b" \t\n\r".contains(&byte)
}
