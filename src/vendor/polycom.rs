//! Polycom and Poly: SoundPoint IP, SoundStation, VVX, Trio, CCX, Edge E (UCS Administrator's Guide).
//!
//! Two traps. A phone takes the *first* occurrence of a parameter over its CONFIG_FILES. And it puts its
//! part number before the base name of APP_FILE_PATH, also when the operator wrote it there already.

use super::FileKind;
use super::FileKind::CallList;
use super::FileKind::Configuration;
use super::FileKind::ContactDirectory;
use super::FileKind::CoreDump;
use super::FileKind::DeviceLog;
use super::FileKind::FirmwareImage;
use super::FileKind::FirmwareVersion;
use super::FileKind::License;
use super::FileKind::MasterConfiguration;
use super::FileKind::Overrides;
use super::FileKind::Resource as Extra;
use super::FileRule;
use super::Format;
use super::HandOver;
use super::Model;
use super::Source;
use super::Source::Firmware;
use super::Source::PinnedTemplate;
use super::Source::Resource;
use super::Source::Template;
use super::Source::Upload;
use super::Source::XmlUpload;
use super::Vendor;
use crate::mac::Oui;

/// Polycom, now Poly.
pub const POLYCOM: Vendor = Vendor {
    name: "polycom",
    ouis: &[
        Oui([0x00, 0x04, 0xf2]),
        Oui([0x00, 0x90, 0x7a]),
        Oui([0x48, 0x25, 0x67]),
        Oui([0x64, 0x16, 0x7f]),
    ],
    user_agents: &[
        "Poly{brand}-{model}-UA/{version} (SN:{mac})",
        "Poly{brand}-{model}-UA/{version}",
    ],
    posts: false,
    sip_pnp: None,
    factory_password: Some(("PlcmSpIp", "PlcmSpIp")),
    certificate: &[("CN", "{mac}")],
    hand_over: HandOver::All,
    follows_redirects: true,
    text: Format::Xml,
    models: MODELS,
    rules: RULES,
    reserved: &[
        ("{mac}-app.log", "the phone uploads its log under this name"),
        (
            "{mac}-boot.log",
            "the phone uploads its log under this name",
        ),
        (
            "{mac}-calls.xml",
            "the phone uploads its call list under this name",
        ),
        (
            "{mac}-directory.xml",
            "the phone uploads its contact directory under this name",
        ),
        (
            "{mac}-license.cfg",
            "the phone reads licences from this name",
        ),
        (
            "{mac}-phone.cfg",
            "the phone uploads its overrides under this name",
        ),
        (
            "{mac}-web.cfg",
            "the phone uploads its overrides under this name",
        ),
    ],
    marked: &[
        (
            "000000000000.cfg",
            "<APPLICATION",
            "the phone takes it for its master file",
        ),
        (
            "{mac}.cfg",
            "<APPLICATION",
            "the phone takes it for its master file",
        ),
    ],
};

/// Names and part numbers: the administrator's guides and the article's table. The version of an image
/// is not in its name.
#[rustfmt::skip]
const MODELS: &[Model] = &[
    m("CCX 600",              "CCX_600",    "ccx",          "3111-49770-001.sip.ld"),
    m("SoundPoint IP 320",    "SPIP_320",   "soundpoint",   "2345-12200-002.sip.ld"),
    m("SoundPoint IP 321",    "SPIP_321",   "soundpoint",   "2345-12360-001.sip.ld"),
    m("SoundPoint IP 330",    "SPIP_330",   "soundpoint",   "2345-12200-001.sip.ld"),
    m("SoundPoint IP 331",    "SPIP_331",   "soundpoint",   "2345-12365-001.sip.ld"),
    m("SoundPoint IP 335",    "SPIP_335",   "soundpoint",   "2345-12375-001.sip.ld"),
    m("SoundPoint IP 430",    "SPIP_430",   "soundpoint",   "2345-11402-001.sip.ld"),
    m("SoundPoint IP 450",    "SPIP_450",   "soundpoint",   "2345-12450-001.sip.ld"),
    m("SoundPoint IP 550",    "SPIP_550",   "soundpoint",   "2345-12500-001.sip.ld"),
    m("SoundPoint IP 560",    "SPIP_560",   "soundpoint",   "2345-12560-001.sip.ld"),
    m("SoundPoint IP 650",    "SPIP_650",   "soundpoint",   "2345-12600-001.sip.ld"),
    m("SoundPoint IP 670",    "SPIP_670",   "soundpoint",   "2345-12670-001.sip.ld"),
    m("SoundStation Duo",     "SSDuo",      "soundstation", "3111-19000-001.sip.ld"),
    m("SoundStation IP 4000", "SSIP_4000",  "soundstation", "2201-06642-001.sip.ld"),
    m("SoundStation IP 5000", "SSIP_5000",  "soundstation", "3111-30900-001.sip.ld"),
    m("SoundStation IP 6000", "SSIP_6000",  "soundstation", "3111-15600-001.sip.ld"),
    m("SoundStation IP 7000", "SSIP_7000",  "soundstation", "3111-40000-001.sip.ld"),
    m("Trio 8800",            "Trio_8800",  "trio",         "3111-65290-001.sip.ld"),
    m("VVX 101",              "VVX_101",    "vvx",          "3111-40250-001.sip.ld"),
    m("VVX 150",              "VVX_150",    "vvx",          "3111-48810-001.sip.ld"),
    m("VVX 1500",             "VVX_1500",   "vvx",          "2345-17960-001.sip.ld"),
    m("VVX 201",              "VVX_201",    "vvx",          "3111-40450-001.sip.ld"),
    m("VVX 250",              "VVX_250",    "vvx",          "3111-48820-001.sip.ld"),
    m("VVX 300",              "VVX_300",    "vvx",          "3111-46135-002.sip.ld"),
    m("VVX 301",              "VVX_301",    "vvx",          "3111-48300-001.sip.ld"),
    m("VVX 310",              "VVX_310",    "vvx",          "3111-46161-001.sip.ld"),
    m("VVX 311",              "VVX_311",    "vvx",          "3111-48350-001.sip.ld"),
    m("VVX 350",              "VVX_350",    "vvx",          "3111-48830-001.sip.ld"),
    m("VVX 400",              "VVX_400",    "vvx",          "3111-46157-002.sip.ld"),
    m("VVX 401",              "VVX_401",    "vvx",          "3111-48400-001.sip.ld"),
    m("VVX 410",              "VVX_410",    "vvx",          "3111-46162-001.sip.ld"),
    m("VVX 411",              "VVX_411",    "vvx",          "3111-48450-001.sip.ld"),
    m("VVX 450",              "VVX_450",    "vvx",          "3111-48840-001.sip.ld"),
    m("VVX 500",              "VVX_500",    "vvx",          "3111-44500-001.sip.ld"),
    m("VVX 501",              "VVX_501",    "vvx",          "3111-48500-001.sip.ld"),
    m("VVX 600",              "VVX_600",    "vvx",          "3111-44600-001.sip.ld"),
    m("VVX 601",              "VVX_601",    "vvx",          "3111-48600-001.sip.ld"),
    m("VVX D60",              "VVX_D60",    "vvx",          "3111-17823-001.dect.ld"),
];

/// Directories are wherever the master file points them, so names match on their last segments.
#[rustfmt::skip]
const RULES: &[FileRule] = &[
    // The master file: the phone's own, else the default. A device has one of its own where it pins a
    // firmware version, which only a master file can tell it.
    boot("{mac}.cfg",                       MasterConfiguration, &[PinnedTemplate("{mac}.cfg")]),
    boot("000000000000.cfg",                MasterConfiguration, &[Template("000000000000.cfg")]),
    // What the built-in master names. `-lync` is the name that the Lync articles made customary.
    rule("shared.cfg",                      Configuration,       &[Template("shared.cfg")]),
    rule("{mac}-device.cfg",                Configuration,       &[Template("{mac}-device.cfg")]),
    rule("{mac}-lync.cfg",                  Configuration,       &[Template("{mac}-device.cfg")]),
    // What phones keep on the server.
    rule("{mac}-phone.cfg",                 Overrides,           &[XmlUpload]),
    rule("{mac}-web.cfg",                   Overrides,           &[XmlUpload]),
    rule("{mac}-directory.xml",             ContactDirectory,    &[XmlUpload, Resource]),
    rule("{mac}-calls.xml",                 CallList,            &[XmlUpload]),
    rule("{mac}-app.log",                   DeviceLog,           &[Upload]),
    rule("{mac}-boot.log",                  DeviceLog,           &[Upload]),
    rule("{mac}-{name}.core",               CoreDump,            &[Upload]),
    rule("{mac}-{name}.dmp",                CoreDump,            &[Upload]),
    rule("{mac}-{name}.tar.gz",             CoreDump,            &[Upload]),
    rule("{mac}-{name}.tgz",                CoreDump,            &[Upload]),
    rule("000000000000-directory.xml",      ContactDirectory,    &[Resource]),
    rule("000000000000-directory~.xml",     ContactDirectory,    &[Resource]),
    rule("000000000000-license.cfg",        License,             &[Resource]),
    rule("{mac}-license.cfg",               License,             &[Resource]),
    // Images. The phone asks for the doubled name when APP_FILE_PATH holds a part number already.
    rule("{part_number}.sip.ld",            FirmwareImage, &[Firmware("{part_number}.sip.ld")]),
    rule("{part_number}.{part_number}.sip.ld", FirmwareImage, &[Firmware("{part_number}.sip.ld")]),
    rule("firmware/{version}/{part_number}.sip.ld", FirmwareImage, &[Firmware("{part_number}.sip.ld")]),
    rule("firmware/{version}/{part_number}.{part_number}.sip.ld", FirmwareImage, &[Firmware("{part_number}.sip.ld")]),
    rule("{part_number}.dect.ld",           FirmwareImage, &[Firmware("{part_number}.dect.ld")]),
    rule("{part_number}.{part_number}.dect.ld", FirmwareImage, &[Firmware("{part_number}.dect.ld")]),
    rule("firmware/{version}/{part_number}.dect.ld", FirmwareImage, &[Firmware("{part_number}.dect.ld")]),
    rule("{part_number}.bootrom.ld",        FirmwareImage, &[Firmware("{part_number}.bootrom.ld")]),
    rule("sip.ld",                          FirmwareImage, &[Firmware("sip.ld")]),
    rule("bootblock.ld",                    FirmwareImage, &[Firmware("bootblock.ld")]),
    rule("bootrom.ld",                      FirmwareImage, &[Firmware("bootrom.ld")]),
    rule("bootrom.ver",                     FirmwareVersion, &[Firmware("bootrom.ver")]),
    rule("sip.ver",                         FirmwareVersion, &[Firmware("sip.ver")]),
    rule("firmware/{version}/sip.ver",      FirmwareVersion, &[Firmware("sip.ver")]),
    // Dictionaries, ringtones and backgrounds, as they lie in a release package.
    rule("SoundPointIPLocalization/{name}/SoundPointIP-dictionary.xml", Extra, &[Resource]),
    rule("VVXLocalization/{name}/VVX-dictionary.xml", Extra, &[Resource]),
    rule("languages/Website_dictionary_language_{name}.xml", Extra, &[Resource]),
    rule("SoundPointIPWelcome.wav",         Extra, &[Resource]),
    rule("Beach256x116.jpg",                Extra, &[Resource]),
    rule("Beach.jpg",                       Extra, &[Resource]),
    rule("BeachEM.jpg",                     Extra, &[Resource]),
    rule("Jellyfish.jpg",                   Extra, &[Resource]),
    rule("Leaf.jpg",                        Extra, &[Resource]),
    rule("LoudRing.wav",                    Extra, &[Resource]),
    rule("Mountain.jpg",                    Extra, &[Resource]),
    rule("Palm.jpg",                        Extra, &[Resource]),
    rule("Sailboat.jpg",                    Extra, &[Resource]),
    rule("Warble.wav",                      Extra, &[Resource]),
];

const fn m(
    name: &'static str,
    user_agent: &'static str,
    family: &'static str,
    image: &'static str,
) -> Model {
    Model {
        name,
        user_agent,
        family,
        image,
        first_line: "",
    }
}

const fn rule(pattern: &'static str, kind: FileKind, sources: &'static [Source]) -> FileRule {
    FileRule {
        pattern,
        kind,
        sources,
        starts_boot: false,
    }
}

const fn boot(pattern: &'static str, kind: FileKind, sources: &'static [Source]) -> FileRule {
    FileRule {
        pattern,
        kind,
        sources,
        starts_boot: true,
    }
}
