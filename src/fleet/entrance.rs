//! Who may have what, as `handset.toml` and `sites/NAME.toml` say it.

use crate::access::GENERATIONS;
use crate::credential::StoredPassword;
use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::document::Section;
use crate::key::Key;
use crate::map::Map;
use crate::site::Access;
use crate::site::Refusal;
use crate::site::Terms;

/// `refusal = "not-found"` or `"challenge"`.
pub(super) fn refusal(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Refusal {
    let Some((refusal, place)) = section.text("refusal", diagnostics) else {
        return Refusal::default();
    };
    match refusal.as_str() {
        "challenge" => Refusal::Challenge,
        "not-found" => Refusal::NotFound,
        _ => {
            let remedy =
                "say \"not-found\" (404) or \"challenge\" (401, which phones with a password need)";
            diagnostics.report(
                "unknown-access",
                &place,
                format!("unknown refusal {refusal:?}"),
                remedy,
            );
            Refusal::default()
        }
    }
}

/// `access = "open"` or `"keys"`, and what goes with keys.
pub(super) fn access(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Access> {
    let remedy = "say `access = \"keys\"`: phones then need an address from `handset key`; \
                  or `access = \"open\"`: whoever reaches the server may read the site's files, passwords included";
    let terms = terms(section, diagnostics);
    let (access, place) = section.required("access", remedy, diagnostics)?;
    match access.as_str() {
        "keys" => Some(Access::Keys(terms)),
        "open" if terms == Terms::default() => Some(Access::Open),
        "open" => {
            let remedy = "say `access = \"keys\"`, or take [keys], [passwords] and what else belongs to it away";
            let problem = "an open site asks nobody for keys or passwords";
            diagnostics.report("contradicting-access", &place, problem, remedy);
            None
        }
        _ => {
            diagnostics.report(
                "unknown-access",
                &place,
                format!("unknown access {access:?}"),
                remedy,
            );
            None
        }
    }
}

fn terms(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Terms {
    let (generation, oldest) = generations(section, diagnostics);
    let plain_http = section.flag("plain_http", diagnostics);
    if plain_http {
        let remedy = "give phones https addresses if they can use them, or put a relay beside them";
        let place = section.get("plain_http").map(|(_, place)| place);
        let problem =
            "whoever is on the way reads the passwords of phones that ask over plain HTTP";
        diagnostics.report(
            "plain-http",
            &place.unwrap_or_else(|| section.place()),
            problem,
            remedy,
        );
    }
    Terms {
        generation,
        oldest,
        passwords: section.get("passwords").is_some(),
        factory_passwords: section.flag("factory_passwords", diagnostics),
        certificates: section.flag("client_certificates", diagnostics),
        plain_http,
        relays: relays(section, diagnostics),
    }
}

/// `[keys]`: the generation that keys are made of, and the oldest that is not retired.
fn generations(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> (u8, u8) {
    let Some(table) = section.table("keys", diagnostics) else {
        return (0, 0);
    };
    let generation = table.number("generation", diagnostics).unwrap_or(0);
    let oldest = table.number("oldest", diagnostics).unwrap_or(generation);
    table.report_unknown(diagnostics);
    let last = u64::from(Key::LAST_GENERATION);
    let valid = oldest <= generation && generation - oldest < u64::from(GENERATIONS);
    if generation > last || !valid {
        let problem = format!("generations {oldest} to {generation} cannot be valid together");
        let remedy = format!(
            "retire old ones: at most {GENERATIONS} at once, none above {last}, `oldest` not above `generation`"
        );
        diagnostics.report("bad-generations", &table.place(), problem, remedy);
    }
    let small = |number: u64| u8::try_from(number.min(last)).unwrap_or(Key::LAST_GENERATION);
    (small(generation), small(oldest))
}

fn relays(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let mut relays = Vec::new();
    for (name, place) in section.texts("relays", diagnostics) {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
            let remedy = "use letters, digits, `-`, `_` and `.`, at most 64";
            diagnostics.report(
                "bad-relay",
                &place,
                format!("relay {name:?} is no name"),
                remedy,
            );
        } else if relays.contains(&name) {
            let remedy = "take one of them away";
            diagnostics.report(
                "bad-relay",
                &place,
                format!("relay {name:?} is there twice"),
                remedy,
            );
        } else {
            relays.push(name);
        }
    }
    relays
}

/// `[passwords]`: user to what `handset password` prints.
pub(super) fn passwords(section: &Section<'_, '_>, diagnostics: &mut Diagnostics) -> Map<String> {
    let mut passwords = Map::default();
    let Some(table) = section.table("passwords", diagnostics) else {
        return passwords;
    };
    for (user, (value, place)) in table.entries() {
        match value.as_str().map(StoredPassword::parse) {
            Some(Ok(password)) => {
                check_user(user, &password, &place, diagnostics);
                let text = password.text().expose_text().unwrap_or_default().to_owned();
                passwords.insert(user.to_owned(), text);
            }
            _ => {
                let problem = format!("the password of {user:?} is in no form that is known");
                let remedy = "put the line here that `handset password USER` prints";
                diagnostics.report("bad-password", &place, problem, remedy);
            }
        }
    }
    passwords
}

/// A name that means something else, or a form that keeps the password readable.
fn check_user(user: &str, password: &StoredPassword, place: &Place, diagnostics: &mut Diagnostics) {
    if user.contains(':') || user.parse::<crate::mac::MacAddress>().is_ok() {
        let problem = format!("{user:?} is no user name");
        let remedy =
            "take one without `:` that is no hardware address: a device's password is its key";
        diagnostics.report("bad-password", place, problem, remedy);
    }
    if matches!(password, StoredPassword::Plain(_)) {
        let problem = format!("the password of {user:?} can be read in this file");
        let remedy = "put the line here that `handset password USER` prints";
        diagnostics.report("readable-password", place, problem, remedy);
    }
}
