//! The relay as whoever watches over services runs it: sockets passed, readiness told (sd_listen_fds(3), sd_notify(3)).

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net;
use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use handset::relay::tftp::client::Client;

use crate::branch::block_on;
use crate::site::Site;

/// Moves three sockets to where systemd puts them, and becomes the relay.
const PASS: &str =
    "exec 3<&0 4<&1 5<&2 </dev/null >/dev/null 2>&1; LISTEN_PID=$$ exec \"$0\" \"$@\"";

/// A relay with three sockets.
struct Service {
    child: Child,
    heard: UnixDatagram,
}

impl Service {
    /// Starts it; `names` are of the sockets.
    fn start(site: &Site, sockets: [OwnedFd; 3], names: &str, place: &str) -> Self {
        let heard = match place.strip_prefix('@') {
            None => UnixDatagram::bind(place),
            Some(name) => net::SocketAddr::from_abstract_name(name)
                .and_then(|address| UnixDatagram::bind_addr(&address)),
        };
        let heard = heard.unwrap();
        heard.set_read_timeout(Some(PATIENCE)).unwrap();
        let [first, second, third] = sockets;
        let child = Command::new("sh")
            .args(["-c", PASS, env!("CARGO_BIN_EXE_handset-relay")])
            .args(["--upstream", &site.base(), "--identity", "any"])
            .env("LISTEN_FDS", "3")
            .env("LISTEN_FDNAMES", names)
            .env("NOTIFY_SOCKET", place)
            .env("WATCHDOG_USEC", "100000")
            .stdin(first)
            .stdout(Stdio::from(second))
            .stderr(Stdio::from(third))
            .spawn();
        let child = child.unwrap();
        Self { child, heard }
    }

    fn hear(&self) -> String {
        let mut text = [0; 1000];
        let length = self.heard.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    /// Asks it to end, as a service is.
    fn stop(&mut self) {
        let id = self.child.id().to_string();
        let killed = Command::new("sh")
            .args(["-c", "kill -TERM $0", &id])
            .status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tcp(address: &str) -> (SocketAddr, OwnedFd) {
    let listener = TcpListener::bind(address).unwrap();
    (listener.local_addr().unwrap(), listener.into())
}

#[test]
fn sockets_that_were_passed_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify").to_str().unwrap().to_owned();
    let name = format!("@handset-relay-{}", std::process::id());
    for (place, local) in [(path, "127.0.0.1:0"), (name, "[::]:0")] {
        let site = Site::start();
        site.put("a.cfg", "no-cache", b"0123456789");
        let udp = UdpSocket::bind(local).unwrap();
        let port = udp.local_addr().unwrap().port();
        let (http, http_socket) = tcp("127.0.0.1:0");
        let (ftp, ftp_socket) = tcp("127.0.0.1:0");
        let sockets = [udp.into(), http_socket, ftp_socket];
        let mut service = Service::start(&site, sockets, "tftp:http:ftp", &place);
        let ready = service.hear();
        assert!(
            ready.starts_with("READY=1\nSTATUS=serves tftp://")
                && ready.contains(&format!("http://{http}"))
                && ready.contains(&format!("ftp://{ftp}")),
            "{ready}"
        );
        for _ in 0..2 {
            assert_eq!(service.hear(), "WATCHDOG=1");
        }
        // Two addresses of this machine: the answer comes from the one that was asked, and stands in files.
        let tftp = SocketAddr::from(([127, 0, 0, 1], port));
        let got = block_on(Client::new(tftp).read(b"a.cfg")).unwrap();
        assert_eq!(got, b"0123456789");
        let asked = site.requests();
        let base = asked[0].header("handset-relay-base");
        assert_eq!(base, Some(format!("tftp://{tftp}").as_str()));
        let over_http = ureq::get(format!("http://{http}/a.cfg")).call().unwrap();
        let got = over_http.into_body().read_to_vec().unwrap();
        assert_eq!(got, b"0123456789");
        service.stop();
        let mut said = std::iter::from_fn(|| Some(service.hear()));
        let last = said.find(|said| said != "WATCHDOG=1");
        assert_eq!(last.as_deref(), Some("STOPPING=1"));
        assert!(service.child.wait().unwrap().success());
    }
}

/// What cannot be served is said, and nothing else is served in its place.
#[test]
fn sockets_of_other_kinds_are_refused() {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" --upstream http://127.0.0.1:1/";
    let run = |socket: OwnedFd, name: &str| {
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_handset-relay")])
            .env("LISTEN_FDNAMES", name)
            .stdin(socket)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let listener = || tcp("127.0.0.1:0").1;
    for (name, socket, expected) in [
        ("ntp", listener(), "there is no such name"),
        (
            "tftp",
            listener(),
            "the socket \"tftp\" that was passed: fd 3 is not a valid udp socket",
        ),
        (
            "http",
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            "fd 3 is not a valid tcp socket",
        ),
        #[cfg(feature = "ftp")]
        ("ftp", tcp("[::]:0").1, "BindIPv6Only=ipv6-only"),
    ] {
        let arguments = run(socket, name);
        assert!(
            arguments.0 == Some(2) && arguments.1.contains(expected),
            "{name}: {arguments:?}"
        );
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
