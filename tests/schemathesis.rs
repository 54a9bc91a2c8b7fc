//! The operator's endpoints against their document, by a program that nobody here wrote: schemathesis asks each of them
//! whatever the document allows, and what it does not.
//!
//! Run by `cargo xtask test schemathesis`, which installs it.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "support/pushing.rs"]
#[expect(dead_code, reason = "other suites stop on the way")]
mod pushing;

use std::process::Command;
use std::sync::Arc;

use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::site::Access;
use handset::store::files::Files;
use handset::store::single::SingleStore;
use handset::token::Scope;
use handset::token::Token;

use client::exchange;
use client::secret::secrets;
use pushing::Api;
use pushing::Heard;
use pushing::Pusher;
use pushing::Version;

struct Operator<'s>(&'s Server, String);

impl Api for Operator<'_> {
    fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Heard {
        let Self(server, token) = self;
        let length = body.len();
        let more: String = more
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{method} /-/v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Authorization: Bearer {token}\r\n{more}\r\n"
        );
        let answer = exchange(server.address(), &[head.as_bytes(), body].concat(), method);
        Heard {
            status: answer.status,
            etag: answer.header("etag").map(str::to_owned),
            body: answer.body,
        }
    }
}

#[test]
fn the_document_is_what_the_endpoints_do() {
    let program = std::env::var("HANDSET_SCHEMATHESIS");
    let program = program.expect("`cargo xtask test schemathesis` installs it and runs this test");
    let root = tempfile::tempdir().unwrap();
    let store = SingleStore::new(Files::open(root.path()).unwrap(), Some(secrets()));
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        secrets: Some(secrets()),
        // It tries wrong tokens as well, and must not be kept from the rest for it.
        failures: 0,
        ..ServeOptions::default()
    };
    let server = Server::start(Arc::new(store), &options, Log::to(std::io::sink())).unwrap();
    let token = Token {
        scope: Scope::Write,
        tenant: None,
    };
    let token = token.text(&secrets());
    let operator = Operator(&server, token.expose_text().unwrap().to_owned());
    // Something to find.
    for number in [1, 2] {
        let version = Version::of(number, &Access::Open);
        Pusher::new(&version).push(&operator).unwrap();
    }
    let document = operator.call("GET", "openapi.json", &[], b"");
    let paths = document.json()["paths"].as_object().unwrap().clone();
    let operations: usize = paths
        .values()
        .map(|item| item.as_object().unwrap().len())
        .sum();
    let file = root.path().join("openapi.json");
    std::fs::write(&file, document.body).unwrap();
    let run = Command::new(program)
        .current_dir(root.path())
        .args(["run", "openapi.json", "--url", &server.url()])
        .args(["--header", &format!("Authorization: Bearer {}", operator.1)])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
        ])
        .args(["--seed", "1", "--checks", CHECKS, "--continue-on-failure"])
        .args([
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        run.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let all = format!("Selected: {operations}/{operations}");
    assert!(said.contains(&all), "{all}: {said}");
}

/// What an answer has to be. Not `positive_data_acceptance`: what fits the document may well not be there; and not
/// `negative_data_rejection`: names that nobody knows are not looked at where readers of a later version may send them.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,ignored_auth";
