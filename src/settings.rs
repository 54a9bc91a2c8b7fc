//! The settings: what an operator can say of phones, whoever made them, in five layers.
//!
//! To add a setting, add a row to [`SETTINGS`] (or to [`LINE_FIELDS`] or [`KEY_FIELDS`]), keep the rows
//! sorted, and use it in the templates of `vendor/`.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// Settings by name, as one layer gives them. `null` takes back what a farther layer says.
pub type Settings = Map<String, Value>;

/// One setting that an operator can give.
#[derive(Debug)]
pub struct Setting {
    /// Its name in settings files, device tables and templates.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether it may only stand in a file that one device alone gets.
    pub secret: bool,
    /// What it is for; empty without the feature `diagnostics`.
    pub help: &'static str,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A list of programmable keys: tables of [`KEY_FIELDS`].
    Keys,
    /// A list of lines: tables of [`LINE_FIELDS`].
    Lines,
    /// A vendor's own parameters: a table a vendor, of name and text.
    Parameters,
    /// Any text.
    Text,
    /// An IANA time zone name, or a POSIX `TZ` rule.
    Zone,
}

/// Which layer a value comes from, farthest first: the nearest wins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerName {
    /// `handset.toml`.
    Deployment,
    /// `tenants/`.
    Tenant,
    /// `sites/`.
    Site,
    /// `models/`.
    Model,
    /// `devices/`.
    Device,
}

/// The setting of this name.
pub fn find(settings: &'static [Setting], name: &str) -> Option<&'static Setting> {
    settings.iter().find(|setting| setting.name == name)
}

impl Setting {
    /// Whether a device's value may be or contain a secret. Lines have passwords, and what a vendor's own parameters
    /// are is for the vendor to say.
    pub fn holds_secrets(&self) -> bool {
        self.secret || matches!(self.kind, Kind::Lines | Kind::Parameters)
    }
}

/// Every setting, sorted by name.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    secret("admin_password",       Kind::Text, "Password of the phone's own administration menu and web page."),
    plain("base_profile",          Kind::Choice(&["Generic", "Lync"]), "Polycom: the base profile the phone starts from."),
    plain("ca_certificate",        Kind::Text, "PEM text of a certificate authority the phones must trust."),
    plain("call_list_directory",   Kind::Text, "Directory that phones keep call lists in; empty is the root."),
    plain("config_files",          Kind::Text, "Polycom: CONFIG_FILES of the master file, instead of the built-in list."),
    plain("contact_directory",     Kind::Text, "Directory that phones keep contact directories in."),
    plain("core_file_directory",   Kind::Text, "Directory that phones send memory dumps to."),
    plain("keys",                  Kind::Keys, "Programmable keys."),
    plain("language",              Kind::Text, "Language tag (BCP 47) such as en-US, de-DE, fr-FR."),
    plain("license_directory",     Kind::Text, "Directory that phones read licences from."),
    plain("lines",                 Kind::Lines, "Lines: the accounts a phone registers."),
    plain("log_directory",         Kind::Text, "Directory that phones send their logs to."),
    plain("log_level",             Kind::Integer(0, 6), "How much a phone logs: 0 debug to 6 fatal."),
    plain("log_upload",            Kind::Boolean, "Whether phones send their logs to the server."),
    plain("ntp_server",            Kind::Text, "Host name or address of the time server."),
    plain("outbound_proxy",        Kind::Text, "Host that SIP requests go through."),
    plain("override_directory",    Kind::Text, "Directory that phones keep the user's changes in."),
    plain("parameters",            Kind::Parameters, "A vendor's own parameters, as its manual names them: parameters.<vendor>.\"name\"."),
    plain("register_expires",      Kind::Integer(10, 86_400), "Seconds between registrations."),
    plain("sign_in",               Kind::Choice(&["automatic", "prefilled"]), "Lync: all credentials by the server, or all but the password."),
    plain("sip_port",              Kind::Integer(0, 65_535), "Port of the SIP server; 0 lets the phone look it up."),
    plain("sip_server",            Kind::Text, "Host name or address of the SIP server."),
    plain("sip_transport",         Kind::Choice(&["tcp", "tls", "udp"]), "Transport of SIP."),
    plain("time_offset",           Kind::Integer(-50_400, 50_400), "Seconds east of UTC, where no time zone is given or to overrule it."),
    plain("time_zone",             Kind::Zone, "Time zone (America/Chicago), daylight saving included."),
    plain("use_pin_credentials",   Kind::Boolean, "Lync: whether the phone offers sign-in by PIN."),
    secret("user_password",        Kind::Text, "Password of the phone's own user menu and web page."),
    plain("user_profile_directory", Kind::Text, "Directory that phones read user profiles from."),
];

/// What a line has, sorted by name.
#[rustfmt::skip]
pub const LINE_FIELDS: &[Setting] = &[
    plain("address",      Kind::Text, "Full SIP address, where it is not user@server."),
    plain("auth_id",      Kind::Text, "Name to authenticate with, where it is not the user."),
    plain("display_name", Kind::Text, "Name that callees see."),
    plain("domain",       Kind::Text, "Lync: domain of the account."),
    plain("label",        Kind::Text, "Text beside the line key."),
    plain("number",       Kind::Text, "Phone number that the phone shows, where it is not the user."),
    secret("password",    Kind::Text, "Password to authenticate with."),
    plain("port",         Kind::Integer(0, 65_535), "Port, instead of the setting sip_port."),
    plain("server",       Kind::Text, "Host, instead of the setting sip_server."),
    plain("transport",    Kind::Choice(&["tcp", "tls", "udp"]), "Transport, instead of the setting sip_transport."),
    plain("user",         Kind::Text, "User part of the SIP address."),
];

/// What a programmable key has, sorted by name.
#[rustfmt::skip]
pub const KEY_FIELDS: &[Setting] = &[
    plain("label",    Kind::Text, "Text beside the key."),
    plain("line",     Kind::Integer(1, 64), "Number of the line that it uses."),
    plain("position", Kind::Integer(1, 256), "Which key; from 1."),
    plain("type",     Kind::Choice(&["busy_lamp", "line", "speed_dial"]), "What it does."),
    plain("value",    Kind::Text, "Number or address that it dials or watches."),
];

const fn plain(name: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting {
        name,
        kind,
        secret: false,
        help: told(help),
    }
}

const fn secret(name: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting {
        name,
        kind,
        secret: true,
        help: told(help),
    }
}

/// What only operators read is left out where only phones ask.
const fn told(help: &'static str) -> &'static str {
    if cfg!(feature = "diagnostics") {
        help
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::KEY_FIELDS;
    use super::LINE_FIELDS;
    use super::SETTINGS;

    #[test]
    fn tables_are_sorted_unique_and_explained() {
        for table in [SETTINGS, LINE_FIELDS, KEY_FIELDS] {
            for rows in table.windows(2) {
                assert!(
                    rows[0].name < rows[1].name,
                    "sort {} before {}",
                    rows[1].name,
                    rows[0].name
                );
            }
            for row in table {
                assert!(row.help.ends_with('.'), "{}: help is a sentence", row.name);
            }
        }
    }

    #[test]
    fn what_sounds_secret_is_secret() {
        for row in [SETTINGS, LINE_FIELDS, KEY_FIELDS].into_iter().flatten() {
            assert_eq!(row.secret, row.name.contains("password"), "{}", row.name);
        }
    }
}
