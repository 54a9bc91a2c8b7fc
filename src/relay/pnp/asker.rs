//! Whose phone it is that asks, from the vendors' tables: by what it says of itself, and what it is called.

use crate::mac::MacAddress;
use crate::path::percent_decode;
use crate::relay::identity::macs_in;
use crate::sip::Subscribe;
use crate::vendor;
use crate::vendor::Vendor;

/// A phone, as far as it says which it is.
#[derive(Debug)]
pub(super) struct Asker {
    vendor: Option<&'static Vendor>,
    mac: Option<MacAddress>,
}

impl Asker {
    pub(super) fn of(asked: &Subscribe) -> Self {
        let identities = asked.identities().into_iter();
        let mut macs =
            identities.flat_map(|text| macs_in(&percent_decode(text).unwrap_or_default()));
        let mac = macs.next();
        let mut vendors = vendor::ALL.iter().copied();
        let vendor = vendors.find(|vendor| is_of(vendor, asked, mac));
        Self { vendor, mac }
    }

    /// Its vendor's name.
    pub(super) fn vendor(&self) -> &'static str {
        self.vendor.map_or("nobody", |vendor| vendor.name)
    }

    /// Its hardware address, if it tells.
    pub(super) fn mac(&self) -> Option<MacAddress> {
        self.mac
    }

    /// What it wants to be told; `None` where its vendor's phones do not ask, and where nobody knows whose it is.
    pub(super) fn form(&self) -> Option<&'static str> {
        self.vendor?.sip_pnp
    }
}

fn is_of(vendor: &Vendor, asked: &Subscribe, mac: Option<MacAddress>) -> bool {
    let named = asked.parameter("vendor");
    let model = asked.parameter("model");
    let agent = asked.user_agent().unwrap_or_default();
    // What stands before the first hole is the same in every phone of the kind.
    let mut agents = vendor
        .user_agents
        .iter()
        .filter_map(|it| it.split('{').next());
    named.is_some_and(|name| name.eq_ignore_ascii_case(vendor.name))
        || model.is_some_and(|model| {
            let mut models = vendor.models.iter();
            models.any(|it| it.name.eq_ignore_ascii_case(model))
        })
        || mac.is_some_and(|mac| vendor.ouis.contains(&mac.oui()))
        || agents.any(|begins| !begins.is_empty() && agent.starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::Asker;
    use crate::sip::Subscribe;
    use crate::vendor;

    fn asker(uri: &str, event: &str, agent: &str) -> Asker {
        let text = format!(
            "SUBSCRIBE sip:{uri} SIP/2.0\r\nVia: v\r\nFrom: <sip:{uri}>;tag=1\r\nTo: <sip:{uri}>\r\nCall-ID: 1\r\n\
             CSeq: 1 SUBSCRIBE\r\nEvent: ua-profile{event}\r\nUser-Agent: {agent}\r\n\r\n"
        );
        Asker::of(&Subscribe::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn whose_phone_it_is() {
        let group = "224.0.1.75";
        for (uri, event, agent, expected) in [
            (group, ";model=\"440HD\"", "", "audiocodes"),
            (group, "", "AUDC-IPPhone/2.2.2", "audiocodes"),
            ("MAC%3a00908F000420@224.0.1.75", "", "", "audiocodes"),
            (
                "MAC%3A0080f0000136@224.0.1.75",
                ";vendor=\"OEM\"",
                "",
                "panasonic",
            ),
            (group, ";vendor=\"Panasonic\"", "", "panasonic"),
            (group, ";model=\"KX-UTG200\"", "", "panasonic"),
            ("MAC%3a0004F2000500@224.0.1.75", "", "", "polycom"),
            (
                "MAC%3a00135E874B49@x",
                ";vendor=\"OEM\";model=\"OEM\"",
                "y",
                "nobody",
            ),
            (group, "", "", "nobody"),
        ] {
            let found = asker(uri, event, agent);
            assert_eq!(found.vendor(), expected, "{uri} {event} {agent}");
            assert_eq!(found.mac().is_some(), uri.contains("MAC"), "{uri}");
        }
    }

    /// Whoever asks is told an address that leads below the server's, as its phones read it.
    #[test]
    fn what_phones_make_of_it() {
        let url = |name: &str| {
            let form = vendor::Vendor::find(name).unwrap().sip_pnp?;
            Some(form.replace("{base}", "http://192.0.2.1"))
        };
        assert_eq!(url("audiocodes").as_deref(), Some("http://192.0.2.1"));
        assert_eq!(url("polycom"), None);
        let told = url("panasonic").unwrap();
        assert_eq!(told, "http://192.0.2.1/{MODEL}.cfg");
        for it in vendor::ALL.iter().filter_map(|it| it.sip_pnp) {
            assert!(it.starts_with("{base}"), "{it}");
        }
    }
}
