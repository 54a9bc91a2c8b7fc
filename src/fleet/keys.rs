//! `handset key`: the address that goes into DHCP, a redirect service or a phone's own settings.

use crate::fleet::Fleet;
use crate::key::Holder;
use crate::key::Key;
use crate::mac::MacAddress;
use crate::secret::DeploymentSecrets;
use crate::secret::Secret;
use crate::site::Access;

/// The longest address that fits a DHCP option of 255 bytes, with a file's name behind it.
pub const LONGEST: usize = 200;

/// For whom a key is made.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The site.
    pub site: &'a str,
    /// The device, for a key of its own.
    pub mac: Option<MacAddress>,
    /// The relay that it is handed to, by its name.
    pub relay: Option<&'a str>,
}

/// The address, ending in a slash; or why there is none, and what to do.
pub fn address(
    fleet: &Fleet,
    secrets: &DeploymentSecrets,
    wanted: &Wanted<'_>,
) -> Result<String, String> {
    let Wanted { site, mac, relay } = *wanted;
    let (Some(access), Some(record)) = (
        fleet.snapshot.deployment.sites.get(site),
        fleet.snapshot.sites.get(site),
    ) else {
        return Err(format!("there is no sites/{site}.toml"));
    };
    let Some(base) = record.base() else {
        return Err(format!(
            "sites/{site}.toml has no public_url: say by which address phones reach the server"
        ));
    };
    let Access::Keys(terms) = access else {
        return Err(format!(
            "sites/{site}.toml says `access = \"open\"`: its address is {base}/"
        ));
    };
    if let Some(mac) = mac
        && fleet.devices.get(&mac).is_none_or(|(of, _)| of != site)
    {
        return Err(format!(
            "site {site} has no device {mac}: add it under devices/"
        ));
    }
    if let Some(relay) = relay.filter(|relay| !terms.relays.iter().any(|known| known == relay)) {
        return Err(format!(
            "sites/{site}.toml does not name relay {relay:?}: add it to `relays`"
        ));
    }
    let holder = Holder { site, mac, relay };
    let key = make(secrets, terms.generation, &holder)?.text();
    let key = key.expose_text().unwrap_or_default();
    let address = match mac {
        Some(mac) => format!("{base}/{key}/{mac}/"),
        None => format!("{base}/{key}/"),
    };
    match address.len() {
        0..=LONGEST => Ok(address),
        length => Err(format!(
            "the address has {length} bytes, and a DHCP option with a file's name behind it takes {LONGEST}: \
             shorten public_url or the site's name"
        )),
    }
}

/// The key of a site that asks for keys; `None` for one that is open or does not exist.
pub fn site_key(fleet: &Fleet, secrets: &DeploymentSecrets, site: &str) -> Option<Secret> {
    let Access::Keys(terms) = fleet.snapshot.deployment.sites.get(site)? else {
        return None;
    };
    let holder = Holder {
        site,
        mac: None,
        relay: None,
    };
    Some(make(secrets, terms.generation, &holder).ok()?.text())
}

fn make(
    secrets: &DeploymentSecrets,
    generation: u8,
    holder: &Holder<'_>,
) -> Result<Key, &'static str> {
    let key = Key::make(secrets, generation, holder);
    key.ok_or("no generation is left: change the deployment's secret")
}
