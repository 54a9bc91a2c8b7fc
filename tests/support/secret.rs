//! The secret of every deployment in the tests, and addresses with the keys that it makes.

use handset::key::Holder;
use handset::key::Key;
use handset::secret::DeploymentSecrets;

/// Drawn once, for the tests alone.
pub(crate) const SECRET: &str = "cUQ9wn8sJ1m4x2bVt7yFz0LhRk5PeDa3GiWoXvCqTu8=";

/// The same, read.
pub(crate) fn secrets() -> DeploymentSecrets {
    DeploymentSecrets::parse(SECRET).unwrap()
}

/// A target with its keys: `/hq/~/name` with the site's, `/hq/~0004f2000500/name` with the device's own.
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
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix('~') {
            Some(mac) => {
                let holder = Holder {
                    site,
                    mac: mac.parse().ok(),
                    relay: None,
                };
                let key = Key::make(&secrets(), 0, &holder).unwrap().text();
                let key = key.expose_text().unwrap().to_owned();
                if mac.is_empty() {
                    key
                } else {
                    format!("{key}/{mac}")
                }
            }
            None => {
                if site.is_empty() {
                    site = segment;
                }
                segment.to_owned()
            }
        });
    before + &segments.collect::<Vec<_>>().join("/")
}
