//! Panasonic KX-UT, KX-HDV, KX-TGP (text) and KX-UTG (XML) (their Administrator Guides, chapter 2).
//!
//! One set of names, two formats: the device's model decides, and shared names lie in a folder a family.
//! The device file (STANDARD) wins over the product file, that over the master file.

use super::FileKind;
use super::FileKind::Configuration;
use super::FileKind::FirmwareImage;
use super::FileKind::MasterConfiguration;
use super::FileRule;
use super::Format;
use super::HandOver;
use super::Model;
use super::Source;
use super::Source::Firmware;
use super::Source::Template;
use super::Vendor;
use crate::mac::Oui;

/// Panasonic's SIP phones.
pub const PANASONIC: Vendor = Vendor {
    name: "panasonic",
    ouis: &[
        Oui([0x00, 0x80, 0xf0]),
        Oui([0x08, 0x00, 0x23]),
        Oui([0xbc, 0xc3, 0x42]),
    ],
    user_agents: &[
        "Panasonic_{model}/{version} ({mac})",
        "Panasonic_{model}/{version}",
    ],
    posts: false,
    // KX-UTG200 guide, section 2.2.1: the phone puts its model in.
    sip_pnp: Some("{base}/{MODEL}.cfg"),
    factory_password: None,
    certificate: &[("CN", "{mac}")],
    // What a device's own file says goes before the file that DHCP led to (KX-UT123, page 46). Whether a KX-UTG
    // takes an address from its own file is not written anywhere.
    hand_over: HandOver::Families(&["ut"]),
    follows_redirects: false,
    text: Format::QuotedLines,
    models: MODELS,
    rules: RULES,
    reserved: &[],
    marked: &[],
};

/// Empty is the usual `# Panasonic SIP Phone Standard Format File #`.
const SIP: &str = "";
const PCC: &str = "# PCC Standard Format File #";

/// Where no public document names the image, `models/` of the fleet directory can.
#[rustfmt::skip]
const MODELS: &[Model] = &[
    m("KX-HDV100",    "ut",  "", SIP),
    m("KX-HDV130",    "ut",  "", SIP),
    m("KX-HDV230",    "ut",  "", SIP),
    m("KX-HDV330",    "ut",  "", SIP),
    m("KX-HDV430",    "ut",  "", SIP),
    m("KX-TGP500B04", "ut",  "TGP5xx-USA-{version}_HW1.fw", PCC),
    m("KX-TGP550T04", "ut",  "TGP5xx-USA-{version}_HW1.fw", PCC),
    m("KX-TGP600",    "ut",  "", SIP),
    m("KX-TGP700",    "ut",  "", SIP),
    m("KX-UT113",     "ut",  "UT11x12x-{version}_HW1.fw", SIP),
    m("KX-UT123",     "ut",  "UT11x12x-{version}_HW1.fw", SIP),
    m("KX-UT133",     "ut",  "UT13x-{version}_HW1.fw", SIP),
    m("KX-UT136",     "ut",  "UT13x-{version}_HW1.fw", SIP),
    m("KX-UT248",     "ut",  "", SIP),
    m("KX-UT670",     "ut",  "", SIP),
    m("KX-UTG200",    "utg", "", ""),
    m("KX-UTG300",    "utg", "", ""),
];

/// `{family}` is the folder of the model's family: `ut/` or `utg/`. A boot begins with `{model}.cfg`, which says nothing
/// of who asks; the first file that does is the phone's own.
#[rustfmt::skip]
const RULES: &[FileRule] = &[
    rule("{model}.cfg",             MasterConfiguration, &[Template("{family}/{model}.cfg")], false),
    rule("Config{mac}.cfg",         Configuration,       &[Template("{family}/Config{MAC}.cfg")], true),
    rule("Config{model}.cfg",       Configuration,       &[Template("{family}/Config{model}.cfg")], false),
    rule("ConfigCom.cfg",           Configuration,       &[Template("{family}/ConfigCommon.cfg")], false),
    rule("ConfigCommon.cfg",        Configuration,       &[Template("{family}/ConfigCommon.cfg")], false),
    rule("ut/ConfigCommon.cfg",     Configuration,       &[Template("ut/ConfigCommon.cfg")], false),
    rule("utg/ConfigCommon.cfg",    Configuration,       &[Template("utg/ConfigCommon.cfg")], false),
    rule("root.pem",                FileKind::Resource,  &[Source::SettingTemplate("root.pem", "ca_certificate")], false),
    rule("{name}.fw",               FirmwareImage,       &[Firmware("{name}.fw")], false),
    rule("firmware/{version}/{name}.fw", FirmwareImage,  &[Firmware("{name}.fw")], false),
];

const fn m(
    name: &'static str,
    family: &'static str,
    image: &'static str,
    first_line: &'static str,
) -> Model {
    Model {
        name,
        user_agent: name,
        family,
        image,
        first_line,
    }
}

const fn rule(
    pattern: &'static str,
    kind: FileKind,
    sources: &'static [Source],
    starts_boot: bool,
) -> FileRule {
    FileRule {
        pattern,
        kind,
        sources,
        starts_boot,
    }
}
