//! The relay and the server as programs on one machine: what a TFTP phone gets is what an HTTP phone gets.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use handset::relay::tftp::client::Client;
use handset::relay::tftp::client::ClientError;
use handset::tftp::options::Options;
use handset::tftp::packet::ErrorCode;
use handset::tftp::transfer::Outcome;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// A program that says where it listens.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(executable: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(executable)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, address }
    }

    fn relay(upstream: &str) -> (Self, Client) {
        let arguments = ["--tftp", "127.0.0.1:0", "--upstream", upstream];
        let relay = Self::start(env!("CARGO_BIN_EXE_handset-relay"), &arguments);
        let server: SocketAddr = relay
            .address
            .strip_prefix("tftp://")
            .unwrap()
            .parse()
            .unwrap();
        let options = Options {
            block_size: Some(1428),
            window_size: Some(4),
            transfer_size: Some(0),
            ..Options::NONE
        };
        let client = Client {
            options,
            ..Client::new(server)
        };
        (relay, client)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

#[test]
fn a_tftp_phone_gets_what_an_http_phone_gets() {
    let state = tempfile::tempdir().unwrap();
    let fleet = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/lync");
    let state = state.path().to_str().unwrap();
    let arguments = ["serve", fleet, "--listen", "127.0.0.1:0", "--state", state];
    let server = Program::start(env!("CARGO_BIN_EXE_handset"), &arguments);
    let base = format!("{}/lync", server.address);
    let (_relay, client) = Program::relay(&base);
    for name in [
        "000000000000.cfg",
        "shared.cfg",
        "0004f28062d6-lync.cfg",
        "3111-46157-002.sip.ld",
    ] {
        let over_http = ureq::get(format!("{base}/{name}")).call().unwrap();
        let expected = over_http.into_body().read_to_vec().unwrap();
        for written in [name.to_owned(), format!("/{name}"), format!("\\{name}")] {
            let got = block_on(client.read(written.as_bytes())).unwrap();
            assert!(got == expected, "{written}");
        }
    }
    let log = b"0101000000|so  |4|00|Initial log entry\n".repeat(300);
    block_on(client.write(b"0004f28062d6-app.log", &log)).unwrap();
    let got = block_on(client.read(b"0004f28062d6-app.log")).unwrap();
    assert!(got == log);
    for (name, code) in [
        ("no-such.cfg", ErrorCode::FILE_NOT_FOUND),
        ("../../etc/passwd", ErrorCode::ACCESS_VIOLATION),
    ] {
        let error = block_on(client.read(name.as_bytes())).unwrap_err();
        let refused = |it: &ClientError| matches!(it, ClientError::Transfer(Outcome::PeerFailed { code: said, .. }) if *said == code);
        assert!(refused(&error), "{name}: {error}");
    }
    drop(server);
    let down = block_on(client.read(b"shared.cfg"))
        .unwrap_err()
        .to_string();
    assert!(
        down.contains("error 0: the server cannot be reached"),
        "{down}"
    );
}

#[test]
fn what_is_no_upstream_is_said_at_once() {
    for (upstream, remedy) in [
        (
            "http://192.0.2.1/",
            "only https:// may lead to another machine",
        ),
        ("tftp://192.0.2.1/", "give https://HOST/PATH"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_handset-relay"))
            .args(["--upstream", upstream])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && text.contains(remedy),
            "{text}"
        );
    }
}
