//! Panasonic: KX-UTG200 Administrator Guide (2015-01), section 2.2, for the order of methods;
//! KX-HDV430 (2016-05) and KX-TGP700 Administrator Guides, section 2.1.5, for which file.

use std::error::Error;
use std::fmt;

use crate::discovery::Identity;
use crate::discovery::Lease;
use crate::discovery::offered;
use crate::discovery::url::Scheme;
use crate::discovery::url::Url;
use crate::discovery::url::UrlError;

/// The first file a Panasonic phone asks for, which names all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The method that gave the URL.
    pub method: Method,
    /// The initial configuration file (KX-UTG) or the pre-provisioning file (all others).
    pub file: Url,
}

/// Which file the phone asks for, given what each method answered.
///
/// The first method of its list in [`PRIORITY`] that answered is used. Then, in a text where
/// `{MODEL}`, `{MAC}` (upper case) and `{mac}` (lower case) are replaced:
///
/// * [`Family::KxUtg`]: the URL is the full path of the initial file (guide 2.2).
/// * [`Family::PreProvisioned`], options 160 and 159: `<scheme>://[<user>:<password>@]<host>
///   [:<port>][/<path>]`. The file is what option 67 names, or `{MODEL}.cfg`, below that path.
/// * [`Family::PreProvisioned`], option 66: the file that the URL names. Without a scheme (then it
///   is fetched by TFTP) or with a `/` at the end, it is `{MODEL}.cfg`. Models for the USA take the
///   file of option 67 instead, if there is one; others never look at option 67 here.
/// * [`Family::PreProvisioned`], any other method: the URL is the full path.
///
/// Guide 2.2 also allows a bare `<IP address>` or `<domain>:<port>`. It does not say what is
/// fetched then, nor from a URL without a file; here it is `{MODEL}.cfg`, by TFTP as for option 66.
///
/// # Errors
///
/// [`DiscoveryError::NothingOffered`] if no method of the list answered, and
/// [`DiscoveryError::Url`] if the answer that counts cannot be used.
pub fn discover(
    answers: &Answers<'_>,
    addresses: Addresses,
    family: Family,
    identity: &Identity<'_>,
) -> Result<Discovered, DiscoveryError> {
    let (method, text) = choose(answers, addresses).ok_or(DiscoveryError::NothingOffered)?;
    let text = substitute(text, identity);
    let boot_file = answers
        .lease
        .option(67)
        .map(|name| substitute(name, identity));
    let model_file = format!("{}.cfg", identity.model);
    let file = match (family, method, &boot_file) {
        (Family::PreProvisioned(_), Method::Option160 | Method::Option159, boot_file) => {
            below(&text, boot_file.as_ref().unwrap_or(&model_file))
        }
        (Family::PreProvisioned(Region::Usa), Method::Option66, Some(boot_file)) => {
            beside(&text, boot_file)
        }
        (Family::PreProvisioned(_), Method::Option66, _) if !text.contains("://") => {
            beside(&text, &model_file)
        }
        _ => named(&text, &model_file),
    };
    match file {
        Ok(file) => Ok(Discovered { method, file }),
        Err(source) => Err(DiscoveryError::Url { method, source }),
    }
}

/// The method that counts, and its answer: the first of its list in [`PRIORITY`] with an answer
/// that is not empty. `None` if there is none.
pub fn choose<'a>(answers: &Answers<'a>, addresses: Addresses) -> Option<(Method, &'a str)> {
    PRIORITY
        .iter()
        .filter(|(kind, _)| *kind == addresses)
        .flat_map(|(_, methods)| methods.iter())
        .find_map(|method| Some((*method, answers.of(*method)?)))
}

/// What each method answered. Not `Debug`: the texts may hold passwords.
#[derive(Clone, Copy)]
pub struct Answers<'a> {
    /// The URL in vendor-specific information (DHCPv6 option 17), sub-option 1.
    pub dhcpv6: Option<&'a str>,
    /// DHCPv4: options 160, 159 and 66, and 67 for the file name. Leave out those that
    /// `OPTION66_ENABLE` and its like turn off.
    pub lease: Lease<'a>,
    /// What was typed in at the phone or on its web page.
    pub manual: Option<&'a str>,
    /// What Panasonic's redirection server has for this MAC.
    pub redirection_server: Option<&'a str>,
    /// The body of the SIP NOTIFY that a multicast SUBSCRIBE brought.
    pub sip_pnp: Option<&'a str>,
}

impl<'a> Answers<'a> {
    fn of(&self, method: Method) -> Option<&'a str> {
        match method {
            Method::Dhcpv6 => offered(self.dhcpv6?),
            Method::Manual => offered(self.manual?),
            Method::Option66 => self.lease.option(66),
            Method::Option159 => self.lease.option(159),
            Method::Option160 => self.lease.option(160),
            Method::RedirectionServer => offered(self.redirection_server?),
            Method::SipPnp => offered(self.sip_pnp?),
        }
    }
}

/// The order of methods (KX-UTG200 guide, section 2.2), one row for each kind of addresses. KX-HDV
/// and KX-TGP guides give the same order for the DHCPv4 options.
#[rustfmt::skip]
pub const PRIORITY: &[(Addresses, &[Method])] = &[
    (Addresses::Ipv4, &[
        Method::Manual,
        Method::SipPnp,
        Method::Option160,
        Method::Option159,
        Method::Option66,
        Method::RedirectionServer,
    ]),
    (Addresses::Ipv6, &[
        Method::Manual,
        Method::Dhcpv6,
    ]),
    (Addresses::Both, &[
        Method::Manual,
        Method::SipPnp,
        Method::Option160,
        Method::Option159,
        Method::Option66,
        Method::Dhcpv6,
        Method::RedirectionServer,
    ]),
];

/// Which addresses the phone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// Which rules for file names a phone follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// KX-UTG200 and KX-UTG300, whose files are XML.
    KxUtg,
    /// KX-UT, KX-HDV, KX-TGP and KX-UDS, whose first file tells where the others are.
    PreProvisioned(Region),
}

/// Where a model is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Anywhere but in the USA.
    Elsewhere,
    /// In the USA.
    Usa,
}

/// A way to learn the provisioning URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// DHCPv6 vendor-specific information, sub-option 1.
    Dhcpv6,
    /// Typed in.
    Manual,
    /// DHCPv4 option 66.
    Option66,
    /// DHCPv4 option 159.
    Option159,
    /// DHCPv4 option 160.
    Option160,
    /// Panasonic's redirection server.
    RedirectionServer,
    /// SIP multicast.
    SipPnp,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dhcpv6 => "DHCPv6 sub-option 1",
            Self::Manual => "the URL entered by hand",
            Self::Option66 => "DHCP option 66",
            Self::Option159 => "DHCP option 159",
            Self::Option160 => "DHCP option 160",
            Self::RedirectionServer => "the redirection server's answer",
            Self::SipPnp => "the SIP PnP answer",
        })
    }
}

/// Why a phone has nothing to ask for. Whoever wrote the answer is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// No method that the phone tries answered.
    NothingOffered,
    /// The answer is no URL.
    Url {
        /// The method that gave it.
        method: Method,
        /// What is wrong with it.
        source: UrlError,
    },
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingOffered => f.write_str("no method gives a provisioning URL"),
            Self::Url { method, .. } => write!(f, "{method} is not a provisioning URL"),
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

/// `file` below the path of a URL that must name its scheme.
fn below(text: &str, file: &str) -> Result<Url, UrlError> {
    Url::parse(text)?
        .directory()?
        .join(file.trim_start_matches('/'))
}

/// `file` in the place of any file that the URL names.
fn beside(text: &str, file: &str) -> Result<Url, UrlError> {
    Url::parse_or(text, Scheme::Tftp)?.join(file.trim_start_matches('/'))
}

/// The file that the URL names, or `default` if it names none.
fn named(text: &str, default: &str) -> Result<Url, UrlError> {
    let url = Url::parse_or(text, Scheme::Tftp)?;
    match url.file_name() {
        "" => url.join(default),
        _ => Ok(url),
    }
}

fn substitute(text: &str, identity: &Identity<'_>) -> String {
    text.replace("{MODEL}", identity.model)
        .replace("{MAC}", &identity.mac.to_ascii_uppercase())
        .replace("{mac}", &identity.mac.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Addresses;
    use super::Answers;
    use super::DiscoveryError;
    use super::Family;
    use super::Method;
    use super::PRIORITY;
    use super::Region;
    use super::choose;
    use super::discover;
    use crate::discovery::Identity;
    use crate::discovery::Lease;
    use crate::discovery::url::UrlError;

    const PHONE: Identity<'_> = Identity {
        mac: "0080f0c8c381",
        model: "KX-HDV430",
    };

    const EVERYWHERE: &[Family] = &[
        Family::PreProvisioned(Region::Elsewhere),
        Family::PreProvisioned(Region::Usa),
    ];
    const NOT_USA: &[Family] = &[Family::PreProvisioned(Region::Elsewhere)];
    const USA: &[Family] = &[Family::PreProvisioned(Region::Usa)];
    const UTG: &[Family] = &[Family::KxUtg];

    /// Options of the lease, families that behave alike, and the file they ask for.
    #[derive(Clone)]
    struct Row(
        &'static [(u8, &'static str)],
        &'static [Family],
        &'static str,
    );

    /// KX-HDV430 and KX-TGP700 guides, 2.1.5 c: options 159 and 160.
    #[rustfmt::skip]
    const OPTIONS_159_AND_160: &[Row] = &[
        Row(&[(160, "http://10.0.0.1")], EVERYWHERE, "http://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(159, "http://10.0.0.1")], EVERYWHERE, "http://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(160, "http://prov.com")], EVERYWHERE, "http://prov.com/KX-HDV430.cfg"),
        Row(&[(160, "http://10.0.0.1/pana")], EVERYWHERE, "http://10.0.0.1/pana/KX-HDV430.cfg"),
        Row(&[(160, "http://prov.com/pana/")], EVERYWHERE, "http://prov.com/pana/KX-HDV430.cfg"),
        Row(&[(160, "http://id:pass@prov.com")], EVERYWHERE,
            "http://id:***@prov.com/KX-HDV430.cfg"),
        Row(&[(160, "http://10.0.0.1"), (67, "{MODEL}.cfg")], EVERYWHERE,
            "http://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(160, "http://10.0.0.1"), (67, "pana/{MODEL}.cfg")], EVERYWHERE,
            "http://10.0.0.1/pana/KX-HDV430.cfg"),
        Row(&[(159, "http://10.0.0.1:8080/a"), (67, "/b/{mac}.cfg")], EVERYWHERE,
            "http://10.0.0.1:8080/a/b/0080f0c8c381.cfg"),
    ];

    /// The same guides, 2.1.5 d: option 66, and what option 67 does to it in and out of the USA.
    #[rustfmt::skip]
    const OPTION_66: &[Row] = &[
        Row(&[(66, "10.0.0.1")], EVERYWHERE, "tftp://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(66, "prov.com/other.cfg")], EVERYWHERE, "tftp://prov.com/KX-HDV430.cfg"),
        Row(&[(66, "http://10.0.0.1/")], EVERYWHERE, "http://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(66, "http://prov.com/pana/")], EVERYWHERE, "http://prov.com/pana/KX-HDV430.cfg"),
        Row(&[(66, "http://id:pass@10.0.0.1/")], EVERYWHERE,
            "http://id:***@10.0.0.1/KX-HDV430.cfg"),
        Row(&[(66, "http://10.0.0.1/pana/xxx.cfg")], EVERYWHERE, "http://10.0.0.1/pana/xxx.cfg"),
        Row(&[(66, "http://10.0.0.1/pana")], EVERYWHERE, "http://10.0.0.1/pana"),
        Row(&[(66, "http://10.0.0.1")], EVERYWHERE, "http://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(66, "10.0.0.1"), (67, "a.cfg")], NOT_USA, "tftp://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(66, "10.0.0.1"), (67, "a.cfg")], USA, "tftp://10.0.0.1/a.cfg"),
        Row(&[(66, "http://10.0.0.1/pana/"), (67, "a.cfg")], NOT_USA,
            "http://10.0.0.1/pana/KX-HDV430.cfg"),
        Row(&[(66, "http://10.0.0.1/pana/"), (67, "a.cfg")], USA, "http://10.0.0.1/pana/a.cfg"),
        Row(&[(66, "http://10.0.0.1/xxx.cfg"), (67, "a.cfg")], NOT_USA, "http://10.0.0.1/xxx.cfg"),
        Row(&[(66, "http://10.0.0.1/xxx.cfg"), (67, "a.cfg")], USA, "http://10.0.0.1/a.cfg"),
    ];

    /// KX-UTG200 guide, section 2.2: valid URL formats. The page breaks "<protocol>://<username>:
    /// <password>@<IP address> or <domain>:<port>" in two; both readings are here.
    #[rustfmt::skip]
    const URL_FORMS: &[Row] = &[
        Row(&[(160, "ftp://id:pass@10.0.0.1")], UTG, "ftp://id:***@10.0.0.1/KX-HDV430.cfg"),
        Row(&[(160, "https://id:pass@prov.com:8443")], UTG,
            "https://id:***@prov.com:8443/KX-HDV430.cfg"),
        Row(&[(160, "prov.com:6969")], UTG, "tftp://prov.com:6969/KX-HDV430.cfg"),
        Row(&[(160, "10.0.0.1")], UTG, "tftp://10.0.0.1/KX-HDV430.cfg"),
        Row(&[(160, "2001:db8::1")], UTG, "tftp://[2001:db8::1]/KX-HDV430.cfg"),
        Row(&[(160, "http://[2001:db8::1]/{MODEL}.cfg")], UTG,
            "http://[2001:db8::1]/KX-HDV430.cfg"),
        Row(&[(66, "http://prov.com/Initial{MAC}.xml"), (67, "a.cfg")], UTG,
            "http://prov.com/Initial0080F0C8C381.xml"),
        Row(&[(160, "http://prov.com/pana/")], UTG, "http://prov.com/pana/KX-HDV430.cfg"),
    ];

    #[rustfmt::skip]
    const REFUSED: &[(&[(u8, &str)], DiscoveryError)] = &[
        (&[(67, "a.cfg")], DiscoveryError::NothingOffered),
        (&[(160, "10.0.0.1"), (66, "10.0.0.1")],
            DiscoveryError::Url { method: Method::Option160, source: UrlError::MissingScheme }),
        (&[(66, "http://10.0.0.1 /")],
            DiscoveryError::Url { method: Method::Option66, source: UrlError::Character }),
    ];

    fn answers<'a>(options: &'a [(u8, &'a str)]) -> Answers<'a> {
        Answers {
            dhcpv6: None,
            lease: Lease::new(options),
            manual: None,
            redirection_server: None,
            sip_pnp: None,
        }
    }

    fn check(options: &[(u8, &str)], family: Family, expected: Result<&str, &DiscoveryError>) {
        let found = discover(&answers(options), Addresses::Ipv4, family, &PHONE);
        let found = found.map(|found| found.file.to_string());
        assert_eq!(found.as_deref(), expected, "{options:?} {family:?}");
    }

    #[test]
    fn files() {
        for Row(options, families, expected) in [OPTIONS_159_AND_160, OPTION_66, URL_FORMS].concat()
        {
            families
                .iter()
                .for_each(|family| check(options, *family, Ok(expected)));
        }
        for (options, error) in REFUSED {
            EVERYWHERE
                .iter()
                .for_each(|family| check(options, *family, Err(error)));
        }
    }

    /// Takes the methods' answers away one after the other, from the first one of the list on.
    #[test]
    fn each_method_counts_once_those_before_it_are_silent() {
        for (addresses, methods) in PRIORITY {
            for (position, method) in methods.iter().enumerate() {
                let answers = only(&methods[position..]);
                assert_eq!(choose(&answers, *addresses), Some((*method, "answer")));
            }
            assert_eq!(choose(&only(&[]), *addresses), None);
        }
        let other_methods = only(&[Method::SipPnp, Method::Option160, Method::RedirectionServer]);
        assert_eq!(choose(&other_methods, Addresses::Ipv6), None);
        assert_eq!(choose(&only(&[Method::Dhcpv6]), Addresses::Ipv4), None);
    }

    fn only(methods: &[Method]) -> Answers<'static> {
        const OPTIONS: &[(u8, &str)] = &[(66, "answer"), (159, "answer"), (160, "answer")];
        let answer = |method| methods.contains(&method).then_some("answer");
        let skipped = [Method::Option160, Method::Option159, Method::Option66]
            .iter()
            .filter(|method| !methods.contains(method))
            .count();
        Answers {
            dhcpv6: answer(Method::Dhcpv6),
            lease: Lease::new(&OPTIONS[..OPTIONS.len() - skipped]),
            manual: answer(Method::Manual),
            redirection_server: answer(Method::RedirectionServer),
            sip_pnp: answer(Method::SipPnp),
        }
    }

    proptest! {
        #[test]
        fn hostile_answers_do_not_panic(text in any::<String>(), boot_file in any::<String>()) {
            for family in [Family::KxUtg, Family::PreProvisioned(Region::Usa)] {
                let options = [(66, text.as_str()), (67, boot_file.as_str())];
                let _ = discover(&answers(&options), Addresses::Both, family, &PHONE);
            }
        }
    }
}
