//! Replays cases on whatever answers them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::case::Answer;
use crate::case::Case;
use crate::case::Step;
use crate::conformance;

/// Whatever answers the requests of a case.
pub(crate) trait Platform {
    fn answer(&mut self, step: &Step) -> Answer;
}

/// Replays one case; or, on demand, writes down what comes. Gives the number of its requests.
pub(crate) fn check(path: &Path, platform: &mut impl Platform) -> usize {
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
    case.steps.len()
}

/// The line of `docs/conformance.md` about the cases that were replayed, by the number of their requests.
pub(crate) fn hold(platform: &str, replayed: &[usize]) {
    assert!(
        replayed.len() >= 60,
        "only {} cases were found",
        replayed.len()
    );
    let requests: usize = replayed.iter().sum();
    conformance::hold(
        platform,
        &[replayed.len().to_string(), requests.to_string()],
    );
}

pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

/// Every case with the name of its fleet directory.
pub(crate) fn case_files() -> Vec<(String, PathBuf)> {
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
