//! `handset push --dry-run`: what a push would do, found out without doing any of it.

use std::path::Path;

use http::Method;
use serde::Serialize;

use crate::fleet::Fleet;
use crate::fleet::plan::SitePlan;
use crate::fleet::push::Wish;
use crate::fleet::push::blobs;
use crate::fleet::push::left_over;
use crate::fleet::push::plan_of;
use crate::fleet::push::published;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Request;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::at_once;
use crate::fleet::server::read;
use crate::publish::Difference;
use crate::publish::Shard;

/// What a push would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Preview {
    /// The sites, by name.
    pub sites: Vec<SitePreview>,
    /// Images and resources that would be sent, by path, and their bytes.
    pub images: Vec<(String, u64)>,
    /// Sites that the server has and the fleet has not.
    pub left_over: Vec<String>,
}

/// What it would do for one site.
#[derive(Debug, Serialize)]
pub struct SitePreview {
    /// Its name.
    pub site: String,
    /// The publication that its phones get now; 0 for a site that is new.
    pub base: u64,
    /// Whether templates, images or settings for many change.
    pub release: bool,
    /// What becomes of its devices.
    pub devices: Difference,
    /// How many devices it would have.
    pub count: usize,
}

/// Asks the server what is different.
pub fn preview(server: &impl Server, fleet: &Fleet, wish: &Wish) -> Result<Preview, Trouble> {
    let plan = plan_of(fleet, wish)?;
    let published = published(server)?;
    let mut sites = Vec::new();
    let mut releases = Vec::new();
    for site in &plan.sites {
        let before = published.get(site.name());
        let release = before.and_then(|before| before.release.as_ref());
        let changes = release != Some(&site.record.release);
        if changes {
            releases.push(&site.record.release);
        }
        let base = before.map_or(0, |before| before.publication);
        sites.push(SitePreview {
            site: site.name().to_owned(),
            base,
            release: changes,
            devices: changed(server, site, base, "")?,
            count: site.count(),
        });
    }
    let absent = blobs::absent(server, &plan.blobs(releases))?;
    let shown = |path: &Path| {
        let within = path.strip_prefix(&fleet.directory).unwrap_or(path);
        within.to_string_lossy().into_owned()
    };
    let images = absent.iter().map(|blob| {
        let file = blob.file;
        (shown(&file.path), file.length)
    });
    Ok(Preview {
        sites,
        images: images.collect(),
        left_over: left_over(server, fleet, wish)?,
    })
}

/// The devices of a site whose settings are not those that are published (or were: `query` may name a publication); all
/// of a site that is new.
pub fn changed(
    server: &impl Server,
    site: &SitePlan<'_>,
    base: u64,
    query: &str,
) -> Result<Difference, Trouble> {
    if base == 0 {
        let all = site.shards.iter().flat_map(|(_, shard)| shard.keys());
        return Ok(Difference {
            write: all.filter_map(|mac| mac.parse().ok()).collect(),
            gone: Vec::new(),
        });
    }
    let of_shard = |(name, shard): &(&'static str, Shard)| {
        let target = format!("sites/{}/devices/changed/{name}{query}", site.name());
        read::<Difference>(server, &Request::new(Method::POST, target).json(shard))
    };
    let mut all = Difference::default();
    for difference in at_once(AT_ONCE, &site.shards, of_shard)? {
        all.write.extend(difference.write);
        all.gone.extend(difference.gone);
    }
    Ok(all)
}
