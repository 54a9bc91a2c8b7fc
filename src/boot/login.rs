//! A simulated phone's answers to a server that asks for a password: Basic (RFC 7617), Digest (RFC 7616).

use std::fmt;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;

use clap::ValueEnum;
use http::HeaderMap;
use http::header;
use md5::Md5;
use sha2::Digest;
use sha2::Sha256;

use crate::encoding::hex;

/// What a phone knows of authentication.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Scheme {
    /// The password itself.
    Basic,
    /// A proof of it by MD5.
    DigestMd5,
    /// A proof of it by SHA-256.
    DigestSha256,
}

/// A user name with its password, and what the server has asked last.
pub(super) struct Login {
    user: String,
    password: String,
    /// The one scheme that the phone knows; all if `None`.
    known: Option<Scheme>,
    question: Option<Question>,
    uses: u32,
}

/// What a server asks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Question {
    scheme: Option<Scheme>,
    realm: String,
    nonce: String,
    stale: bool,
}

impl Login {
    pub(super) fn new(user: &str, password: &str, known: Option<Scheme>) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            known,
            question: None,
            uses: 0,
        }
    }

    /// As Basic and FTP have it: `user:password`.
    pub(super) fn pair(&self) -> String {
        format!("{}:{}", self.user, self.password)
    }

    /// Hears a 401; whether there is anything to answer that the server has not refused already.
    pub(super) fn hear(&mut self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let questions = lines.filter_map(|line| Question::read(line.to_str().ok()?));
        let mut known = questions.filter(|question| {
            question.scheme.is_some() && (self.known.is_none() || self.known == question.scheme)
        });
        let Some(question) = known.next() else {
            return false;
        };
        let answerable = self.question.is_none() || question.stale;
        self.question = Some(question);
        self.uses = 0;
        answerable
    }

    /// The answer, for each request after a question; a proof counts how often its nonce was used.
    pub(super) fn authorization(&mut self, method: &str, target: &str) -> Option<String> {
        let Self { user, password, .. } = self;
        let question = self.question.as_ref()?;
        self.uses += 1;
        let algorithm = match question.scheme? {
            Scheme::Basic => return Some(basic(&format!("{user}:{password}"))),
            Scheme::DigestMd5 => "MD5",
            Scheme::DigestSha256 => "SHA-256",
        };
        let hash = |text: String| match algorithm {
            "MD5" => hex(&Md5::digest(text)),
            _ => hex(&Sha256::digest(text)),
        };
        let Question { realm, nonce, .. } = question;
        let (uses, own) = (self.uses, RandomState::new().build_hasher().finish());
        let secret = hash(format!("{user}:{realm}:{password}"));
        let request = hash(format!("{method}:{target}"));
        let response = hash(format!(
            "{secret}:{nonce}:{uses:08x}:{own:016x}:auth:{request}"
        ));
        Some(format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", \
             algorithm={algorithm}, qop=auth, nc={uses:08x}, cnonce=\"{own:016x}\", response=\"{response}\""
        ))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Question {
    /// Reads a line; the scheme is `None` where no phone knows it.
    fn read(line: &str) -> Option<Self> {
        let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut question = Self::default();
        // Without a word on it, it is MD5.
        let mut algorithm = "MD5".to_owned();
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "algorithm" => algorithm = value,
                "nonce" => question.nonce = value,
                "realm" => question.realm = value,
                "stale" => question.stale = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let digest = scheme.eq_ignore_ascii_case("Digest");
        question.scheme = match algorithm.to_ascii_uppercase().as_str() {
            _ if scheme.eq_ignore_ascii_case("Basic") => Some(Scheme::Basic),
            "MD5" if digest => Some(Scheme::DigestMd5),
            "SHA-256" if digest => Some(Scheme::DigestSha256),
            _ => None,
        };
        Some(question)
    }
}

/// `name=value` and `name="value"`, commas between them.
fn parameters(mut rest: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((name, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        found.push((name.trim_matches([',', ' ']), value.to_owned()));
        rest = after;
    }
    found
}

/// A password as Basic sends it.
pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", base64(pair.as_bytes()))
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |group, (index, byte)| {
                group | u32::from(*byte) << (16 - 8 * index)
            });
        for index in 0..4 {
            let letter = LETTERS
                .get((group >> (18 - 6 * index) & 63) as usize)
                .copied()
                .unwrap_or(b'=');
            text.push(if index <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header;

    use super::Login;
    use super::Question;
    use super::Scheme;
    use super::base64;

    #[test]
    fn base64_of() {
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }

    #[test]
    fn questions() {
        for (line, scheme, nonce, stale) in [
            ("Basic realm=\"a\"", Some(Scheme::Basic), "", false),
            ("basic", Some(Scheme::Basic), "", false),
            (
                "Digest realm=\"a, b\", qop=\"auth,auth-int\", algorithm=MD5, nonce=\"x\"",
                Some(Scheme::DigestMd5),
                "x",
                false,
            ),
            (
                "Digest nonce=x,stale=TRUE",
                Some(Scheme::DigestMd5),
                "x",
                true,
            ),
            (
                "Digest algorithm=SHA-256, nonce=\"x=\", stale=true",
                Some(Scheme::DigestSha256),
                "x=",
                true,
            ),
            (
                "Digest algorithm=SHA-512-256, nonce=\"x\"",
                None,
                "x",
                false,
            ),
            ("Bearer", None, "", false),
        ] {
            let read = Question::read(line).unwrap();
            assert_eq!(
                (read.scheme, read.nonce.as_str(), read.stale),
                (scheme, nonce, stale),
                "{line}"
            );
        }
    }

    /// A question is answered once, and again where only the nonce was too old; RFC 7616 section 3.9.1 has the user.
    #[test]
    fn a_wrong_password_is_not_repeated() {
        let mut login = Login::new("Mufasa", "Circle of Life", None);
        assert_eq!(login.authorization("GET", "/"), None);
        for (line, answers) in [
            ("Bearer", false),
            ("Digest nonce=\"a\"", true),
            ("Digest nonce=\"b\"", false),
            ("Digest nonce=\"c\", stale=true", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::WWW_AUTHENTICATE, line.parse().unwrap());
            assert_eq!(login.hear(&headers), answers, "{line}");
        }
        let first = login.authorization("GET", "/").unwrap();
        let second = login.authorization("GET", "/").unwrap();
        assert!(first.contains("nc=00000001") && second.contains("nc=00000002"));
    }
}
