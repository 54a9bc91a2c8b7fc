//! The URLs that phones are given: the part of RFC 3986 that vendor manuals allow in a DHCP answer.

use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use std::error::Error;
use std::fmt;

/// Where a phone fetches a file, parsed once.
///
/// Invariants:
///
/// * At most [`Url::MAX_LENGTH`] bytes, all of them visible ASCII, none of them a backslash: no
///   space, no line end and no control character can reach a request line.
/// * The host is not empty; a name is in lower case, and one that ends in a number is an IPv4
///   address.
/// * User and password hold no `@`, `/`, `?` or `#`, so that no two readers see different hosts.
/// * The path is empty or starts with `/`. It is kept as written: a query is part of it, and
///   `%40` stays `%40`, because phones differ in whether they decode.
///
/// `Debug` and `Display` hide the password: only [`Url::password`] tells it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    user: Option<String>,
    password: Option<String>,
    host: Host,
    port: Option<u16>,
    path: String,
}

impl Url {
    /// Eight times what one DHCP option can hold (RFC 2132), for options in several parts.
    pub const MAX_LENGTH: usize = 2048;

    /// Parses `<scheme>://[<user>[:<password>]@]<host>[:<port>][/<path>]`.
    ///
    /// # Errors
    ///
    /// Says which part is wrong; a text without `://` is [`UrlError::MissingScheme`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::MissingScheme)?;
        Self::parse_rest(Scheme::parse(scheme)?, rest)
    }

    /// Parses the same forms as [`Url::parse`], and those without `<scheme>://`, which mean
    /// `default`. A bare IPv6 address needs no brackets here, as nothing can follow it.
    ///
    /// # Errors
    ///
    /// Says which part is wrong.
    pub fn parse_or(text: &str, default: Scheme) -> Result<Self, UrlError> {
        if text.contains("://") {
            return Self::parse(text);
        }
        check_characters(text)?;
        match text.parse() {
            Ok(address) => Ok(Self {
                scheme: default,
                user: None,
                password: None,
                host: Host::Ipv6(address),
                port: None,
                path: String::new(),
            }),
            Err(_) => Self::parse_rest(default, text),
        }
    }

    /// This URL with `name` in the place of its last path segment, as RFC 3986, section 5.3 joins
    /// a relative reference. A `name` that starts with `/` replaces the whole path.
    ///
    /// # Errors
    ///
    /// [`UrlError::Character`] or [`UrlError::TooLong`] if the result could not be parsed again.
    pub fn join(&self, name: &str) -> Result<Self, UrlError> {
        if name.starts_with('/') {
            return self.with_path(name.to_owned());
        }
        let directory = self
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        self.with_path(format!("{directory}/{name}"))
    }

    /// This URL with its whole path taken as a directory: `/a` becomes `/a/`.
    ///
    /// # Errors
    ///
    /// [`UrlError::TooLong`] if there is no room for the `/`.
    pub fn directory(&self) -> Result<Self, UrlError> {
        let slash = if self.path.ends_with('/') { "" } else { "/" };
        self.with_path(format!("{}{slash}", self.path))
    }

    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user name, as written.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, as written. It may be empty.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The server.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port as written, or the protocol's own.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.scheme.default_port())
    }

    /// The path: empty, or from its `/` on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the last `/` of the path: empty if the URL names a directory or just a host.
    pub fn file_name(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(_, name)| name)
    }

    fn parse_rest(scheme: Scheme, rest: &str) -> Result<Self, UrlError> {
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let (user, password, address) = parse_user(authority)?;
        let (host, port) = parse_address(address)?;
        Ok(Self {
            scheme,
            user,
            password,
            host,
            port,
            path,
        })
    }

    fn with_path(&self, path: String) -> Result<Self, UrlError> {
        let url = Self {
            path,
            ..self.clone()
        };
        check_characters(&url.path)?;
        if url.length() > Self::MAX_LENGTH {
            return Err(UrlError::TooLong);
        }
        Ok(url)
    }

    /// An upper bound: the text as displayed, with the password in full.
    fn length(&self) -> usize {
        self.to_string().len() + self.password.as_ref().map_or(0, String::len)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        if let Some(user) = &self.user {
            let password = if self.password.is_some() { ":***" } else { "" };
            write!(f, "{user}{password}@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// A protocol that phones fetch files with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 959.
    Ftp,
    /// RFC 9110.
    Http,
    /// HTTP over TLS.
    Https,
    /// RFC 1350.
    Tftp,
}

impl Scheme {
    /// The name as written in a URL, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Tftp => "tftp",
        }
    }

    /// The port if none is written.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Http => 80,
            Self::Https => 443,
            Self::Tftp => 69,
        }
    }

    fn parse(name: &str) -> Result<Self, UrlError> {
        [Self::Ftp, Self::Http, Self::Https, Self::Tftp]
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(name))
            .ok_or(UrlError::UnknownScheme)
    }
}

/// The server in a [`Url`]. The addresses are plain values: nothing here opens a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Four numbers with dots.
    Ipv4(Ipv4Addr),
    /// An IPv6 literal, in brackets when it is written in a URL.
    Ipv6(Ipv6Addr),
    /// A DNS name in lower case: labels of 1 to 63 letters, digits, `-` and `_`.
    Name(String),
}

impl Host {
    /// The longest name DNS can look up.
    const MAX_LENGTH: usize = 253;

    fn parse(text: &str) -> Result<Self, UrlError> {
        let last = text.rsplit('.').next().unwrap_or_default();
        if is_number(last) {
            return text.parse().map(Self::Ipv4).map_err(|_| UrlError::Host);
        }
        if text.len() > Self::MAX_LENGTH || !text.split('.').all(is_label) {
            return Err(UrlError::Host);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a text is no [`Url`]. The operator who wrote the DHCP option is at fault; the text itself is
/// not repeated, as it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// A space, a control character, a backslash or anything outside ASCII.
    Character,
    /// No host, or one that is neither a DNS name nor an IP address.
    Host,
    /// No `://`, where the vendor's manual demands a protocol.
    MissingScheme,
    /// Not a number from 1 to 65535.
    Port,
    /// Longer than [`Url::MAX_LENGTH`].
    TooLong,
    /// A protocol other than FTP, HTTP, HTTPS and TFTP.
    UnknownScheme,
    /// An empty user name, or an `@`, `?` or `#` in user name or password.
    User,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "a URL cannot hold spaces, backslashes or non-ASCII characters",
            Self::Host => "the host is neither a name nor an address",
            Self::MissingScheme => "the protocol is missing (ftp://, http://, https:// or tftp://)",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::TooLong => "the URL is longer than 2048 bytes",
            Self::UnknownScheme => "the protocol is none of ftp, http, https and tftp",
            Self::User => "user name and password cannot be told from the host",
        })
    }
}

impl Error for UrlError {}

fn check_characters(text: &str) -> Result<(), UrlError> {
    if text.len() > Url::MAX_LENGTH {
        return Err(UrlError::TooLong);
    }
    match text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        true => Ok(()),
        false => Err(UrlError::Character),
    }
}

/// Splits `<user>:<password>@` off an authority.
fn parse_user(authority: &str) -> Result<(Option<String>, Option<String>, &str), UrlError> {
    let Some((information, address)) = authority.rsplit_once('@') else {
        return Ok((None, None, authority));
    };
    let (user, password) = match information.split_once(':') {
        Some((user, password)) => (user, Some(password.to_owned())),
        None => (information, None),
    };
    if user.is_empty() || information.contains(['@', '?', '#']) {
        return Err(UrlError::User);
    }
    Ok((Some(user.to_owned()), password, address))
}

/// Parses `<host>[:<port>]`, the host being an IPv6 literal if it stands in brackets.
fn parse_address(address: &str) -> Result<(Host, Option<u16>), UrlError> {
    let Some(literal) = address.strip_prefix('[') else {
        return match address.split_once(':') {
            Some((host, port)) => Ok((Host::parse(host)?, Some(parse_port(port)?))),
            None => Ok((Host::parse(address)?, None)),
        };
    };
    let (literal, rest) = literal.split_once(']').ok_or(UrlError::Host)?;
    let host = literal
        .parse()
        .map(Host::Ipv6)
        .map_err(|_| UrlError::Host)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(parse_port(port)?))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(UrlError::Host),
    }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    match text.parse() {
        Ok(port) if port > 0 && is_number(text) => Ok(port),
        _ => Err(UrlError::Port),
    }
}

/// `str::parse` would take a sign too.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Underscores are no part of RFC 1123, but of names that stand in DNS.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Scheme;
    use super::Url;
    use super::UrlError;

    /// Text, and what it is displayed as.
    #[rustfmt::skip]
    const GOOD: &[(&str, &str)] = &[
        ("ftp://ucs.schertz.name",                  "ftp://ucs.schertz.name"),
        ("Tftp://audiocodes.com/abc.img",           "tftp://audiocodes.com/abc.img"),
        ("http://Audiocodes.com",                   "http://audiocodes.com"),
        ("https://PROV.example.net:8443/a/B.cfg",   "https://prov.example.net:8443/a/B.cfg"),
        ("http://10.0.0.1/",                        "http://10.0.0.1/"),
        ("http://id:pass@10.0.0.1",                 "http://id:***@10.0.0.1"),
        ("http://id@10.0.0.1",                      "http://id@10.0.0.1"),
        ("http://id:@10.0.0.1:80",                  "http://id:***@10.0.0.1:80"),
        ("http://id:a:b%40c@10.0.0.1//x?y=z",       "http://id:***@10.0.0.1//x?y=z"),
        ("http://[2001:DB8::1]/x.cfg",              "http://[2001:db8::1]/x.cfg"),
        ("http://u:p@[::1]:8080",                   "http://u:***@[::1]:8080"),
        ("audiocodes.com",                          "tftp://audiocodes.com"),
        ("192.168.0.11",                            "tftp://192.168.0.11"),
        ("prov_1.example.com:6969",                 "tftp://prov_1.example.com:6969"),
        ("2001:db8::1",                             "tftp://[2001:db8::1]"),
        ("[2001:db8::1]:69/x",                      "tftp://[2001:db8::1]:69/x"),
        ("id:pass@prov.com",                        "tftp://id:***@prov.com"),
    ];

    #[rustfmt::skip]
    const BAD: &[(&str, UrlError)] = &[
        ("http://a b",                  UrlError::Character),
        ("http://a/\r\nx",              UrlError::Character),
        ("http://a/\u{e9}",             UrlError::Character),
        ("http:\\\\a",                  UrlError::Character),
        ("",                            UrlError::Host),
        ("http://",                     UrlError::Host),
        ("http:///x",                   UrlError::Host),
        ("http://a..b",                 UrlError::Host),
        ("http://a;b.cfg",              UrlError::Host),
        ("http://a?b",                  UrlError::Host),
        ("http://10.0.0.256",           UrlError::Host),
        ("http://10.0.0",               UrlError::Host),
        ("http://[10.0.0.1]",           UrlError::Host),
        ("http://[::1",                 UrlError::Host),
        ("http://[::1]80",              UrlError::Host),
        ("http://[fe80::1%eth0]",       UrlError::Host),
        ("http://u:p@",                 UrlError::Host),
        ("http://a:",                   UrlError::Port),
        ("http://a:0",                  UrlError::Port),
        ("http://a:+80",                UrlError::Port),
        ("http://a:65536",              UrlError::Port),
        ("gopher://a",                  UrlError::UnknownScheme),
        ("://a",                        UrlError::UnknownScheme),
        ("http://@a",                   UrlError::User),
        ("http://:p@a",                 UrlError::User),
        ("http://u:p@ss@a",             UrlError::User),
        ("http://good?@evil",           UrlError::User),
    ];

    /// Base, name, and what the two join to.
    #[rustfmt::skip]
    const JOINED: &[(&str, &str, &str)] = &[
        ("http://h",            "x.cfg",        "http://h/x.cfg"),
        ("http://h/",           "x.cfg",        "http://h/x.cfg"),
        ("http://h/a",          "x.cfg",        "http://h/x.cfg"),
        ("http://h/a/",         "x.cfg",        "http://h/a/x.cfg"),
        ("http://h/a/b",        "c/x.cfg",      "http://h/a/c/x.cfg"),
        ("http://h/a/",         "/x.cfg",       "http://h/x.cfg"),
        ("http://u:p@h:81/a/",  "",             "http://u:***@h:81/a/"),
    ];

    fn check(text: &str, expected: Result<&str, UrlError>) {
        let found = Url::parse_or(text, Scheme::Tftp).map(|url| url.to_string());
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{text}");
    }

    #[test]
    fn forms() {
        GOOD.iter().for_each(|(text, shown)| check(text, Ok(shown)));
        BAD.iter()
            .for_each(|(text, error)| check(text, Err(*error)));
        check(
            &format!("http://h/{}", "x".repeat(Url::MAX_LENGTH)),
            Err(UrlError::TooLong),
        );
        assert_eq!(Url::parse("audiocodes.com"), Err(UrlError::MissingScheme));
    }

    #[test]
    fn joins() {
        for (base, name, expected) in JOINED {
            let joined = Url::parse(base).unwrap().join(name).unwrap();
            assert_eq!(joined.to_string(), *expected, "{base} {name}");
        }
        let url = Url::parse("http://h/").unwrap();
        assert_eq!(url.join("a b"), Err(UrlError::Character));
        assert_eq!(
            url.join(&"x".repeat(Url::MAX_LENGTH)),
            Err(UrlError::TooLong)
        );
    }

    #[test]
    fn parts() {
        let url = Url::parse("https://id:pa:ss@prov.com/a/b.cfg").unwrap();
        assert_eq!((url.user(), url.password()), (Some("id"), Some("pa:ss")));
        assert_eq!(
            (url.path(), url.file_name(), url.port()),
            ("/a/b.cfg", "b.cfg", 443)
        );
        assert_eq!(format!("{url:?}"), "Url(https://id:***@prov.com/a/b.cfg)");
    }

    proptest! {
        #[test]
        fn hostile_text_is_refused_or_kept(text in any::<String>()) {
            let _ = Url::parse_or(&text, Scheme::Ftp);
        }

        #[test]
        fn what_is_displayed_is_read_again(text in "(http|TFTP)://[a-z.:@/0-9\\[\\]?#;-]{0,24}") {
            if let Ok(url) = Url::parse(&text) {
                let shown = url.to_string();
                prop_assert_eq!(Url::parse(&shown).map(|again| again.to_string()), Ok(shown));
                prop_assert!(url.path().is_empty() || url.path().starts_with('/'));
            }
        }
    }
}
