//! The relay and the server as programs on one machine: what a TFTP phone gets is what an HTTP phone gets.

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use handset::relay::tftp::client::Client;
use handset::relay::tftp::client::ClientError;
use handset::tftp::options::Options;
use handset::tftp::packet::ErrorCode;
use handset::tftp::transfer::Outcome;

use crate::boots::secret::SECRET;
use crate::branch::block_on;

/// A program that says where it listens.
pub(crate) struct Program {
    child: Child,
    pub(crate) addresses: Vec<String>,
}

impl Program {
    /// Starts it, and reads so many lines.
    pub(crate) fn start(executable: &str, arguments: &[&str], lines: usize) -> Self {
        let mut command = Command::new(executable);
        Self::spawn(command.args(arguments).stderr(Stdio::null()), lines)
    }

    fn spawn(command: &mut Command, lines: usize) -> Self {
        let mut child = command
            .env("HANDSET_SECRET", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let addresses = (0..lines).map(|_| {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.trim().rsplit(' ').next().unwrap().to_owned()
        });
        Self {
            addresses: addresses.collect(),
            child,
        }
    }

    /// The server of a fleet, with more arguments.
    pub(crate) fn server(fleet: &Path, state: &Path, more: &[&str]) -> Self {
        Self::server_with_log(fleet, state, more, Stdio::null())
    }

    /// The same, that writes its log there.
    pub(crate) fn server_with_log(
        fleet: &Path,
        state: &Path,
        more: &[&str],
        log: impl Into<Stdio>,
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset"));
        command.arg("serve").arg(fleet).arg("--state").arg(state);
        Self::spawn(command.args(more).stderr(log), 1)
    }

    /// A relay that takes each phone's word, with more arguments.
    pub(crate) fn relay(upstream: &str, more: &[&str]) -> (Self, Client) {
        Self::relay_in(upstream, more, &[])
    }

    /// The same, with more variables.
    pub(crate) fn relay_in(
        upstream: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> (Self, Client) {
        let arguments = ["--tftp", "127.0.0.1:0", "--upstream", upstream];
        let arguments = [&arguments, more].concat();
        let others = more
            .iter()
            .filter(|it| ["--ftp", "--http", "--metrics"].contains(*it));
        let lines = 1 + others.count();
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset-relay"));
        command.args(arguments).envs(environment.iter().copied());
        let relay = Self::spawn(command.stderr(Stdio::null()), lines);
        let server = relay.tftp();
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

    /// Its number as a process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens for TFTP.
    pub(crate) fn tftp(&self) -> SocketAddr {
        let address = self.addresses[0].strip_prefix("tftp://");
        address.unwrap().parse().unwrap()
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lync() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/lync"))
}

#[test]
fn a_tftp_phone_gets_what_an_http_phone_gets() {
    let state = tempfile::tempdir().unwrap();
    let server = Program::server(lync(), state.path(), &["--listen", "127.0.0.1:0"]);
    let base = format!("{}/lync", server.addresses[0]);
    let (relay, client) = Program::relay(&base, &["--identity", "any"]);
    for name in [
        "000000000000.cfg",
        "shared.cfg",
        "0004f28062d6-lync.cfg",
        "3111-46157-002.sip.ld",
    ] {
        let over_http = ureq::get(format!("{base}/{name}"))
            .header("handset-relay", "relay")
            .header("handset-relay-base", &relay.addresses[0])
            .call()
            .unwrap();
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
fn what_is_wrong_is_said_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("neighbours");
    std::fs::write(&list, "phone\n").unwrap();
    let upstream = ["--upstream", "https://prov.example.net/"];
    let state = directory.path().to_str().unwrap();
    let with = |more: [&'static str; 2]| [upstream, more].concat();
    let list = ["--neighbours", list.to_str().unwrap()];
    let held = ["--tftp", "127.0.0.1:0", "--state", state];
    let (_relay, _) = Program::relay("http://127.0.0.1:1/", &held[2..]);
    for (arguments, remedy) in [
        (
            vec!["--upstream", "http://192.0.2.1/"],
            "only https:// may lead to another machine",
        ),
        (
            vec!["--upstream", "tftp://192.0.2.1/"],
            "give https://HOST/PATH",
        ),
        (
            with(["--identity", "some"]),
            "give own-mac, any, or networks",
        ),
        (
            with(["--upstream-ca", "/none.pem"]),
            "--upstream-ca /none.pem: no such file",
        ),
        (with(["--client-cert", "/none.pem"]), "--client-key"),
        (with(["--name", "a b"]), "give letters"),
        ([upstream, list].concat(), "line 1 is no `ADDRESS MAC`"),
        ([&upstream, &held[..]].concat(), "another relay uses it"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_handset-relay"))
            .args(&arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && text.contains(remedy),
            "{arguments:?}: {text}"
        );
    }
}
