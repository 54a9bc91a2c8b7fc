//! The rows of `tests/names.csv`: names that phones really ask for, and what they are taken for.
//!
//! The first columns are the fact, the fleet and the request; the rest is rewritten by UPDATE_FIXTURES=1.

use std::path::Path;

use handset::fleet::preview::Question;
use handset::fleet::preview::ask;

use crate::memory::Memory;
use crate::memory::ready;
use crate::updating;

const ASKED: usize = 5;

#[test]
fn names_are_what_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/names.csv");
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(&path)
        .unwrap();
    let mut written = csv::Writer::from_writer(Vec::new());
    written.write_record(reader.headers().unwrap()).unwrap();
    let mut memories = [
        ("lync", Memory::of_fixture("lync")),
        ("office", Memory::of_fixture("office")),
    ];
    for row in reader.records() {
        let row = row.unwrap();
        let (_, memory) = memories
            .iter_mut()
            .find(|(name, _)| *name == &row[1])
            .unwrap();
        let found = explain(memory, &row);
        let given: Vec<&str> = row.iter().skip(ASKED).collect();
        assert!(
            updating() || given == found,
            "{row:?}\n  is taken for {found:?}"
        );
        let asked = row.iter().take(ASKED).map(str::to_owned);
        written.write_record(asked.chain(found)).unwrap();
    }
    if updating() {
        std::fs::write(path, written.into_inner().unwrap()).unwrap();
    }
}

fn explain(memory: &Memory, row: &csv::StringRecord) -> Vec<String> {
    let question = Question {
        method: row[2].parse().unwrap(),
        target: &row[3],
        user_agent: Some(&row[4]).filter(|agent| !agent.is_empty()),
        site: None,
        secrets: None,
    };
    let response = ready(ask(&memory.store, &question, Vec::new()));
    let explanation = serde_json::to_value(&response.explanation).unwrap();
    let word = |key: &str| explanation[key].as_str().unwrap_or_default().to_owned();
    let keys = [
        "outcome", "vendor", "kind", "scope", "class", "mac", "model", "version", "rule", "source",
        "reason",
    ];
    keys.map(word)
        .into_iter()
        .chain([response.status.as_str().to_owned()])
        .collect()
}
