//! Sealed values in a fleet directory: secrets that whoever reads the directory does not read, under a key of the
//! operator's own. The deployment's secret has no part in it, and never lies beside the directory.

mod rewrite;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use crate::encoding::base64;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::seal;
use crate::seal::aes::Aes;
use crate::seal::aes::at_once;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::settings::Setting;
use crate::vendor::habits;

pub use rewrite::Rewritten;
pub use rewrite::opened;
pub use rewrite::sealed;

/// The operator's key, or two while it is changed: the first seals, both open.
#[derive(Clone, Debug)]
pub struct FleetKey(DeploymentSecrets);

/// A text that is no key. It is never shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoFleetKey;

impl fmt::Display for NoFleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no fleet's key, which is what `handset secret key` makes; or two, the new one first")
    }
}

impl std::error::Error for NoFleetKey {}

/// What keys of values are made over. A value may go wherever its operator puts it.
const PURPOSE: &[u8] = b"handset fleet value 1";

impl FleetKey {
    /// Reads what [`FleetKey::make`] made, or two of them with white space or a comma between.
    pub fn parse(text: &str) -> Result<Self, NoFleetKey> {
        DeploymentSecrets::parse(text)
            .map(Self)
            .map_err(|_| NoFleetKey)
    }

    /// A key as it is kept.
    pub fn make(random: [u8; 32]) -> Secret {
        Secret::new(base64(&random))
    }

    /// A value sealed. The nonce is random; the same value twice is two texts, so that nobody sees who has the same
    /// password.
    pub fn seal(&self, nonce: [u8; 12], value: &str) -> Option<String> {
        let sealed = seal::seal(&Aes, &self.0, &[PURPOSE], nonce, value.as_bytes());
        at_once(sealed).flatten()
    }

    /// A value opened; `None` if this key did not seal it.
    pub fn open(&self, sealed: &str) -> Option<Secret> {
        let opened = at_once(seal::open(&Aes, &self.0, &[PURPOSE], sealed)).flatten()?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

/// What comes to light about secrets while a directory is read.
#[derive(Debug, Default)]
pub(super) struct Seals<'k> {
    key: Option<&'k FleetKey>,
    seen: RefCell<Seen>,
}

/// Where secrets stand.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Sealed, with what they are.
    pub(super) sealed: Vec<(Place, String)>,
    /// In the clear.
    pub(super) clear: Vec<(Place, String)>,
    /// Parameters that stand sealed somewhere: what they are called is all that tells that they are secret.
    pub(super) parameters: BTreeSet<String>,
}

impl<'k> Seals<'k> {
    /// With the operator's key, or without.
    pub(super) fn new(key: Option<&'k FleetKey>) -> Self {
        Self {
            key,
            seen: RefCell::default(),
        }
    }

    /// What was seen.
    pub(super) fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }

    /// The text of a setting, opened if it is sealed and there is a key. Without one, the sealed text takes the
    /// place of the value: it stands in no phone's way, for a server does not start with it.
    pub(super) fn reveal(
        &self,
        (setting, name): (&Setting, &str),
        text: &str,
        place: &Place,
        diagnostics: &mut Diagnostics,
    ) -> String {
        if !setting.secret && text.starts_with(LOOKS_SEALED) {
            let problem = format!("{name} is sealed, and is no secret");
            let remedy = "give it in the clear; what is to be sealed is in docs/settings.md";
            diagnostics.report("bad-seal", place, problem, remedy);
        } else if setting.secret {
            return self.reveal_secret(name, text, place, diagnostics);
        }
        text.to_owned()
    }

    /// The same for a vendor's parameter: any of them may be sealed.
    pub(super) fn reveal_parameter(
        &self,
        name: &str,
        text: &str,
        place: &Place,
        diagnostics: &mut Diagnostics,
    ) -> String {
        let sealed = text.starts_with(LOOKS_SEALED);
        if sealed && !habits::is_secret(name) {
            self.seen.borrow_mut().parameters.insert(name.to_owned());
        }
        if sealed || habits::is_secret(name) {
            return self.reveal_secret(name, text, place, diagnostics);
        }
        text.to_owned()
    }

    fn reveal_secret(
        &self,
        name: &str,
        text: &str,
        place: &Place,
        diagnostics: &mut Diagnostics,
    ) -> String {
        let mut seen = self.seen.borrow_mut();
        let here = (place.clone(), name.to_owned());
        if !text.starts_with(LOOKS_SEALED) {
            if !text.is_empty() {
                seen.clear.push(here);
            }
            return text.to_owned();
        }
        seen.sealed.push(here);
        let opened = match self.key {
            Some(key) => key.open(text),
            None => seal::is_sealed(text).then(|| Secret::new(text)),
        };
        let opened = opened.as_ref().and_then(Secret::expose_text);
        if opened.is_none() {
            let problem = match self.key {
                Some(_) => format!("{name} does not open with this key"),
                None => format!("{name} is sealed text that is damaged"),
            };
            let remedy = "seal the value anew (`handset secret seal`), or bring the key that it was sealed with";
            diagnostics.report("bad-seal", place, problem, remedy);
        }
        opened.unwrap_or_default().to_owned()
    }
}

/// What looks as if it should open.
pub(super) const LOOKS_SEALED: &str = "sealed:";

impl Seen {
    /// Those who seal some mean to seal all.
    pub(super) fn report_clear(&self, diagnostics: &mut Diagnostics) {
        if self.sealed.is_empty() {
            return;
        }
        for (place, name) in &self.clear {
            let problem = format!("{name} is in the clear, and other secrets are sealed");
            let remedy = format!("handset secret seal {}", place.file);
            diagnostics.report("secret-in-the-clear", place, problem, remedy);
        }
    }

    /// Says that a server would hand out sealed text.
    pub(super) fn report_closed(&self, diagnostics: &mut Diagnostics) {
        if let Some((place, name)) = self.sealed.first() {
            let more = match self.sealed.len() - 1 {
                0 => String::new(),
                more => format!(", and so are {more} more"),
            };
            let problem = format!("{name} is sealed{more}, and there is no key to open it with");
            let remedy = "set --key-file, or HANDSET_FLEET_KEY, to what `handset secret key` made";
            diagnostics.report("sealed-without-key", place, problem, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FleetKey;
    use crate::secret::Secret;

    #[test]
    fn a_key_opens_what_it_sealed() {
        let made = |byte: u8| {
            let random: [u8; 32] = std::array::from_fn(|at| byte.wrapping_mul(at as u8 ^ 0x5b));
            let text = FleetKey::make(random);
            text.expose_text().unwrap().to_owned()
        };
        let (one, two) = (made(7), made(11));
        let key = FleetKey::parse(&one).unwrap();
        let sealed = key.seal([1; 12], "p\u{e4}ss").unwrap();
        assert_eq!(key.open(&sealed), Some(Secret::new("p\u{e4}ss")));
        assert_ne!(key.seal([2; 12], "p\u{e4}ss").unwrap(), sealed);
        let both = FleetKey::parse(&format!("{two}\n{one}\n")).unwrap();
        assert_eq!(both.open(&sealed), Some(Secret::new("p\u{e4}ss")));
        assert_eq!(FleetKey::parse(&two).unwrap().open(&sealed), None);
        assert_eq!(key.open("p\u{e4}ss"), None);
        for text in ["", "hunter2", &one[..20]] {
            let error = FleetKey::parse(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        assert!(!format!("{key:?}").contains(&one));
    }
}
