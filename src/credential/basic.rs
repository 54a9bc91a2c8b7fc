//! Basic authentication (RFC 7617), read as tolerantly as phones write it.

use super::CredentialError;
use super::text;
use crate::encoding::from_base64;
use crate::key::Key;
use crate::secret::Secret;

/// A name and a password.
#[derive(Debug)]
pub struct Basic {
    /// Up to the first colon.
    pub user: String,
    /// All that follows it, as UTF-8 whichever way it came.
    pub password: Secret,
}

impl Basic {
    /// Reads what follows the scheme. Padding may be missing, and the text be UTF-8 or Latin-1.
    pub(super) fn parse(token: &[u8]) -> Result<Self, CredentialError> {
        if token.is_empty() {
            return Err(CredentialError::Encoding);
        }
        let bytes = from_base64(token).ok_or(CredentialError::Encoding)?;
        if bytes.iter().any(u8::is_ascii_control) {
            return Err(CredentialError::Character);
        }
        let text = text(&bytes);
        let (user, password) = text.split_once(':').ok_or(CredentialError::Missing)?;
        Ok(Self {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }

    /// The path key that stands where a password would, from a phone that can only be given a host.
    pub fn key(&self) -> Option<Key> {
        Key::parse(self.password.expose_text()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CredentialError;
    use super::Basic;

    #[test]
    fn names_and_passwords() {
        for (token, user, password) in [
            // RFC 7617 sections 2 and 2.1.
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("dGVzdDoxMjPCow==", "test", "123\u{a3}"),
            // The same pound sign in Latin-1.
            ("dGVzdDoxMjOj", "test", "123\u{a3}"),
            ("UGxjbVNwSXA6UGxjbVNwSXA=", "PlcmSpIp", "PlcmSpIp"),
            ("UGxjbVNwSXA6UGxjbVNwSXA", "PlcmSpIp", "PlcmSpIp"),
            ("YTpiOmM=", "a", "b:c"),
            ("Og==", "", ""),
        ] {
            let basic = Basic::parse(token.as_bytes()).expect(token);
            assert_eq!(basic.user, user, "{token}");
            assert!(basic.password.equals(password.as_bytes()), "{token}");
            assert!(!format!("{basic:?}").contains("sesame"));
        }
    }

    #[test]
    fn other_tokens() {
        for (token, error) in [
            ("", CredentialError::Encoding),
            ("=", CredentialError::Missing),
            ("YQ==", CredentialError::Missing),
            ("YTpi=YTpi", CredentialError::Encoding),
            ("YTpi*", CredentialError::Encoding),
            // a NUL b
            ("YTphAGI=", CredentialError::Character),
            // A line end.
            ("YTphCg==", CredentialError::Character),
        ] {
            let found = Basic::parse(token.as_bytes()).map(|_| ());
            assert_eq!(found, Err(error), "{token}");
        }
    }

    #[test]
    fn a_key_may_be_the_password() {
        // office:aoohnirlv76fug766r5uuy3krqe
        let token = b"b2ZmaWNlOmFvb2huaXJsdjc2ZnVnNzY2cjV1dXkza3JxZQ==";
        let basic = Basic::parse(token).unwrap();
        assert_eq!(basic.key().unwrap().generation(), 1);
        assert!(Basic::parse(b"YTpi").unwrap().key().is_none());
    }
}
