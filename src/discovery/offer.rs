//! What a DHCP server offers to each vendor's phones: the table behind `handset dhcp print`.
//!
//! How phones read the options is the neighbours' affair; the tests at the foot ask them whether what is
//! offered here leads to the right files. Sources: AudioCodes 400HD manuals 2.0.1 (section 2.2) and 2.2.8
//! (10.2), KX-UTG200 guide (2.2), KX-HDV and KX-TGP guides (2.1.5), SoundPoint IP guide SIP 3.1 (3-7).

/// What one kind of phones is offered.
#[derive(Debug)]
pub struct Offer {
    /// Whose phones.
    pub vendor: &'static str,
    /// Of which families; empty for all.
    pub families: &'static [&'static str],
    /// The options that it reads an address from, the first it looks at first.
    pub options: &'static [u8],
    /// The address: `{base}` is the site's with its key, `{path}` that without scheme and host, `{image}`
    /// the model's image; everything else is the phone's.
    pub address: &'static str,
    /// What its phones say of themselves in option 60 or 77.
    pub class: Class,
    /// What serves all families of the vendor alike, where a site has several that cannot be told apart:
    /// the options and the address.
    pub together: Option<(&'static [u8], &'static str)>,
}

/// How a DHCP server recognises the phones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Options 60 and 77 are the model's name.
    Model,
    /// Option 60 begins so.
    Vendor(&'static str),
}

/// The offer for this vendor's family.
pub fn find(vendor: &str, family: &str) -> Option<&'static Offer> {
    let mut offers = OFFERS.iter().filter(|offer| offer.vendor == vendor);
    offers.find(|offer| offer.families.is_empty() || offer.families.contains(&family))
}

/// Every offer. Where the address names both files, a phone that looks for the second beside the first and
/// one that looks for it from the host on find it alike: the server takes doubled prefixes for one.
const OFFERS: &[Offer] = &[
    Offer {
        vendor: "audiocodes",
        families: &[],
        options: &[160, 66, 43],
        address: "{base}/{image};{path}/<MAC>.cfg",
        class: Class::Model,
        together: None,
    },
    Offer {
        vendor: "panasonic",
        families: &["ut"],
        options: &[160, 159],
        address: "{base}",
        class: Class::Vendor("Panasonic"),
        together: Some((&[66], "{base}/{MODEL}.cfg")),
    },
    Offer {
        vendor: "panasonic",
        families: &["utg"],
        options: &[160, 159, 66],
        address: "{base}/{MODEL}.cfg",
        class: Class::Vendor("Panasonic"),
        together: Some((&[66], "{base}/{MODEL}.cfg")),
    },
    Offer {
        vendor: "polycom",
        families: &[],
        options: &[160, 66],
        address: "{base}/",
        class: Class::Vendor("Polycom"),
        together: None,
    },
];

#[cfg(test)]
mod tests {
    use super::OFFERS;
    use super::find;
    use crate::discovery::Identity;
    use crate::discovery::Lease;
    use crate::discovery::explain::Region;
    use crate::discovery::explain::explain;
    use crate::vendor;

    #[test]
    fn every_family_has_an_offer() {
        for vendor in vendor::ALL {
            for model in vendor.models {
                assert!(find(vendor.name, model.family).is_some(), "{}", model.name);
            }
        }
    }

    /// Whichever of its options a phone is given, it comes to files below the site and its key.
    #[test]
    fn offers_lead_below_the_site() {
        for offer in OFFERS {
            let both = offer.together.into_iter();
            for (options, address) in [(offer.options, offer.address)].into_iter().chain(both) {
                for option in options {
                    check(offer.vendor, offer.families, *option, address);
                }
            }
        }
    }

    fn check(vendor: &str, families: &[&str], option: u8, address: &str) {
        let table = vendor::Vendor::find(vendor).unwrap();
        let models = table.models.iter();
        for model in models.filter(|model| families.is_empty() || families.contains(&model.family))
        {
            let text = address
                .replace("{base}", "https://h/hq/k")
                .replace("{path}", "hq/k")
                .replace("{image}", model.image);
            let options = [(option, text.as_str())];
            let identity = Identity {
                mac: "00908f000420",
                model: model.name,
            };
            let files =
                explain(vendor, Region::Elsewhere, &Lease::new(&options), &identity).unwrap();
            for (what, url) in &files.urls {
                let url = url.to_string();
                assert!(url.starts_with("https://h/hq/k/"), "{what} {url}");
                assert!(!url.ends_with('/') && !url.contains('{'), "{what} {url}");
            }
        }
    }
}
