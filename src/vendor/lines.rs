//! What a vendor's parameters say of a phone's lines: for reading files that another server gave out.
//!
//! Pure rows, as in the tables beside it. `{n}` counts lines from 1, `{n0}` from 0.

/// A vendor's parameters by the fields of lines that they fill.
pub fn of_vendor(vendor: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = ROWS.iter().filter(move |(known, ..)| *known == vendor);
    rows.map(|(_, parameter, field)| (*parameter, *field))
}

/// The parameter that names the phone's model, where a vendor's files have one.
pub fn model_parameter(vendor: &str) -> Option<&'static str> {
    let row = MODELS.iter().find(|(known, _)| *known == vendor);
    row.map(|(_, parameter)| *parameter)
}

const MODELS: &[(&str, &str)] = &[("audiocodes", "system/type")];

/// Vendor, parameter, field.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str)] = &[
    ("audiocodes", "voip/line/{n0}/id",                "user"),
    ("audiocodes", "voip/line/{n0}/auth_name",         "auth_id"),
    ("audiocodes", "voip/line/{n0}/auth_password",     "password"),
    ("audiocodes", "voip/line/{n0}/description",       "display_name"),
    ("audiocodes", "voip/line/{n0}/extension_display", "label"),
    ("panasonic",  "PHONE_NUMBER_{n}",                 "user"),
    ("panasonic",  "SIP_URI_{n}",                      "address"),
    ("panasonic",  "SIP_AUTHID_{n}",                   "auth_id"),
    ("panasonic",  "SIP_PASS_{n}",                     "password"),
    ("panasonic",  "DISPLAY_NAME_{n}",                 "display_name"),
    ("panasonic",  "SIP_RGSTR_ADDR_{n}",               "server"),
    ("panasonic",  "SIP_RGSTR_PORT_{n}",               "port"),
    ("polycom",    "reg.{n}.address",                  "address"),
    ("polycom",    "reg.{n}.auth.domain",              "domain"),
    ("polycom",    "reg.{n}.auth.password",            "password"),
    ("polycom",    "reg.{n}.auth.userId",              "user"),
    ("polycom",    "reg.{n}.displayName",              "display_name"),
    ("polycom",    "reg.{n}.label",                    "label"),
    ("polycom",    "reg.{n}.server.1.address",         "server"),
    ("polycom",    "reg.{n}.server.1.port",            "port"),
];

#[cfg(test)]
mod tests {
    use super::MODELS;
    use super::ROWS;
    use crate::settings::LINE_FIELDS;
    use crate::settings::find;
    use crate::vendor::Vendor;

    #[test]
    fn rows_name_vendors_lines_and_fields() {
        for (vendor, parameter, field) in ROWS {
            assert!(Vendor::find(vendor).is_some(), "{vendor}");
            assert!(find(LINE_FIELDS, field).is_some(), "{field}");
            assert!(
                parameter.contains("{n}") || parameter.contains("{n0}"),
                "{parameter}"
            );
        }
        for (vendor, _) in MODELS {
            assert!(Vendor::find(vendor).is_some(), "{vendor}");
        }
    }
}
