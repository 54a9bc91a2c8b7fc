//! Override drift: settings that were changed at a phone or in its web page, and so count instead of what the phone is
//! given. Polycom's UCS Administrator's Guide calls the files that hold them overrides.
//!
//! Pure: texts of files come in, and what of them stands against the rendered configuration goes out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::fleet::check::lists;
use crate::fleet::outputs::Group;
use crate::fleet::outputs::Output;
use crate::fleet::parameters;
use crate::fleet::redaction::MARK;
use crate::fleet::redaction::OTHER;
use crate::mac::MacAddress;
use crate::pattern::Captures;
use crate::vendor::Format;
use crate::vendor::habits;

/// A setting of the phone's own.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Local {
    /// The parameter.
    pub parameter: String,
    /// The file that the phone uploaded it in.
    pub file: String,
    /// Its value at the phone.
    pub local: String,
    /// The value that the phone is given, if it is given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<String>,
    /// What the two make of each other.
    pub effect: Effect,
}

/// What a setting of the phone's own does to the one that it is given.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The phone is given another value, and does not take it.
    Defeats,
    /// The phone is given none.
    Adds,
    /// The phone is given a value that is not shown, and may be another.
    Unknown,
    /// The phone is given the same; a later change will not reach it.
    Repeats,
}

/// The names that a phone uploads its overrides under, the strongest first.
pub fn names(vendor: &str, mac: MacAddress) -> Vec<String> {
    let overrides = habits::find(vendor).map_or(&[][..], |habits| habits.overrides);
    let holes = Captures {
        mac: Some(mac),
        ..Captures::default()
    };
    overrides.iter().map(|name| holes.fill(name)).collect()
}

/// The parameters that a phone is given, with the values that it would keep.
pub fn given(group: &Group<'_>, mac: MacAddress, outputs: &[Output]) -> BTreeMap<String, String> {
    lists::kept(group, mac, outputs)
}

/// What a phone's overrides (name and text, the strongest first) do to what it is given, what defeats it first.
///
/// Values of parameters that are secret, by the vendors' tables or by `secret`, are not shown.
pub fn drift(
    overrides: &[(String, String)],
    given: &BTreeMap<String, String>,
    secret: &BTreeSet<String>,
) -> Vec<Local> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (file, text) in overrides {
        let format = Format::of_text(text, Format::Xml);
        for parameter in parameters::read(format, text) {
            // A name space is no setting.
            if parameter.name.starts_with("xmlns") || !seen.insert(parameter.name.clone()) {
                continue;
            }
            let given = given.get(&parameter.name);
            let effect = match given {
                Some(given) if given == MARK || given == OTHER => Effect::Unknown,
                Some(given) if is_same(given, &parameter.value) => Effect::Repeats,
                Some(_) => Effect::Defeats,
                None => Effect::Adds,
            };
            let hidden = secret.contains(&parameter.name) || habits::is_secret(&parameter.name);
            let (local, given) = shown(hidden, effect, parameter.value, given);
            found.push(Local {
                parameter: parameter.name,
                file: file.clone(),
                local,
                given,
                effect,
            });
        }
    }
    found.sort_by(|a, b| (a.effect, &a.parameter).cmp(&(b.effect, &b.parameter)));
    found
}

/// What is shown of a secret that may be the phone's own or another.
const UNKNOWN: &str = "(a secret)";

/// Phones write `1` as `1` and take ` 1 ` for the same.
fn is_same(given: &str, local: &str) -> bool {
    given.trim() == local.trim()
}

fn shown(
    hidden: bool,
    effect: Effect,
    local: String,
    given: Option<&String>,
) -> (String, Option<String>) {
    if !hidden {
        return (local, given.cloned());
    }
    let other = match effect {
        Effect::Repeats => MARK,
        Effect::Adds | Effect::Defeats => OTHER,
        Effect::Unknown => UNKNOWN,
    };
    (MARK.to_owned(), given.map(|_| other.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use super::Effect;
    use super::drift;
    use super::names;

    /// As UCS writes it, after Polycom's own example in which the user chooses a ring tone at the phone.
    const RINGER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
        <!-- Application SIP Trident 4.1.6.4835 07-Jan-14 16:14 -->\n\
        <!-- Created 12-03-2014 09:17 -->\n<PHONE_CONFIG>\n\
        \t<!-- Note: The following parameters have been excluded from the export:\n\t-->\n\
        \t<OVERRIDES np.normal.ringing.calls.tonePattern=\"ringer10\"/>\n</PHONE_CONFIG>\n";
    /// As the web page of a phone writes it, several on as many lines.
    const WEB: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<PHONE_CONFIG>\n\
        \t<OVERRIDES\n\t\ttcpIpApp.sntp.address=\"time.example.org\"\n\t\ttcpIpApp.sntp.gmtOffset=\"3600\"\n\
        \t\treg.1.auth.password=\"hers\"\n\t\tnp.normal.ringing.calls.tonePattern=\"ringer2\"/>\n</PHONE_CONFIG>\n";
    const EMPTY: &str = "<PHONE_CONFIG><OVERRIDES/></PHONE_CONFIG>";
    const BROKEN: &str = "<PHONE_CONFIG><OVERRIDES a=\"1\"/><unended";

    /// Overrides; what the phone is given; what is found, as parameter, local value, given value and effect.
    type Row<'t> = (
        &'t [(&'t str, &'t str)],
        &'t [(&'t str, &'t str)],
        &'t [(&'t str, &'t str, Option<&'t str>, Effect)],
    );

    const TONE: &str = "np.normal.ringing.calls.tonePattern";

    #[rustfmt::skip]
    const ROWS: &[Row<'static>] = &[
        (&[("phone", RINGER)], &[(TONE, "ringer3")], &[(TONE, "ringer10", Some("ringer3"), Effect::Defeats)]),
        (&[("phone", RINGER)], &[(TONE, "ringer10 ")], &[(TONE, "ringer10", Some("ringer10 "), Effect::Repeats)]),
        (&[("phone", RINGER)], &[("up.idle", "1")], &[(TONE, "ringer10", None, Effect::Adds)]),
        (&[("phone", EMPTY)], &[(TONE, "ringer3")], &[]),
        (&[], &[(TONE, "ringer3")], &[]),
        (&[("phone", BROKEN)], &[("a", "2")], &[("a", "1", Some("2"), Effect::Defeats)]),
        (&[("phone", "")], &[("a", "2")], &[]),
        // What was set at the phone goes before its web page, and counts once.
        (
            &[("phone", RINGER), ("web", WEB)],
            &[(TONE, "ringer2"), ("tcpIpApp.sntp.address", "pool.example.net"), ("reg.1.auth.password", "ours")],
            &[
                (TONE, "ringer10", Some("ringer2"), Effect::Defeats),
                ("reg.1.auth.password", "(secret)", Some("(other secret)"), Effect::Defeats),
                ("tcpIpApp.sntp.address", "time.example.org", Some("pool.example.net"), Effect::Defeats),
                ("tcpIpApp.sntp.gmtOffset", "3600", None, Effect::Adds),
            ],
        ),
        (
            &[("web", WEB)],
            &[("reg.1.auth.password", "hers"), ("hidden", "x")],
            &[
                (TONE, "ringer2", None, Effect::Adds),
                ("tcpIpApp.sntp.address", "time.example.org", None, Effect::Adds),
                ("tcpIpApp.sntp.gmtOffset", "3600", None, Effect::Adds),
                ("reg.1.auth.password", "(secret)", Some("(secret)"), Effect::Repeats),
            ],
        ),
        // What a server does not show.
        (&[("phone", RINGER)], &[(TONE, "(secret)")], &[(TONE, "ringer10", Some("(secret)"), Effect::Unknown)]),
        (
            &[("phone", "<a hidden=\"mine\"/>")],
            &[("hidden", "x")],
            &[("hidden", "(secret)", Some("(other secret)"), Effect::Defeats)],
        ),
    ];

    #[test]
    fn overrides_defeat_repeat_or_add() {
        let secret = BTreeSet::from(["hidden".to_owned()]);
        for (overrides, given, expected) in ROWS {
            let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            let overrides: Vec<_> = overrides.iter().map(owned).collect();
            let given: BTreeMap<String, String> = given.iter().map(owned).collect();
            let found = drift(&overrides, &given, &secret);
            let found: Vec<_> = found
                .iter()
                .map(|it| (&*it.parameter, &*it.local, it.given.as_deref(), it.effect))
                .collect();
            assert_eq!(found, *expected, "{overrides:?}");
        }
    }

    #[test]
    fn overrides_have_the_phones_address_in_their_names() {
        let mac = "00:04:F2:00:05:00".parse().unwrap();
        assert_eq!(
            names("polycom", mac),
            ["0004f2000500-phone.cfg", "0004f2000500-web.cfg"]
        );
        assert_eq!(names("panasonic", mac), [""; 0]);
    }
}
