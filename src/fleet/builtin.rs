//! The built-in templates, which every release holds: what a phone gets depends on the release alone,
//! not on the program that serves it.
//!
//! To add one, put the file below `src/vendor/` and a line here; keep the lines sorted.

use crate::map::Map;
use crate::release::TemplateRecord;
use crate::vendor::Format;

/// The built-in templates by `vendor/name`.
pub(super) fn templates() -> Map<TemplateRecord> {
    let record = |(name, format, text): &(&str, Format, &str)| {
        (
            (*name).to_owned(),
            TemplateRecord {
                format: *format,
                text: (*text).to_owned(),
                file: None,
            },
        )
    };
    TEMPLATES.iter().map(record).collect()
}

/// Name, format and text.
#[rustfmt::skip]
const TEMPLATES: &[(&str, Format, &str)] = &[
    ("audiocodes/{mac}.cfg",              Format::KeyValue,    include_str!("../vendor/audiocodes/{mac}.cfg")),
    ("panasonic/root.pem",                Format::Plain,       include_str!("../vendor/panasonic/root.pem")),
    ("panasonic/ut/ConfigCommon.cfg",     Format::QuotedLines, include_str!("../vendor/panasonic/ut/ConfigCommon.cfg")),
    ("panasonic/ut/Config{MAC}.cfg",      Format::QuotedLines, include_str!("../vendor/panasonic/ut/Config{MAC}.cfg")),
    ("panasonic/ut/Config{model}.cfg",    Format::QuotedLines, include_str!("../vendor/panasonic/ut/Config{model}.cfg")),
    ("panasonic/ut/_firmware.cfg",        Format::QuotedLines, include_str!("../vendor/panasonic/ut/_firmware.cfg")),
    ("panasonic/ut/_parameters.cfg",      Format::QuotedLines, include_str!("../vendor/panasonic/ut/_parameters.cfg")),
    ("panasonic/ut/{model}.cfg",          Format::QuotedLines, include_str!("../vendor/panasonic/ut/{model}.cfg")),
    ("panasonic/utg/ConfigCommon.cfg",    Format::Xml,         include_str!("../vendor/panasonic/utg/ConfigCommon.cfg")),
    ("panasonic/utg/Config{MAC}.cfg",     Format::Xml,         include_str!("../vendor/panasonic/utg/Config{MAC}.cfg")),
    ("panasonic/utg/Config{model}.cfg",   Format::Xml,         include_str!("../vendor/panasonic/utg/Config{model}.cfg")),
    ("panasonic/utg/_parameters.xml",     Format::Xml,         include_str!("../vendor/panasonic/utg/_parameters.xml")),
    ("panasonic/utg/{model}.cfg",         Format::Xml,         include_str!("../vendor/panasonic/utg/{model}.cfg")),
    ("polycom/000000000000.cfg",          Format::Xml,         include_str!("../vendor/polycom/000000000000.cfg")),
    ("polycom/_master.xml",               Format::Xml,         include_str!("../vendor/polycom/_master.xml")),
    ("polycom/_parameters.xml",           Format::Xml,         include_str!("../vendor/polycom/_parameters.xml")),
    ("polycom/shared.cfg",                Format::Xml,         include_str!("../vendor/polycom/shared.cfg")),
    ("polycom/{mac}-device.cfg",          Format::Xml,         include_str!("../vendor/polycom/{mac}-device.cfg")),
    ("polycom/{mac}.cfg",                 Format::Xml,         include_str!("../vendor/polycom/{mac}.cfg")),
];

#[cfg(test)]
mod tests {
    use super::TEMPLATES;
    use crate::release::Release;
    use crate::release::ReleaseId;
    use crate::release::ReleaseRecord;
    use crate::release::is_part;
    use crate::vendor;
    use crate::vendor::Source;

    #[test]
    fn sorted_and_parsed() {
        assert!(
            TEMPLATES.is_sorted_by(|a, b| a.0 < b.0),
            "sort the built-in templates by name"
        );
        let record = ReleaseRecord {
            templates: super::templates(),
            ..ReleaseRecord::default()
        };
        Release::parse(ReleaseId::default(), record).unwrap();
    }

    #[test]
    fn rules_and_templates_name_each_other() {
        let mut asked = Vec::new();
        for vendor in vendor::ALL {
            for source in vendor.rules.iter().flat_map(|rule| rule.sources) {
                if let Source::Template(name)
                | Source::PinnedTemplate(name)
                | Source::SettingTemplate(name, _) = source
                {
                    let families = vendor
                        .models
                        .iter()
                        .map(|model| name.replace("{family}", model.family));
                    asked.extend(families.map(|name| format!("{}/{name}", vendor.name)));
                }
            }
        }
        for name in &asked {
            assert!(
                TEMPLATES.iter().any(|(known, ..)| known == name),
                "a rule names {name}, which is not there"
            );
        }
        for (name, ..) in TEMPLATES.iter().filter(|(name, ..)| !is_part(name)) {
            assert!(
                asked.iter().any(|asked| asked == name),
                "no rule names {name}"
            );
        }
    }
}
