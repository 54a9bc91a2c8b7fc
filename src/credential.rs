//! Credentials in an Authorization header (RFC 9110 section 11), and the challenges that ask for them.
//!
//! What this deliberately does not do: it looks nothing up. Whoever calls finds the stored passwords of the
//! user that the header names, says what time it is, and decides what a good credential opens.

mod basic;
mod digest;
mod nonce;
mod password;

use std::fmt;

use crate::secret::Secret;

pub use basic::Basic;
pub use digest::Algorithm;
pub use digest::Digest;
pub use digest::Exchange;
pub use digest::Fault;
pub use digest::Use;
pub use digest::Verdict;
pub use nonce::Age;
pub use nonce::Nonce;
pub use password::PasswordError;
pub use password::StoredPassword;

/// What an Authorization header holds.
#[derive(Debug)]
pub enum Credential<'h> {
    /// A name and a password (RFC 7617).
    Basic(Basic),
    /// A proof of knowing one (RFC 7616).
    Digest(Digest<'h>),
}

impl<'h> Credential<'h> {
    /// The longest header that is read: a Digest with a path of 2,048 bytes fits well within.
    pub const LONGEST: usize = 4096;

    /// Reads the value of an Authorization header.
    pub fn parse(header: &'h [u8]) -> Result<Self, CredentialError> {
        if header.len() > Self::LONGEST {
            return Err(CredentialError::TooLong);
        }
        if header
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
        {
            return Err(CredentialError::Character);
        }
        let header = header.trim_ascii();
        let end = header.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let (scheme, rest) = header.split_at(end.unwrap_or(header.len()));
        if scheme.eq_ignore_ascii_case(b"basic") {
            Basic::parse(rest.trim_ascii()).map(Self::Basic)
        } else if scheme.eq_ignore_ascii_case(b"digest") {
            Digest::parse(rest.trim_ascii()).map(Self::Digest)
        } else {
            Err(CredentialError::Scheme)
        }
    }

    /// The user it names: a site, a device or a relay, as whoever calls decides.
    pub fn user(&self) -> &str {
        match self {
            Self::Basic(basic) => &basic.user,
            Self::Digest(digest) => &digest.user,
        }
    }
}

/// What a WWW-Authenticate header offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// The password itself. Last, so that a phone that knows Digest does not send it.
    Basic,
    /// Digest by this hash. MD5 first: phones that look at one line only know no other.
    Digest(Algorithm),
}

/// The question that goes with 401.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// What passwords are bound to; the site.
    pub realm: &'a str,
    /// Fresh, for Digest.
    pub nonce: &'a Nonce,
    /// Whether the last answer was right and only its nonce too old: a phone then answers again without
    /// asking anybody for a password.
    pub stale: bool,
}

impl Challenge<'_> {
    /// The values of the WWW-Authenticate headers, one an offer: lists in one line are read by few.
    pub fn lines(&self, offers: &[Offer]) -> Vec<String> {
        offers.iter().map(|offer| self.line(*offer)).collect()
    }

    fn line(&self, offer: Offer) -> String {
        let mut line = String::with_capacity(160);
        line.push_str(match offer {
            Offer::Basic => "Basic realm=\"",
            Offer::Digest(_) => "Digest realm=\"",
        });
        for c in self.realm.chars() {
            if matches!(c, '"' | '\\') {
                line.push('\\');
            }
            if !c.is_control() {
                line.push(c);
            }
        }
        line.push('"');
        if let Offer::Digest(algorithm) = offer {
            for part in [
                ", qop=\"auth\", algorithm=",
                algorithm.name(),
                ", nonce=\"",
                self.nonce.text(),
                if self.stale { "\", stale=true" } else { "\"" },
            ] {
                line.push_str(part);
            }
        }
        line
    }
}

/// Why a header is no credential. It counts as none; nothing of it stands in the words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CredentialError {
    /// A control character.
    Character,
    /// A parameter twice.
    Duplicate,
    /// What is no base64, no quoted string or no number where one must stand.
    Encoding,
    /// A parameter that must be there is not.
    Missing,
    /// Neither Basic nor Digest.
    Scheme,
    /// Longer than [`Credential::LONGEST`].
    TooLong,
    /// A part of RFC 7616 that is not offered: another hash, another quality of protection, hashed or
    /// extended user names.
    Unsupported,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "the credential holds a control character",
            Self::Duplicate => "the credential says something twice",
            Self::Encoding => "the credential is not well-formed",
            Self::Missing => "the credential lacks a part",
            Self::Scheme => "the credential is of an unknown scheme",
            Self::TooLong => "the credential is too long",
            Self::Unsupported => "the credential asks for what was not offered",
        })
    }
}

impl std::error::Error for CredentialError {}

/// Bytes as text: UTF-8, else Latin-1, which is what a phone sends that never heard of UTF-8.
fn text(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(*byte));
    }
    text
}

/// A password that nobody has to remember: 26 base32 digits of 128 random bits. No character of it needs
/// to be escaped in an address, where some phones can only be given it.
pub fn generated_password(random: [u8; 16]) -> Secret {
    Secret::new(crate::encoding::base32(u128::from_be_bytes(random), 26))
}

#[cfg(test)]
mod tests {
    use super::Algorithm;
    use super::Challenge;
    use super::Credential;
    use super::CredentialError;
    use super::Nonce;
    use super::Offer;
    use super::generated_password;
    use crate::secret::DeploymentSecrets;

    const SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";

    #[test]
    fn challenges() {
        let secrets = DeploymentSecrets::parse(SECRET).unwrap();
        let nonce = Nonce::make(&secrets, "office", 1_700_000_000, [7; 8]);
        let mut challenge = Challenge {
            realm: "office",
            nonce: &nonce,
            stale: false,
        };
        let offers = [
            Offer::Digest(Algorithm::Md5),
            Offer::Digest(Algorithm::Sha256),
            Offer::Basic,
        ];
        let text = nonce.text();
        assert_eq!(
            challenge.lines(&offers),
            [
                format!("Digest realm=\"office\", qop=\"auth\", algorithm=MD5, nonce=\"{text}\""),
                format!(
                    "Digest realm=\"office\", qop=\"auth\", algorithm=SHA-256, nonce=\"{text}\""
                ),
                "Basic realm=\"office\"".to_owned(),
            ]
        );
        challenge.stale = true;
        assert!(challenge.lines(&offers)[1].ends_with("\", stale=true"));
        challenge.realm = "a\"b\\c\r\nd";
        assert_eq!(
            challenge.lines(&[Offer::Basic]),
            ["Basic realm=\"a\\\"b\\\\cd\""]
        );
    }

    #[test]
    fn hostile_headers() {
        let long = format!("Digest {}", "a=b, ".repeat(1000));
        let nested = format!("Digest username=\"{}", "\\\"".repeat(2000));
        for (header, error) in [
            ("", CredentialError::Scheme),
            ("Basically", CredentialError::Scheme),
            ("Bearer abc", CredentialError::Scheme),
            ("Basic\0 YTpi", CredentialError::Character),
            ("Basic YTpi\r\nX: y", CredentialError::Character),
            ("Digest username=\"a\0b\"", CredentialError::Character),
            ("Basic", CredentialError::Encoding),
            ("Basic  ", CredentialError::Encoding),
            ("Basic YTpi YTpi", CredentialError::Encoding),
            (&long, CredentialError::TooLong),
            (&nested[..4000], CredentialError::Encoding),
            ("Digest", CredentialError::Missing),
            ("Digest ,,, ,", CredentialError::Missing),
            ("Digest username", CredentialError::Encoding),
            ("Digest =", CredentialError::Encoding),
            ("Digest username=", CredentialError::Encoding),
            ("Digest username=\"", CredentialError::Encoding),
            ("Digest username=\"a", CredentialError::Encoding),
            ("Digest username=\"a\\", CredentialError::Encoding),
            ("Digest username=\"a\\\"", CredentialError::Encoding),
            ("Digest username=\"a\"b", CredentialError::Encoding),
            (
                "Digest username=\"a\" realm=\"b\"",
                CredentialError::Encoding,
            ),
            ("Digest username=a\"b", CredentialError::Encoding),
            ("Digest username=\"\"a\"\"", CredentialError::Encoding),
            (
                "Digest username=\"a\", username=\"b\"",
                CredentialError::Duplicate,
            ),
            (
                "Digest username=\"a\", USERNAME=b",
                CredentialError::Duplicate,
            ),
            (
                "Digest x=1, response=\"00\", response=\"00\"",
                CredentialError::Duplicate,
            ),
            ("Digest username*=UTF-8''a", CredentialError::Unsupported),
            ("Digest userhash=true", CredentialError::Unsupported),
            ("Digest algorithm=MD5-sess", CredentialError::Unsupported),
            ("Digest algorithm=SHA-512-256", CredentialError::Unsupported),
            ("Digest qop=auth-int", CredentialError::Unsupported),
            ("Digest qop=\"auth,auth-int\"", CredentialError::Unsupported),
        ] {
            let found = Credential::parse(header.as_bytes()).map(|_| ());
            assert_eq!(found, Err(error), "{header:?}");
        }
        assert_eq!(
            Credential::parse(b"Basic \xff\xfe").map(|_| ()),
            Err(CredentialError::Encoding)
        );
    }

    #[test]
    fn passwords_are_safe_in_an_address() {
        let password = generated_password([0xff; 16]);
        assert_eq!(password.expose_text(), Some("h7777777777777777777777777"));
        assert_ne!(password, generated_password([0; 16]));
    }
}
