//! What a proxy before Spin says of who asks: a component does not see whose connection it is.
//!
//! `X-Forwarded-For` and `X-Forwarded-Proto` as proxies write them, and a certificate's subject as in RFC 4514.

use crate::certificate;
use crate::client;
use crate::mac::MacAddress;
use crate::platform::spin::settings::Settings;

/// The word of the proxy, if there is one.
pub(super) struct Proxy<'a> {
    settings: &'a Settings,
    fields: &'a [(String, Vec<u8>)],
}

impl<'a> Proxy<'a> {
    pub(super) fn of(settings: &'a Settings, fields: &'a [(String, Vec<u8>)]) -> Self {
        Self { settings, fields }
    }

    /// The network of the last hop: what stands before it may be made up.
    pub(super) fn network(&self) -> Option<String> {
        let hops = self.last("x-forwarded-for")?;
        client::network(hops.rsplit(',').next()?)
    }

    /// Whether every hop had TLS; `None` if nobody says.
    pub(super) fn secure(&self) -> Option<bool> {
        let hops = self.last("x-forwarded-proto")?;
        Some(
            hops.split(',')
                .all(|hop| hop.trim().eq_ignore_ascii_case("https")),
        )
    }

    /// The device that a certificate names, which the proxy has verified. More than one word is none: the proxy replaces the
    /// header, so that somebody else wrote the other.
    pub(super) fn device(&self) -> Option<MacAddress> {
        let name = self.settings.subject.as_ref()?.as_str();
        let mut values = self.values(name);
        let subject = values.next().filter(|_| values.next().is_none())?;
        certificate::of_subject(subject)
    }

    /// The last header of this name: the proxy appends its own.
    fn last(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    fn values(&self, wanted: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(|_| self.settings.proxied);
        let named = fields.filter(move |(name, _)| name.eq_ignore_ascii_case(wanted));
        named.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }
}
