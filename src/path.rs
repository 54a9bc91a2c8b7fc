//! Request paths (RFC 3986 section 3.3), decoded and cleaned once, before anything looks at them.

use std::fmt;

/// The path of a request, relative to the root of the server.
///
/// Invariants: percent-decoded exactly once and valid UTF-8; segments are joined by single slashes,
/// with none leading or trailing; no segment is empty, `.` or `..`, longer than 255 bytes, or holds a
/// control character, a slash or a back-slash; at most [`RequestPath::SEGMENTS`] segments.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestPath(String);

impl RequestPath {
    /// Site, key, doubled prefixes, four directories and a name fit well within this.
    pub const SEGMENTS: usize = 16;
    const LONGEST_PATH: usize = 2048;
    const LONGEST_SEGMENT: usize = 255;

    /// Reads a request target's path: `//` and `./` collapse, a query must be cut off before.
    pub fn parse(target: &str) -> Result<Self, PathError> {
        if target.len() > Self::LONGEST_PATH {
            return Err(PathError::TooLong);
        }
        let mut clean = String::with_capacity(target.len());
        let mut segments = 0;
        for raw in target
            .split('/')
            .filter(|segment| !matches!(*segment, "" | "."))
        {
            segments += 1;
            if segments > Self::SEGMENTS {
                return Err(PathError::TooDeep);
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            push_segment(&mut clean, raw)?;
        }
        if clean.is_empty() || target.ends_with('/') {
            return Err(PathError::NoName);
        }
        Ok(Self(clean))
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, first to last; there is at least one.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/')
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// How many directories stand before the name.
    pub fn depth(&self) -> usize {
        self.segments().count() - 1
    }

    /// The path below its first segment, if that is `prefix` and something follows.
    pub fn below(&self, prefix: &str) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix)?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// Its first directory and the path below it; `None` if it is a name alone.
    pub fn split_first(&self) -> Option<(&str, Self)> {
        let (first, rest) = self.0.split_once('/')?;
        Some((first, Self(rest.to_owned())))
    }

    /// The path with directories that stand twice in a row taken once: `a/b/a/b/name` is `a/b/name`.
    ///
    /// A phone that is given a path with a leading slash appends it to the server's path.
    pub fn collapsed(&self) -> Self {
        let Some((directories, name)) = self.0.rsplit_once('/') else {
            return self.clone();
        };
        let parts: Vec<&str> = directories.split('/').collect();
        let (first, second) = parts.split_at(parts.len() / 2);
        if first != second {
            return self.clone();
        }
        Self(format!("{}/{name}", first.join("/")))
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a request path cannot name a file. The device sees 404.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PathError {
    /// A control character, a back-slash, an encoded slash or a broken percent-encoding.
    Character,
    /// A segment `..`, plain or encoded.
    Climbs,
    /// It ends in a slash, or there is nothing in it.
    NoName,
    /// More directories than any phone asks for.
    TooDeep,
    /// A segment over 255 bytes, or the path over 2,048.
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "the path holds a character that no file name has",
            Self::Climbs => "the path climbs out of its directory",
            Self::NoName => "the path names a directory, not a file",
            Self::TooDeep => "the path has too many directories",
            Self::TooLong => "the path is too long",
        })
    }
}

impl std::error::Error for PathError {}

/// Percent-decodes any text once; `None` where an encoding is broken or the result is no UTF-8.
pub fn percent_decode(raw: &str) -> Option<String> {
    if !raw.contains('%') {
        return Some(raw.to_owned());
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn push_segment(clean: &mut String, raw: &str) -> Result<(), PathError> {
    let start = clean.len();
    clean.push_str(&percent_decode(raw).ok_or(PathError::Character)?);
    let segment = clean.get(start..).unwrap_or_default();
    if segment == ".." || segment == "." {
        return Err(PathError::Climbs);
    }
    if segment.len() > RequestPath::LONGEST_SEGMENT {
        return Err(PathError::TooLong);
    }
    if segment
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '\\'))
    {
        return Err(PathError::Character);
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::PathError;
    use super::RequestPath;

    #[test]
    fn clean_paths() {
        for (target, clean) in [
            ("/shared.cfg", "shared.cfg"),
            ("//lync///shared.cfg", "lync/shared.cfg"),
            ("/lync/./logs/x.log", "lync/logs/x.log"),
            ("/a%20b%28c%2Cd%29.rom", "a b(c,d).rom"),
            (
                "/T54W(T57W,T53W)-96.87.0.15.rom",
                "T54W(T57W,T53W)-96.87.0.15.rom",
            ),
            ("/caf%C3%A9.cfg", "café.cfg"),
            ("/%252e%252e/x", "%2e%2e/x"),
            (
                "/firmwarefiles;ipp/dhcpoption160.cfg",
                "firmwarefiles;ipp/dhcpoption160.cfg",
            ),
        ] {
            assert_eq!(
                RequestPath::parse(target).unwrap().as_str(),
                clean,
                "{target}"
            );
        }
    }

    #[test]
    fn hostile_paths() {
        let deep = "/a".repeat(RequestPath::SEGMENTS + 1);
        let long = format!("/{}", "a".repeat(256));
        let longer = "/abc".repeat(1000);
        for (target, error) in [
            ("/../etc/passwd", PathError::Climbs),
            ("/%2e%2e/etc/passwd", PathError::Climbs),
            ("/a/.%2E/b", PathError::Climbs),
            ("/%2e/x", PathError::Climbs),
            ("/a%00.cfg", PathError::Character),
            ("/a%0d%0aSet-Cookie", PathError::Character),
            ("/a\\b", PathError::Character),
            ("/a%5cb", PathError::Character),
            ("/a%2fb", PathError::Character),
            ("/a%2", PathError::Character),
            ("/a%zz", PathError::Character),
            ("/%ff", PathError::Character),
            ("/%c0%ae%c0%ae/x", PathError::Character),
            ("/", PathError::NoName),
            ("", PathError::NoName),
            ("/lync/", PathError::NoName),
            (&deep, PathError::TooDeep),
            (&long, PathError::TooLong),
            (&longer, PathError::TooLong),
        ] {
            assert_eq!(RequestPath::parse(target), Err(error), "{target}");
        }
    }

    #[test]
    fn doubled_directories_collapse() {
        for (path, collapsed) in [
            ("a/a/x", "a/x"),
            ("a/b/a/b/x", "a/b/x"),
            ("a/b/x", "a/b/x"),
            ("x", "x"),
            ("a/b/a/x", "a/b/a/x"),
        ] {
            assert_eq!(
                RequestPath::parse(path).unwrap().collapsed().as_str(),
                collapsed,
                "{path}"
            );
        }
    }
}
