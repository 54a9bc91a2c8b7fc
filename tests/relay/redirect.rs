//! Redirects of the server: followed for phones that cannot, without anything that is the server's alone.

use std::time::Duration;
use std::time::Instant;

use handset::relay::tftp::client::Client;
use handset::relay::tftp::client::ClientError;
use handset::tftp::packet::ErrorCode;
use handset::tftp::transfer::Outcome;

use crate::branch::block_on;
use crate::programs::Program;
use crate::site::Asked;
use crate::site::File;
use crate::site::Site;

/// A server whose file of this name is elsewhere.
fn redirects(site: &Site, name: &str, status: u16, location: &str) {
    let headers = format!("Location: {location}\r\n");
    let file = File {
        bytes: Vec::new(),
        control: "private, no-store",
        status,
        // Lives as long as the site does.
        headers: headers.leak(),
    };
    site.put_file(name, file);
}

fn read(client: &Client, name: &str) -> Result<Vec<u8>, String> {
    block_on(client.read(name.as_bytes())).map_err(|error| match error {
        ClientError::Transfer(Outcome::PeerFailed { code, message }) => {
            assert_eq!(code, ErrorCode::NOT_DEFINED, "{message}");
            message
        }
        error => panic!("{error}"),
    })
}

#[test]
fn a_phone_gets_what_is_elsewhere() {
    let (site, bucket) = (Site::start(), Site::start());
    let state = tempfile::tempdir().unwrap();
    let state = [
        "--state",
        state.path().to_str().unwrap(),
        "--identity",
        "any",
    ];
    let (_relay, client) = Program::relay(&site.base(), &state);
    bucket.put("a.ld?X-Amz-Signature=1", "", b"0123456789");
    let there = format!("{}/a.ld?X-Amz-Signature=1", bucket.base());
    for status in [301, 302, 303, 307, 308] {
        let name = format!("{status}.ld");
        redirects(&site, &name, status, &there);
        assert_eq!(
            read(&client, &name).as_deref(),
            Ok(&b"0123456789"[..]),
            "{status}"
        );
    }
    for asked in bucket.requests() {
        for name in [
            "handset-relay",
            "handset-relay-device",
            "handset-relay-base",
            "authorization",
        ] {
            assert_eq!(asked.header(name), None, "{}", asked.headers);
        }
    }
    assert!(
        site.requests()
            .iter()
            .all(|it| it.header("handset-relay").is_some())
    );
    // Once the server is asked again, it still redirects; what is kept is the newest.
    let begun = Instant::now();
    let again = |asked: &Asked| asked.header("if-none-match").is_some();
    while !bucket.requests().iter().any(again) {
        assert!(begun.elapsed() < PATIENCE);
        read(&client, "302.ld").unwrap();
    }
    // One that may be had for a while is had while its place is away, or says no.
    bucket.set_away(true);
    assert_eq!(read(&client, "302.ld").as_deref(), Ok(&b"0123456789"[..]));
}

#[test]
fn not_everywhere_and_not_for_ever() {
    let (site, bucket) = (Site::start(), Site::start());
    let (relay, client) = Program::relay(
        &site.base(),
        &["--identity", "any", "--http", "127.0.0.1:0"],
    );
    bucket.put("a.ld", "", b"0123456789");
    let there = |name: &str| format!("{}/{name}", bucket.base());
    for (name, to) in [
        ("hop1", "hop2"),
        ("hop2", "a.ld"),
        ("four", "hop0"),
        ("hop0", "hop1"),
    ] {
        redirects(&bucket, name, 302, &there(to));
    }
    for (name, location, expected) in [
        ("three", there("hop1"), Ok(())),
        (
            "often",
            there("hop0"),
            Err("the server redirects too often"),
        ),
        (
            "loop",
            there("loop"),
            Err("the server redirects to what is no file"),
        ),
        (
            "plain",
            "http://192.0.2.1/a.ld".to_owned(),
            Err("the relay does not go"),
        ),
        (
            "other",
            "ftp://127.0.0.1/a.ld".to_owned(),
            Err("the relay does not go"),
        ),
        (
            "word",
            there("a.ld").replace("://", "://user:word@"),
            Err("the relay does not go"),
        ),
        (
            "tls",
            there("a.ld").replace("http:", "https:"),
            Err("cannot be reached"),
        ),
    ] {
        redirects(&site, name, 302, &location);
        match (read(&client, name), expected) {
            (Ok(bytes), Ok(())) => assert_eq!(bytes, b"0123456789", "{name}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{name}: {said}"),
            (read, _) => panic!("{name}: {read:?}"),
        }
    }
    // Whoever speaks HTTP is told where it is.
    let agent = ureq::Agent::config_builder()
        .max_redirects(0)
        .build()
        .new_agent();
    let answer = agent
        .get(format!("{}/three", relay.addresses[1]))
        .call()
        .unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], there("hop1").as_str());
}

/// Generous: a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
