//! File names as phones write them into requests: bytes, with slashes of either kind and what follows by mistake.

use std::fmt;

/// The name of a file, relative to the root of what is served.
///
/// Invariants: segments are joined by single slashes, with none leading or trailing; no segment is empty, `.` or
/// `..`, or longer than 255 bytes; no control character, no back-slash. It need not be UTF-8.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FileName(Vec<u8>);

/// Why a name names no file; the client gets error 2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileNameError {
    /// A segment `..`.
    Climbs,
    /// Nothing but slashes, spaces and control characters.
    Empty,
    /// More than 512 bytes, or a segment of more than 255.
    TooLong,
}

impl FileName {
    const LONGEST: usize = 512;
    const LONGEST_SEGMENT: usize = 255;

    /// Reads what a request names.
    ///
    /// Phones differ in what they put before and after it: slashes, a drive's back-slashes, a line end or a space
    /// from the list that they read the name in. A control character ends the name.
    pub fn parse(raw: &[u8]) -> Result<Self, FileNameError> {
        if raw.len() > Self::LONGEST {
            return Err(FileNameError::TooLong);
        }
        let text = raw.split(u8::is_ascii_control).next().unwrap_or_default();
        let mut name = Vec::with_capacity(text.len());
        for segment in text.trim_ascii().split(|byte| matches!(byte, b'/' | b'\\')) {
            match segment {
                b"" | b"." => continue,
                b".." => return Err(FileNameError::Climbs),
                long if long.len() > Self::LONGEST_SEGMENT => return Err(FileNameError::TooLong),
                segment => push_segment(&mut name, segment),
            }
        }
        if name.is_empty() {
            return Err(FileNameError::Empty);
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as part of a URL's path (RFC 3986 section 3.3). It is appended to one and never resolved against it,
    /// for then `//host/` would leave the server.
    pub fn url_path(&self) -> String {
        let mut path = String::with_capacity(self.0.len() + 16);
        for byte in &self.0 {
            match byte {
                b'/' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(*byte)),
                plain if plain.is_ascii_alphanumeric() => path.push(char::from(*plain)),
                other => path.push_str(&format!("%{other:02X}")),
            }
        }
        path
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Display for FileNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Climbs => "the file name climbs out of its directory",
            Self::Empty => "the file name is empty",
            Self::TooLong => "the file name is too long",
        })
    }
}

impl std::error::Error for FileNameError {}

fn push_segment(name: &mut Vec<u8>, segment: &[u8]) {
    if !name.is_empty() {
        name.push(b'/');
    }
    name.extend_from_slice(segment);
}

#[cfg(test)]
mod tests {
    use super::FileName;
    use super::FileNameError;

    #[test]
    fn names_are_cleaned() {
        for (raw, expected) in [
            (&b"sip.ld"[..], Ok("sip.ld")),
            (b"/sip.ld", Ok("sip.ld")),
            (b"//host/x", Ok("host/x")),
            (b"http://host/x", Ok("http%3A/host/x")),
            (b"\\Communicator\\x.cnf", Ok("Communicator/x.cnf")),
            (b"./a//b/./c", Ok("a/b/c")),
            (b"OS79XX.TXT ", Ok("OS79XX.TXT")),
            (b"P0S3.loads\r\nrubbish", Ok("P0S3.loads")),
            (b"a b?c=d#e%41", Ok("a%20b%3Fc%3Dd%23e%2541")),
            (b"\xe9t\xe9.cfg", Ok("%E9t%E9.cfg")),
            (b"..cfg", Ok("..cfg")),
            (b"", Err(FileNameError::Empty)),
            (b" / ", Err(FileNameError::Empty)),
            (b"\x01x", Err(FileNameError::Empty)),
            (b"..", Err(FileNameError::Climbs)),
            (b"a/../b", Err(FileNameError::Climbs)),
            (b"..\\..\\boot.ini", Err(FileNameError::Climbs)),
            (&[b'a'; 256], Err(FileNameError::TooLong)),
            (&[b'/'; 513], Err(FileNameError::TooLong)),
        ] {
            let name = FileName::parse(raw).map(|name| name.url_path());
            let shown = raw.escape_ascii();
            assert_eq!(name.as_deref().map_err(|error| *error), expected, "{shown}");
        }
    }
}
