//! What other programs and people call the columns of device tables.

/// The column of ours that a column of theirs is, by its name alone.
pub(super) fn ours(theirs: &str) -> Option<&'static str> {
    let name = plain(theirs);
    let row = NAMES
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()));
    row.map(|(ours, _)| *ours)
}

/// FusionPBX's own names for what a line has: its column, and the field.
pub(super) const FUSIONPBX_LINE: &[(&str, &str)] = &[
    ("auth_id", "auth_id"),
    ("display_name", "display_name"),
    ("label", "label"),
    ("password", "password"),
    ("server_address", "server"),
    ("sip_port", "port"),
    ("sip_transport", "transport"),
    ("user_id", "user"),
];

/// FusionPBX's columns of a device.
pub(super) const FUSIONPBX_DEVICE: &[(&str, &str)] = &[
    ("device_address", "mac"),
    ("device_firmware_version", "firmware"),
    ("device_mac_address", "mac"),
    ("device_model", "model"),
];

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_ascii_alphanumeric());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Ours, and theirs without spaces, dots, dashes and case.
const NAMES: &[(&str, &[&str])] = &[
    ("firmware", &["firmware", "firmwareversion", "version"]),
    (
        "line1.auth_id",
        &["authid", "authname", "authuser", "line1authid"],
    ),
    (
        "line1.display_name",
        &["displayname", "fullname", "line1displayname", "name"],
    ),
    ("line1.label", &["label", "line1label"]),
    (
        "line1.password",
        &["line1password", "password", "secret", "sippassword"],
    ),
    (
        "line1.server",
        &["line1server", "registrar", "server", "sipserver"],
    ),
    (
        "line1.user",
        &[
            "ext",
            "extension",
            "line1user",
            "sipuser",
            "user",
            "username",
        ],
    ),
    (
        "mac",
        &[
            "address",
            "deviceaddress",
            "devicemacaddress",
            "hardwareaddress",
            "mac",
            "macaddress",
        ],
    ),
    (
        "model",
        &["device", "devicemodel", "model", "phonemodel", "phonetype"],
    ),
    ("site", &["branch", "location", "office", "site"]),
    ("time_zone", &["timezone", "tz"]),
];

#[cfg(test)]
mod tests {
    use super::NAMES;
    use super::ours;

    #[test]
    fn names_are_sorted_plain_and_unique() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        let mut all: Vec<&str> = NAMES
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a name stands twice");
        assert_eq!(ours("MAC Address"), Some("mac"));
        assert_eq!(ours("Ext."), Some("line1.user"));
        assert_eq!(ours("Shoe size"), None);
    }
}
