//! The part of a push that sends images, resources and releases: by hash, and only what is not there.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use http::Method;

use crate::fleet::plan::Blob;
use crate::fleet::plan::Plan;
use crate::fleet::push::Progress;
use crate::fleet::push::Step;
use crate::fleet::server::AT_ONCE;
use crate::fleet::server::Request;
use crate::fleet::server::Sent;
use crate::fleet::server::Server;
use crate::fleet::server::Trouble;
use crate::fleet::server::ask;
use crate::fleet::server::at_once;
use crate::release::ReleaseId;

/// Sends what these releases name, and then them. Gives how many files were sent, and their bytes.
pub(super) fn send(
    server: &impl Server,
    plan: &Plan<'_>,
    releases: &BTreeSet<&ReleaseId>,
    progress: &dyn Progress,
) -> Result<(usize, u64), Trouble> {
    let absent = absent(server, &plan.blobs(releases.iter().copied()))?;
    let bytes = absent.iter().map(|blob| blob.file.length).sum();
    progress.begin(Step::Images, bytes);
    at_once(IMAGES_AT_ONCE, &absent, |blob| {
        send_one(server, blob, progress)
    })?;
    let records: Vec<_> = releases
        .iter()
        .filter_map(|id| plan.releases.get(id))
        .collect();
    at_once(AT_ONCE, &records, |release| {
        let (id, json) = release.record.encode();
        let request = Request {
            body: Sent::Json(json),
            ..Request::new(Method::PUT, format!("releases/{id}"))
        };
        ask(server, &request).map(drop)
    })?;
    Ok((absent.len(), bytes))
}

/// Those of the files that the server does not have.
pub(super) fn absent<'f>(
    server: &impl Server,
    blobs: &[Blob<'f>],
) -> Result<Vec<Blob<'f>>, Trouble> {
    let absent = at_once(AT_ONCE, blobs, |blob| {
        let head = Request::new(Method::HEAD, format!("blobs/{}", blob.sha256));
        match ask(server, &head) {
            Ok(_) => Ok(None),
            Err(trouble) if trouble.status() == Some(404) => Ok(Some(*blob)),
            Err(trouble) => Err(trouble),
        }
    })?;
    Ok(absent.into_iter().flatten().collect())
}

/// Sends a file, read as it goes: it may be larger than the memory.
fn send_one(server: &impl Server, blob: &Blob<'_>, progress: &dyn Progress) -> Result<(), Trouble> {
    let furthest = AtomicU64::new(0);
    let moved = |position: u64| {
        let before = furthest.fetch_max(position, Ordering::Relaxed);
        progress.advance(position.saturating_sub(before));
    };
    let request = Request {
        body: Sent::File {
            path: &blob.file.path,
            length: blob.file.length,
            moved: &moved,
        },
        ..Request::new(Method::PUT, format!("blobs/{}", blob.sha256))
    };
    let shown = blob.file.path.display();
    match ask(server, &request) {
        Ok(_) => Ok(()),
        Err(trouble) if trouble.status() == Some(422) => {
            let problem = format!("{shown} changed while it was sent: push again");
            Err(Trouble::Own(problem))
        }
        Err(Trouble::Lost(problem)) => Err(Trouble::Lost(format!("{shown}: {problem}"))),
        Err(trouble) => Err(trouble),
    }
}

/// Images are large: more at once would each be slower.
const IMAGES_AT_ONCE: usize = 4;
