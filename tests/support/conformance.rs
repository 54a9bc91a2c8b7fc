//! `docs/conformance.md`: what was run where. Each of its lines is held against the run that it tells of.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Tests of one program run at once, and each has its line in the same file.
static FILE: Mutex<()> = Mutex::new(());

/// Holds the line that begins with `heading` against what was just run; or, on demand, writes it down.
pub(crate) fn hold(heading: &str, cells: &[String]) {
    let _alone = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let text = fs::read_to_string(&path).unwrap();
    let begin = format!("| {heading} |");
    let line = text.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("docs/conformance.md has no line {begin}"));
    let expected = format!("{begin} {} |", cells.join(" | "));
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, text.replace(line, &expected)).unwrap();
    } else {
        assert_eq!(line, expected, "UPDATE_CONFORMANCE=1 rewrites the line");
    }
}
