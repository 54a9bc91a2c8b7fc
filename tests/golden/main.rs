//! The golden cases: requests and the exact bytes of their answers, replayed on every platform.
//!
//! A case is a file in `tests/cases/<fleet>/`. `UPDATE_FIXTURES=1 cargo test --test golden` rewrites the
//! answers; read the difference before you commit it.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
mod case;
#[path = "../support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "../support/conformance.rs"]
mod conformance;
mod http;
mod memory;
mod names;
mod replay;
mod wire;

use bucket::Service;
use case::Case;
use http::Http;
use memory::Memory;
use replay::Platform;
use replay::case_files;
use replay::check;
use replay::hold;
use replay::updating;

#[test]
fn cases_in_memory() {
    let cases = case_files().into_iter();
    let replayed = cases.map(|(fleet, path)| check(&path, &mut Memory::of_fixture(&fleet)));
    hold("In memory", &replayed.collect::<Vec<_>>());
}

#[test]
fn cases_over_http() {
    if updating() {
        return;
    }
    let cases = case_files().into_iter();
    let replayed = cases.map(|(fleet, path)| check(&path, &mut Http::of_fixture(&fleet)));
    hold("Native, directory", &replayed.collect::<Vec<_>>());
}

#[test]
fn cases_over_http_from_a_bucket() {
    if updating() {
        return;
    }
    let service = Service::start();
    let mut replayed = Vec::new();
    for (number, (fleet, path)) in case_files().into_iter().enumerate() {
        let prefix = format!("case-{number}");
        replayed.push(check(
            &path,
            &mut Http::of_bucket(&service, &prefix, &fleet),
        ));
    }
    hold("Native, S3", &replayed);
}

#[test]
fn a_thousand_renders_are_identical() {
    for (fleet, path) in case_files() {
        let case = Case::read(&path);
        let Some(step) = case
            .steps
            .first()
            .filter(|step| step.method == "GET" && step.answer.status == 200)
        else {
            continue;
        };
        let mut memory = Memory::of_fixture(&fleet);
        let first = memory.answer(step);
        for _ in 1..1000 {
            assert_eq!(memory.answer(step), first, "{}", path.display());
        }
    }
}
