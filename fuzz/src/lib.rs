//! The fuzz targets: what reads the network's input must not panic, hang or break its own invariants.

use handset::path::RequestPath;
use handset::pattern::Pattern;
use handset::range;
use handset::range::Requested;
use handset::user_agent::UserAgent;
use handset::vendor;

/// A target: its name and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, sorted by name.
pub const TARGETS: &[Target] = &[
    ("master_file", master_file),
    ("path", path),
    ("pattern", pattern),
    ("range", range),
    ("user_agent", user_agent),
];

/// The simulated phone's reading of a master file.
pub fn master_file(bytes: &[u8]) {
    handset::boot::read_master(bytes);
}

/// Request paths: what is accepted keeps the promises of its type.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(path) = RequestPath::parse(text) else {
        return;
    };
    for path in [path.collapsed(), path] {
        assert!(path.segments().count() <= RequestPath::SEGMENTS);
        for segment in path.segments() {
            assert!(!matches!(segment, "" | "." | ".."), "{segment:?}");
            assert!(
                segment.len() <= 255 && !segment.contains(['/', '\\', '\0', '\n']),
                "{segment:?}"
            );
        }
    }
}

/// Patterns against names: the first line is the pattern, the second the name.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (pattern, name) = text.split_once('\n').unwrap_or(("{mac}-{name}.cfg", text));
    let Ok(path) = RequestPath::parse(name) else {
        return;
    };
    if let Ok(pattern) = Pattern::parse(pattern) {
        if let Some(captures) = pattern.capture(&path) {
            captures.fill(&pattern.to_string());
        }
    }
    for rule in vendor::ALL.iter().flat_map(|vendor| vendor.rules) {
        Pattern::parse(rule.pattern)
            .expect("a table's pattern")
            .capture(&path);
    }
}

/// Range headers: a part lies within the file and is not empty.
pub fn range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for length in [0, 1, 10, u64::MAX] {
        if let Requested::Part(part) = range::parse(text, length) {
            assert!(
                part.start < part.end && part.end <= length,
                "{part:?} of {length}"
            );
        }
    }
}

/// User-Agent headers.
pub fn user_agent(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(agent) = UserAgent::parse(text) {
        assert!(!agent.model.is_empty() && text.contains(agent.model));
    }
}
