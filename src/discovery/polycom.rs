//! Polycom: Administrator's Guide for SoundPoint IP, SIP 3.1, "DHCP Menu" and "Server Menu" (pages
//! 3-7 to 3-10) and "Master Configuration Files" (page A-2).

use std::error::Error;
use std::fmt;

use crate::discovery::Identity;
use crate::discovery::Lease;
use crate::discovery::offered;
use crate::discovery::url::Scheme;
use crate::discovery::url::Url;
use crate::discovery::url::UrlError;

/// Where a Polycom phone looks for its master configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Which of the phone's sources gave the address.
    pub source: Source,
    /// The directory that all other files are relative to.
    pub server: Url,
    /// The names tried, in order, until one is there: the one named in the address, `<mac>.cfg`,
    /// `000000000000.cfg`. So a 404 while the storage is away would make the phone use the default.
    pub masters: Vec<Url>,
}

/// Where the phone looks for its master configuration file, given its settings and its lease.
///
/// The address is a host, an IP address or `<type>://[<user>:<password>@]<host>[/<path>]`. It names
/// a master configuration file if it ends in `.cfg` and that file's name has five characters at
/// least; else its whole path is a directory, with or without a `/` at the end. The phone does not
/// unescape (page 3-4): `%40` in a password is three characters, and spaces and backslashes are
/// refused. Without a user in the address, the phone logs in with its own, first `PlcmSpIp`.
///
/// # Errors
///
/// Says why there is no address, or what is wrong with the one that counts.
pub fn discover(
    settings: &BootSettings<'_>,
    lease: &Lease<'_>,
    identity: &Identity<'_>,
) -> Result<Discovered, DiscoveryError> {
    let (source, text) = choose(settings, lease).ok_or(DiscoveryError::NothingOffered)?;
    let malformed = |error| DiscoveryError::Url {
        address: source,
        source: error,
    };
    let address = Url::parse_or(text, settings.server_type).map_err(malformed)?;
    let (named, server) = match names_master(&address) {
        true => (Some(address.clone()), address.join("")),
        false => (None, address.directory()),
    };
    let server = server.map_err(malformed)?;
    let device = format!("{}.cfg", identity.mac.to_ascii_lowercase());
    let mut masters = Vec::from_iter(named);
    for name in [&device, DEFAULT_MASTER] {
        masters.push(server.join(name).map_err(malformed)?);
    }
    Ok(Discovered {
        source,
        server,
        masters,
    })
}

/// The address that counts: what the lease offers for this boot server mode, and else what is
/// stored in flash, unless that is `0.0.0.0`. `None` if there is none.
pub fn choose<'a>(settings: &BootSettings<'a>, lease: &Lease<'a>) -> Option<(Source, &'a str)> {
    let option = |number| Some((Source::Option(number), lease.option(number)?));
    let leased = match settings.boot_server {
        BootServer::Option66 => option(66),
        BootServer::Custom => option(settings.custom_option),
        BootServer::Static => None,
        BootServer::CustomThenOption66 => option(settings.custom_option).or_else(|| option(66)),
    };
    leased.or_else(|| match offered(settings.stored?)? {
        "0.0.0.0" => None,
        stored => Some((Source::Stored, stored)),
    })
}

/// What the phone's own menus say. Not `Debug`: the address may hold a password.
#[derive(Clone, Copy)]
pub struct BootSettings<'a> {
    /// "Boot Server" in the DHCP menu.
    pub boot_server: BootServer,
    /// "Boot Server Option" in the DHCP menu: 128 to 254.
    pub custom_option: u8,
    /// "Server Type" in the server menu: the protocol of an address without one.
    pub server_type: Scheme,
    /// "Server Address" in the server menu, kept in flash.
    pub stored: Option<&'a str>,
}

impl Default for BootSettings<'_> {
    /// The factory settings of VVX phones: option 160, then 66, by FTP.
    fn default() -> Self {
        Self {
            boot_server: BootServer::CustomThenOption66,
            custom_option: 160,
            server_type: Scheme::Ftp,
            stored: None,
        }
    }
}

/// Where the phone looks for its boot server. In the order of the phone's own numbers, 0 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootServer {
    /// 0: option 66.
    Option66,
    /// 1: the custom option.
    Custom,
    /// 2: the stored address only.
    Static,
    /// 3: the custom option, or option 66 if that is missing.
    CustomThenOption66,
}

impl BootServer {
    /// The mode with this number, or `None` above 3.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Option66),
            1 => Some(Self::Custom),
            2 => Some(Self::Static),
            3 => Some(Self::CustomThenOption66),
            _ => None,
        }
    }
}

/// What gave the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The DHCP option with this number.
    Option(u8),
    /// The phone's own "Server Address".
    Stored,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(number) => write!(f, "DHCP option {number}"),
            Self::Stored => f.write_str("the stored server address"),
        }
    }
}

/// Why a phone has nowhere to look. Whoever wrote the address is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// Neither the lease nor the flash has an address. The phone asks once more with DHCP INFORM,
    /// and takes what a second DHCP server answers.
    NothingOffered,
    /// The address cannot be used.
    Url {
        /// What gave it.
        address: Source,
        /// What is wrong with it.
        source: UrlError,
    },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingOffered => f.write_str("neither DHCP nor the phone has a server address"),
            Self::Url { address, .. } => write!(f, "{address} is not a server address"),
        }
    }
}

impl Error for DiscoveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NothingOffered => None,
            Self::Url { source, .. } => Some(source),
        }
    }
}

fn names_master(address: &Url) -> bool {
    address.file_name().len() >= MASTER_LENGTH && address.file_name().ends_with(".cfg")
}

/// The fewest characters that the file name of a master named in an address can have.
const MASTER_LENGTH: usize = 5;

const DEFAULT_MASTER: &str = "000000000000.cfg";

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::BootServer;
    use super::BootSettings;
    use super::DiscoveryError;
    use super::Source;
    use super::choose;
    use super::discover;
    use crate::discovery::Identity;
    use crate::discovery::Lease;
    use crate::discovery::url::Scheme;
    use crate::discovery::url::UrlError;

    const PHONE: Identity<'_> = Identity {
        mac: "0004F28062D6",
        model: "VVX 400",
    };

    const LEASE: &[(u8, &str)] = &[(66, "from66"), (160, "from160"), (161, "from161")];
    const LEASE_66: &[(u8, &str)] = &[(66, "from66"), (160, "")];

    /// Boot server mode, custom option, options of the lease, address in flash, and what is used.
    struct Row(
        u8,
        u8,
        &'static [(u8, &'static str)],
        &'static str,
        Option<(Source, &'static str)>,
    );

    #[rustfmt::skip]
    const MODES: &[Row] = &[
        Row(0, 160, LEASE,    "flash",   Some((Source::Option(66),  "from66"))),
        Row(1, 160, LEASE,    "flash",   Some((Source::Option(160), "from160"))),
        Row(1, 161, LEASE,    "flash",   Some((Source::Option(161), "from161"))),
        Row(1, 160, LEASE_66, "flash",   Some((Source::Stored,      "flash"))),
        Row(1, 160, LEASE_66, "0.0.0.0", None),
        Row(2, 160, LEASE,    "flash",   Some((Source::Stored,      "flash"))),
        Row(2, 160, LEASE,    "0.0.0.0", None),
        Row(3, 160, LEASE,    "flash",   Some((Source::Option(160), "from160"))),
        Row(3, 160, LEASE_66, "flash",   Some((Source::Option(66),  "from66"))),
        Row(3, 160, &[],      "flash",   Some((Source::Stored,      "flash"))),
        Row(3, 160, &[],      "0.0.0.0", None),
        Row(3, 160, &[],      "",        None),
    ];

    /// Server address, and the masters looked for. The server type is FTP.
    #[rustfmt::skip]
    const MASTERS: &[(&str, &[&str])] = &[
        ("ftp://ucs.schertz.name", &[
            "ftp://ucs.schertz.name/0004f28062d6.cfg",
            "ftp://ucs.schertz.name/000000000000.cfg",
        ]),
        ("192.168.1.10", &[
            "ftp://192.168.1.10/0004f28062d6.cfg",
            "ftp://192.168.1.10/000000000000.cfg",
        ]),
        ("https://prov.example.net/site/key", &[
            "https://prov.example.net/site/key/0004f28062d6.cfg",
            "https://prov.example.net/site/key/000000000000.cfg",
        ]),
        ("tftp://boot/dir/", &[
            "tftp://boot/dir/0004f28062d6.cfg",
            "tftp://boot/dir/000000000000.cfg",
        ]),
        ("http://usr:pwd@server/dir/example1.cfg", &[
            "http://usr:***@server/dir/example1.cfg",
            "http://usr:***@server/dir/0004f28062d6.cfg",
            "http://usr:***@server/dir/000000000000.cfg",
        ]),
        ("http://server/a.cfg", &[
            "http://server/a.cfg",
            "http://server/0004f28062d6.cfg",
            "http://server/000000000000.cfg",
        ]),
        ("http://server/.cfg", &[
            "http://server/.cfg/0004f28062d6.cfg",
            "http://server/.cfg/000000000000.cfg",
        ]),
        ("http://server.cfg", &[
            "http://server.cfg/0004f28062d6.cfg",
            "http://server.cfg/000000000000.cfg",
        ]),
    ];

    #[rustfmt::skip]
    const REFUSED: &[(&str, UrlError)] = &[
        ("http://server/my files",      UrlError::Character),
        ("http://server\\dir",          UrlError::Character),
        ("ftps://server",               UrlError::UnknownScheme),
        ("http://usr:p@wd@server",      UrlError::User),
        ("http://usr:p/wd@server",      UrlError::Port),
    ];

    fn check(address: &str, expected: Result<&[&str], UrlError>) {
        let found = discover(
            &BootSettings::default(),
            &Lease::new(&[(160, address)]),
            &PHONE,
        );
        let found = found.map(|found| {
            assert!(found.server.path().ends_with('/'), "{address}");
            found
                .masters
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        });
        let expected = expected.map(|masters| masters.iter().map(ToString::to_string).collect());
        let address = Source::Option(160);
        assert_eq!(
            found,
            expected.map_err(|source| DiscoveryError::Url { address, source })
        );
    }

    #[test]
    fn modes() {
        for Row(mode, custom_option, options, stored, expected) in MODES {
            let settings = BootSettings {
                boot_server: BootServer::from_number(*mode).unwrap(),
                custom_option: *custom_option,
                stored: Some(stored),
                ..BootSettings::default()
            };
            assert_eq!(
                choose(&settings, &Lease::new(options)),
                *expected,
                "{mode} {options:?}"
            );
        }
        assert_eq!(BootServer::from_number(4), None);
    }

    #[test]
    fn masters() {
        MASTERS
            .iter()
            .for_each(|(address, masters)| check(address, Ok(masters)));
        REFUSED
            .iter()
            .for_each(|(address, error)| check(address, Err(*error)));
    }

    #[test]
    fn nothing_offered() {
        let found = discover(&BootSettings::default(), &Lease::new(&[]), &PHONE);
        assert_eq!(found, Err(DiscoveryError::NothingOffered));
    }

    #[test]
    fn the_server_type_is_the_protocol_of_a_bare_host() {
        let settings = BootSettings {
            server_type: Scheme::Https,
            stored: Some("user:%40@prov.example.net"),
            ..BootSettings::default()
        };
        let server = discover(&settings, &Lease::new(&[]), &PHONE)
            .unwrap()
            .server;
        assert_eq!(
            (server.scheme(), server.password()),
            (Scheme::Https, Some("%40"))
        );
    }

    proptest! {
        #[test]
        fn hostile_addresses_do_not_panic(text in any::<String>()) {
            let _ = discover(&BootSettings::default(), &Lease::new(&[(66, &text)]), &PHONE);
        }
    }
}
