//! Digest authentication (RFC 7616): MD5 and SHA-256, quality of protection `auth`.
//!
//! Not spoken, for want of a phone that needs it: `-sess`, SHA-512-256, `auth-int`, hashed user names, and the form
//! of RFC 2069 without `qop`, which has no count and so no bound on replays.
//!
//! **Replays.** Who sees a request (over plain HTTP) can send it again, with the same method and target,
//! as long as its nonce lives: that is all that holds without memory. A platform with memory counts: it
//! keeps the highest [`Use::count`] of each [`Use::nonce`] for a nonce's lifetime and takes none twice.

use md5::Md5;
use sha2::Digest as _;
use sha2::Sha256;

use super::CredentialError;
use super::nonce::Age;
use super::nonce::Nonce;
use super::password::StoredPassword;
use super::text;
use crate::encoding::from_hex;
use crate::encoding::hex;
use crate::path::RequestPath;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::secret::same;

/// A hash that a Digest is made by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// What every phone that knows Digest knows. Broken for signatures, not for this.
    Md5,
    /// Newer clients.
    Sha256,
}

impl Algorithm {
    /// As it stands in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Bytes of a hash.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }
}

/// A proof of knowing a password, as the header brings it.
///
/// But for `user`, all is as it stands between the quotes: that is what a client has hashed.
#[derive(Clone, Debug)]
pub struct Digest<'h> {
    /// The user, escapes taken away.
    pub user: String,
    /// The hash that it was made by.
    pub algorithm: Algorithm,
    count: u32,
    response: Secret,
    values: Values<'h>,
}

/// What the proof must be about.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Its target, query included, as it arrived.
    pub target: &'a str,
    /// The realm of the challenge: what passwords are bound to.
    pub realm: &'a str,
    /// What the challenge's nonce is bound to.
    pub site: &'a str,
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Seconds that a nonce lives.
    pub lifetime: u64,
}

/// What a proof is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict<'a> {
    /// Made now, by someone who knows the password.
    Accepted(Use<'a>),
    /// Worth nothing.
    Refused(Fault),
    /// By someone who knows the password, but too late: ask again, and say that it was too late.
    Stale,
}

/// One use of a nonce, for platforms that can count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Use<'a> {
    /// The nonce, which is ours.
    pub nonce: &'a str,
    /// Which of its uses the client says that this is, from 1.
    pub count: u32,
}

/// Why a proof is worth nothing, for the log; the client is told none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The nonce is not ours, or another site's.
    Nonce,
    /// The realm is another.
    Realm,
    /// The password is wrong, or there is none by which this could be verified.
    Response,
    /// It was made for another target.
    Target,
}

/// The parameters that are looked at. Others are ignored, as RFC 7616 section 3.4 asks.
const NAMES: [&str; 12] = [
    "username",
    "realm",
    "nonce",
    "uri",
    "response",
    "cnonce",
    "nc",
    "qop",
    "algorithm",
    "opaque",
    "userhash",
    "username*",
];

const USER: usize = 0;
const REALM: usize = 1;
const NONCE: usize = 2;
const URI: usize = 3;
const RESPONSE: usize = 4;
const CLIENT_NONCE: usize = 5;
const COUNT: usize = 6;
const QUALITY: usize = 7;
const ALGORITHM: usize = 8;
const HASHED_USER: usize = 10;
const EXTENDED_USER: usize = 11;

impl<'h> Digest<'h> {
    /// Reads what follows the scheme.
    pub(super) fn parse(list: &'h [u8]) -> Result<Self, CredentialError> {
        let values = Values::parse(list)?;
        let is = |place: usize, expected: &[u8]| match values.find(place) {
            Some(value) => value.eq_ignore_ascii_case(expected),
            None => true,
        };
        let algorithm = if is(ALGORITHM, b"MD5") {
            Algorithm::Md5
        } else if is(ALGORITHM, b"SHA-256") {
            Algorithm::Sha256
        } else {
            return Err(CredentialError::Unsupported);
        };
        let extended = values.find(EXTENDED_USER);
        if extended.is_some() || !is(HASHED_USER, b"false") || !is(QUALITY, b"auth") {
            return Err(CredentialError::Unsupported);
        }
        if values.0.iter().take(QUALITY + 1).any(Option::is_none) {
            return Err(CredentialError::Missing);
        }
        let response = from_hex(values.get(RESPONSE));
        let response = response.filter(|it| it.len() == algorithm.length());
        Ok(Self {
            user: text(&unescaped(values.get(USER))),
            algorithm,
            count: count(values.get(COUNT)).ok_or(CredentialError::Encoding)?,
            response: Secret::new(response.ok_or(CredentialError::Encoding)?),
            values,
        })
    }

    /// Whether this is the user's name, in either reading of a backslash: clients write `DOMAIN\user` with
    /// one of them or two.
    pub fn is_user(&self, name: &str) -> bool {
        self.user == name || self.values.get(USER) == name.as_bytes()
    }

    /// Judges the proof by the passwords that are stored for its user. Any of them will do.
    pub fn check(
        &self,
        secrets: &DeploymentSecrets,
        exchange: &Exchange<'_>,
        passwords: &[StoredPassword],
    ) -> Verdict<'h> {
        let Exchange {
            site,
            now,
            lifetime,
            ..
        } = *exchange;
        if self.values.get(REALM) != exchange.realm.as_bytes() {
            return Verdict::Refused(Fault::Realm);
        }
        if !agrees(self.values.get(URI), exchange.target) {
            return Verdict::Refused(Fault::Target);
        }
        let age = Nonce::age(secrets, site, self.values.get(NONCE), now, lifetime);
        if age == Age::Forged {
            return Verdict::Refused(Fault::Nonce);
        }
        if !self.proves_any(passwords, exchange) {
            return Verdict::Refused(Fault::Response);
        }
        match std::str::from_utf8(self.values.get(NONCE)) {
            Ok(nonce) if age == Age::Fresh => Verdict::Accepted(Use {
                nonce,
                count: self.count,
            }),
            _ => Verdict::Stale,
        }
    }

    fn proves_any(&self, passwords: &[StoredPassword], exchange: &Exchange<'_>) -> bool {
        let raw = self.values.get(USER);
        let mut proven = false;
        for password in passwords {
            for user in [unescaped(raw).as_slice(), raw] {
                let ha1 = password.ha1(self.algorithm, user, exchange.realm);
                proven |= ha1.is_some_and(|ha1| {
                    same(
                        &self.expected(&ha1, exchange.method),
                        self.response.expose(),
                    )
                });
            }
        }
        proven
    }

    /// The response that proves this hash of a password (RFC 7616 section 3.4.1).
    fn expected(&self, ha1: &[u8], method: &str) -> Vec<u8> {
        let ha1 = hex(ha1);
        let value = |place| self.values.get(place);
        let ha2 = hex(&hash(self.algorithm, &[method.as_bytes(), value(URI)]));
        let parts = [
            ha1.as_bytes(),
            value(NONCE),
            value(COUNT),
            value(CLIENT_NONCE),
            value(QUALITY),
            ha2.as_bytes(),
        ];
        hash(self.algorithm, &parts)
    }
}

/// H(user:realm:password), RFC 7616 section 3.4.2.
pub(super) fn ha1(algorithm: Algorithm, user: &[u8], realm: &str, password: &Secret) -> Vec<u8> {
    hash(algorithm, &[user, realm.as_bytes(), password.expose()])
}

fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    for part in parts {
        message.extend_from_slice(part);
        message.push(b':');
    }
    message.pop();
    match algorithm {
        Algorithm::Md5 => Md5::digest(message).to_vec(),
        Algorithm::Sha256 => Sha256::digest(message).to_vec(),
    }
}

/// Eight hexadecimal digits, from 1.
fn count(digits: &[u8]) -> Option<u32> {
    let bytes: [u8; 4] = from_hex(digits)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes)).filter(|count| *count > 0)
}

/// Whether the proof's `uri` is the request's target.
///
/// Polycom's phones ask for `//` and the like, and what stands between may clean that up on the way, or
/// decode it, but cannot touch the header: so both are compared as [`RequestPath`] reads them, which is
/// all that the handler goes by. Some clients write the whole address: scheme and host do not count.
fn agrees(uri: &[u8], target: &str) -> bool {
    let Ok(uri) = std::str::from_utf8(uri) else {
        return false;
    };
    let (path, query) = relative(uri);
    let (target_path, target_query) = relative(target);
    if query != target_query {
        return false;
    }
    let clean = RequestPath::parse(path);
    path == target_path || (clean.is_ok() && clean == RequestPath::parse(target_path))
}

/// Path and query of a target, be it in absolute form (RFC 9112 section 3.2.2) or not.
fn relative(target: &str) -> (&str, Option<&str>) {
    let from_path = match target.split_once("://") {
        Some(("http" | "https", rest)) => rest
            .find('/')
            .map_or("/", |at| rest.get(at..).unwrap_or("/")),
        _ => target,
    };
    match from_path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (from_path, None),
    }
}

/// The values of [`NAMES`], each at most once (RFC 9110 section 11.2), without their quotes.
#[derive(Clone, Debug)]
struct Values<'h>([Option<&'h [u8]>; NAMES.len()]);

impl<'h> Values<'h> {
    fn parse(list: &'h [u8]) -> Result<Self, CredentialError> {
        let mut values = [None; NAMES.len()];
        let mut rest = list.trim_ascii_start();
        while let [first, after @ ..] = rest {
            if *first == b',' {
                rest = after.trim_ascii_start();
                continue;
            }
            let (name, after) = cut(rest, b"=");
            let name = name.trim_ascii_end();
            if name.is_empty() || name.iter().any(|byte| b" \t,\"".contains(byte)) {
                return Err(CredentialError::Encoding);
            }
            let after = after.strip_prefix(b"=").unwrap_or_default();
            let (value, after) =
                value(after.trim_ascii_start()).ok_or(CredentialError::Encoding)?;
            for (known, slot) in NAMES.iter().zip(&mut values) {
                if known.as_bytes().eq_ignore_ascii_case(name) && slot.replace(value).is_some() {
                    return Err(CredentialError::Duplicate);
                }
            }
            rest = after.trim_ascii_start();
            if !matches!(rest.first(), None | Some(b',')) {
                return Err(CredentialError::Encoding);
            }
        }
        Ok(Self(values))
    }

    /// Empty where it is absent, which [`Digest::parse`] has looked for.
    fn get(&self, place: usize) -> &'h [u8] {
        self.find(place).unwrap_or_default()
    }

    fn find(&self, place: usize) -> Option<&'h [u8]> {
        self.0.get(place).copied().flatten()
    }
}

/// What stands before the first of these bytes, and the rest from it on.
fn cut<'t>(text: &'t [u8], ends: &[u8]) -> (&'t [u8], &'t [u8]) {
    let end = text.iter().position(|byte| ends.contains(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// A token or what a quoted string holds, whichever, and what follows: clients put quotes around
/// `algorithm`, `qop` and `nc` and leave them away elsewhere.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (token, rest) = cut(text, b", \t");
        return (!token.is_empty() && !token.contains(&b'"')).then_some((token, rest));
    };
    let mut escaped = false;
    let end = quoted.iter().position(|byte| {
        let ends = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        ends
    });
    let (value, rest) = quoted.split_at(end?);
    Some((value, rest.get(1..)?))
}

/// What a quoted string means (RFC 9110 section 5.6.4).
fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut escaped = false;
    for byte in raw {
        escaped = !escaped && *byte == b'\\';
        if !escaped {
            value.push(*byte);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::super::Credential;
    use super::super::CredentialError;
    use super::Algorithm;
    use super::Digest;
    use super::Exchange;
    use super::Nonce;
    use super::Use;
    use super::Verdict;
    use super::agrees;
    use super::ha1;
    use super::hash;
    use super::hex;
    use crate::credential::StoredPassword;
    use crate::secret::DeploymentSecrets;
    use crate::secret::Secret;

    const SECRET: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const NOW: u64 = 1_700_000_000;
    const FILE: Exchange<'static> = Exchange {
        method: "GET",
        target: "/office/0004f28062d6.cfg",
        realm: "office",
        site: "office",
        now: NOW + 10,
        lifetime: 300,
    };

    fn secrets() -> DeploymentSecrets {
        DeploymentSecrets::parse(SECRET).unwrap()
    }

    fn parse(header: &str) -> Result<Digest<'_>, CredentialError> {
        match Credential::parse(header.as_bytes())? {
            Credential::Digest(digest) => Ok(digest),
            Credential::Basic(_) => panic!("{header} is Basic"),
        }
    }

    /// The answer of a phone that knows `password`, user and password as it writes them.
    fn answer(algorithm: Algorithm, user: &str, password: &str, site: &str, uri: &str) -> String {
        let nonce = Nonce::make(&secrets(), site, NOW, [9; 8]);
        let ha1 = hex(&ha1(
            algorithm,
            user.as_bytes(),
            site,
            &Secret::new(password),
        ));
        let ha2 = hex(&hash(algorithm, &[b"GET", uri.as_bytes()]));
        let nonce = nonce.text();
        let all = [&ha1, nonce, "0000000a", "c,n=\u{e9}", "auth", &ha2];
        let response = hex(&hash(algorithm, &all.map(str::as_bytes)));
        let user = user.replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            "Digest username=\"{user}\", realm=\"{site}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}, cnonce=\"c,n=\u{e9}\", nc=0000000a, qop=auth",
            algorithm.name()
        )
    }

    fn verdict(header: &str, exchange: &Exchange<'_>, passwords: &[StoredPassword]) -> String {
        let digest = parse(header).unwrap();
        match digest.check(&secrets(), exchange, passwords) {
            Verdict::Accepted(Use { count, nonce }) => {
                assert_eq!(nonce.len(), 60);
                format!("accepted {count}")
            }
            Verdict::Refused(fault) => format!("{fault:?}"),
            Verdict::Stale => "stale".to_owned(),
        }
    }

    #[test]
    fn the_vectors_of_rfc_7616_section_3_9_1() {
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (
                Algorithm::Sha256,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header = format!(
                "Digest username=\"Mufasa\",\n realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 algorithm={}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                 cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
                 response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
                algorithm.name()
            )
            .replace('\n', "");
            let digest = parse(&header).unwrap();
            let password = Secret::new("Circle of Life");
            let ha1 = ha1(algorithm, b"Mufasa", "http-auth@example.org", &password);
            assert_eq!(hex(&digest.expected(&ha1, "GET")), response);
            assert_eq!(hex(digest.response.expose()), response);
            let exchange = Exchange {
                target: "/dir/index.html",
                realm: "http-auth@example.org",
                site: "http-auth@example.org",
                ..FILE
            };
            let stored = [StoredPassword::Plain(password)];
            assert_eq!(verdict(&header, &exchange, &stored), "Nonce");
        }
    }

    #[test]
    fn proofs() {
        let password = Secret::new("tr\u{f6}ub:4dor");
        let wrong = [StoredPassword::Plain(Secret::new("troubador"))];
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let plain = [StoredPassword::Plain(password.clone())];
            let stored = [
                StoredPassword::digest(Algorithm::Md5, "0004f28062d6", "office", &password),
                StoredPassword::digest(Algorithm::Sha256, "0004f28062d6", "office", &password),
            ];
            let basic = [StoredPassword::generated(&password, [0; 16])];
            let good = answer(
                algorithm,
                "0004f28062d6",
                "tr\u{f6}ub:4dor",
                "office",
                FILE.target,
            );
            let lenient = good
                .replace("nc=0000000a", "NC = \"0000000a\"")
                .replace("qop=auth", "qop=\"auth\" ,,userhash=false, x=\"y\"")
                .replace(", ", " ,\t");
            let changed = good.replace("c,n=", "c,m=");
            let later = Exchange {
                now: NOW + 301,
                ..FILE
            };
            for (header, exchange, passwords, expected) in [
                (&good, FILE, &plain[..], "accepted 10"),
                (&good, FILE, &stored, "accepted 10"),
                (&lenient, FILE, &stored, "accepted 10"),
                (&good, FILE, &basic, "Response"),
                (&good, FILE, &wrong, "Response"),
                (&good, FILE, &[], "Response"),
                (&changed, FILE, &plain, "Response"),
                (&good, later, &plain, "stale"),
                (&good, later, &wrong, "Response"),
                (
                    &good,
                    Exchange {
                        method: "PUT",
                        ..FILE
                    },
                    &plain,
                    "Response",
                ),
                (
                    &good,
                    Exchange {
                        target: "/office/x.cfg",
                        ..FILE
                    },
                    &plain,
                    "Target",
                ),
                (
                    &good,
                    Exchange {
                        realm: "lync",
                        site: "lync",
                        ..FILE
                    },
                    &plain,
                    "Realm",
                ),
            ] {
                assert_eq!(
                    verdict(header, &exchange, passwords),
                    expected,
                    "{header} {exchange:?}"
                );
            }
            // Another site's nonce under this site's realm.
            let moved = answer(
                algorithm,
                "0004f28062d6",
                "tr\u{f6}ub:4dor",
                "lync",
                FILE.target,
            );
            let moved = moved.replace("realm=\"lync\"", "realm=\"office\"");
            assert_eq!(verdict(&moved, &FILE, &plain), "Nonce");
        }
    }

    #[test]
    fn the_hash_is_the_one_that_is_stored() {
        let password = Secret::new("x");
        let stored = [StoredPassword::digest(
            Algorithm::Sha256,
            "u",
            "office",
            &password,
        )];
        let header = answer(Algorithm::Md5, "u", "x", "office", FILE.target);
        assert_eq!(verdict(&header, &FILE, &stored), "Response");
        assert_eq!(
            parse(&header.replace("=MD5", "=SHA-256")).err(),
            Some(CredentialError::Encoding)
        );
        // Without a word about it, it is MD5 (RFC 7616 section 3.4).
        let plain = [StoredPassword::Plain(password)];
        let silent = header.replace(", algorithm=MD5", "");
        assert_eq!(verdict(&silent, &FILE, &plain), "accepted 10");
        assert_eq!(
            verdict(&silent.replace("qop=auth", "qop=Auth"), &FILE, &plain),
            "Response"
        );
    }

    #[test]
    fn special_user_names() {
        for user in [
            "OFFICE\\phone",
            "a\"b",
            "a,b=c",
            "caf\u{e9}",
            "a:b",
            " a ",
            "",
        ] {
            let header = answer(Algorithm::Md5, user, "x", "office", FILE.target);
            let digest = parse(&header).unwrap();
            assert_eq!(digest.user, user);
            assert!(digest.is_user(user) && !digest.is_user("other"));
            let stored = [
                StoredPassword::digest(Algorithm::Md5, user, "office", &Secret::new("x")),
                StoredPassword::Plain(Secret::new("x")),
            ];
            for stored in stored {
                assert_eq!(verdict(&header, &FILE, &[stored]), "accepted 10", "{user}");
            }
        }
        // A backslash that was not escaped, and a name in Latin-1.
        let header = answer(Algorithm::Md5, "OFFICE\\phone", "x", "office", FILE.target);
        let header = header.replace("\\\\", "\\");
        assert!(parse(&header).unwrap().is_user("OFFICE\\phone"));
        let stored = [StoredPassword::Plain(Secret::new("x"))];
        assert_eq!(verdict(&header, &FILE, &stored), "accepted 10");
        let header = answer(Algorithm::Md5, "caf#", "x", "office", FILE.target);
        let latin: Vec<u8> = header
            .bytes()
            .map(|b| if b == b'#' { 0xe9 } else { b })
            .collect();
        assert_eq!(Credential::parse(&latin).unwrap().user(), "caf\u{e9}");
    }

    #[test]
    fn targets_agree() {
        for (uri, target, expected) in [
            ("/a/b.cfg", "/a/b.cfg", true),
            ("/a//b.cfg", "/a/b.cfg", true),
            ("//a/./b.cfg", "/a/b.cfg", true),
            ("/a%20b.cfg", "/a b.cfg", true),
            ("http://prov.example.net/a/b.cfg", "/a/b.cfg", true),
            ("/a/b.cfg", "https://prov.example.net:8443/a/b.cfg", true),
            ("http://prov.example.net", "/", true),
            ("/a?mac=1", "/a?mac=1", true),
            ("/", "/", true),
            ("/a?mac=1", "/a?mac=2", false),
            ("/a", "/a?mac=1", false),
            ("/a?", "/a", false),
            ("/A/b.cfg", "/a/b.cfg", false),
            ("/b.cfg", "/a/b.cfg", false),
            ("/a/../a", "/a", false),
            ("/..", "/%2e%2e", false),
            ("", "/", false),
            ("*", "/a", false),
            ("ftp://x/a", "/a", false),
        ] {
            assert_eq!(agrees(uri.as_bytes(), target), expected, "{uri} {target}");
        }
        assert!(!agrees(b"/\xff", "/\u{ff}"));
    }

    #[test]
    fn a_part_missing_or_odd() {
        let good = answer(Algorithm::Md5, "u", "x", "office", FILE.target);
        for name in [
            "username", "realm", "nonce", "uri", "response", "cnonce", "nc", "qop",
        ] {
            let bad = good.replace(&format!("{name}="), &format!("x-{name}="));
            // "nonce=" stands in "cnonce=" as well.
            let found = parse(&bad).err();
            assert_eq!(found, Some(CredentialError::Missing), "{bad}");
        }
        for count in [
            "0",
            "0000000",
            "000000001",
            "0000000g",
            "00000000",
            "-0000001",
            "\"\"",
        ] {
            let bad = good.replace("nc=0000000a", &format!("nc={count}"));
            assert_eq!(parse(&bad).err(), Some(CredentialError::Encoding), "{bad}");
        }
        let bad = good.replace("response=\"", "response=\"0");
        assert_eq!(parse(&bad).err(), Some(CredentialError::Encoding));
    }

    #[test]
    fn a_proof_does_not_print_its_response() {
        let header = answer(Algorithm::Md5, "u", "x", "office", FILE.target);
        assert!(format!("{:?}", parse(&header).unwrap()).contains("Secret(hidden)"));
    }

    proptest! {
        #[test]
        fn nothing_panics(header: Vec<u8>, list: String) {
            let _ = Credential::parse(&header);
            let _ = Credential::parse(format!("Digest {list}").as_bytes());
            let header = answer(Algorithm::Md5, "u", "x", "office", FILE.target);
            let short = header.len().min(list.len() * 7);
            let _ = Credential::parse(&header.as_bytes()[..short]);
        }

        #[test]
        fn a_proof_for_any_user(user in "[^\\x00-\\x1f\\x7f]{0,20}", password in "[ -~]{1,20}") {
            let header = answer(Algorithm::Sha256, &user, &password, "office", FILE.target);
            let stored = StoredPassword::digest(Algorithm::Sha256, &user, "office", &Secret::new(password));
            assert_eq!(verdict(&header, &FILE, &[stored]), "accepted 10");
        }
    }
}
