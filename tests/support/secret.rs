//! The secret of every deployment in the tests, and addresses with the keys that it makes.

use handset::key::Holder;
use handset::key::Key;
use handset::secret::DeploymentSecrets;

/// Drawn once, for the tests alone.
pub(crate) const SECRET: &str = include_str!("secret.txt");

/// The same, read.
pub(crate) fn secrets() -> DeploymentSecrets {
    DeploymentSecrets::parse(SECRET).unwrap()
}

/// A target with its keys: in `/hq/~/name` the site's, in `/hq/~0004f2000500/name` the device's own and the
/// directory that says whose it is. `~!0004f2000500` leaves that directory out, `~@closet` is a relay's,
/// `~branch` another site's, `~^` the site's in upper case.
pub(crate) fn with_keys(target: &str) -> String {
    let (before, path) = match target.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (format!("{scheme}://{host}/"), path)
        }
        None => (String::new(), target),
    };
    // Where the host names the site, it is this one.
    let mut site = if path.starts_with("/~") { "hq" } else { "" };
    let segments = path.split('/').map(|segment| {
        if site.is_empty() {
            site = segment;
        }
        match segment.strip_prefix('~') {
            Some(holder) => segment_of(site, holder),
            None => segment.to_owned(),
        }
    });
    before + &segments.collect::<Vec<_>>().join("/")
}

fn segment_of(site: &str, holder: &str) -> String {
    let silent = holder.strip_prefix('!');
    if let Ok(mac) = silent.unwrap_or(holder).parse() {
        let key = key(&Holder {
            site,
            mac: Some(mac),
            relay: None,
        });
        return match silent {
            Some(_) => key,
            None => format!("{key}/{holder}"),
        };
    }
    let of_site = Holder {
        site,
        mac: None,
        relay: None,
    };
    match holder {
        "" => key(&of_site),
        "^" => key(&of_site).to_uppercase(),
        _ => match holder.strip_prefix('@') {
            Some(relay) => key(&Holder {
                relay: Some(relay),
                ..of_site
            }),
            None => key(&Holder {
                site: holder,
                ..of_site
            }),
        },
    }
}

/// A key of the first generation.
pub(crate) fn key(holder: &Holder<'_>) -> String {
    let key = Key::make(&secrets(), 0, holder).unwrap().text();
    key.expose_text().unwrap().to_owned()
}
