//! Who may have what: what a request shows of its sender, what that proves, and what the proof opens.
//!
//! Pure, and in two steps. [`judge`] comes before any storage is read: it looks at keys, passwords,
//! certificates and a relay's word, and a request that proves nothing ends there. [`permit`] comes when the
//! file and the device's record are known. What they deliberately do not do: answer, count failures, or know a
//! file's name.

use std::borrow::Cow;

use http::HeaderMap;
use http::HeaderName;

use crate::credential::Credential;
use crate::credential::Digest;
use crate::credential::Exchange;
use crate::credential::StoredPassword;
use crate::credential::Use;
use crate::credential::Verdict;
use crate::device::DeviceState;
use crate::enrolment::Entry;
use crate::enrolment::Visit;
use crate::key::Holder;
use crate::key::Key;
use crate::key::Opens;
use crate::mac::MacAddress;
use crate::map::Map;
use crate::release::Rule;
use crate::route::Address;
use crate::route::Class;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::site::Terms;
use crate::user_agent::UserAgent;
use crate::vendor;

/// What every challenge asks a password for. One for all sites: it must not tell which names are sites.
pub const REALM: &str = "handset";
/// Seconds that the nonce of a challenge lives: a boot, and short for whoever listens.
pub const NONCE_LIFETIME: u64 = 300;
/// Generations that may be valid at once: each is tried for a Digest.
pub const GENERATIONS: u8 = 4;

/// The relay's name; its credential is a key that was made for it.
pub const RELAY: HeaderName = HeaderName::from_static("handset-relay");
/// What the relay knows of the phone: `mac=0004f2000500, by=neighbour, address=192.0.2.7`.
pub const RELAY_DEVICE: HeaderName = HeaderName::from_static("handset-relay-device");
/// The address by which the phone reaches the relay: what stands before the file's name.
pub const RELAY_BASE: HeaderName = HeaderName::from_static("handset-relay-base");

/// What a request shows of its sender, unproven but for the certificate.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its target as it came.
    pub target: &'a str,
    /// The same, read.
    pub address: &'a Address,
    /// The value of its Authorization header.
    pub authorization: Option<&'a [u8]>,
    /// The device that its User-Agent names.
    pub agent: Option<MacAddress>,
    /// The device that its client certificate names, which the platform has verified.
    pub certificate: Option<MacAddress>,
    /// A relay's word.
    pub relay: Option<RelayWord<'a>>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Milliseconds since 1970.
    pub now: u64,
    /// The uses of nonces, as far as the platform counts them.
    pub replays: &'a dyn Replays,
}

/// Uses of nonces, which the core cannot remember.
pub trait Replays: std::fmt::Debug {
    /// Whether nobody has come with this nonce and this count or a higher one.
    fn is_first(&self, used: Use<'_>) -> bool;
}

/// What a platform without memory counts: a proof is then good for as long as its nonce lives.
#[derive(Clone, Copy, Debug)]
pub struct Uncounted;

impl Replays for Uncounted {
    fn is_first(&self, _used: Use<'_>) -> bool {
        true
    }
}

/// What a relay says of itself and of the phone behind it (docs/relay-protocol.md).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RelayWord<'a> {
    /// Its name.
    pub name: &'a str,
    /// The device, where it knows it.
    pub mac: Option<MacAddress>,
    /// The phone's address on the relay's network.
    pub client: Option<&'a str>,
    /// Its own address there.
    pub base: Option<&'a str>,
}

impl<'a> RelayWord<'a> {
    /// Reads a relay's headers; `None` where there is none, and where one of them cannot be read.
    pub fn parse(headers: &'a HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(|value| value.to_str());
        let mut word = Self {
            name: text(RELAY)?.ok()?,
            ..Self::default()
        };
        for part in text(RELAY_DEVICE)
            .transpose()
            .ok()?
            .unwrap_or_default()
            .split(',')
        {
            match part.trim().split_once('=') {
                Some(("mac", mac)) => word.mac = Some(mac.parse().ok()?),
                Some(("address", client)) => word.client = Some(client),
                _ => {}
            }
        }
        let base = text(RELAY_BASE).transpose().ok()?;
        word.base = base.map(|base| base.trim_end_matches('/'));
        word.base.is_none_or(is_base).then_some(word)
    }
}

/// Whether a phone can be given this address: plain HTTP, TFTP or FTP to a host, and nothing to escape.
fn is_base(base: &str) -> bool {
    let schemes = ["http://", "tftp://", "ftp://"];
    let rest = schemes.iter().find_map(|scheme| base.strip_prefix(scheme));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_/[]".contains(&byte);
    base.len() <= 200 && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

/// The device that a request names, and whether all that name one name the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Named {
    /// The first that is named: in the address, by certificate, relay, user name or User-Agent.
    pub mac: Option<MacAddress>,
    /// Whether another one is named as well.
    pub disagree: bool,
}

impl Named {
    /// A device that is named beside another one.
    pub fn other(&self) -> Option<MacAddress> {
        self.mac.filter(|_| self.disagree)
    }

    fn add(&mut self, mac: Option<MacAddress>) {
        let Some(mac) = mac else { return };
        self.disagree |= *self.mac.get_or_insert(mac) != mac;
    }
}

/// What a request has proven.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Whether its site asks for nothing.
    pub open: bool,
    /// Whether it may have what the site shares.
    pub shared: bool,
    /// The device whose own credential it has.
    pub own: Option<MacAddress>,
    /// The device that a relay vouches for.
    pub vouched: Option<MacAddress>,
    /// Whether a relay's key brought it.
    pub relayed: bool,
    /// Whether it has a password that every phone of a make has.
    pub factory: bool,
    /// Whether it has brought something that is wrong.
    pub faulty: bool,
    /// Whether a device's files may go the way it came.
    pub private: bool,
    /// The generation of its key.
    pub generation: Option<u8>,
    /// The devices it names.
    pub named: Named,
}

impl Standing {
    /// The device that a request says it is of, apart from the file's name: those that do so do it with each request,
    /// so that a canary gets every file of one publication.
    pub fn says_itself(&self, agent: Option<&UserAgent<'_>>) -> Option<MacAddress> {
        let named = || agent.and_then(|agent| agent.mac);
        self.own.or(self.vouched).or_else(named)
    }

    /// Of a request to a site that asks for nothing.
    pub fn open() -> Self {
        Self {
            open: true,
            shared: true,
            private: true,
            ..Self::default()
        }
    }
}

/// Why a request proves nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fault {
    /// Whether it brought something wrong, rather than nothing.
    pub counts: bool,
    /// Whether its password is right and only the nonce too old.
    pub stale: bool,
    /// For the log.
    pub reason: Cow<'static, str>,
}

impl Fault {
    /// One that is no failure of whoever asks.
    pub fn of(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            ..Self::default()
        }
    }
}

/// What the file and the device's record make of a standing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Permission {
    /// Yes.
    Granted,
    /// Yes, once the device's record says this.
    After(crate::enrolment::Enrolment),
    /// No, and the sender should take it for a file that is not there: its credential is good for others.
    Missing(&'static str),
    /// No.
    Refused(&'static str),
}

/// Judges a request to a site that asks for keys. `passwords` are those of the site's record, where its terms
/// say that it has some.
pub fn judge(
    site: &str,
    terms: &Terms,
    passwords: Option<&Map<String>>,
    secrets: &DeploymentSecrets,
    evidence: &Evidence<'_>,
) -> Result<Standing, Fault> {
    let judge = Judge {
        site,
        terms,
        passwords,
        secrets,
        evidence,
    };
    judge.judge()
}

struct Judge<'a> {
    site: &'a str,
    terms: &'a Terms,
    passwords: Option<&'a Map<String>>,
    secrets: &'a DeploymentSecrets,
    evidence: &'a Evidence<'a>,
}

/// What an Authorization header proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    Device(MacAddress),
    Factory,
    Nothing,
    Site,
    Stale,
    Wrong,
}

impl Judge<'_> {
    fn judge(&self) -> Result<Standing, Fault> {
        let mut standing = Standing::default();
        let credential = self.evidence.authorization.map(Credential::parse);
        let user = credential
            .as_ref()
            .and_then(|it| Some(it.as_ref().ok()?.user()));
        standing.named = self.named(user);
        if self.evidence.address.key.is_some() && !self.by_key(&mut standing) {
            return Err(Fault {
                counts: true,
                ..Fault::of("its key opens nothing")
            });
        }
        standing.private = self.evidence.secure || self.terms.plain_http || standing.relayed;
        let mut stale = false;
        match credential {
            Some(Ok(credential)) => match self.by_credential(&credential, &standing) {
                Proof::Device(mac) => standing.own = Some(mac),
                Proof::Factory => standing.factory = true,
                Proof::Site => standing.shared = true,
                Proof::Stale => stale = true,
                Proof::Wrong => standing.faulty = true,
                Proof::Nothing => {}
            },
            Some(Err(_)) => standing.faulty = true,
            None => {}
        }
        if self.terms.certificates {
            standing.own = standing.own.or(self.evidence.certificate);
        }
        standing.shared |=
            standing.own.is_some() || standing.factory && self.terms.factory_passwords;
        if standing.shared {
            return Ok(standing);
        }
        Err(Fault {
            counts: standing.faulty,
            stale,
            ..Fault::of(if standing.faulty || standing.factory {
                "its password opens nothing"
            } else {
                "it brings neither key nor password"
            })
        })
    }

    fn named(&self, user: Option<&str>) -> Named {
        let evidence = self.evidence;
        let mut named = Named::default();
        named.add(evidence.address.device);
        for segment in evidence.address.path.segments() {
            named.add(Rule::mac_in(segment));
        }
        let query = evidence.target.split_once('?').map(|(_, query)| query);
        for (name, value) in query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter_map(|part| part.split_once('='))
        {
            if name.eq_ignore_ascii_case("mac") {
                named.add(value.parse().ok());
            }
        }
        named.add(evidence.certificate.filter(|_| self.terms.certificates));
        named.add(evidence.relay.and_then(|relay| relay.mac));
        named.add(user.and_then(|user| user.parse().ok()));
        named.add(evidence.agent);
        named
    }

    /// The key in the address: of the site or of the device that is named, perhaps made for a relay.
    fn by_key(&self, standing: &mut Standing) -> bool {
        let relay = self
            .evidence
            .relay
            .filter(|relay| self.terms.relays.iter().any(|known| known == relay.name));
        let presented = Holder {
            site: self.site,
            mac: standing.named.mac,
            relay: relay.map(|relay| relay.name),
        };
        let Some(grant) = self
            .evidence
            .address
            .key
            .and_then(|key| self.verify(&key, &presented))
        else {
            return false;
        };
        standing.shared = true;
        standing.generation = Some(grant.generation);
        standing.relayed = grant.relay;
        if grant.opens == Opens::Device {
            standing.own = presented.mac;
        }
        if grant.relay {
            standing.vouched = relay.and_then(|relay| relay.mac);
        }
        true
    }

    fn verify(&self, key: &Key, presented: &Holder<'_>) -> Option<crate::key::Grant> {
        let valid = self.terms.oldest..=self.terms.generation;
        key.verify(self.secrets, presented, valid)
    }

    fn by_credential(&self, credential: &Credential<'_>, standing: &Standing) -> Proof {
        match credential {
            // Whoever listens has read it.
            Credential::Basic(_) if !standing.private => Proof::Nothing,
            Credential::Basic(basic) => self.by_password(&basic.user, &basic.password),
            Credential::Digest(digest) => self.by_digest(digest),
        }
    }

    /// A password is a key of the site (whose name is the user) or of the device (whose address is the user),
    /// one that the site's record verifies (a device's own where its address is the user), or one that every
    /// phone of a make has.
    fn by_password(&self, user: &str, password: &Secret) -> Proof {
        let mac: Option<MacAddress> = user.parse().ok();
        let key = password.expose_text().and_then(Key::parse);
        if let Some(key) = key.filter(|_| mac.is_some() || user == self.site) {
            let presented = Holder {
                site: self.site,
                mac,
                relay: None,
            };
            return match self.verify(&key, &presented).map(|grant| grant.opens) {
                Some(Opens::Device) => mac.map_or(Proof::Wrong, Proof::Device),
                Some(Opens::Site) if mac.is_none() => Proof::Site,
                _ => Proof::Wrong,
            };
        }
        let (stored, known) = self.stored(user);
        let verified = stored.is_some_and(|stored| stored.verify(user, REALM, password));
        if known && verified {
            return mac.map_or(Proof::Site, Proof::Device);
        }
        let factory = |(name, own): (&str, &str)| name == user && password.equals(own.as_bytes());
        if factory_passwords().any(factory) {
            return Proof::Factory;
        }
        Proof::Wrong
    }

    fn by_digest(&self, digest: &Digest<'_>) -> Proof {
        let mac: Option<MacAddress> = digest.user.parse().ok();
        let (passwords, proof) = if let Some(mac) = mac {
            let (stored, known) = self.stored(&digest.user);
            let mut passwords = self.keys(Some(mac));
            passwords.extend(stored.filter(|_| known));
            (passwords, Proof::Device(mac))
        } else if digest.is_user(self.site) {
            (self.keys(None), Proof::Site)
        } else if let (Some(stored), true) = self.stored(&digest.user) {
            (vec![stored], Proof::Site)
        } else if let Some((_, password)) =
            factory_passwords().find(|(user, _)| digest.is_user(user))
        {
            (
                vec![StoredPassword::Plain(Secret::new(password))],
                Proof::Factory,
            )
        } else {
            (Vec::new(), Proof::Wrong)
        };
        let exchange = Exchange {
            method: self.evidence.method,
            target: self.evidence.target,
            realm: REALM,
            site: self.site,
            now: self.evidence.now / 1000,
            lifetime: NONCE_LIFETIME,
        };
        match digest.check(self.secrets, &exchange, &passwords) {
            Verdict::Accepted(used) if self.evidence.replays.is_first(used) => proof,
            Verdict::Accepted(_) | Verdict::Stale => Proof::Stale,
            Verdict::Refused(_) => Proof::Wrong,
        }
    }

    /// What verifies a user's password, and whether it is that user's: a name that nobody has takes as long
    /// as one that somebody has.
    fn stored(&self, user: &str) -> (Option<StoredPassword>, bool) {
        let known = self.passwords.and_then(|passwords| passwords.get(user));
        let any = || self.passwords?.values().next();
        let text = known.or_else(any).map(|text| StoredPassword::parse(text));
        (text.and_then(Result::ok), known.is_some())
    }

    /// The keys that may stand as passwords, of every valid generation and under each secret.
    fn keys(&self, mac: Option<MacAddress>) -> Vec<StoredPassword> {
        let holder = Holder {
            site: self.site,
            mac,
            relay: None,
        };
        let valid = self.terms.oldest..=self.terms.generation;
        let recent = valid.rev().take(GENERATIONS.into());
        let keys = recent.flat_map(|generation| Key::all(self.secrets, generation, &holder));
        keys.map(|key| StoredPassword::Plain(key.text())).collect()
    }
}

/// User and password that every phone of a make has.
fn factory_passwords() -> impl Iterator<Item = (&'static str, &'static str)> {
    vendor::ALL
        .iter()
        .filter_map(|vendor| vendor.factory_password)
}

/// Decides on a file, when it is known whose it is and what is known of the device.
pub fn permit(
    standing: &Standing,
    class: Class,
    mac: Option<MacAddress>,
    state: Option<&DeviceState>,
    visit: &Visit<'_>,
) -> Permission {
    if standing.open {
        return Permission::Granted;
    }
    let other = mac
        .zip(standing.named.mac)
        .is_some_and(|(one, other)| one != other);
    if standing.named.disagree || other {
        return Permission::Refused("it names two devices");
    }
    if class == Class::Shared {
        return Permission::Granted;
    }
    let (Some(mac), Some(state)) = (mac, state) else {
        return refused(standing, "no device has this address");
    };
    if !standing.private {
        return Permission::Refused("a device's files do not go over plain HTTP");
    }
    let enrolment = &state.enrolment;
    let entry = if standing.own == Some(mac) {
        enrolment.with_own(visit.now)
    } else if standing.vouched == Some(mac) {
        enrolment.with_relay()
    } else if standing.factory {
        Entry::Refused("a password from the factory opens no device's files")
    } else {
        enrolment.with_site_key(visit)
    };
    match entry {
        Entry::Admitted => Permission::Granted,
        Entry::After(enrolment) => Permission::After(enrolment),
        Entry::Refused(reason) => refused(standing, reason),
    }
}

fn refused(standing: &Standing, reason: &'static str) -> Permission {
    if standing.factory {
        Permission::Missing(reason)
    } else {
        Permission::Refused(reason)
    }
}
