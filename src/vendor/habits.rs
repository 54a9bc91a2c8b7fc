//! How phones read what they are given, as far as only `handset check` has to know: which value counts
//! when a parameter stands twice, which attributes list files, what a file must begin with.
//!
//! One row a vendor, as in the tables beside it; a server never asks for these.

use super::Format;

/// How one vendor's phones read their files.
#[derive(Debug)]
pub struct Habits {
    /// Whose.
    pub vendor: &'static str,
    /// Which occurrence of a parameter counts, over the files in the order they are read.
    pub keeps: Keeps,
    /// Attributes of master files that list other files.
    pub lists: &'static [List],
    /// What the phone replaces in the names of such a list.
    pub holes: &'static [(&'static str, Hole)],
    /// How the names of parameters that hold a password end.
    pub secrets: &'static [&'static str],
    /// What text files of this format begin with, where the model says nothing else.
    pub first_line: Option<(Format, &'static str)>,
    /// The default master file, where it is a number of zeros.
    pub zeros: &'static str,
    /// The files that the phone writes its user's changes to and prefers to what it is given, the strongest first.
    pub overrides: &'static [&'static str],
}

/// Which occurrence of a parameter counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keeps {
    /// The first that the phone reads.
    First,
    /// The last that the phone reads.
    Last,
}

/// An attribute that lists files, and how much of it the phone reads.
#[derive(Debug)]
pub struct List {
    /// Its name; a model's own has `_` and the model's token after it.
    pub attribute: &'static str,
    /// Characters of the whole list.
    pub longest: usize,
    /// Characters of one name.
    pub longest_name: usize,
    /// Whether the files are configuration; else they are software.
    pub configuration: bool,
}

/// What a phone puts into a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hole {
    /// Its hardware address, in lower case.
    Mac,
    /// Its model, as in the User-Agent but without `_`.
    Model,
    /// Its part number: what its image's name begins with.
    PartNumber,
}

/// The habits of this vendor's phones.
pub fn find(vendor: &str) -> Option<&'static Habits> {
    ALL.iter().find(|habits| habits.vendor == vendor)
}

/// Whether a parameter holds a password by its name, whoever's it is; a number at its end counts lines.
pub fn is_secret(parameter: &str) -> bool {
    let name = parameter.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let mut ends = ALL.iter().flat_map(|habits| habits.secrets);
    ends.any(|end| name.ends_with(end))
}

/// Every vendor's, sorted by name.
const ALL: &[Habits] = &[
    Habits {
        vendor: "audiocodes",
        keeps: Keeps::Last,
        lists: &[],
        holes: &[],
        secrets: &["/auth_password", "system/password", "/user_password"],
        first_line: None,
        zeros: "",
        overrides: &[],
    },
    Habits {
        vendor: "panasonic",
        keeps: Keeps::First,
        lists: &[],
        holes: &[],
        secrets: &[
            "ADMIN_PASS",
            "HTTP_AUTH_PASS",
            "LDAP_PASSWORD",
            "SIP_PASS",
            "USER_PASS",
        ],
        // Administrator Guides, chapter 2: 44 characters, then the parameters.
        first_line: Some((
            Format::QuotedLines,
            "# Panasonic SIP Phone Standard Format File #",
        )),
        zeros: "",
        overrides: &[],
    },
    Habits {
        vendor: "polycom",
        keeps: Keeps::First,
        // Administrator's Guide for SoundPoint IP, page A-2: 255 characters a name, 2047 the list.
        lists: &[
            List {
                attribute: "APP_FILE_PATH",
                longest: 255,
                longest_name: 255,
                configuration: false,
            },
            List {
                attribute: "CONFIG_FILES",
                longest: 2047,
                longest_name: 255,
                configuration: true,
            },
            List {
                attribute: "MISC_FILES",
                longest: 2047,
                longest_name: 255,
                configuration: false,
            },
        ],
        holes: &[
            ("[MACADDRESS]", Hole::Mac),
            ("[PHONE_MAC_ADDRESS]", Hole::Mac),
            ("[PHONE_MODEL]", Hole::Model),
            ("[PHONE_PART_NUMBER]", Hole::PartNumber),
        ],
        secrets: &[
            ".auth.password",
            "device.auth.localAdminPassword",
            "device.auth.localUserPassword",
            "device.logincred.password",
            "device.prov.password",
        ],
        first_line: None,
        zeros: "000000000000.cfg",
        // UCS Administrator's Guide: what is set at the phone goes before its web page, and that before the server's.
        overrides: &["{mac}-phone.cfg", "{mac}-web.cfg"],
    },
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use crate::vendor;

    #[test]
    fn every_vendor_has_habits() {
        let names: Vec<&str> = ALL.iter().map(|habits| habits.vendor).collect();
        let vendors: Vec<&str> = vendor::ALL.iter().map(|vendor| vendor.name).collect();
        assert_eq!(names, vendors, "one row a vendor, in their order");
    }

    #[test]
    fn overrides_are_files_that_phones_upload() {
        for habits in ALL {
            let vendor = vendor::Vendor::find(habits.vendor).unwrap();
            let rules = vendor.rules.iter();
            let overrides = rules.filter(|rule| rule.kind == vendor::FileKind::Overrides);
            let mut of_rules: Vec<&str> = overrides.map(|rule| rule.pattern).collect();
            let mut of_habits = habits.overrides.to_vec();
            of_rules.sort_unstable();
            of_habits.sort_unstable();
            assert_eq!(of_habits, of_rules, "{}", habits.vendor);
        }
    }

    #[test]
    fn holes_are_no_literal_text() {
        for (hole, _) in ALL.iter().flat_map(|habits| habits.holes) {
            assert!(hole.starts_with('[') && hole.ends_with(']'), "{hole}");
        }
    }
}
