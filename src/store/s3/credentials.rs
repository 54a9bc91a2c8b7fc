//! The key that requests are signed with, which is never printed.

use std::fmt;

/// An access key, its secret and the token of a session.
#[derive(Clone)]
pub struct Credentials(rusty_s3::Credentials);

/// A variable that is needed but not set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MissingVariable(pub &'static str);

impl Credentials {
    /// From values, none of which is empty.
    pub fn new(key: &str, secret: &str, token: Option<&str>) -> Self {
        Self(match token {
            Some(token) => rusty_s3::Credentials::new_with_token(key, secret, token),
            None => rusty_s3::Credentials::new(key, secret),
        })
    }

    /// From variables named as all tools for S3 name them. A variable that is empty is not set.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, MissingVariable> {
        let set = |name| variable(name).filter(|value| !value.trim().is_empty());
        let key = set(KEY).ok_or(MissingVariable(KEY))?;
        let secret = set(SECRET).ok_or(MissingVariable(SECRET))?;
        Ok(Self::new(&key, &secret, set(TOKEN).as_deref()))
    }

    pub(super) fn signing(&self) -> &rusty_s3::Credentials {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl fmt::Display for MissingVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        write!(
            f,
            "{name} is not set; the S3 store takes its key from {KEY}, {SECRET} and, for temporary keys, {TOKEN}"
        )
    }
}

impl std::error::Error for MissingVariable {}

const KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

#[cfg(test)]
mod tests {
    use super::Credentials;
    use super::MissingVariable;

    #[test]
    fn nothing_of_a_key_is_shown() {
        let credentials = Credentials::from_variables(|name| Some(format!("value of {name}")));
        let shown = format!("{:?}", credentials.unwrap());
        assert!(!shown.contains("value"), "{shown}");
    }

    #[test]
    fn a_blank_variable_is_missing() {
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let value = |asked: &str| Some(if asked == name { " " } else { "x" }.to_owned());
            let missing = Credentials::from_variables(value).unwrap_err();
            assert_eq!(missing, MissingVariable(name));
        }
    }
}
