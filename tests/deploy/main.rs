//! The manifests of deploy/ and spin.toml: each is of its schema, and says what the program understands.
//!
//! The schemas beside this file allow what is used and refuse everything else, so that a field that is
//! misspelt or stands in the wrong place does not pass for one that nobody knows.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use handset::store::s3::Address;
use serde_json::Value;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML file, by kind.
fn manifests(path: &str) -> BTreeMap<String, Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&read(path)).unwrap();
    let documents = documents.into_iter();
    documents
        .map(|document| (document["kind"].as_str().unwrap().to_owned(), document))
        .collect()
}

fn spin() -> Value {
    let manifest: toml::Table = read("spin.toml").parse().unwrap();
    serde_json::to_value(manifest).unwrap()
}

/// What a schema finds wrong.
fn problems(schema: &str, document: &Value) -> Vec<String> {
    let schema = serde_json::from_str(&read(&format!("tests/deploy/{schema}.json"))).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = validator.iter_errors(document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn names(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

fn keys(table: &Value) -> BTreeSet<String> {
    table.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_manifest_is_of_its_schema() {
    let none: [&str; 0] = [];
    let plain = manifests("deploy/kubernetes.yaml");
    assert_eq!(plain.keys().collect::<Vec<_>>(), ["Deployment", "Service"]);
    assert_eq!(problems("deployment", &plain["Deployment"]), none);
    assert_eq!(problems("service", &plain["Service"]), none);
    let app = manifests("deploy/spinkube.yaml");
    assert_eq!(app.keys().collect::<Vec<_>>(), ["SpinApp"]);
    assert_eq!(problems("spin_app", &app["SpinApp"]), none);
    assert_eq!(problems("spin", &spin()), none);
}

/// A schema that let everything pass would be none.
#[test]
fn what_is_misspelt_or_missing_is_found() {
    let plain = manifests("deploy/kubernetes.yaml");
    let app = manifests("deploy/spinkube.yaml");
    for (schema, document, pointer, value) in [
        (
            "deployment",
            &plain["Deployment"],
            "/spec/replicas",
            Value::from("2"),
        ),
        (
            "deployment",
            &plain["Deployment"],
            "/spec/template/spec/containers/0/livenessProbe/httpGet/port",
            Value::Null,
        ),
        (
            "deployment",
            &plain["Deployment"],
            "/kind",
            Value::from("StatefulSet"),
        ),
        (
            "service",
            &plain["Service"],
            "/spec/ports/0/port",
            Value::from(0),
        ),
        (
            "spin_app",
            &app["SpinApp"],
            "/spec/variables/0/name",
            Value::from("S3-Endpoint"),
        ),
        (
            "spin_app",
            &app["SpinApp"],
            "/spec/resources/limits/memory",
            Value::from("lots"),
        ),
        ("spin", &spin(), "/spin_manifest_version", Value::from(1)),
        (
            "spin",
            &spin(),
            "/variables/s3_bucket",
            serde_json::json!({ "secret": true }),
        ),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        assert_eq!(problems(schema, &document).len(), 1, "{schema} {pointer}");
    }
    let mut document = plain["Service"].clone();
    document["spec"]["port"] = Value::from(80);
    assert_eq!(problems("service", &document).len(), 1);
}

/// The service finds the pods, and the probes and the service the port.
#[test]
fn labels_and_ports_go_together() {
    let plain = manifests("deploy/kubernetes.yaml");
    let (deployment, service) = (&plain["Deployment"]["spec"], &plain["Service"]["spec"]);
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(&deployment["selector"]["matchLabels"], labels);
    assert_eq!(&service["selector"], labels);
    let container = &deployment["template"]["spec"]["containers"][0];
    let port = &container["ports"][0];
    assert_eq!(service["ports"][0]["targetPort"], port["name"]);
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], port["name"]);
        assert_eq!(container[probe]["httpGet"]["path"], "/-/health");
    }
    let listen = format!("--listen=0.0.0.0:{}", port["containerPort"]);
    let arguments: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    assert!(arguments.contains(&listen.as_str()), "{arguments:?}");
    let store = arguments.iter().find_map(|it| it.strip_prefix("--store="));
    store.unwrap().parse::<Address>().unwrap();
}

/// A variable that one place has and another has not would be read as empty.
#[test]
fn the_variables_are_the_same_everywhere() {
    let spin = spin();
    let component = &spin["component"]["handset"];
    let declared = keys(&spin["variables"]);
    assert_eq!(keys(&component["variables"]), declared);
    for name in &declared {
        assert_eq!(component["variables"][name], format!("{{{{ {name} }}}}"));
        let secret = [
            "s3_access_key",
            "s3_secret_key",
            "s3_session_token",
            "secret",
        ]
        .contains(&name.as_str());
        assert_eq!(spin["variables"][name]["secret"] == true, secret, "{name}");
    }
    let source = read("src/platform/spin/settings.rs");
    let quoted: Vec<&str> = source.split('"').collect();
    let asks = |before: &str| before.ends_with("needed(") || before.ends_with("optional(");
    let read = quoted.windows(2).filter_map(|pair| {
        let named = asks(pair[0]) || pair[1].starts_with("s3_") && !pair[1].contains([' ', ',']);
        named.then(|| pair[1].to_owned())
    });
    assert_eq!(read.collect::<BTreeSet<_>>(), declared);
    let app = manifests("deploy/spinkube.yaml");
    let given = names(&app["SpinApp"]["spec"]["variables"]);
    assert!(given.is_subset(&declared), "{given:?}");
    let needed = declared
        .iter()
        .filter(|name| spin["variables"][name.as_str()]["required"] == true);
    assert!(needed.clone().all(|name| given.contains(name)), "{given:?}");
    let component = spin["trigger"]["http"][0]["component"].as_str().unwrap();
    assert!(keys(&spin["component"]).contains(component));
}
