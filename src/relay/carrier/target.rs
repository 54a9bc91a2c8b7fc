//! What a phone asks for, as it is appended to the server's address (RFC 3986 section 3.3).

use http::HeaderMap;
use http::HeaderName;
use http::Uri;
use http::header;

use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::relay::identity::macs_in;
use crate::tftp::name::FileName;

/// A file's path below the server's address, percent-encoded, with a query if there is one.
///
/// Invariants: no leading slash, no segment `..`, nothing that could end it early; it is never resolved against an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    text: String,
    macs: Vec<MacAddress>,
}

/// A request target that names no file; the phone gets 404.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TargetError;

impl Target {
    /// The file of a name.
    pub fn of(name: &FileName) -> Self {
        Self {
            text: name.url_path(),
            macs: macs_in(&String::from_utf8_lossy(name.as_bytes())),
        }
    }

    /// The file of a request target.
    pub fn parse(uri: &Uri) -> Result<Self, TargetError> {
        let path = RequestPath::parse(uri.path()).map_err(|_| TargetError)?;
        let name = FileName::parse(path.as_str().as_bytes()).map_err(|_| TargetError)?;
        let mut target = Self::of(&name);
        if let Some(query) = uri.query() {
            let decoded = crate::path::percent_decode(query).ok_or(TargetError)?;
            for mac in macs_in(&decoded) {
                if !target.macs.contains(&mac) {
                    target.macs.push(mac);
                }
            }
            target.text.push('?');
            target.text.push_str(query);
        }
        Ok(target)
    }

    /// As it follows the server's address and a slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The hardware addresses in it, each once.
    pub fn macs(&self) -> &[MacAddress] {
        &self.macs
    }
}

/// The headers of a phone's request that go on to the server. What a relay or a proxy would say is not the phone's to say.
pub fn onward(headers: &HeaderMap) -> HeaderMap {
    let mut onward = HeaderMap::new();
    for name in ONWARD {
        for value in headers.get_all(&name) {
            onward.append(name.clone(), value.clone());
        }
    }
    onward
}

const ONWARD: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::USER_AGENT,
];

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::Target;

    #[test]
    fn request_targets() {
        for (text, expected) in [
            ("/a.cfg", Some(("a.cfg", 0))),
            ("//logs/./a%20b.log", Some(("logs/a%20b.log", 0))),
            ("/0004f2000500.cfg?x=1", Some(("0004f2000500.cfg?x=1", 1))),
            // What the server would decode is decoded first.
            ("/%30004f2000500.cfg", Some(("0004f2000500.cfg", 1))),
            (
                "/a.cfg?mac=0004f2000500",
                Some(("a.cfg?mac=0004f2000500", 1)),
            ),
            (
                "/a.cfg?mac=%30004F2000500",
                Some(("a.cfg?mac=%30004F2000500", 1)),
            ),
            (
                "/0004f2000500.cfg?mac=0004f2000501",
                Some(("0004f2000500.cfg?mac=0004f2000501", 2)),
            ),
            ("http://elsewhere/a.cfg", Some(("a.cfg", 0))),
            ("/", None),
            ("/..%2f..%2fetc", None),
            ("/%2e%2e/a", None),
            ("/a%", None),
            ("/a%00b", None),
        ] {
            let target = Target::parse(&text.parse::<Uri>().unwrap());
            let target = target.as_ref().ok();
            let found = target.map(|it| (it.as_str(), it.macs().len()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
