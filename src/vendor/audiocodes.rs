//! AudioCodes 400HD: 405 to C450HD, RX50, HRS (400HD Series Administrator's Manual, sections 10.2 and 4.3).
//!
//! The phone reads the header of its image first and the whole image only when the version differs. It
//! takes a configuration only if the file names its model.

use super::FileKind;
use super::FileKind::Configuration;
use super::FileKind::FirmwareImage;
use super::FileRule;
use super::Format;
use super::HandOver;
use super::Model;
use super::Source;
use super::Source::Firmware;
use super::Source::Template;
use super::Vendor;
use crate::mac::Oui;

/// AudioCodes' IP phones.
pub const AUDIOCODES: Vendor = Vendor {
    name: "audiocodes",
    ouis: &[Oui([0x00, 0x90, 0x8f])],
    user_agents: &[
        "AUDC-IPPhone/{version} ({model}; {mac})",
        "AUDC-IPPhone-{model}_UC_{version}/",
    ],
    posts: false,
    // 400HD Administrator's Manual 2.2.8, section 10.2: the phone looks for its usual names there.
    sip_pnp: Some("{base}"),
    factory_password: None,
    certificate: &[("CN", "{mac}")],
    hand_over: HandOver::All,
    follows_redirects: false,
    text: Format::KeyValue,
    models: MODELS,
    rules: RULES,
    reserved: &[],
    marked: &[],
};

/// `<hardware type>.img` is `<model>.img`; a User-Agent may append a hardware variant (`440HDG-Rev0`).
#[rustfmt::skip]
const MODELS: &[Model] = &[
    m("405",    "405.img"),
    m("405HD",  "405HD.img"),
    m("420HD",  "420HD.img"),
    m("425HD",  "425HD.img"),
    m("430HD",  "430HD.img"),
    m("440HD",  "440HD.img"),
    m("445HD",  "445HD.img"),
    m("450HD",  "450HD.img"),
    m("C450HD", "C450HD.img"),
    m("HRS",    "HRS.img"),
    m("RX50",   "RX50.img"),
];

/// An option string may name any image; other names of configurations are templates of the operator's.
#[rustfmt::skip]
const RULES: &[FileRule] = &[
    rule("{mac}.cfg",                     Configuration, &[Template("{mac}.cfg")], true),
    rule("{model}_{mac}_conf.cfg",        Configuration, &[Template("{mac}.cfg")], true),
    rule("{name}.img",                    FirmwareImage, &[Firmware("{name}.img")], false),
    rule("firmware/{version}/{name}.img", FirmwareImage, &[Firmware("{name}.img")], false),
];

const fn m(name: &'static str, image: &'static str) -> Model {
    Model {
        name,
        user_agent: name,
        family: "400hd",
        image,
        first_line: "",
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
