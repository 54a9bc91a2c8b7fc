//! `handset push`: a fleet published to a running server, step by step; docs/publishing.md says what each step promises.
//!
//! New settings are written beside the old ones under a number that no phone is told of yet, and the last step of a
//! site makes that number the site's. So a push can end anywhere; the next one goes on with what is there already.

mod blobs;
pub mod deployment;
pub mod preview;
pub mod standing;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use http::Method;
use serde::Serialize;

use crate::fleet::Fleet;
use crate::fleet::plan::Plan;
use crate::fleet::plan::SitePlan;
use crate::fleet::push::deployment::Outcome;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Request;
use crate::fleet::server::Sent;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::ask;
use crate::fleet::server::at_once;
use crate::fleet::server::pages;
use crate::fleet::server::read;
use crate::mac::MacAddress;
use crate::publish::BATCH;
use crate::publish::Begin;
use crate::publish::Begun;
use crate::publish::Difference;
use crate::publish::Publish;
use crate::publish::Shard;
use crate::publish::SiteLine;
use crate::publish::SiteState;
use crate::publish::Sites;
use crate::publish::Written;
use crate::release::ReleaseId;
use crate::site::Chosen;

/// What is to be pushed.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only these sites; all without any.
    pub sites: Vec<String>,
    /// Only these devices get it, until it is promoted.
    pub canary: Option<Chosen>,
    /// Whether a push of somebody else's that is under way is given up for this one.
    pub take_over: bool,
    /// Whether sites that the fleet does not have any more are taken away.
    pub remove: bool,
}

/// What was pushed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The sites, by name.
    pub sites: Vec<SiteReport>,
    /// Images and resources that were sent.
    pub images: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Sites that the server has and the fleet has not.
    pub left_over: Vec<String>,
    /// Whether they were taken away.
    pub removed: bool,
    /// What became of the deployment's record: hosts, sites, and who may read.
    pub deployment: Outcome,
}

/// What became of a site.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SiteReport {
    /// Its name.
    pub site: String,
    /// The publication that it was compared with.
    pub base: u64,
    /// The publication that it got.
    pub number: u64,
    /// Whether there was nothing to do.
    pub unchanged: bool,
    /// Devices that were new or changed.
    pub written: usize,
    /// Devices that it does not have any more.
    pub gone: usize,
}

/// What is told of a push while it is under way.
pub trait Progress: Sync {
    /// A step begins, of so many units of its kind.
    fn begin(&self, step: Step, total: u64);

    /// So many units are done.
    fn advance(&self, amount: u64);
}

/// The steps of a push that take time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Sites whose push begins.
    Begin,
    /// Bytes of images.
    Images,
    /// Shards of sites that are compared.
    Compare,
    /// Devices that are written.
    Devices,
    /// Sites that are published.
    Publish,
}

/// Publishes a fleet.
pub fn push(
    server: &impl Server,
    fleet: &Fleet,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Report, Trouble> {
    let plan = plan_of(fleet, wish)?;
    let published = published(server)?;
    let mut report = Report {
        left_over: left_over(server, fleet, wish)?,
        ..Report::default()
    };
    if wish.remove && !report.left_over.is_empty() {
        deployment::remove(server, &report.left_over)?;
        report.removed = true;
    }
    let begun = begin(server, &plan, wish, progress)?;
    let staged = plan.sites.iter().zip(&begun);
    let staged: Vec<Staged<'_>> = staged
        .filter(|(_, begun)| !begun.unchanged)
        .map(|(site, begun)| Staged { site, begun })
        .collect();
    // All of a canary of the same plan is there.
    let unfinished = staged.iter().filter(|staged| !staged.begun.whole);
    let changed: Vec<Staged<'_>> = unfinished.copied().collect();
    let releases = missing_releases(&changed, &published);
    (report.images, report.bytes) = blobs::send(server, &plan, &releases, progress)?;
    let differences = compare(server, &changed, progress)?;
    write(server, &changed, &differences, progress)?;
    progress.begin(Step::Publish, count(staged.len()));
    at_once(AT_ONCE, &staged, |staged| {
        publish(server, staged, wish.canary.as_ref())?;
        progress.advance(1);
        Ok(())
    })?;
    report.deployment = deployment::write(server, fleet, &plan, wish)?;
    report.sites = plan
        .sites
        .iter()
        .zip(&begun)
        .map(|(site, begun)| site_report(site, begun, &differences))
        .collect();
    Ok(report)
}

/// The plan for what is wished. A list of canaries is a push of their sites alone.
pub fn plan_of<'f>(fleet: &'f Fleet, wish: &Wish) -> Result<Plan<'f>, Trouble> {
    let mut plan = Plan::of(fleet, &wish.sites).map_err(Trouble::Own)?;
    if let Some(Chosen::Devices(macs)) = &wish.canary {
        let known = |mac: &&MacAddress| plan.sites.iter().any(|site| site.has(**mac));
        let unknown: Vec<String> = macs
            .iter()
            .filter(|mac| !known(mac))
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            let problem = format!("no device of the sites that are pushed is {unknown}");
            return Err(Trouble::Own(problem));
        }
        plan.sites
            .retain(|site| macs.iter().any(|mac| site.has(*mac)));
    }
    Ok(plan)
}

/// The sites that the server has, by name.
pub fn published(server: &impl Server) -> Result<BTreeMap<String, SiteLine>, Trouble> {
    let sites = pages(server, "sites", |page: Sites| (page.sites, page.next))?;
    Ok(sites
        .into_iter()
        .map(|site| (site.name.clone(), site))
        .collect())
}

/// Sites of the server that the fleet has not, where the whole fleet is pushed to everybody and the token is one that
/// sees all sites.
pub fn left_over(server: &impl Server, fleet: &Fleet, wish: &Wish) -> Result<Vec<String>, Trouble> {
    if !wish.sites.is_empty() || wish.canary.is_some() {
        return Ok(Vec::new());
    }
    let current = deployment::current(server)?.unwrap_or_default().0;
    let known = &fleet.snapshot.sites;
    let gone = current
        .sites
        .keys()
        .filter(|name| !known.contains_key(*name));
    Ok(gone.cloned().collect())
}

/// The sites that a token sees.
pub fn visible(server: &impl Server) -> Result<Vec<String>, Trouble> {
    match deployment::current(server)? {
        Some((deployment, _)) => Ok(deployment.sites.keys().cloned().collect()),
        None => Ok(published(server)?.into_keys().collect()),
    }
}

/// A site whose push has begun.
#[derive(Clone, Copy)]
struct Staged<'p> {
    site: &'p SitePlan<'p>,
    begun: &'p Begun,
}

impl Staged<'_> {
    fn target(&self) -> String {
        let (site, number) = (self.site.name(), self.begun.number);
        format!("sites/{site}/publications/{number}")
    }
}

fn begin(
    server: &impl Server,
    plan: &Plan<'_>,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<Vec<Begun>, Trouble> {
    progress.begin(Step::Begin, count(plan.sites.len()));
    at_once(AT_ONCE, &plan.sites, |site| {
        let wanted = Begin {
            take_over: wish.take_over,
            plan: Some(site.digest.clone()),
            ..Begin::default()
        };
        let target = format!("sites/{}/publications", site.name());
        let begun = read(server, &Request::new(Method::POST, target).json(&wanted));
        progress.advance(1);
        begun.map_err(|trouble| of_site(site.name(), trouble))
    })
}

/// Releases that sites name and did not name before.
fn missing_releases<'p>(
    changed: &[Staged<'p>],
    published: &BTreeMap<String, SiteLine>,
) -> BTreeSet<&'p ReleaseId> {
    let missing = changed.iter().filter(|staged| {
        let before = published.get(staged.site.name());
        let before = before.and_then(|site| site.release.as_ref());
        before != Some(&staged.site.record.release)
    });
    missing.map(|staged| &staged.site.record.release).collect()
}

/// The devices of each site that have to be written, by shard.
type Differences<'p> = Vec<(&'p str, &'static str, Difference)>;

fn compare<'p>(
    server: &impl Server,
    changed: &[Staged<'p>],
    progress: &dyn Progress,
) -> Result<Differences<'p>, Trouble> {
    let shards: Vec<(Staged<'p>, &'static str, &'p Shard)> = changed
        .iter()
        .flat_map(|staged| {
            let shards = staged.site.shards.iter();
            shards.map(|(name, shard)| (*staged, *name, shard))
        })
        .collect();
    progress.begin(Step::Compare, count(shards.len()));
    at_once(AT_ONCE, &shards, |(staged, name, shard)| {
        let target = format!("{}/devices/{name}", staged.target());
        let difference = read(server, &Request::new(Method::PUT, target).json(*shard));
        progress.advance(1);
        let site = staged.site.name();
        let difference = difference.map_err(|trouble| of_site(site, trouble))?;
        Ok((site, *name, difference))
    })
}

fn write(
    server: &impl Server,
    changed: &[Staged<'_>],
    differences: &Differences<'_>,
    progress: &dyn Progress,
) -> Result<(), Trouble> {
    let staged_of: BTreeMap<&str, &Staged<'_>> = changed
        .iter()
        .map(|staged| (staged.site.name(), staged))
        .collect();
    let mut batches = Vec::new();
    for (site, shard, difference) in differences {
        let macs: Vec<MacAddress> = [&difference.write[..], &difference.gone[..]].concat();
        if let Some(staged) = staged_of.get(site) {
            let parts = macs.chunks(BATCH).map(<[_]>::to_vec);
            batches.extend(parts.map(|macs| (*staged, *shard, macs)));
        }
    }
    let devices: usize = batches.iter().map(|(_, _, macs)| macs.len()).sum();
    progress.begin(Step::Devices, count(devices));
    at_once(AT_ONCE, &batches, |(staged, shard, macs)| {
        let target = format!("{}/devices/{shard}/batch", staged.target());
        let request = Request {
            body: Sent::Json(staged.site.batch(macs)),
            ..Request::new(Method::PUT, target)
        };
        let written: Result<Written, Trouble> = read(server, &request);
        progress.advance(count(macs.len()));
        let site = staged.site.name();
        written.map(drop).map_err(|trouble| of_site(site, trouble))
    })
    .map(drop)
}

/// The last step of a site, after which its phones get the new publication. An answer that was lost on its way is made
/// up for by looking.
fn publish(
    server: &impl Server,
    staged: &Staged<'_>,
    canary: Option<&Chosen>,
) -> Result<(), Trouble> {
    let body = Publish {
        record: staged.site.record.clone(),
        canary: canary.map(|chosen| chosen_of(staged.site, chosen)),
    };
    let request = match canary {
        None if staged.begun.whole => {
            Request::new(Method::POST, format!("{}/publish", staged.target()))
        }
        _ => Request::new(Method::PUT, staged.target()).json(&body),
    };
    let request = request.matching(&staged.begun.etag);
    let Err(trouble) = ask(server, &request) else {
        return Ok(());
    };
    let (site, number) = (staged.site.name(), staged.begun.number);
    let doubtful = matches!(trouble.status(), None | Some(409 | 412));
    if doubtful && is_published(server, site, number, body.canary.as_ref()).unwrap_or_default() {
        return Ok(());
    }
    Err(of_site(site, trouble))
}

fn is_published(
    server: &impl Server,
    site: &str,
    number: u64,
    canary: Option<&Chosen>,
) -> Result<bool, Trouble> {
    let state = Request::new(Method::GET, format!("sites/{site}"));
    let state: SiteState = read(server, &state)?;
    Ok(match (canary, state.canary) {
        (None, _) => state.publication == number,
        (Some(wanted), Some(there)) => there.number == number && there.chosen == *wanted,
        (Some(_), None) => false,
    })
}

/// Of a list, the devices that are the site's.
fn chosen_of(site: &SitePlan<'_>, chosen: &Chosen) -> Chosen {
    match chosen {
        Chosen::Devices(macs) => {
            let mine = macs.iter().filter(|mac| site.has(**mac));
            Chosen::Devices(mine.copied().collect())
        }
        Chosen::Percent(percent) => Chosen::Percent(*percent),
    }
}

fn site_report(site: &SitePlan<'_>, begun: &Begun, differences: &Differences<'_>) -> SiteReport {
    let mine = differences
        .iter()
        .filter(|(name, _, _)| *name == site.name());
    let (mut written, mut gone) = (0, 0);
    for (_, _, difference) in mine {
        written += difference.write.len();
        gone += difference.gone.len();
    }
    SiteReport {
        site: site.name().to_owned(),
        base: begun.base,
        number: begun.number,
        unchanged: begun.unchanged,
        written,
        gone,
    }
}

/// Says which site it is about.
fn of_site(site: &str, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Refused {
            status,
            detail,
            devices,
        } => Trouble::Refused {
            status,
            detail: format!("site {site}: {detail}"),
            devices,
        },
        other => other,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
