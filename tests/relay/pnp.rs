//! Phones that ask by SIP multicast where their files are, on sockets.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use handset::relay::tftp::client::Client;
use socket2::Socket;

use crate::branch::block_on;
use crate::programs::Program;
use crate::site::Site;

/// A phone that asks.
struct Phone {
    socket: UdpSocket,
    call: &'static str,
}

impl Phone {
    fn at(address: &str, call: &'static str) -> Self {
        let socket = Socket::from(UdpSocket::bind((address, 0)).unwrap());
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.set_multicast_loop_v4(true).unwrap();
        socket.set_read_timeout(Some(REPEAT)).unwrap();
        let socket = socket.into();
        Self { socket, call }
    }

    /// Sends its question once.
    fn ask(&self, to: SocketAddr, event: &str) {
        let (own, call) = (self.socket.local_addr().unwrap(), self.call);
        let question = format!(
            "SUBSCRIBE sip:224.0.1.75:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK1\r\n\
             From: <sip:1@{own}>;tag=1\r\nTo: <sip:224.0.1.75:5060>\r\nCall-ID: {call}\r\nCSeq: 1 SUBSCRIBE\r\n\
             Expires: 0\r\nEvent: ua-profile;profile-type=\"application\"{event}\r\nAccept: application/url\r\n\
             Contact: <sip:1@{own}>\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(question.as_bytes(), to).unwrap();
    }

    fn hear(&self) -> io::Result<(String, SocketAddr)> {
        let mut text = [0; 4000];
        let (length, from) = self.socket.recv_from(&mut text)?;
        let text = String::from_utf8(text[..length].to_vec()).unwrap();
        assert!(
            text.contains(&format!("\r\nCall-ID: {}\r\n", self.call)),
            "{text}"
        );
        Ok((text, from))
    }

    /// Asks until it hears what it needs, as phones do; where its files are.
    fn learn(&self, to: SocketAddr, event: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.ask(to, event);
            let Ok((accepted, _)) = self.hear() else {
                continue;
            };
            assert!(accepted.starts_with("SIP/2.0 200 OK\r\n"), "{accepted}");
            let (notified, _) = self.hear().unwrap();
            let own = self.socket.local_addr().unwrap();
            let begins = format!("NOTIFY sip:1@{own} SIP/2.0\r\n");
            assert!(notified.starts_with(&begins), "{notified}");
            assert!(notified.contains("\r\nContent-Type: application/url\r\n"));
            let (_, url) = notified.split_once("\r\n\r\n").unwrap();
            return url.to_owned();
        }
        panic!("no answer");
    }
}

/// The relay, where it listens for SIP and TFTP.
fn relay(site: &Site, more: &[&str], lines: usize) -> (Program, SocketAddr) {
    let base = site.base();
    let arguments = [
        "--upstream",
        &base,
        "--tftp",
        "127.0.0.1:0",
        "--identity",
        "any",
        "--sip-pnp=0.0.0.0:0",
    ];
    let arguments = [&arguments, more].concat();
    let relay = Program::start(env!("CARGO_BIN_EXE_handset-relay"), &arguments, lines);
    let sip = relay
        .addresses
        .iter()
        .find_map(|it| it.strip_prefix("sip://"));
    let sip: SocketAddr = sip.unwrap().parse().unwrap();
    (relay, SocketAddr::from(([127, 0, 0, 1], sip.port())))
}

#[test]
fn a_phone_learns_where_its_files_are() {
    let site = Site::start();
    site.put("440HD.img", "no-cache", b"0123456789");
    let (relay, sip) = relay(&site, &[], 2);
    let group = SocketAddr::from(([224, 0, 1, 75], sip.port()));
    for to in [group, sip] {
        let url = Phone::at("127.0.0.1", "a").learn(to, ";model=\"440HD\"");
        assert_eq!(url, relay.addresses[0]);
        let tftp = url.strip_prefix("tftp://").unwrap().parse().unwrap();
        let got = block_on(Client::new(tftp).read(b"440HD.img")).unwrap();
        assert_eq!(got, b"0123456789");
    }
}

#[test]
fn what_is_told_is_a_setting_and_the_vendors() {
    let site = Site::start();
    let phone = Phone::at("127.0.0.1", "a");
    let (panasonic, audiocodes) = (";vendor=\"Panasonic\"", ";model=\"420HD\"");
    let (told, sip) = relay(&site, &["--http", "0.0.0.0:0"], 3);
    let port = told.addresses[1].rsplit(':').next().unwrap();
    assert_eq!(
        phone.learn(sip, panasonic),
        format!("http://127.0.0.1:{port}/{{MODEL}}.cfg")
    );
    drop(told);
    let url = "https://prov.example.net/hq/k/";
    let (_told, sip) = relay(&site, &["--sip-pnp-url", url], 2);
    assert_eq!(
        phone.learn(sip, audiocodes),
        "https://prov.example.net/hq/k"
    );
    assert_eq!(
        phone.learn(sip, panasonic),
        "https://prov.example.net/hq/k/{MODEL}.cfg"
    );
}

/// One answer a question, to who asked, no more often than phones ask, and nothing for others' phones.
#[test]
fn nobody_is_flooded() {
    let site = Site::start();
    let (_relay, sip) = relay(&site, &[], 2);
    let (busy, other) = (Phone::at("127.0.0.1", "a"), Phone::at("127.0.0.2", "b"));
    busy.ask(sip, ";vendor=\"OEM\";model=\"OEM\"");
    busy.socket.send_to(b"SIP/2.0 200 OK\r\n\r\n", sip).unwrap();
    for _ in 0..30 {
        busy.ask(sip, ";model=\"440HD\"");
    }
    // Whoever asks last is answered last.
    other.learn(sip, ";model=\"440HD\"");
    busy.socket.set_nonblocking(true).unwrap();
    let heard: Vec<(String, SocketAddr)> = std::iter::from_fn(|| busy.hear().ok()).collect();
    assert_eq!(
        heard.len(),
        12,
        "six of the eight that are read are questions that get two datagrams"
    );
    assert!(heard.iter().all(|(_, from)| *from == sip));
}

#[test]
fn there_has_to_be_something_to_tell() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_handset-relay"))
        .args([
            "--upstream",
            "http://127.0.0.1:1/",
            "--tftp",
            "none",
            "--sip-pnp=127.0.0.1:0",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("nothing that phones could be told"),
        "{text}"
    );
}

/// How long a phone waits before it asks again.
const REPEAT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);
