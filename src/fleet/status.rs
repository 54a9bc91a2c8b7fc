//! `handset status`: what is known of each phone, from what the fleet or a server says of it and from its last contact.
//!
//! Pure: lines of lists come in, rows go out. Where they are asked for is `status/asked.rs`.

pub mod asked;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::fleet::drift::Effect;
use crate::fleet::drift::Local;
use crate::mac::MacAddress;
use crate::publish::DeviceLine;
use crate::store::Contact;
use crate::user_agent::UserAgent;
use crate::vendor;

/// What is known of a phone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// Its site.
    pub site: String,
    /// Its address.
    pub mac: MacAddress,
    /// The model that it is said to be; nothing for one that knocks and is not in the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model that it says it is, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says_model: Option<String>,
    /// How long ago it was heard of, in words that are counted.
    pub seen: Seen,
    /// When it began its last boot, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<u64>,
    /// The version of the software that it said it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The version that it is given, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// The publication that it fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<u64>,
    /// `staged`, `enrolling`, `enrolled` or `locked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<String>,
    /// Why it was refused, where it knocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What it said of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Its own settings, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<Local>>,
}

/// How a phone stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// It was refused though its site's key is good.
    Knocking,
    /// It never came.
    Never,
    /// It has not come for long.
    Stale,
    /// It came lately.
    Lately,
}

impl Seen {
    /// In the order in which they ask for attention.
    pub const ALL: [Self; 4] = [Self::Knocking, Self::Never, Self::Stale, Self::Lately];

    /// As it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Knocking => "knocking",
            Self::Lately => "seen",
            Self::Never => "never seen",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Since when a contact is not stale, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Since(pub u64);

/// The rows of a site: its devices, and those that knock without being any.
pub fn rows(
    site: &str,
    devices: Vec<DeviceLine>,
    contacts: Vec<(MacAddress, Contact)>,
    fresh: Since,
) -> Vec<Row> {
    let mut contacts: BTreeMap<MacAddress, Contact> = contacts.into_iter().collect();
    let mut rows: BTreeMap<MacAddress, Row> = BTreeMap::new();
    for device in devices {
        let contact = contacts.remove(&device.mac);
        // One that is in the store and not in the fleet any more counts only if it still comes.
        if device.model.is_some() || contact.is_some() {
            let mac = device.mac;
            rows.insert(mac, row(site, mac, Some(device), contact, fresh));
        }
    }
    for (mac, contact) in contacts {
        if contact.refused.is_some() {
            rows.insert(mac, row(site, mac, None, Some(contact), fresh));
        }
    }
    rows.into_values().collect()
}

fn row(
    site: &str,
    mac: MacAddress,
    device: Option<DeviceLine>,
    contact: Option<Contact>,
    Since(fresh): Since,
) -> Row {
    let agent = contact.as_ref().and_then(|it| it.user_agent.as_deref());
    let agent = agent.and_then(UserAgent::parse);
    let device = device.unwrap_or(DeviceLine {
        mac,
        model: None,
        firmware: None,
        enrolment: String::new(),
        publications: Vec::new(),
        settings: None,
    });
    let seen = match &contact {
        None => Seen::Never,
        Some(contact) if contact.refused.is_some() => Seen::Knocking,
        Some(contact) if contact.at < fresh => Seen::Stale,
        Some(_) => Seen::Lately,
    };
    Row {
        site: site.to_owned(),
        mac,
        says_model: agent
            .as_ref()
            .and_then(|agent| other_model(device.model.as_deref(), agent)),
        model: device.model,
        seen,
        last_contact: contact.as_ref().map(|contact| contact.at),
        firmware: agent.and_then(|agent| agent.version.map(str::to_owned)),
        pinned: device.firmware,
        fetched: contact
            .as_ref()
            .map(|contact| contact.publication)
            .filter(|fetched| *fetched > 0),
        enrolment: Some(device.enrolment).filter(|word| !word.is_empty()),
        refused: contact.as_ref().and_then(|contact| contact.refused.clone()),
        user_agent: contact.and_then(|contact| contact.user_agent),
        drift: None,
    }
}

/// What a phone says it is, where that is a model we know and not the one that was said.
fn other_model(said: Option<&str>, agent: &UserAgent<'_>) -> Option<String> {
    let models = agent.vendor.models.iter();
    let named = models.filter(|model| {
        let begins = agent.model.get(..model.user_agent.len());
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(model.user_agent))
    });
    let named = named.max_by_key(|model| model.user_agent.len())?;
    let same = |said: &str| {
        vendor::same_name(said, named.name) || vendor::same_name(said, named.user_agent)
    };
    // A model of the operator's own is none of ours: what it calls itself is in `models/`.
    let known = said.is_none_or(|said| vendor::find_model(said).is_some());
    (known && !said.is_some_and(same)).then(|| named.name.to_owned())
}

/// How many phones stand how.
pub fn tally(rows: &[Row]) -> BTreeMap<Seen, usize> {
    let mut tally = BTreeMap::new();
    for row in rows {
        *tally.entry(row.seen).or_default() += 1;
    }
    tally
}

impl Row {
    /// Its own settings that keep it from taking what it is given.
    pub fn defeats(&self) -> impl Iterator<Item = &Local> {
        let drift = self.drift.iter().flatten();
        drift.filter(|local| local.effect == Effect::Defeats)
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use super::Since;
    use super::rows;
    use super::tally;
    use crate::publish::DeviceLine;
    use crate::store::Contact;

    const NOW: u64 = 1_700_000_000_000;
    const VVX: &str = "FileTransport PolycomVVX-VVX_400-UA/5.9.7.1";

    fn device(mac: &str, model: Option<&str>) -> DeviceLine {
        DeviceLine {
            mac: mac.parse().unwrap(),
            model: model.map(str::to_owned),
            firmware: None,
            enrolment: "staged".to_owned(),
            publications: vec![3],
            settings: None,
        }
    }

    fn contact(at: u64, agent: &str, refused: Option<&str>) -> Contact {
        Contact {
            at,
            user_agent: Some(agent.to_owned()),
            refused: refused.map(str::to_owned),
            publication: 3,
            ..Contact::default()
        }
    }

    /// A device of the fleet, or none; its contact; how it stands, what it says it is.
    #[test]
    fn phones_stand_as_they_came() {
        type Told<'t> = Option<(u64, &'t str, Option<&'t str>)>;
        type Shown<'t> = Option<(Seen, Option<&'t str>, Option<&'t str>)>;
        #[rustfmt::skip]
        let cases: &[(Option<Option<&str>>, Told<'_>, Shown<'_>)] = &[
            (Some(Some("VVX 400")), None, Some((Seen::Never, None, None))),
            (Some(Some("VVX 400")), Some((NOW, VVX, None)), Some((Seen::Lately, None, Some("5.9.7.1")))),
            (Some(Some("vvx400")), Some((NOW, VVX, None)), Some((Seen::Lately, None, Some("5.9.7.1")))),
            (Some(Some("VVX 500")), Some((NOW, VVX, None)), Some((Seen::Lately, Some("VVX 400"), Some("5.9.7.1")))),
            (Some(Some("Our own")), Some((NOW, VVX, None)), Some((Seen::Lately, None, Some("5.9.7.1")))),
            (Some(Some("VVX 400")), Some((1, VVX, None)), Some((Seen::Stale, None, Some("5.9.7.1")))),
            (Some(Some("VVX 400")), Some((1, "curl/8", None)), Some((Seen::Stale, None, None))),
            (Some(Some("VVX 400")), Some((NOW, VVX, Some("no key"))), Some((Seen::Knocking, None, Some("5.9.7.1")))),
            (None, Some((NOW, VVX, Some("unknown device"))), Some((Seen::Knocking, Some("VVX 400"), Some("5.9.7.1")))),
            // It is in the store still, and not in the fleet: nobody's concern unless it comes.
            (Some(None), None, None),
            (Some(None), Some((NOW, VVX, None)), Some((Seen::Lately, Some("VVX 400"), Some("5.9.7.1")))),
            (None, Some((NOW, VVX, None)), None),
        ];
        for (fleet, told, expected) in cases {
            let mac = "0004f2000500";
            let devices = fleet.map(|model| device(mac, model)).into_iter().collect();
            let told = told
                .map(|(at, agent, refused)| (mac.parse().unwrap(), contact(at, agent, refused)));
            let contacts = told.clone().into_iter().collect();
            let found = rows("hq", devices, contacts, Since(NOW - 1000));
            let found: Vec<_> = found
                .iter()
                .map(|row| (row.seen, row.says_model.as_deref(), row.firmware.as_deref()))
                .collect();
            let expected: Vec<_> = expected.iter().copied().collect();
            assert_eq!(found, expected, "{fleet:?} {told:?}");
        }
    }

    #[test]
    fn those_that_ask_for_attention_come_first() {
        let devices = (0..4)
            .map(|last| device(&format!("0004f200050{last}"), Some("VVX 400")))
            .collect();
        let contacts = vec![
            ("0004f2000500".parse().unwrap(), contact(NOW, VVX, None)),
            ("0004f2000501".parse().unwrap(), contact(1, VVX, None)),
            (
                "0004f2000502".parse().unwrap(),
                contact(NOW, VVX, Some("x")),
            ),
        ];
        let tally = tally(&rows("hq", devices, contacts, Since(NOW)));
        assert_eq!(
            tally.into_iter().collect::<Vec<_>>(),
            Seen::ALL.map(|it| (it, 1))
        );
    }
}
