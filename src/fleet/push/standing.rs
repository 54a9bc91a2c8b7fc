//! What a site has published, and the ways back and forth between its publications.

use http::Method;

use crate::fleet::server::ABSENT;
use crate::fleet::server::Request;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::ask;
use crate::fleet::server::pages;
use crate::fleet::server::parse;
use crate::fleet::server::read;
use crate::publish::PublicationLine;
use crate::publish::Publications;
use crate::publish::SiteState;

/// A site's publications, the newest first.
pub fn publications(server: &impl Server, site: &str) -> Result<Vec<PublicationLine>, Trouble> {
    let target = format!("sites/{site}/publications");
    pages(server, &target, |page: Publications| {
        let next = page.next.map(|next| next.to_string());
        (page.publications, next)
    })
}

/// Brings a site back to its publication before.
pub fn rollback(server: &impl Server, site: &str) -> Result<SiteState, Trouble> {
    let (_, etag) = state(server, site)?;
    let target = format!("sites/{site}/rollback");
    read(server, &Request::new(Method::POST, target).matching(&etag))
}

/// Gives a site's canary to all of its devices.
pub fn promote(server: &impl Server, site: &str) -> Result<SiteState, Trouble> {
    let (number, etag) = canary(server, site)?;
    let target = format!("sites/{site}/publications/{number}/publish");
    read(server, &Request::new(Method::POST, target).matching(&etag))
}

/// Ends a site's canary; its devices get what the others get.
pub fn abandon(server: &impl Server, site: &str) -> Result<SiteState, Trouble> {
    let (number, etag) = canary(server, site)?;
    let target = format!("sites/{site}/publications/{number}");
    ask(
        server,
        &Request::new(Method::DELETE, target).matching(&etag),
    )?;
    state(server, site).map(|(state, _)| state)
}

/// What a site is, and its entity tag.
pub fn state(server: &impl Server, site: &str) -> Result<(SiteState, String), Trouble> {
    let answer = ask(server, &Request::new(Method::GET, format!("sites/{site}")))?;
    let etag = answer.etag.clone().unwrap_or_else(|| ABSENT.to_owned());
    Ok((parse(&answer)?, etag))
}

fn canary(server: &impl Server, site: &str) -> Result<(u64, String), Trouble> {
    let (state, etag) = state(server, site)?;
    let none = || {
        let problem = format!("site {site} has no canary: `handset push --canary` makes one");
        Trouble::Own(problem)
    };
    Ok((state.canary.ok_or_else(none)?.number, etag))
}
