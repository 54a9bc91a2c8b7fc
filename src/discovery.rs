//! Which URLs a phone will ask for, worked out from what DHCP and its relatives tell it.
//!
//! Each vendor reads the same options in its own way. The functions here follow the administrator's
//! manuals, cited one by one, so that an operator can see what a phone will do before it does it.
//! Deliberately not here: DHCP packets, sockets, and what a server answers to those URLs.

pub mod audiocodes;
pub mod explain;
pub mod offer;
pub mod panasonic;
pub mod polycom;
pub mod url;

/// What a phone puts into the file names it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Its MAC address, 12 hexadecimal digits. Each vendor's rules choose the case.
    pub mac: &'a str,
    /// Its model name as the vendor spells it, such as `440HD` or `KX-HDV430`.
    pub model: &'a str,
}

/// The DHCPv4 options of a lease that can name a provisioning server, as number and text.
///
/// An option that is missing and one that is empty are the same to every phone here. Not `Debug`:
/// the texts may hold passwords.
#[derive(Clone, Copy)]
pub struct Lease<'a> {
    options: &'a [(u8, &'a str)],
}

impl<'a> Lease<'a> {
    /// A lease with these options. If a number stands twice, the first one counts.
    pub const fn new(options: &'a [(u8, &'a str)]) -> Self {
        Self { options }
    }

    /// The text of an option, or `None` if there is none to speak of.
    pub fn option(&self, number: u8) -> Option<&'a str> {
        let (_, text) = self.options.iter().find(|(option, _)| *option == number)?;
        offered(text)
    }
}

/// Drops the white space and the trailing NULs that RFC 2132, section 2 tells clients to expect.
fn offered(text: &str) -> Option<&str> {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::Lease;

    #[test]
    fn an_empty_option_is_a_missing_option() {
        let lease = Lease::new(&[(66, " \0"), (67, "a.cfg\0"), (67, "b.cfg"), (160, "")]);
        let found = [43, 66, 67, 160].map(|number| lease.option(number));
        assert_eq!(found, [None, None, Some("a.cfg"), None]);
    }
}
