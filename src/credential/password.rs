//! Passwords as a record keeps them: a word that names the scheme, then its fields, colons between.
//!
//! **Why no slow hash of the usual strength.** A free Worker has 10 ms of CPU for a request and a phone sends its
//! password with every one; 600,000 rounds of PBKDF2 take some hundreds. So a password that is drawn at random
//! (128 bits, [`super::generated_password`]) is kept as one salted HMAC: nobody guesses it, however fast the
//! hash. A password that a person chose is kept by as many rounds as there is time for, which is a brake
//! and not a wall: whoever has the record and patience finds `Summer2024`. Scrypt would need memory besides.

use std::fmt;

use hmac::Mac;

use super::digest::Algorithm;
use super::digest::ha1;
use crate::encoding::from_hex;
use crate::encoding::hex;
use crate::secret::Secret;
use crate::secret::keyed;
use crate::secret::same;

/// A password, or what verifies one.
#[derive(Clone, Debug)]
pub enum StoredPassword {
    /// `digest-md5:…` and `digest-sha256:…`: H(user:realm:password) of RFC 7616 section 3.4.2. For Digest
    /// and Basic; bound to user and realm. It is as good as the password for Digest with that realm.
    Digest(Algorithm, Secret),
    /// `hmac-sha256:<salt>:<hash>`: for Basic, of a password drawn at random.
    Hmac(Vec<u8>, Secret),
    /// `pbkdf2-sha256:<rounds>:<salt>:<hash>` (RFC 8018): for Basic, of a password that a person chose.
    Pbkdf2(u32, Vec<u8>, Secret),
    /// `plain:…`: for Digest and Basic. Only for what is encrypted where it is kept.
    Plain(Secret),
}

impl StoredPassword {
    /// Rounds of PBKDF2 that a new record gets: about 2 ms in a Worker.
    pub const ROUNDS: u32 = 2_000;
    /// More than this is refused: a record must not be able to stop the server.
    pub const MOST_ROUNDS: u32 = 10_000;
    const LONGEST_SALT: usize = 64;

    /// For Digest, and for Basic too.
    pub fn digest(algorithm: Algorithm, user: &str, realm: &str, password: &Secret) -> Self {
        let hash = ha1(algorithm, user.as_bytes(), realm, password);
        Self::Digest(algorithm, Secret::new(hash))
    }

    /// For Basic alone, of a password drawn at random ([`super::generated_password`]) and of no other.
    pub fn generated(password: &Secret, salt: [u8; 16]) -> Self {
        Self::Hmac(salt.to_vec(), hmac(password, &salt))
    }

    /// For Basic alone, of a password that a person chose.
    pub fn chosen(password: &Secret, salt: [u8; 16]) -> Self {
        let hash = pbkdf2(password, &salt, Self::ROUNDS);
        Self::Pbkdf2(Self::ROUNDS, salt.to_vec(), hash)
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let (scheme, rest) = text.split_once(':').ok_or(PasswordError::Scheme)?;
        match scheme {
            "plain" => Ok(Self::Plain(Secret::new(rest))),
            "digest-md5" => parse_digest(Algorithm::Md5, rest),
            "digest-sha256" => parse_digest(Algorithm::Sha256, rest),
            "hmac-sha256" => {
                let (salt, hash) = parse_salted(rest)?;
                Ok(Self::Hmac(salt, hash))
            }
            "pbkdf2-sha256" => {
                let (rounds, rest) = rest.split_once(':').ok_or(PasswordError::Form)?;
                let rounds = rounds.parse().map_err(|_| PasswordError::Form)?;
                if !(1..=Self::MOST_ROUNDS).contains(&rounds) {
                    return Err(PasswordError::Rounds);
                }
                let (salt, hash) = parse_salted(rest)?;
                Ok(Self::Pbkdf2(rounds, salt, hash))
            }
            _ => Err(PasswordError::Scheme),
        }
    }

    /// The stored form; a secret itself.
    pub fn text(&self) -> Secret {
        let salted = |scheme: String, salt: &[u8], hash: &Secret| {
            scheme + ":" + &hex(salt) + ":" + &hex(hash.expose())
        };
        Secret::new(match self {
            Self::Digest(Algorithm::Md5, hash) => "digest-md5:".to_owned() + &hex(hash.expose()),
            Self::Digest(Algorithm::Sha256, hash) => {
                "digest-sha256:".to_owned() + &hex(hash.expose())
            }
            Self::Hmac(salt, hash) => salted("hmac-sha256".to_owned(), salt, hash),
            Self::Pbkdf2(rounds, salt, hash) => salted(
                "pbkdf2-sha256:".to_owned() + &rounds.to_string(),
                salt,
                hash,
            ),
            Self::Plain(password) => {
                let mut text = b"plain:".to_vec();
                text.extend(password.expose());
                return Secret::new(text);
            }
        })
    }

    /// Whether this is the password, as Basic brings it.
    pub fn verify(&self, user: &str, realm: &str, password: &Secret) -> bool {
        match self {
            Self::Digest(algorithm, hash) => {
                hash.equals(&ha1(*algorithm, user.as_bytes(), realm, password))
            }
            Self::Hmac(salt, hash) => *hash == hmac(password, salt),
            Self::Pbkdf2(rounds, salt, hash) => *hash == pbkdf2(password, salt, *rounds),
            // By their hashes: the time of a comparison would tell how long the password is.
            Self::Plain(own) => same(hmac(own, b"").expose(), hmac(password, b"").expose()),
        }
    }

    /// H(user:realm:password) by this hash, where it can be told from what is stored.
    pub(super) fn ha1(&self, algorithm: Algorithm, user: &[u8], realm: &str) -> Option<Vec<u8>> {
        match self {
            Self::Digest(of, hash) if *of == algorithm => Some(hash.expose().to_vec()),
            Self::Plain(password) => Some(ha1(algorithm, user, realm, password)),
            _ => None,
        }
    }
}

/// Why a record's password cannot be read. The device sees what it sees for a wrong password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordError {
    /// Fields missing, too long or of other characters.
    Form,
    /// No rounds, or more than [`StoredPassword::MOST_ROUNDS`].
    Rounds,
    /// No scheme, or an unknown one.
    Scheme,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a stored password is not well-formed",
            Self::Rounds => "a stored password asks for too many rounds, or for none",
            Self::Scheme => "a stored password is of an unknown scheme",
        })
    }
}

impl std::error::Error for PasswordError {}

fn parse_digest(algorithm: Algorithm, text: &str) -> Result<StoredPassword, PasswordError> {
    let hash = from_hex(text.as_bytes()).filter(|hash| hash.len() == algorithm.length());
    let hash = hash.ok_or(PasswordError::Form)?;
    Ok(StoredPassword::Digest(algorithm, Secret::new(hash)))
}

fn parse_salted(text: &str) -> Result<(Vec<u8>, Secret), PasswordError> {
    let (salt, hash) = text.split_once(':').ok_or(PasswordError::Form)?;
    let salt = from_hex(salt.as_bytes()).ok_or(PasswordError::Form)?;
    let hash = from_hex(hash.as_bytes()).ok_or(PasswordError::Form)?;
    if salt.is_empty() || salt.len() > StoredPassword::LONGEST_SALT || hash.len() != 32 {
        return Err(PasswordError::Form);
    }
    Ok((salt, Secret::new(hash)))
}

fn hmac(password: &Secret, salt: &[u8]) -> Secret {
    let mut hmac = keyed(salt);
    hmac.update(password.expose());
    Secret::new(hmac.finalize().into_bytes().to_vec())
}

/// RFC 8018 section 5.2, one block of 32 bytes.
fn pbkdf2(password: &Secret, salt: &[u8], rounds: u32) -> Secret {
    let keyed = keyed(password.expose());
    let mut first = keyed.clone();
    first.update(salt);
    first.update(&1_u32.to_be_bytes());
    let mut round: [u8; 32] = first.finalize().into_bytes().into();
    let mut block = round;
    for _ in 1..rounds {
        let mut next = keyed.clone();
        next.update(&round);
        round = next.finalize().into_bytes().into();
        for (sum, byte) in block.iter_mut().zip(round) {
            *sum ^= byte;
        }
    }
    Secret::new(block)
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::Algorithm;
    use super::PasswordError;
    use super::StoredPassword;
    use super::pbkdf2;
    use crate::encoding::hex;
    use crate::secret::Secret;

    fn all(password: &Secret) -> [StoredPassword; 5] {
        [
            StoredPassword::digest(Algorithm::Md5, "user", "office", password),
            StoredPassword::digest(Algorithm::Sha256, "user", "office", password),
            StoredPassword::generated(password, [1; 16]),
            StoredPassword::chosen(password, [2; 16]),
            StoredPassword::Plain(password.clone()),
        ]
    }

    #[test]
    fn every_form_is_read_back_and_verifies() {
        let password = Secret::new("pass:w\u{f6}rd");
        for stored in all(&password) {
            let text = stored.text();
            let text = text.expose_text().unwrap();
            let read = StoredPassword::parse(text).unwrap();
            assert!(read.verify("user", "office", &password), "{text}");
            for wrong in ["", "pass", "pass:w\u{f6}rd ", "Pass:w\u{f6}rd"] {
                assert!(
                    !read.verify("user", "office", &Secret::new(wrong)),
                    "{text}: {wrong}"
                );
            }
            let bound = matches!(read, StoredPassword::Digest(..));
            assert_eq!(read.verify("user", "lync", &password), !bound, "{text}");
            assert_eq!(read.verify("other", "office", &password), !bound, "{text}");
            assert!(!format!("{read:?}").contains("w\u{f6}rd"));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let hash = "00".repeat(32);
        for (text, error) in [
            ("", PasswordError::Scheme),
            ("hunter2", PasswordError::Scheme),
            ("sha1:00", PasswordError::Scheme),
            ("Plain:x", PasswordError::Scheme),
            ("digest-md5:", PasswordError::Form),
            (&format!("digest-md5:{hash}"), PasswordError::Form),
            ("digest-sha256:00", PasswordError::Form),
            ("hmac-sha256:00", PasswordError::Form),
            (&format!("hmac-sha256::{hash}"), PasswordError::Form),
            (&format!("hmac-sha256:0:{hash}"), PasswordError::Form),
            (
                &format!("hmac-sha256:{}:{hash}", "00".repeat(65)),
                PasswordError::Form,
            ),
            ("hmac-sha256:00:", PasswordError::Form),
            (&format!("pbkdf2-sha256:x:00:{hash}"), PasswordError::Form),
            (&format!("pbkdf2-sha256:0:00:{hash}"), PasswordError::Rounds),
            (
                &format!("pbkdf2-sha256:10001:00:{hash}"),
                PasswordError::Rounds,
            ),
            (
                &format!("pbkdf2-sha256:4294967296:00:{hash}"),
                PasswordError::Form,
            ),
        ] {
            assert_eq!(
                StoredPassword::parse(text).map(|_| ()),
                Err(error),
                "{text}"
            );
        }
    }

    #[test]
    fn the_first_vector_of_rfc_7914_section_11() {
        let hash = pbkdf2(&Secret::new("passwd"), b"salt", 1);
        let expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        assert_eq!(hex(hash.expose()), expected);
    }

    #[test]
    fn many_rounds() {
        // Of another implementation (Python's hashlib).
        let hash = pbkdf2(&Secret::new("passwd"), b"salt", 2000);
        assert_eq!(
            hex(hash.expose()),
            "4006c792da4ea451e2d36e6d085d95835d97b8c2d65ea9b74538104c8bf7fa61"
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(text: String, rest: String) {
            let _ = StoredPassword::parse(&text);
            for scheme in ["digest-md5", "digest-sha256", "hmac-sha256", "pbkdf2-sha256:1", "plain"] {
                let _ = StoredPassword::parse(&format!("{scheme}:{rest}"));
            }
        }
    }
}
