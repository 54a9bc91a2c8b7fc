//! `handset password`: what `[passwords]` of a site keeps of a password.

use crate::access::REALM;
use crate::credential::Algorithm;
use crate::credential::StoredPassword;
use crate::encoding::base32;
use crate::secret::Secret;

/// A password of 128 random bits, of letters and digits that no phone's keys miss.
pub fn generate(random: u128) -> Secret {
    Secret::new(base32(random, 26))
}

/// The line for `[passwords]`, or why there is none. It serves Basic and Digest by MD5, the only one that
/// older phones know.
pub fn line(user: &str, password: &Secret) -> Result<String, String> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if user.is_empty() || user.contains([':', '"', '\\']) || !plain(user) {
        let remedy = "take letters, digits and signs other than : \" \\";
        return Err(format!("{user:?} is no user name: {remedy}"));
    }
    if password.expose().is_empty() || !password.expose_text().is_some_and(plain) {
        let remedy = "phones write other characters in different ways, and cannot be asked which";
        return Err(format!(
            "the password is not of ASCII letters, digits and signs: {remedy}"
        ));
    }
    let stored = StoredPassword::digest(Algorithm::Md5, user, REALM, password).text();
    let stored = stored.expose_text().unwrap_or_default();
    Ok(format!("\"{user}\" = \"{stored}\""))
}

#[cfg(test)]
mod tests {
    use super::generate;
    use super::line;
    use crate::access::REALM;
    use crate::credential::StoredPassword;
    use crate::secret::Secret;

    #[test]
    fn the_line_verifies_the_password() {
        let password = generate(u128::MAX / 3);
        let text = line("office", &password).unwrap();
        let stored = text.split('"').nth(3).unwrap();
        let stored = StoredPassword::parse(stored).unwrap();
        assert!(stored.verify("office", REALM, &password));
        assert!(!stored.verify("office", REALM, &Secret::new("x")));
        for (user, password) in [
            ("", "a"),
            ("a:b", "a"),
            ("a", ""),
            ("a", "p\u{e4}ss"),
            ("a", "a b"),
        ] {
            assert!(
                line(user, &Secret::new(password)).is_err(),
                "{user:?} {password:?}"
            );
        }
    }
}
