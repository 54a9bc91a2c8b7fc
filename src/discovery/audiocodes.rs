//! AudioCodes 400HD: Administrator's Manual 2.2.8 (LTRT-11950), section 10.2, and the Lync manual
//! 2.0.1, section 2.2.

use std::error::Error;
use std::fmt;

use crate::discovery::Identity;
use crate::discovery::Lease;
use crate::discovery::url::Scheme;
use crate::discovery::url::Url;
use crate::discovery::url::UrlError;

/// The two files a 400HD asks for, firmware first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The number of the DHCP option that named the server: the URL option, 66 or 43.
    pub source: u8,
    /// The image, of which the phone reads the header first.
    pub firmware: Url,
    /// The configuration.
    pub configuration: Url,
}

/// The option that holds a complete URL, unless `provisioning/url_option_value` says another.
pub const URL_OPTION: u8 = 160;

/// Which files the phone asks for, given its lease and the number of its URL option.
///
/// The first of these that is offered is used (manual 2.2.8, section 10.2.2):
///
/// 1. The URL option: `<protocol>://<host>`, followed by nothing, `/<firmware>`,
///    `/<firmware>;<configuration>` or `/;<configuration>` (table 10-1).
/// 2. Option 66, where the protocol may be missing and then is TFTP. If it names no file, option 67
///    may: `<firmware>`, `<firmware>;<configuration>` or `;<configuration>` (table 10-2).
/// 3. Option 43, read like the URL option. The manual shows its value in a figure only.
///
/// A name that is not given is `<model>.img` or `<mac>.cfg`; `<MODEL>` and `<MAC>` are replaced
/// wherever they stand. The configuration is looked for beside the firmware, from which
/// `http://host/firmwarefiles;ipp/dhcpoption160.cfg`, the URL of AudioCodes' own server, comes out
/// right: a firmware name without a dot is a directory. The manuals give no other example with
/// directories, so do not rely on a bare `;<configuration>` in one: a phone may start at the host.
///
/// # Errors
///
/// Says why there is nothing to ask for. The manuals turn to the next option only where one is
/// absent, so an option that cannot be used is not passed over.
pub fn discover(
    lease: &Lease<'_>,
    url_option: u8,
    identity: &Identity<'_>,
) -> Result<Discovered, DiscoveryError> {
    if let Some(text) = lease.option(url_option) {
        return from_url(url_option, text, identity);
    }
    if let Some(text) = lease.option(66) {
        return from_server_name(text, lease.option(67), identity);
    }
    match lease.option(43) {
        Some(text) => from_url(43, text, identity),
        None => Err(DiscoveryError::NothingOffered),
    }
}

/// Why a 400HD has nothing to ask for. Whoever wrote the DHCP options is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The configuration half does not end in `.cfg`, the only extension the phone takes.
    Configuration {
        /// The option that names it.
        option: u8,
    },
    /// The firmware half has an extension other than `.img`, the only one the phone takes.
    Firmware {
        /// The option that names it.
        option: u8,
    },
    /// The URL option, 66 and 43 are all missing or empty. The phone goes on to SIP multicast.
    NothingOffered,
    /// The option's text is no URL.
    Url {
        /// The option that holds it.
        option: u8,
        /// What is wrong with it.
        source: UrlError,
    },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { option } => {
                write!(
                    f,
                    "option {option} names a configuration that does not end in .cfg"
                )
            }
            Self::Firmware { option } => {
                write!(
                    f,
                    "option {option} names firmware that does not end in .img"
                )
            }
            Self::NothingOffered => f.write_str("no DHCP option names a provisioning server"),
            Self::Url { option, .. } => write!(f, "option {option} is not a provisioning URL"),
        }
    }
}

impl Error for DiscoveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url { source, .. } => Some(source),
            Self::Configuration { .. } | Self::Firmware { .. } | Self::NothingOffered => None,
        }
    }
}

fn from_url(option: u8, text: &str, identity: &Identity<'_>) -> Result<Discovered, DiscoveryError> {
    let url = Url::parse(&substitute(text, identity))
        .map_err(|source| DiscoveryError::Url { option, source })?;
    let names = Names {
        option,
        text: url.path(),
    };
    names.resolve(option, &url, identity)
}

fn from_server_name(
    text: &str,
    boot_file: Option<&str>,
    identity: &Identity<'_>,
) -> Result<Discovered, DiscoveryError> {
    let url = Url::parse_or(&substitute(text, identity), Scheme::Tftp)
        .map_err(|source| DiscoveryError::Url { option: 66, source })?;
    match boot_file {
        Some(names) if url.file_name().is_empty() => {
            let text = &substitute(names, identity);
            Names { option: 67, text }.resolve(66, &url, identity)
        }
        _ => Names {
            option: 66,
            text: url.path(),
        }
        .resolve(66, &url, identity),
    }
}

/// `<firmware>;<configuration>`, both optional, and the option it stands in.
struct Names<'a> {
    option: u8,
    text: &'a str,
}

impl Names<'_> {
    fn resolve(
        &self,
        source: u8,
        server: &Url,
        identity: &Identity<'_>,
    ) -> Result<Discovered, DiscoveryError> {
        let (firmware, configuration) = self.text.split_once(';').unwrap_or((self.text, ""));
        let base = server
            .join(firmware)
            .map_err(|error| self.malformed(error))?;
        Ok(Discovered {
            source,
            firmware: self.firmware(&base, identity)?,
            configuration: self.configuration(&base, configuration, identity)?,
        })
    }

    fn firmware(&self, base: &Url, identity: &Identity<'_>) -> Result<Url, DiscoveryError> {
        let option = self.option;
        match base.file_name() {
            name if has_extension(name, ".img") => Ok(base.clone()),
            name if name.contains('.') => Err(DiscoveryError::Firmware { option }),
            _ => base
                .directory()
                .and_then(|directory| directory.join(&format!("{}.img", identity.model)))
                .map_err(|error| self.malformed(error)),
        }
    }

    fn configuration(
        &self,
        base: &Url,
        name: &str,
        identity: &Identity<'_>,
    ) -> Result<Url, DiscoveryError> {
        // Manual 2.2.8 prints the default as ".<mac>cfg", a misplaced dot: its own examples and
        // captured requests have "<mac>.cfg", mostly in lower case.
        let default = format!("{}.cfg", identity.mac.to_ascii_lowercase());
        let name = if name.is_empty() { &default } else { name };
        if !has_extension(name, ".cfg") {
            let option = self.option;
            return Err(DiscoveryError::Configuration { option });
        }
        base.join(name).map_err(|error| self.malformed(error))
    }

    fn malformed(&self, source: UrlError) -> DiscoveryError {
        DiscoveryError::Url {
            option: self.option,
            source,
        }
    }
}

fn substitute(text: &str, identity: &Identity<'_>) -> String {
    text.replace("<MAC>", &identity.mac.to_ascii_lowercase())
        .replace("<MODEL>", identity.model)
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.len() > extension.len() && name.to_ascii_lowercase().ends_with(extension)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::DiscoveryError;
    use super::URL_OPTION;
    use super::discover;
    use crate::discovery::Identity;
    use crate::discovery::Lease;
    use crate::discovery::url::UrlError;

    const PHONE: Identity<'_> = Identity {
        mac: "001122334455",
        model: "440HD",
    };

    /// A lease, then the option used, the firmware URL and the configuration URL.
    #[derive(Clone)]
    struct Row(
        &'static [(u8, &'static str)],
        u8,
        &'static str,
        &'static str,
    );

    /// Table 10-1 and the Lync manual: the four forms of option 160.
    #[rustfmt::skip]
    const OPTION_160: &[Row] = &[
        Row(&[(160, "ftp://192.168.2.1")],
            160, "ftp://192.168.2.1/440HD.img", "ftp://192.168.2.1/001122334455.cfg"),
        Row(&[(160, "tftp://192.168.2.1/different_firmware_name.img")],
            160, "tftp://192.168.2.1/different_firmware_name.img",
             "tftp://192.168.2.1/001122334455.cfg"),
        Row(&[(160, "http://192.168.2.1/different_firmware_name.img;<MODEL>_<MAC>_conf.cfg")],
            160, "http://192.168.2.1/different_firmware_name.img",
             "http://192.168.2.1/440HD_001122334455_conf.cfg"),
        Row(&[(160, "https://192.168.2.1/;<MODEL>_<MAC>_conf.cfg")],
            160, "https://192.168.2.1/440HD.img",
             "https://192.168.2.1/440HD_001122334455_conf.cfg"),
        Row(&[(160, "http://10.1.8.23/firmwarefiles;ipp/dhcpoption160.cfg")],
            160, "http://10.1.8.23/firmwarefiles/440HD.img",
             "http://10.1.8.23/ipp/dhcpoption160.cfg"),
        Row(&[(160, "https://prov.example.net/site/key/")],
            160, "https://prov.example.net/site/key/440HD.img",
             "https://prov.example.net/site/key/001122334455.cfg"),
        Row(&[(160, "https://prov.example.net/site/key/a.IMG;b.cfg")],
            160, "https://prov.example.net/site/key/a.IMG",
             "https://prov.example.net/site/key/b.cfg"),
        Row(&[(160, "https://prov.example.net/site/key/;/b.cfg")],
            160, "https://prov.example.net/site/key/440HD.img", "https://prov.example.net/b.cfg"),
        Row(&[(160, "http://<MODEL>.example.net\0")],
            160, "http://440hd.example.net/440HD.img",
             "http://440hd.example.net/001122334455.cfg"),
    ];

    /// Table 10-2. Its first row is in `REFUSED`. The last row prints `abc.image` under option 66
    /// and `abc.img` in the result: a misprint, as only `.img` can be named.
    #[rustfmt::skip]
    const OPTION_66: &[Row] = &[
        Row(&[(66, "Audiocodes.com")],
            66, "tftp://audiocodes.com/440HD.img", "tftp://audiocodes.com/001122334455.cfg"),
        Row(&[(66, "192.168.0.11")],
            66, "tftp://192.168.0.11/440HD.img", "tftp://192.168.0.11/001122334455.cfg"),
        Row(&[(66, "Audiocodes.com"), (67, "abc.img;efg.cfg")],
            66, "tftp://audiocodes.com/abc.img", "tftp://audiocodes.com/efg.cfg"),
        Row(&[(66, "192.168.0.11"), (67, "abc.img;efg.cfg")],
            66, "tftp://192.168.0.11/abc.img", "tftp://192.168.0.11/efg.cfg"),
        Row(&[(66, "http://Audiocodes.com")],
            66, "http://audiocodes.com/440HD.img", "http://audiocodes.com/001122334455.cfg"),
        Row(&[(66, "http://192.168.0.11")],
            66, "http://192.168.0.11/440HD.img", "http://192.168.0.11/001122334455.cfg"),
        Row(&[(66, "http://Audiocodes.com"), (67, "abc.img;efg.cfg")],
            66, "http://audiocodes.com/abc.img", "http://audiocodes.com/efg.cfg"),
        Row(&[(66, "http://Audiocodes.com/abc.img;efg.cfg")],
            66, "http://audiocodes.com/abc.img", "http://audiocodes.com/efg.cfg"),
        Row(&[(66, "http://Audiocodes.com/abc.img;efg.cfg"), (67, "other.img;other.cfg")],
            66, "http://audiocodes.com/abc.img", "http://audiocodes.com/efg.cfg"),
        Row(&[(66, "http://Audiocodes.com/;efg.cfg"), (67, "other.img;other.cfg")],
            66, "http://audiocodes.com/440HD.img", "http://audiocodes.com/efg.cfg"),
        Row(&[(66, "10.0.0.1"), (67, "abc.img")],
            66, "tftp://10.0.0.1/abc.img", "tftp://10.0.0.1/001122334455.cfg"),
        Row(&[(66, "10.0.0.1"), (67, ";<MAC>_<MODEL>.cfg")],
            66, "tftp://10.0.0.1/440HD.img", "tftp://10.0.0.1/001122334455_440HD.cfg"),
        Row(&[(66, "http://h/dir/"), (67, "abc.img;efg.cfg")],
            66, "http://h/dir/abc.img", "http://h/dir/efg.cfg"),
    ];

    /// Section 10.2.2: option 160, then 66 and 67, then 43.
    #[rustfmt::skip]
    const PRIORITY: &[Row] = &[
        Row(&[(43, "http://c"), (66, "http://b"), (67, "b.img"), (160, "http://a")],
            160, "http://a/440HD.img", "http://a/001122334455.cfg"),
        Row(&[(43, "http://c"), (66, "http://b"), (67, "b.img"), (160, "")],
            66, "http://b/b.img", "http://b/001122334455.cfg"),
        Row(&[(43, "http://c/c.img;c.cfg"), (66, ""), (67, "b.img")],
            43, "http://c/c.img", "http://c/c.cfg"),
    ];

    #[rustfmt::skip]
    const REFUSED: &[(&[(u8, &str)], DiscoveryError)] = &[
        (&[], DiscoveryError::NothingOffered),
        (&[(67, "abc.img;efg.cfg")], DiscoveryError::NothingOffered),
        (&[(66, ""), (67, "abc.img;efg.cfg")], DiscoveryError::NothingOffered),
        (&[(66, "http://Audiocodes.com/abc.image;efg.cfg")],
            DiscoveryError::Firmware { option: 66 }),
        (&[(66, "h"), (67, "efg.cfg")], DiscoveryError::Firmware { option: 67 }),
        (&[(160, "http://h/efg.cfg")], DiscoveryError::Firmware { option: 160 }),
        (&[(160, "http://h/;efg.txt")], DiscoveryError::Configuration { option: 160 }),
        (&[(160, "http://h/;.cfg")], DiscoveryError::Configuration { option: 160 }),
        (&[(160, "h"), (66, "h")],
            DiscoveryError::Url { option: 160, source: UrlError::MissingScheme }),
        (&[(160, "http://h;efg.cfg")], DiscoveryError::Url { option: 160, source: UrlError::Host }),
        (&[(160, "http://h/a.img; b.cfg")],
            DiscoveryError::Url { option: 160, source: UrlError::Character }),
        (&[(66, "h"), (67, "a b.img")],
            DiscoveryError::Url { option: 67, source: UrlError::Character }),
        (&[(43, "nfs://h")], DiscoveryError::Url { option: 43, source: UrlError::UnknownScheme }),
    ];

    fn check(options: &[(u8, &str)], expected: Result<(u8, &str, &str), &DiscoveryError>) {
        let found = discover(&Lease::new(options), URL_OPTION, &PHONE).map(|found| {
            (
                found.source,
                found.firmware.to_string(),
                found.configuration.to_string(),
            )
        });
        let found = found.as_ref().map(|(source, firmware, configuration)| {
            (*source, firmware.as_str(), configuration.as_str())
        });
        assert_eq!(found, expected, "{options:?}");
    }

    #[test]
    fn tables() {
        for Row(options, source, firmware, configuration) in
            [OPTION_160, OPTION_66, PRIORITY].concat()
        {
            check(options, Ok((source, firmware, configuration)));
        }
        for (options, error) in REFUSED {
            check(options, Err(error));
        }
    }

    #[test]
    fn the_url_option_can_be_another() {
        let lease = Lease::new(&[(160, "http://a"), (161, "http://b")]);
        assert_eq!(discover(&lease, 161, &PHONE).unwrap().source, 161);
    }

    proptest! {
        #[test]
        fn hostile_options_do_not_panic(
            url in any::<String>(), server in "[a-z.:/;]{0,12}", boot_file in any::<String>(),
        ) {
            let _ = discover(&Lease::new(&[(160, &url)]), URL_OPTION, &PHONE);
            let _ = discover(&Lease::new(&[(66, &server), (67, &boot_file)]), URL_OPTION, &PHONE);
        }
    }
}
