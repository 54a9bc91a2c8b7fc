//! What `handset check` says to programs: JSON, and SARIF 2.1.0 held against its schema.
//!
//! `schema/sarif-2.1.0.json` is the schema of the OASIS standard as the crate `serde-sarif` (MIT) ships it.

use std::fs;
use std::path::Path;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::diagnostic::Diagnostic;
use handset::fleet::report;
use serde_json::Value;
use serde_json::json;

const FILES: &[(&str, &str)] = &[
    (
        "handset.toml",
        "[[silence]]\ncode = \"duplicate-extension\"\nreason = \"they share it\"\n",
    ),
    ("sites/s.toml", "access = \"open\"\n"),
    (
        "devices/d.csv",
        "mac,site,model,line1.user\n0004f2000001,s,VVX 400,1\n0004f2000002,s,VVX 400,1\n",
    ),
    (
        "templates/polycom/{mac} extra.cfg",
        "<a b=\"\u{201d}c\"/>\n",
    ),
];

fn found() -> Vec<Diagnostic> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in FILES {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let fleet = fleet::compile(directory.path(), &mut Hashes::default()).unwrap();
    fleet::check::check(&fleet)
}

#[test]
fn sarif_is_what_its_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/schema/sarif-2.1.0.json");
    // As published, one of its patterns has a bracket too many and is no pattern.
    let schema = fs::read_to_string(path).unwrap().replace("{2}]?$", "{2}$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for found in [found(), Vec::new()] {
        let report = report::sarif(&found);
        let errors: Vec<String> = schema.iter_errors(&report).map(|e| e.to_string()).collect();
        assert_eq!(errors, [] as [String; 0], "{report:#}");
    }
    let mut wrong = report::sarif(&found());
    wrong["runs"][0]["results"][0]["level"] = json!("fatal");
    assert!(!schema.is_valid(&wrong), "the schema is not asked");
}

#[test]
fn a_silenced_finding_carries_its_reason() {
    let report = report::sarif(&found());
    let results = report["runs"][0]["results"].as_array().unwrap();
    let results: Vec<_> = results
        .iter()
        .map(|result| {
            let location = &result["locations"][0]["physicalLocation"];
            (
                result["ruleId"].as_str().unwrap(),
                location["artifactLocation"]["uri"].as_str().unwrap(),
                &location["region"],
                &result["suppressions"][0]["justification"],
            )
        })
        .collect();
    let template = "templates/polycom/%7Bmac%7D%20extra.cfg";
    assert_eq!(
        results,
        [
            (
                "duplicate-extension",
                "devices/d.csv",
                &json!({"startLine": 3}),
                &json!("they share it")
            ),
            ("unused-template", template, &Value::Null, &Value::Null),
            (
                "curly-quote",
                template,
                &json!({"startLine": 1, "startColumn": 7}),
                &Value::Null
            ),
        ]
    );
}

#[test]
fn json_has_a_row_a_finding() {
    let report = report::json(&found());
    assert_eq!(
        report[0],
        json!({
            "code": "duplicate-extension",
            "severity": "warning",
            "file": "devices/d.csv",
            "line": 3,
            "column": 0,
            "problem": "extension 1 stands at devices/d.csv:2 already",
            "remedy": "give each phone its own account, or silence this where they share it",
            "silenced": "they share it",
        })
    );
}
