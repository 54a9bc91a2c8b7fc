//! Which URLs a phone will ask for, in words: `handset dhcp explain`.

use std::error::Error;

use crate::discovery::Identity;
use crate::discovery::Lease;
use crate::discovery::audiocodes;
use crate::discovery::panasonic;
use crate::discovery::panasonic::Addresses;
use crate::discovery::panasonic::Answers;
use crate::discovery::panasonic::Family;
use crate::discovery::polycom;
use crate::discovery::polycom::BootSettings;
use crate::discovery::url::Url;
use crate::vendor::Vendor;

pub use crate::discovery::panasonic::Region;

/// What a phone makes of its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What gave the address.
    pub source: String,
    /// What it asks for, in order, and what each is.
    pub urls: Vec<(&'static str, Url)>,
}

/// What this vendor's phone asks for; or why it asks for nothing.
///
/// # Errors
///
/// Says what is wrong with the option that counts, or that there is none.
pub fn explain(
    vendor: &str,
    region: Region,
    lease: &Lease<'_>,
    identity: &Identity<'_>,
) -> Result<Explained, String> {
    let known = READERS.iter().find(|(name, _)| *name == vendor);
    let names = || READERS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let (_, read) = known.ok_or_else(|| {
        let known = names().join(", ");
        format!("unknown vendor {vendor:?}; known: {known}")
    })?;
    read(region, lease, identity)
}

/// The numbers of the options without which the phone would ask for the same.
pub fn ignored(
    vendor: &str,
    region: Region,
    options: &[(u8, &str)],
    identity: &Identity<'_>,
) -> Vec<u8> {
    let asked = explain(vendor, region, &Lease::new(options), identity);
    let without = |number: u8| {
        let others = options.iter().filter(|(other, _)| *other != number);
        let others: Vec<(u8, &str)> = others.copied().collect();
        explain(vendor, region, &Lease::new(&others), identity)
    };
    let numbers = options.iter().map(|(number, _)| *number);
    numbers.filter(|number| without(*number) == asked).collect()
}

type Reader = fn(Region, &Lease<'_>, &Identity<'_>) -> Result<Explained, String>;

const READERS: &[(&str, Reader)] = &[
    ("audiocodes", read_audiocodes),
    ("panasonic", read_panasonic),
    ("polycom", read_polycom),
];

fn read_audiocodes(
    _: Region,
    lease: &Lease<'_>,
    identity: &Identity<'_>,
) -> Result<Explained, String> {
    let found = audiocodes::discover(lease, audiocodes::URL_OPTION, identity);
    let found = found.map_err(|error| described(&error))?;
    Ok(Explained {
        source: format!("DHCP option {}", found.source),
        urls: vec![
            ("firmware", found.firmware),
            ("configuration", found.configuration),
        ],
    })
}

fn read_panasonic(
    region: Region,
    lease: &Lease<'_>,
    identity: &Identity<'_>,
) -> Result<Explained, String> {
    let answers = Answers {
        dhcpv6: None,
        lease: *lease,
        manual: None,
        redirection_server: None,
        sip_pnp: None,
    };
    let family = family(region, identity);
    let found = panasonic::discover(&answers, Addresses::Ipv4, family, identity);
    let found = found.map_err(|error| described(&error))?;
    Ok(Explained {
        source: found.method.to_string(),
        urls: vec![("initial file", found.file)],
    })
}

/// By the folder of the model's templates: those of the XML phones are `utg`.
fn family(region: Region, identity: &Identity<'_>) -> Family {
    let vendor = Vendor::find("panasonic");
    let model = vendor.and_then(|vendor| vendor.model(identity.model));
    match model.map(|model| model.family) {
        Some("utg") => Family::KxUtg,
        _ => Family::PreProvisioned(region),
    }
}

fn read_polycom(
    _: Region,
    lease: &Lease<'_>,
    identity: &Identity<'_>,
) -> Result<Explained, String> {
    let found = polycom::discover(&BootSettings::default(), lease, identity);
    let found = found.map_err(|error| described(&error))?;
    let masters = found.masters.into_iter();
    Ok(Explained {
        source: found.source.to_string(),
        urls: masters.map(|url| ("master file", url)).collect(),
    })
}

/// The error and what caused it.
fn described(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", described(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use super::explain;
    use super::ignored;
    use crate::discovery::Identity;
    use crate::discovery::Lease;

    const PHONE: Identity<'static> = Identity {
        mac: "00908F000420",
        model: "420HD",
    };

    #[test]
    fn names_in_option_66_hide_option_67() {
        let options = [
            (66, "http://a.example/abc.img;efg.cfg"),
            (67, "x.img;y.cfg"),
        ];
        let found = explain(
            "audiocodes",
            Region::Elsewhere,
            &Lease::new(&options),
            &PHONE,
        )
        .unwrap();
        let urls: Vec<String> = found.urls.iter().map(|(_, url)| url.to_string()).collect();
        assert_eq!(
            urls,
            ["http://a.example/abc.img", "http://a.example/efg.cfg"]
        );
        assert_eq!(
            ignored("audiocodes", Region::Elsewhere, &options, &PHONE),
            [67]
        );
    }

    #[test]
    fn where_a_model_is_sold_decides_whether_it_looks_at_option_67() {
        let identity = Identity {
            mac: "0080f0000136",
            model: "KX-UT136",
        };
        let options = [(66, "http://a.example/x.cfg"), (67, "y.cfg")];
        for (region, expected) in [(Region::Elsewhere, "x.cfg"), (Region::Usa, "y.cfg")] {
            let found = explain("panasonic", region, &Lease::new(&options), &identity).unwrap();
            assert_eq!(found.urls[0].1.file_name(), expected);
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let found = explain(
            "audiocodes",
            Region::Elsewhere,
            &Lease::new(&[(160, "a.example")]),
            &PHONE,
        );
        let problem = found.unwrap_err();
        assert!(
            problem.contains("option 160") && problem.contains("protocol"),
            "{problem}"
        );
        let problem = explain("teapots", Region::Elsewhere, &Lease::new(&[]), &PHONE).unwrap_err();
        assert!(
            problem.contains("audiocodes, panasonic, polycom"),
            "{problem}"
        );
    }
}
