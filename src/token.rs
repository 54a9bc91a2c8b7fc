//! Tokens of operators (RFC 6750): made from the deployment's secret, so that none is kept anywhere.
//!
//! A token says what it opens and for whom, and proves it; changing the secret takes all of them back.

use crate::encoding::hex;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::secret::same;

/// What a token opens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// Whether it changes things, or looks at them only.
    pub scope: Scope,
    /// The tenant whose sites it is for; all of the deployment's without one.
    pub tenant: Option<String>,
}

/// How much a token opens; each opens what those before it open.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Looking.
    Read,
    /// Changing.
    Write,
}

impl Token {
    /// The token as it is handed out: scope, tenant and proof, with dots between.
    pub fn text(&self, secrets: &DeploymentSecrets) -> Secret {
        let mut text = self.claim();
        text.push('.');
        text.push_str(&hex(&secrets.tag(&self.fields())));
        Secret::new(text)
    }

    /// Reads a token that was made with one of the deployment's secrets.
    pub fn verify(secrets: &DeploymentSecrets, text: &str) -> Option<Self> {
        let (claim, proof) = text.rsplit_once('.')?;
        let token = Self::claimed(claim)?;
        let mut genuine = false;
        // All of them, so that the time does not tell which one it is.
        for (_, tag) in secrets.tags(&token.fields()) {
            genuine |= same(hex(&tag).as_bytes(), proof.as_bytes());
        }
        genuine.then_some(token)
    }

    fn claimed(claim: &str) -> Option<Self> {
        let (scope, tenant) = match claim.split_once('.') {
            Some((scope, tenant)) => (scope, Some(tenant.to_owned())),
            None => (claim, None),
        };
        let scope = match scope {
            "read" => Scope::Read,
            "write" => Scope::Write,
            _ => return None,
        };
        Some(Self { scope, tenant })
    }

    fn claim(&self) -> String {
        let mut claim = self.scope.word().to_owned();
        if let Some(tenant) = &self.tenant {
            claim.push('.');
            claim.push_str(tenant);
        }
        claim
    }

    /// Whether there is a tenant is a field of its own: an empty name is not the whole deployment.
    fn fields(&self) -> [&[u8]; 4] {
        let tenant = self.tenant.as_deref();
        [
            b"handset operator token 1",
            self.scope.word().as_bytes(),
            if tenant.is_some() { b"1" } else { b"0" },
            tenant.unwrap_or_default().as_bytes(),
        ]
    }
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;
    use super::Token;
    use crate::secret::DeploymentSecrets;

    const OLD: &str = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
    const NEW: &str = "q83vASNFZ4mrze8BI0VniasSNFZ4kBI0VniQESIzRFU=";

    fn tokens() -> Vec<Token> {
        let tenants = [None, Some(""), Some("acme"), Some("acme.west")];
        let token = |scope, tenant: Option<&str>| Token {
            scope,
            tenant: tenant.map(str::to_owned),
        };
        let of = |tenant| [token(Scope::Read, tenant), token(Scope::Write, tenant)];
        tenants.into_iter().flat_map(of).collect()
    }

    #[test]
    fn a_token_is_what_it_says_under_its_secret_and_no_other() {
        let old = DeploymentSecrets::parse(OLD).unwrap();
        let both = DeploymentSecrets::parse(&format!("{NEW} {OLD}")).unwrap();
        let new = DeploymentSecrets::parse(NEW).unwrap();
        for token in tokens() {
            let text = token.text(&old);
            let text = text.expose_text().unwrap();
            assert_eq!(Token::verify(&old, text), Some(token.clone()), "{text}");
            assert_eq!(Token::verify(&both, text), Some(token), "{text}");
            assert_eq!(Token::verify(&new, text), None, "{text}");
        }
    }

    #[test]
    fn no_other_text_is_a_token() {
        let secrets = DeploymentSecrets::parse(OLD).unwrap();
        for one in tokens() {
            let text = one.text(&secrets);
            let (_, proof) = text.expose_text().unwrap().rsplit_once('.').unwrap();
            for other in tokens().iter().filter(|other| **other != one) {
                let forged = format!("{}.{proof}", other.claim());
                assert_eq!(Token::verify(&secrets, &forged), None, "{forged}");
            }
            let short = format!("{}.{}", one.claim(), &proof[1..]);
            assert_eq!(Token::verify(&secrets, &short), None);
        }
        for text in ["", ".", "write", "write.", "admin.00", "\u{e9}."] {
            assert_eq!(Token::verify(&secrets, text), None, "{text}");
        }
    }
}
