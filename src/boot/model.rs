//! The phones that can be simulated: what each calls itself and what it is when it leaves the factory.
//!
//! To add one, add a row; keep the rows sorted by name.

/// One model.
#[derive(Debug)]
pub(super) struct Phone {
    /// What its maker prints on it.
    pub(super) name: &'static str,
    /// How it behaves.
    pub(super) maker: Maker,
    /// What it calls itself in the User-Agent; for Polycom with its family.
    pub(super) agent: &'static str,
    /// Polycom: the part number of its image.
    pub(super) part_number: &'static str,
    /// The firmware that it left the factory with.
    pub(super) factory: &'static str,
    /// Polycom: whether it can sign in by PIN and so knows the parameters of that.
    pub(super) signs_in_by_pin: bool,
}

/// Whose documents a phone follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Maker {
    /// 400HD: `name=value` lines.
    AudioCodes,
    /// KX-UT, KX-HDV: quoted lines.
    PanasonicText,
    /// KX-UTG: XML.
    PanasonicXml,
    /// UCS.
    Polycom,
}

/// Every phone, sorted by name.
#[rustfmt::skip]
pub(super) const PHONES: &[Phone] = &[
    p("420HD",               Maker::AudioCodes,    "420HD",     "", "2.0.0_build_15", false),
    p("430HD",               Maker::AudioCodes,    "430HD",     "", "2.0.1",          false),
    p("440HD",               Maker::AudioCodes,    "440HD",     "", "2.2.2",          false),
    p("CCX 600",             Maker::Polycom, "PolyCCX-CCX_600", "3111-49770-001",              "8.0.2.3267", false),
    p("KX-HDV130",           Maker::PanasonicText, "KX-HDV130", "", "01.000",         false),
    p("KX-UT113",            Maker::PanasonicText, "KX-UT113",  "", "01.025",         false),
    p("KX-UT136",            Maker::PanasonicText, "KX-UT136",  "", "01.025",         false),
    p("KX-UTG200",           Maker::PanasonicXml,  "KX-UTG200", "", "01.004",         false),
    p("SoundPoint IP 321",   Maker::Polycom, "PolycomSoundPointIP-SPIP_321",     "2345-12360-001", "4.0.4.2906", false),
    p("SoundPoint IP 331",   Maker::Polycom, "PolycomSoundPointIP-SPIP_331",     "2345-12365-001", "4.0.4.2906", false),
    p("SoundPoint IP 335",   Maker::Polycom, "PolycomSoundPointIP-SPIP_335",     "2345-12375-001", "4.0.4.2906", false),
    p("SoundPoint IP 450",   Maker::Polycom, "PolycomSoundPointIP-SPIP_450",     "2345-12450-001", "4.0.4.2906", false),
    p("SoundPoint IP 550",   Maker::Polycom, "PolycomSoundPointIP-SPIP_550",     "2345-12500-001", "4.0.4.2906", false),
    p("SoundPoint IP 560",   Maker::Polycom, "PolycomSoundPointIP-SPIP_560",     "2345-12560-001", "4.0.4.2906", false),
    p("SoundPoint IP 650",   Maker::Polycom, "PolycomSoundPointIP-SPIP_650",     "2345-12600-001", "4.0.4.2906", false),
    p("SoundStation IP 5000", Maker::Polycom, "PolycomSoundStationIP-SSIP_5000", "3111-30900-001", "4.0.4.2906", false),
    p("VVX 300",             Maker::Polycom, "PolycomVVX-VVX_300",               "3111-46135-002", "4.1.3.7864", true),
    p("VVX 310",             Maker::Polycom, "PolycomVVX-VVX_310",               "3111-46161-001", "4.1.3.7864", true),
    p("VVX 400",             Maker::Polycom, "PolycomVVX-VVX_400",               "3111-46157-002", "4.1.3.7864", true),
    p("VVX 410",             Maker::Polycom, "PolycomVVX-VVX_410",               "3111-46162-001", "4.1.3.7864", true),
    p("VVX 450",             Maker::Polycom, "PolycomVVX-VVX_450",               "3111-48840-001", "5.9.0.9373", true),
    p("VVX 500",             Maker::Polycom, "PolycomVVX-VVX_500",               "3111-44500-001", "4.1.3.7864", true),
    p("VVX 600",             Maker::Polycom, "PolycomVVX-VVX_600",               "3111-44600-001", "4.1.3.7864", true),
];

impl Phone {
    /// The phone of this name, in any spelling: `VVX 400`, `vvx400`, `VVX_400`.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        let plain = |text: &str| text.replace([' ', '_', '-'], "").to_ascii_lowercase();
        PHONES
            .iter()
            .find(|phone| plain(phone.name) == plain(name) || plain(phone.token()) == plain(name))
    }

    /// The model's part of the User-Agent: `VVX_400`.
    pub(super) fn token(&self) -> &'static str {
        match self.maker {
            Maker::Polycom => self
                .agent
                .split_once('-')
                .map_or(self.agent, |(_, token)| token),
            _ => self.agent,
        }
    }
}

const fn p(
    name: &'static str,
    maker: Maker,
    agent: &'static str,
    part_number: &'static str,
    factory: &'static str,
    signs_in_by_pin: bool,
) -> Phone {
    Phone {
        name,
        maker,
        agent,
        part_number,
        factory,
        signs_in_by_pin,
    }
}

#[cfg(test)]
mod tests {
    use super::Maker;
    use super::PHONES;
    use super::Phone;

    #[test]
    fn sorted_and_found_by_name() {
        assert!(
            PHONES.is_sorted_by(|a, b| a.name < b.name),
            "sort PHONES by name"
        );
        for phone in PHONES {
            for name in [phone.name, phone.token(), &phone.name.to_lowercase()] {
                assert_eq!(Phone::find(name).unwrap().name, phone.name);
            }
            assert_eq!(
                phone.maker == Maker::Polycom,
                !phone.part_number.is_empty(),
                "{}",
                phone.name
            );
        }
    }
}
