//! The native server's own part in who may have what: failures, proxies, certificates, passwords on the wire.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/authority.rs"]
mod authority;
#[expect(dead_code, reason = "the client does more than this suite needs")]
#[path = "support/client.rs"]
mod client;
#[path = "support/deployment.rs"]
mod deployment;
#[expect(dead_code, reason = "another suite reads the log as it was written")]
#[path = "support/guarded.rs"]
mod guarded;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use handset::platform::native::ServeOptions;
use handset::platform::native::proxy::Proxies;
use handset::site::Refusal;
use handset::site::Terms;
use rcgen::Certificate;
use rcgen::KeyPair;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::StreamOwned;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use authority::Authority;
use client::ask;
use client::connect;
use client::only;
use client::rest;
use client::secret::with_keys;
use deployment::SPIP;
use deployment::VVX;
use guarded::Guarded;
use guarded::plain_http;

/// `lync:wrong` as Basic has it.
const WRONG_PASSWORD: &str = "Authorization: Basic bHluYzp3cm9uZw==\r\n";
/// A key by its shape.
const WRONG_KEY: &str = "/lync/aaaaaaaaaaaaaaaaaaaaaaaaaaa/shared.cfg";

/// Target, more headers, and the status that comes back.
type Requests<'a> = &'a [(&'a str, &'a str, u16)];

#[test]
fn who_fails_too_often_hears_429_and_a_good_key_never() {
    let own = format!("/lync/~{VVX}/{VVX}-device.cfg");
    let wrong = WRONG_KEY;
    let rows: &[(u32, Requests<'_>)] = &[
        (
            2,
            &[
                (wrong, "", 401),
                ("/lync/~/shared.cfg", "", 200),
                ("/lync/shared.cfg", WRONG_PASSWORD, 401),
                (wrong, "", 429),
                ("/lync/shared.cfg", WRONG_PASSWORD, 429),
                ("/none/aaaaaaaaaaaaaaaaaaaaaaaaaaa/x", "", 429),
                ("/lync/~/shared.cfg", "", 200),
                (&own, "", 200),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/shared.cfg", "", 401),
            ],
        ),
        (
            1,
            &[
                // A first challenge, a missing file and another's files are no failures.
                ("/lync/shared.cfg", "", 401),
                ("/lync/shared.cfg", "", 401),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/~/missing.cfg", "", 404),
                ("/lync/~/0004f28062d6-device.cfg", "", 401),
                (wrong, "", 401),
                (wrong, "", 429),
            ],
        ),
        (0, &[(wrong, "", 401), (wrong, "", 401), (wrong, "", 401)]),
    ];
    for (failures, requests) in rows {
        let options = ServeOptions {
            failures: *failures,
            ..ServeOptions::default()
        };
        let guarded = Guarded::new(Refusal::Challenge, plain_http(), options);
        for (target, more, status) in *requests {
            let answer = ask(guarded.at(), "GET", target, more);
            assert_eq!(answer.status, *status, "{failures}: {target} {more}");
            let later = answer.header("retry-after").is_some();
            assert_eq!(later, *status == 429, "{}", answer.head);
        }
        let failed = requests.iter().map(|(target, more, _)| {
            *target == wrong || !more.is_empty() || target.starts_with("/none")
        });
        for (line, failed) in guarded.log().iter().zip(failed) {
            let event = line["event"].as_str();
            assert_eq!(event == Some("refused-credential"), failed, "{line}");
            assert_eq!(line["client"], "127.0.0.1");
        }
    }
}

/// Passwords over the wire, by a client that is not ours: keys of the site and of a device.
#[test]
fn curl_brings_passwords() {
    let (site, device) = (key("/lync/~"), key(&format!("/lync/~{VVX}")));
    let shared = "/lync/shared.cfg".to_owned();
    let own = format!("/lync/{VVX}-device.cfg");
    let other = format!("/lync/{SPIP}-device.cfg");
    let guarded = Guarded::new(Refusal::Challenge, plain_http(), ServeOptions::default());
    for (user, password, target, status) in [
        ("lync", &site, &shared, "200"),
        (VVX, &device, &own, "200"),
        (VVX, &device, &shared, "200"),
        (VVX, &device, &other, "401"),
        (SPIP, &device, &own, "401"),
        ("lync", &device, &shared, "401"),
        (VVX, &site, &own, "401"),
        ("lync", &"wrong".to_owned(), &shared, "401"),
    ] {
        for scheme in ["--basic", "--digest", "--anyauth"] {
            let seen = curl(guarded.at(), scheme, &format!("{user}:{password}"), target).0;
            assert_eq!(seen, status, "{scheme} {user} {target}");
        }
    }
}

/// Who has seen a proof on its way cannot use it again, though its nonce lives.
#[test]
fn a_digest_that_is_replayed_is_refused() {
    let guarded = Guarded::new(Refusal::Challenge, plain_http(), ServeOptions::default());
    let own = format!("/lync/{VVX}-device.cfg");
    let user = format!("{VVX}:{}", key(&format!("/lync/~{VVX}")));
    let (status, sent) = curl(guarded.at(), "--digest", &user, &own);
    assert_eq!(status, "200", "{sent}");
    let mut lines = sent.lines().filter_map(|line| line.strip_prefix("> "));
    let proof = lines.rfind(|line| line.starts_with("Authorization: Digest "));
    let proof = format!("{}\r\n", proof.unwrap());
    let replayed = ask(guarded.at(), "GET", &own, &proof);
    assert_eq!(replayed.status, 401);
    // It says that the password was right: an honest client that lost its count begins again.
    assert!(replayed.head.contains("stale=true"), "{}", replayed.head);
}

/// The key that an address holds.
fn key(address: &str) -> String {
    with_keys(address).split('/').nth(2).unwrap().to_owned()
}

/// The status that curl ends with, and what it says of its headers.
fn curl(at: SocketAddr, scheme: &str, user: &str, target: &str) -> (String, String) {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--verbose",
        "--noproxy",
        "*",
        "--max-time",
        "20",
    ]);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
    command.args([scheme, "--user", user, &format!("http://{at}{target}")]);
    let output = command.output().expect("curl is missing");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What a proxy says counts, from a proxy; whose certificate it hands on, too.
#[test]
fn proxies_are_believed_and_nobody_else() {
    let authority = Authority::new("ours");
    let (certificate, _) = authority.sign(VVX, 2049);
    let escaped = certificate
        .pem()
        .replace('\n', "%0A")
        .replace('+', "%2B")
        .replace(' ', "%20");
    let escaped = format!("Client-Cert: {escaped}\r\n");
    let base64: String = certificate
        .pem()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let structured = format!("Client-Cert: :{base64}:\r\n");
    let secure = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n";
    let own = format!("/lync/{VVX}-device.cfg");
    let other = format!("/lync/{SPIP}-device.cfg");
    let with_key = format!("/lync/~{VVX}/{VVX}-device.cfg");
    let rows = [
        (
            "127.0.0.0/8",
            &own,
            format!("{secure}{escaped}"),
            200,
            "198.51.100.7",
        ),
        (
            "127.0.0.0/8",
            &own,
            format!("{secure}{structured}"),
            200,
            "198.51.100.7",
        ),
        ("127.0.0.0/8", &own, escaped.clone(), 404, "127.0.0.1"),
        (
            "127.0.0.0/8",
            &other,
            format!("{secure}{escaped}"),
            404,
            "198.51.100.7",
        ),
        (
            "127.0.0.0/8",
            &own,
            format!("{secure}{escaped}{structured}"),
            404,
            "198.51.100.7",
        ),
        (
            "127.0.0.0/8",
            &own,
            format!("{secure}Client-Cert: :AAAA:\r\n"),
            404,
            "198.51.100.7",
        ),
        (
            "127.0.0.0/8",
            &own,
            format!("{secure}Client-Cert: %zz\r\n"),
            404,
            "198.51.100.7",
        ),
        (
            "127.0.0.0/8",
            &with_key,
            secure.to_owned(),
            200,
            "198.51.100.7",
        ),
        ("127.0.0.0/8", &with_key, String::new(), 404, "127.0.0.1"),
        (
            "192.0.2.0/24",
            &own,
            format!("{secure}{escaped}"),
            404,
            "127.0.0.1",
        ),
        (
            "192.0.2.0/24",
            &with_key,
            secure.to_owned(),
            404,
            "127.0.0.1",
        ),
    ];
    for (trusted, target, more, status, client) in rows {
        let options = ServeOptions {
            proxies: Proxies {
                trusted: vec![trusted.parse().unwrap()],
                certificate: Some("client-cert".parse().unwrap()),
            },
            ..ServeOptions::default()
        };
        let guarded = Guarded::new(Refusal::NotFound, certificates(), options);
        let answer = ask(guarded.at(), "GET", target, &more);
        assert_eq!(answer.status, status, "{trusted} {target} {more}");
        assert_eq!(
            guarded.log()[0]["client"],
            client,
            "{trusted} {target} {more}"
        );
    }
}

/// Each row has a handshake of its own; what it opens is that device's and no other's.
#[test]
fn a_certificate_opens_the_files_of_the_device_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let file = directory.path().join("ca.pem");
    fs::write(
        &file,
        ours.pem.clone() + &Authority::new("another of ours").pem,
    )
    .unwrap();
    let own = format!("/lync/{VVX}-device.cfg");
    let other = format!("/lync/{SPIP}-device.cfg");
    let keyed = format!("/lync/~{VVX}/{VVX}-device.cfg");
    // The signer, the name in the certificate, the year it ends; whether old ones count; what is asked for.
    let rows = [
        (Some(&ours), VVX, 2049, false, &own, 200),
        (Some(&ours), "00:04:F2:80:62:D6", 2049, false, &own, 200),
        (Some(&ours), VVX, 2049, false, &other, 404),
        (Some(&ours), SPIP, 2049, false, &own, 404),
        (Some(&ours), SPIP, 2049, false, &keyed, 404),
        (Some(&ours), VVX, 2049, false, &keyed, 200),
        // An address block of no vendor here, and names that are no address.
        (Some(&ours), "02004c4f4f50", 2049, false, &own, 404),
        (Some(&ours), "phone.example", 2049, false, &own, 404),
        (Some(&ours), "", 2049, false, &own, 404),
        (Some(&others), VVX, 2049, false, &own, 404),
        (Some(&others), VVX, 2049, true, &own, 404),
        (Some(&others), VVX, 2020, true, &own, 404),
        // One that nobody here knows does not keep a phone from coming with a key.
        (Some(&others), VVX, 2049, false, &keyed, 200),
        (Some(&ours), VVX, 2020, false, &own, 404),
        (Some(&ours), VVX, 2020, false, &keyed, 200),
        (Some(&ours), VVX, 2020, true, &own, 200),
        (Some(&ours), VVX, 2020, true, &other, 404),
        (None, "", 0, true, &own, 404),
        (None, "", 0, true, &keyed, 200),
    ];
    for (authority, name, year, expired, target, status) in rows {
        let options = ServeOptions {
            tls: Some((tls_file("cert.pem"), tls_file("key.pem"))),
            client_authorities: Some(file.clone()),
            expired_certificates: expired,
            ..ServeOptions::default()
        };
        let guarded = Guarded::new(Refusal::NotFound, certificates(), options);
        let identity = authority.map(|authority| authority.sign(name, year));
        let seen = ask_over_tls(guarded.at(), target, identity);
        assert_eq!(seen, status, "{name} {year} {expired} {target}");
    }
}

fn certificates() -> Terms {
    Terms {
        certificates: true,
        ..Terms::default()
    }
}

fn tls_file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/tls").join(name)
}

/// One request over a connection of its own; gives the status.
fn ask_over_tls(at: SocketAddr, target: &str, identity: Option<(Certificate, KeyPair)>) -> u16 {
    let mut roots = RootCertStore::empty();
    let server = CertificateDer::from_pem_file(tls_file("cert.pem")).unwrap();
    roots.add(server).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let chain = vec![certificate.der().clone()];
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap());
    let mut stream = StreamOwned::new(session.unwrap(), connect(at));
    let target = with_keys(target);
    let request = format!("GET {target} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    only(&rest(stream), "GET").status
}
