//! Phones that speak FTP to the relay, as clients do that nobody here wrote; by hand where a client would not.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::branch::until_kept;
use crate::programs::Program;
use crate::site::File;
use crate::site::Site;

/// A relay with a listener for FTP, and where that is.
fn relay(site: &Site, state: &Path, more: &[&str]) -> (Program, SocketAddr) {
    let state = state.to_str().unwrap();
    let common = ["--ftp", "127.0.0.1:0", "--state", state];
    let (relay, _) = Program::relay(&site.base(), &[&common, more].concat());
    let address = relay.addresses[1].strip_prefix("ftp://").unwrap();
    let address = address.parse().unwrap();
    (relay, address)
}

/// A relay that takes each phone's word.
fn trusting(site: &Site, more: &[&str]) -> (Program, SocketAddr, TempDir) {
    let state = tempfile::tempdir().unwrap();
    let (relay, address) = relay(site, state.path(), &[&["--identity", "any"], more].concat());
    (relay, address, state)
}

/// A control connection, by hand.
struct Session {
    control: BufReader<TcpStream>,
    peer: SocketAddr,
}

impl Session {
    fn open(peer: SocketAddr) -> Self {
        let stream = TcpStream::connect(peer).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let control = BufReader::new(stream);
        let mut session = Self { control, peer };
        assert_eq!(session.reply().0, 220);
        assert_eq!(session.ask("USER PlcmSpIp").0, 331);
        assert_eq!(session.ask("PASS PlcmSpIp").0, 230);
        assert_eq!(session.ask("TYPE I").0, 200);
        session
    }

    fn ask(&mut self, command: &str) -> (u16, String) {
        let line = format!("{command}\r\n");
        self.control.get_mut().write_all(line.as_bytes()).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> (u16, String) {
        loop {
            let mut line = String::new();
            self.control.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the relay hung up");
            if line.as_bytes()[3] == b' ' {
                return (line[..3].parse().unwrap(), line[4..].trim().to_owned());
            }
        }
    }

    fn passive(&mut self) -> TcpStream {
        let (code, text) = self.ask("EPSV");
        assert_eq!(code, 229, "{text}");
        let port = text.split('|').nth(3).unwrap().parse().unwrap();
        TcpStream::connect((self.peer.ip(), port)).unwrap()
    }

    /// Reads a file: what came, and the last reply.
    fn read(&mut self, name: &str) -> (Vec<u8>, u16) {
        let mut data = self.passive();
        assert_eq!(self.ask(&format!("RETR {name}")).0, 150);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        (bytes, self.reply().0)
    }

    /// Writes a file by STOR or APPE, and gives the last reply.
    fn write(&mut self, command: &str, bytes: &[u8]) -> u16 {
        let mut data = self.passive();
        assert_eq!(self.ask(command).0, 150);
        // Who refuses does not read to the end.
        let _ = data.write_all(bytes);
        drop(data);
        self.reply().0
    }
}

fn image() -> Vec<u8> {
    let mut state = 1_u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..3_000_001).map(byte).collect()
}

/// Programs, how they read and how they write; `%` is the file's address, `@` the local one.
const CLIENTS: [(&str, &[&str], &[&str]); 6] = [
    ("curl", &["-s", "%", "-o", "@"], &["-s", "-T", "@", "%"]),
    (
        "curl",
        &["-s", "--disable-epsv", "%", "-o", "@"],
        &["-s", "--disable-epsv", "-T", "@", "%"],
    ),
    (
        "curl",
        &["-s", "--disable-eprt", "-P", "-", "%", "-o", "@"],
        &["-s", "--disable-eprt", "-P", "-", "-T", "@", "%"],
    ),
    (
        "curl",
        &["-s", "-u", "PlcmSpIp:PlcmSpIp", "%", "-o", "@"],
        &["-s", "-u", "PlcmSpIp:PlcmSpIp", "-T", "@", "%"],
    ),
    (
        "lftp",
        &["-c", "set net:max-retries 1; get -e % -o @"],
        &["-c", "set net:max-retries 1; put @ -o %"],
    ),
    ("tnftp", &["-o", "@", "%"], &["-u", "%", "@"]),
];

fn run(program: &str, arguments: &[&str], url: &str, local: &Path) -> Option<Output> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        println!("skipped: {program} is not installed (`cargo xtask test native` installs it)");
        return None;
    }
    let local = local.to_str().unwrap();
    let arguments = arguments
        .iter()
        .map(|it| it.replace('%', url).replace('@', local));
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .output();
    Some(output.unwrap())
}

#[test]
fn clients() {
    let site = Site::start();
    let (_relay, at, _state) = trusting(&site, &["--ftp-active"]);
    let (image, elsewhere) = (image(), tempfile::tempdir().unwrap());
    site.put("image.ld", "no-cache", &image);
    for (number, (program, read, write)) in CLIENTS.into_iter().enumerate() {
        let local = elsewhere.path().join("local");
        let Some(done) = run(program, read, &format!("ftp://{at}/image.ld"), &local) else {
            continue;
        };
        assert!(done.status.success(), "{program} {read:?}: {done:?}");
        assert!(fs::read(&local).unwrap() == image, "{program} {read:?}");
        let name = format!("{number}-0004f2000500-app.log");
        let done = run(program, write, &format!("ftp://{at}/{name}"), &local).unwrap();
        assert!(done.status.success(), "{program} {write:?}: {done:?}");
        site.wait(|asked| asked.iter().any(|it| it.path.ends_with(&name)));
        let uploads = site.uploads();
        let same = uploads.iter().any(|(to, it)| *to == name && *it == image);
        assert!(same, "{program} {write:?}");
        fs::remove_file(local).unwrap();
    }
    let asked = site.requests();
    assert_eq!(
        asked[0].header("handset-relay-base"),
        Some(format!("ftp://{at}").as_str())
    );
    assert_eq!(
        asked[0].header("handset-relay-device"),
        Some("address=127.0.0.1")
    );
}

#[test]
fn replies() {
    let site = Site::start();
    let (_relay, at, _state) = trusting(&site, &["--spool-bytes", "9000000"]);
    site.put("a.cfg", "no-cache", b"0123456789");
    let refused = File {
        status: 403,
        ..File::default()
    };
    site.put_file("refused.cfg", refused);
    let mut session = Session::open(at);
    assert_eq!(session.ask("SIZE a.cfg"), (213, "10".to_owned()));
    assert_eq!(session.ask("SIZE none.cfg").0, 550);
    assert_eq!(session.ask("CWD /").0, 250);
    assert_eq!(session.read("a.cfg"), (b"0123456789".to_vec(), 226));
    assert_eq!(session.read("/a.cfg").1, 226);
    assert_eq!(session.ask("REST 4").0, 350);
    assert_eq!(session.read("a.cfg"), (b"456789".to_vec(), 226));
    for (name, code) in [
        ("none.cfg", 550),
        ("refused.cfg", 550),
        ("../../etc/passwd", 550),
    ] {
        assert_eq!(session.read(name), (Vec::new(), code), "{name}");
    }
    for (command, code) in [
        ("DELE a.cfg", 550),
        ("MKD directory", 550),
        ("PORT 127,0,0,1,4,1", 502),
        ("RNTO b.cfg", 450),
        ("NONE", 500),
    ] {
        assert_eq!(session.ask(command).0, code, "{command}");
    }
    let mut data = session.passive();
    assert_eq!(session.ask("LIST").0, 150);
    let mut listed = Vec::new();
    data.read_to_end(&mut listed).unwrap();
    assert_eq!((listed.len(), session.reply().0), (0, 226));
    assert_eq!(session.write("STOR ../a.log", b"x"), 553);
    let large = vec![b'x'; (8 << 20) + 1];
    assert_eq!(session.write("STOR large.log", &large), 552);
    site.set_away(true);
    assert_eq!(session.read("b.cfg").1, 450);
    assert_eq!(session.write("STOR kept.log", &large[2..]), 226);
    assert_eq!(session.write("STOR full.log", &large[2..]), 452);
}

/// An append goes on from what the server will have; where that cannot be told, it must not replace what there is.
#[test]
fn appends() {
    let site = Site::start();
    let (_relay, at, _state) = trusting(&site, &[]);
    let mut session = Session::open(at);
    assert_eq!(session.write("APPE 0004f2000500-new.log", b"first"), 226);
    site.wait(|asked| asked.iter().any(|it| it.body == b"first"));
    site.put("0004f2000500-app.log", "no-cache", b"0123456789");
    assert_eq!(session.write("APPE 0004f2000500-app.log", b"abc"), 226);
    site.wait(|asked| asked.iter().any(|it| it.body == b"abc"));
    // What is kept may be told and read while the server is away, and not written by: it may have grown there.
    site.put("kept.log", "no-cache", b"0123456789");
    assert_eq!(session.read("kept.log"), (b"0123456789".to_vec(), 226));
    site.set_away(true);
    until_kept(|| session.ask("SIZE kept.log").1 == "10");
    assert_eq!(session.write("APPE kept.log", b"de"), 450);
    assert_eq!(session.write("APPE 0004f2000500-phone.cfg", b"de"), 450);
    assert_eq!(session.ask("SIZE 0004f2000500-boot.log").0, 450);
    assert_eq!(session.write("STOR 0004f2000500-boot.log", b"boot"), 226);
    assert_eq!(session.write("APPE 0004f2000500-boot.log", b" more"), 226);
    assert_eq!(session.write("APPE 0004f2000500-boot.log", b" and"), 226);
    assert_eq!(session.ask("SIZE 0004f2000500-boot.log").1, "13");
    assert_eq!(session.read("0004f2000500-boot.log").0, b"boot more and");
    site.set_away(false);
    site.wait(|asked| asked.iter().any(|it| it.body == b" and"));
    let offset = |body: &[u8]| {
        let requests = site.requests();
        let asked = requests.iter().find(|it| it.body == body).unwrap();
        asked.header("handset-append").map(str::to_owned)
    };
    for (body, expected) in [
        ("first", None),
        ("abc", Some("10")),
        ("boot", None),
        (" more", Some("4")),
        (" and", Some("9")),
    ] {
        assert_eq!(offset(body.as_bytes()).as_deref(), expected, "{body}");
    }
    assert!(!site.requests().iter().any(|it| it.body == b"de"));
}

/// What was answered by 226 outlives the power.
#[test]
fn acknowledged_is_stored() {
    let (site, state) = (Site::start(), tempfile::tempdir().unwrap());
    site.set_away(true);
    let any = ["--identity", "any"];
    let (mut first, at) = relay(&site, state.path(), &any);
    let mut session = Session::open(at);
    assert_eq!(session.write("STOR 0004f2000500-app.log", b"kept"), 226);
    first.kill();
    let _second = relay(&site, state.path(), &any);
    site.set_away(false);
    site.wait(|asked| asked.iter().any(|it| it.body == b"kept"));
}

/// Who a phone is, its address tells, and not what it logs in with.
#[test]
fn strangers() {
    let (site, state) = (Site::start(), tempfile::tempdir().unwrap());
    let list = state.path().join("neighbours");
    fs::write(&list, "127.0.0.1 0004f2000500\n").unwrap();
    let list = ["--neighbours", list.to_str().unwrap()];
    let (_relay, at) = relay(&site, state.path(), &list);
    site.put("0004f2000500-device.cfg", "private, no-store", b"own");
    site.put("0004f2000501-device.cfg", "private, no-store", b"other");
    let mut session = Session::open(at);
    assert_eq!(
        session.read("0004f2000500-device.cfg"),
        (b"own".to_vec(), 226)
    );
    assert_eq!(session.read("0004f2000501-device.cfg"), (Vec::new(), 550));
    assert_eq!(session.ask("SIZE 0004f2000501-device.cfg").0, 550);
    assert_eq!(session.write("STOR 0004f2000501-app.log", b"x"), 553);
    assert_eq!(session.write("APPE 0004f2000501-app.log", b"x"), 553);
    assert_eq!(site.requests().len(), 1);
}

#[test]
fn passive_ports() {
    let site = Site::start();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let range = format!("{port}-{port}");
    let (_relay, at, _state) = trusting(&site, &["--ftp-passive-ports", &range]);
    let mut session = Session::open(at);
    site.put("a.cfg", "no-cache", b"0123456789");
    let (code, text) = session.ask("EPSV");
    assert!(
        code == 229 && text.contains(&format!("|||{port}|")),
        "{text}"
    );
    // While that is waited on, there is no other.
    assert_eq!(Session::open(at).ask("EPSV").0, 425);
    let mut data = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(session.ask("RETR a.cfg").0, 150);
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    assert_eq!(
        (bytes.as_slice(), session.reply().0),
        (&b"0123456789"[..], 226)
    );
    assert_eq!(session.read("a.cfg").1, 226);
}

/// Generous: a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);
