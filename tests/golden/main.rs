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
mod http;
mod memory;
mod names;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use bucket::Service;
use case::Answer;
use case::Case;
use http::Http;
use memory::Memory;

#[test]
fn cases_in_memory() {
    let mut count = 0;
    for (fleet, path) in case_files() {
        check(&path, &mut Memory::of_fixture(&fleet));
        count += 1;
    }
    assert!(count >= 60, "only {count} cases were found");
}

#[test]
fn cases_over_http() {
    if updating() {
        return;
    }
    for (fleet, path) in case_files() {
        check(&path, &mut Http::of_fixture(&fleet));
    }
}

#[test]
fn cases_over_http_from_a_bucket() {
    if updating() {
        return;
    }
    let service = Service::start();
    for (number, (fleet, path)) in case_files().into_iter().enumerate() {
        let prefix = format!("case-{number}");
        check(&path, &mut Http::of_bucket(&service, &prefix, &fleet));
    }
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

/// Whatever answers the requests of a case.
trait Platform {
    fn answer(&mut self, step: &case::Step) -> Answer;
}

/// Replays one case; or, on demand, writes down what comes.
fn check(path: &Path, platform: &mut impl Platform) {
    let mut case = Case::read(path);
    for step in &mut case.steps {
        let answer = platform.answer(step);
        if updating() {
            step.answer = answer;
        } else {
            assert_eq!(
                answer,
                step.answer,
                "{}: {} {} (UPDATE_FIXTURES=1 rewrites the answers)",
                path.display(),
                step.method,
                step.target
            );
        }
    }
    if updating() {
        fs::write(path, case.to_bytes()).unwrap();
    }
}

fn updating() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

/// Every case with the name of its fleet directory.
fn case_files() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files = Vec::new();
    for fleet in fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
    {
        let name = fleet.file_name().unwrap().to_str().unwrap().to_owned();
        files.extend(
            fs::read_dir(&fleet)
                .unwrap()
                .map(|entry| (name.clone(), entry.unwrap().path())),
        );
    }
    files.sort();
    files
}
