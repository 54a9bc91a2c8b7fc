//! The part of a push that writes the deployment's own record: which sites there are, their hosts, and who may read.

use http::Method;
use serde::Serialize;

use crate::fleet::Fleet;
use crate::fleet::plan::Plan;
use crate::fleet::push::Wish;
use crate::fleet::server::ABSENT;
use crate::fleet::server::Request;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::ask;
use crate::fleet::server::parse;
use crate::site::Deployment;

/// What became of the record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It says what the fleet says.
    Changed,
    /// It is not a tenant's to see or to change.
    OutOfReach,
    /// It said so before.
    #[default]
    Same,
}

/// Makes the record say what the fleet says of the sites that were pushed. A canary is no reason to change who may read.
pub(super) fn write(
    server: &impl Server,
    fleet: &Fleet,
    plan: &Plan<'_>,
    wish: &Wish,
) -> Result<Outcome, Trouble> {
    let wanted = &fleet.snapshot.deployment;
    change(server, |current| {
        let mut next = current.clone();
        for site in &plan.sites {
            let known = next.sites.contains_key(site.name());
            if known && wish.canary.is_some() {
                continue;
            }
            next.sites
                .insert(site.name().to_owned(), site.access.clone());
            next.hosts.retain(|_, of| of != site.name());
            let hosts = wanted.hosts.iter().filter(|(_, of)| *of == site.name());
            next.hosts
                .extend(hosts.map(|(host, of)| (host.clone(), of.clone())));
        }
        if wish.sites.is_empty() && wish.canary.is_none() {
            next.refusal = wanted.refusal;
        }
        next
    })
}

/// Takes sites out of the record.
pub(super) fn remove(server: &impl Server, sites: &[String]) -> Result<(), Trouble> {
    let changed = change(server, |current| {
        let mut next = current.clone();
        next.sites
            .retain(|name, _| !sites.iter().any(|it| it == name));
        next.hosts.retain(|_, of| !sites.contains(of));
        next
    });
    changed.map(drop)
}

/// What the record says now, and what it is to be compared with (nothing before the first push); `None` for a tenant's
/// token, which does not see it.
pub fn current(server: &impl Server) -> Result<Option<(Deployment, Option<String>)>, Trouble> {
    match ask(server, &Request::new(Method::GET, "deployment")) {
        Ok(answer) => Ok(Some((parse(&answer)?, answer.etag))),
        Err(trouble) => match trouble.status() {
            Some(403) => Ok(None),
            Some(404) => Ok(Some((Deployment::default(), None))),
            _ => Err(trouble),
        },
    }
}

fn change(
    server: &impl Server,
    to: impl Fn(&Deployment) -> Deployment,
) -> Result<Outcome, Trouble> {
    for last in [false, false, true] {
        let Some((now, etag)) = current(server)? else {
            return Ok(Outcome::OutOfReach);
        };
        let next = to(&now);
        if next == now {
            return Ok(Outcome::Same);
        }
        let request = Request::new(Method::PUT, "deployment").json(&next);
        match ask(server, &request.matching(etag.as_deref().unwrap_or(ABSENT))) {
            Ok(_) => return Ok(Outcome::Changed),
            Err(trouble) if trouble.status() == Some(412) && !last => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(Outcome::Same)
}
