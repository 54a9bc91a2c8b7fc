//! Simulated phones: as captured against canned answers, and whole boots against the native server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/boots.rs"]
mod boots;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use handset::boot::Arguments;
use handset::boot::Scheme;
use handset::enrolment::Enrolment;
use handset::enrolment::Window;
use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::store::Records;
use handset::store::directory::DirectoryStore;
use serde_json::Value;

use authority::Authority;
use boots::OFFICE;
use boots::boot_phone;
use boots::phone;
use boots::secret::with_keys;

fn requests(report: &Value) -> Vec<String> {
    let rows = report["requests"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["method"].as_str().unwrap(),
                row["path"].as_str().unwrap(),
                row["status"]
            )
        })
        .collect()
}

/// A server of a fleet directory of `fixtures/`, with a state directory of its own.
fn serve(name: &str) -> (Server, tempfile::TempDir) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    let options = ServeOptions {
        secrets: Some(boots::secret::secrets()),
        ..ServeOptions::default()
    };
    serve_with(&directory, &options)
}

fn serve_with(directory: &Path, options: &ServeOptions) -> (Server, tempfile::TempDir) {
    let fleet = fleet::compile(directory, &mut Hashes::default()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(DirectoryStore::open(state.path(), fleet.snapshot).unwrap());
    (
        Server::start(store, options, Log::to(std::io::sink())).unwrap(),
        state,
    )
}

/// Answers each request from a table of path, status and body, everything else with 404; gives its address.
fn canned(rows: &'static [(&'static str, u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut first = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                if first.is_empty() {
                    first = line;
                }
            }
            std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).unwrap();
            let path = first.split(' ').nth(1).unwrap_or_default();
            let row = rows.iter().find(|(name, ..)| *name == path);
            let (status, body) =
                row.map_or((404, "not found\n"), |(_, status, body)| (*status, *body));
            let head = format!(
                "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let body = if first.starts_with("HEAD") { "" } else { body };
            // A phone that only reads the header of an image closes early.
            let _ = stream.get_mut().write_all((head + body).as_bytes());
        }
    });
    format!("http://{address}")
}

/// Vendors.md 1.1, SoundPoint IP 550, UCS 4.0.15: no master of its own, `-user.cfg` from the master.
#[test]
fn soundpoint_as_captured() {
    let url = canned(&[
        (
            "/000000000000.cfg",
            200,
            "<APPLICATION APP_FILE_PATH=\"\" CONFIG_FILES=\"[PHONE_MAC_ADDRESS]-user.cfg\"/>",
        ),
        ("/0004f2123456-user.cfg", 200, "<a b=\"1\"/>"),
        ("/0004f2123456-app.log", 201, ""),
    ]);
    let (good, report) = boot_phone(&phone("SoundPoint IP 550", "0004f2123456", url));
    assert!(good, "{report:#}");
    let captured = [
        "GET /0004f2123456.cfg 404",
        "GET /000000000000.cfg 200",
        "GET /0004f2123456-user.cfg 200",
        "GET /0004f2123456-phone.cfg 404",
        "GET /0004f2123456-web.cfg 404",
        "GET /000000000000-license.cfg 404",
        "PUT /0004f2123456-app.log 201",
    ];
    assert_in_order(&requests(&report), &captured);
}

/// Vendors.md 1.1, VVX 500, UCS 5.9.7: the part number stands in APP_FILE_PATH already.
#[test]
fn vvx_as_captured() {
    let url = canned(&[
        ("/0004f2123456-boot.log", 200, ""),
        (
            "/0004f2123456.cfg",
            200,
            "<APPLICATION APP_FILE_PATH=\"3111-44500-001.sip.ld\" CONFIG_FILES=\"\"/>",
        ),
        (
            "/3111-44500-001.3111-44500-001.sip.ld",
            200,
            "X version=4.1.3.7864\n",
        ),
        ("/0004f2123456-calls.xml", 200, "<calls/>"),
        ("/0004f2123456-app.log", 200, ""),
    ]);
    let (good, report) = boot_phone(&phone("VVX 500", "0004f2123456", url));
    assert!(good, "{report:#}");
    let captured = [
        "PUT /0004f2123456-boot.log 200",
        "GET /0004f2123456.cfg 200",
        "GET /3111-44500-001.3111-44500-001.sip.ld 200",
        "GET /0004f2123456-phone.cfg 404",
        "GET /0004f2123456-web.cfg 404",
        "GET /000000000000-license.cfg 404",
        "GET /0004f2123456-license.cfg 404",
        "GET /0004f2123456-calls.xml 200",
        "GET /0004f2123456-directory.xml 404",
        "GET /000000000000-directory.xml 404",
        "HEAD /0004f2123456-app.log 200",
    ];
    assert_in_order(&requests(&report), &captured);
}

/// Vendors.md 2.1: the image by its header, then the configuration; names from the option string.
#[test]
fn audiocodes_as_captured() {
    let url = canned(&[
        ("/420HD.img", 200, "X version=2.0.0_build_15\n"),
        ("/abc.img", 200, "X version=2.0.0_build_15\n"),
        (
            "/00908f3bbcba.cfg",
            200,
            "system/type=420HD\nvoip/line/0/id=1\n",
        ),
        ("/420HD_00908f3bbcba_conf.cfg", 200, "system/type=420HD\n"),
        ("/efg.cfg", 200, "system/type=440HD\n"),
    ]);
    for (more, names, good) in [
        (
            "",
            ["GET /420HD.img 200", "GET /00908f3bbcba.cfg 200"],
            true,
        ),
        (
            "/abc.img;efg.cfg",
            ["GET /abc.img 200", "GET /efg.cfg 200"],
            false,
        ),
        (
            "/;<MODEL>_<MAC>_conf.cfg",
            ["GET /420HD.img 200", "GET /420HD_00908f3bbcba_conf.cfg 200"],
            true,
        ),
    ] {
        let (runs, report) = boot_phone(&phone("420HD", "00908f3bbcba", format!("{url}{more}")));
        assert_eq!(
            (requests(&report), runs),
            (names.map(str::to_owned).to_vec(), good),
            "{report:#}"
        );
    }
}

fn assert_in_order(requests: &[String], captured: &[&str]) {
    let mut rest = requests.iter();
    for wanted in captured {
        assert!(
            rest.any(|request| request == wanted),
            "{wanted} is missing from {requests:#?}"
        );
    }
}

/// What a phone would suffer is said, and a failing server is never taken for a missing file.
#[test]
fn what_phones_suffer() {
    for (model, rows, finding) in [
        (
            "VVX 400",
            &[("/0004f2123456.cfg", 503, "")][..],
            "keeps its last good configuration",
        ),
        ("VVX 400", &[], "there is no master file"),
        (
            "VVX 400",
            &[("/000000000000.cfg", 200, "<html>")],
            "cannot be read",
        ),
        (
            "VVX 400",
            &[(
                "/000000000000.cfg",
                200,
                "<APPLICATION CONFIG_FILES=\"a.cfg\"/>",
            )],
            "a.cfg is missing",
        ),
        (
            "VVX 400",
            &[
                (
                    "/000000000000.cfg",
                    200,
                    "<APPLICATION CONFIG_FILES=\"a.cfg\"/>",
                ),
                ("/a.cfg", 200, "<a b=”1”/>"),
            ],
            "a.cfg cannot be read",
        ),
        (
            "420HD",
            &[("/0004f2123456.cfg", 200, "system/type=430HD\n")],
            "is for a 430HD",
        ),
        (
            "420HD",
            &[("/0004f2123456.cfg", 200, "system/typ\n")],
            "line 1",
        ),
        (
            "KX-UT136",
            &[("/KX-UT136.cfg", 200, "# Panasonic\r\n\r\n")],
            "first line",
        ),
        (
            "KX-UTG200",
            &[("/KX-UTG200.cfg", 200, "<PANASIPPhoneConfig>")],
            "cannot be read",
        ),
    ] {
        let (good, report) = boot_phone(&phone(model, "0004f2123456", canned(rows)));
        assert!(
            !good && report["findings"].to_string().contains(finding),
            "{model}: {finding}: {report:#}"
        );
    }
}

#[test]
fn the_article() {
    boots::the_article(serve("lync").0.address());
}

/// A change made on the phone is kept by the server and wins after a factory reset.
#[test]
fn overrides_survive_a_reset() {
    let (server, _state) = serve("lync");
    let flash = tempfile::tempdir().unwrap();
    let mut arguments = phone("VVX 400", "0004f28062d6", format!("{}/lync/", server.url()));
    arguments.state = Some(flash.path().join("flash"));
    arguments.set = vec!["np.normal.ringing.calls.tonePattern=ringer10".to_owned()];
    boot_phone(&arguments);
    arguments.set.clear();
    arguments.factory_reset = true;
    let (good, report) = boot_phone(&arguments);
    assert!(good);
    assert_eq!(
        report["parameters"]["np.normal.ringing.calls.tonePattern"],
        "ringer10"
    );
    let again = Arguments {
        url: None,
        factory_reset: false,
        compare: true,
        ..arguments
    };
    assert_eq!(boot_phone(&again).1["identical"], true);
}

#[test]
fn the_office() {
    boots::the_office(serve("office").0.address());
}

/// A store over the same state directory, as another process has it.
fn beside(name: &str, state: &Path) -> DirectoryStore {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    DirectoryStore::open(state, fleet.snapshot).unwrap()
}

fn set_enrolment(store: &DirectoryStore, site: &str, mac: &str, enrolment: Enrolment) {
    let mac = mac.parse().unwrap();
    let (mut record, revision) = wait(store.device(site, mac)).unwrap().unwrap();
    record.state.enrolment = enrolment;
    assert!(wait(store.update_device(site, mac, &revision, &record)).unwrap());
}

fn enrolment(store: &DirectoryStore, site: &str, mac: &str) -> Enrolment {
    let device = wait(store.device(site, mac.parse().unwrap()));
    device.unwrap().unwrap().0.state.enrolment
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// A window that is over at some time, in milliseconds since 1970.
fn window(until: u64) -> Enrolment {
    Enrolment::Enrolling(Window {
        until: Some(until),
        binds: true,
        ..Window::default()
    })
}

/// The models of the office whose makers say how they are handed an address: model, address and site.
const HANDED: [(&str, &str, &str); 9] = [
    ("VVX 500", "0004f2000500", "hq"),
    ("VVX 450", "64167f000450", "hq"),
    ("SoundPoint IP 331", "0004f2000331", "hq"),
    ("420HD", "00908f000420", "hq"),
    ("440HD", "00908f000440", "hq"),
    ("KX-UT136", "0080f0000136", "hq"),
    ("KX-UT113", "0080f0000113", "branch"),
    ("420HD", "00908f000421", "branch"),
    ("VVX 500", "0004f2000501", "branch"),
];

/// A phone that DHCP gives its site's address.
fn new_phone(server: &Server, flash: &Path, (model, mac, site): (&str, &str, &str)) -> Arguments {
    let url = with_keys(&format!("http://prov.example.net/{site}/~/"));
    let mut arguments = phone(model, mac, url);
    arguments.resolve = vec![format!("prov.example.net={}", server.address())];
    arguments.state = Some(flash.join("flash"));
    arguments
}

/// DHCP says the same all the time.
#[test]
fn a_phone_that_was_reset_enrols_in_its_window_and_comes_up_for_good() {
    let (server, state) = serve("office");
    let store = beside("office", state.path());
    for handed in HANDED {
        let (model, mac, site) = handed;
        let flash = tempfile::tempdir().unwrap();
        let dhcp = new_phone(&server, flash.path(), handed);
        assert!(!boot_phone(&dhcp).0, "{model} came up without a window");
        set_enrolment(&store, site, mac, window(u64::MAX));
        let reset = Arguments {
            factory_reset: true,
            ..dhcp.clone()
        };
        let (good, report) = boot_phone(&reset);
        assert!(good, "{model}: {report:#}");
        if matches!(enrolment(&store, site, mac), Enrolment::Enrolling(_)) {
            set_enrolment(&store, site, mac, window(1));
        }
        for boot in 1..=3 {
            let (good, report) = boot_phone(&dhcp);
            assert!(good, "{model}, boot {boot}: {report:#}");
        }
        let enrolled = enrolment(&store, site, mac);
        assert!(
            matches!(enrolled, Enrolment::Enrolled { .. }),
            "{model}: {enrolled:?}"
        );
        assert!(!boot_phone(&reset).0, "{model}: the window is over");
    }
}

/// Whatever the phone had not written down is lost, and whatever the server had is not.
#[test]
fn a_power_cut_while_a_phone_enrols_does_no_harm() {
    let (server, state) = serve("office");
    let store = beside("office", state.path());
    // One of each kind.
    for handed in [HANDED[0], HANDED[2], HANDED[3], HANDED[5], HANDED[7]] {
        let (model, mac, site) = handed;
        for cut in 1.. {
            set_enrolment(&store, site, mac, window(u64::MAX));
            let flash = tempfile::tempdir().unwrap();
            let dhcp = new_phone(&server, flash.path(), handed);
            let (whole, report) = boot_phone(&Arguments {
                power_cut: Some(cut),
                ..dhcp.clone()
            });
            let (good, again) = boot_phone(&dhcp);
            assert!(
                good,
                "{model}, cut after request {cut}: {report:#}, then {again:#}"
            );
            if whole {
                break;
            }
        }
    }
}

/// How a phone shows who it is.
#[derive(Clone, Copy, Debug)]
enum Credential {
    Certificate,
    Key,
    Password(Option<Scheme>),
}

/// Every phone of the office from its factory to rest, over TLS from a server that asks for passwords: images are
/// fetched and burned on the way. And none of them without a credential.
#[test]
fn the_office_by_every_credential() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = directory.path().join("office");
    strict_office(&fleet);
    let authority = Authority::new("phones");
    let file = |name: &str| directory.path().join(name);
    fs::write(file("ca.pem"), &authority.pem).unwrap();
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let options = ServeOptions {
        secrets: Some(boots::secret::secrets()),
        tls: Some((tls.join("cert.pem"), tls.join("key.pem"))),
        client_authorities: Some(file("ca.pem")),
        ..ServeOptions::default()
    };
    let (server, _state) = serve_with(&fleet, &options);
    for (model, mac, site, firmware) in OFFICE {
        let (certificate, key) = authority.sign(mac, 2049);
        fs::write(file("phone.pem"), certificate.pem()).unwrap();
        fs::write(file("phone.key"), key.serialize_pem()).unwrap();
        let keyed = with_keys(&format!("https://prov.example.net/{site}/~{mac}/"));
        let bare = Arguments {
            resolve: vec![format!("prov.example.net={}", server.address())],
            ca: Some(tls.join("cert.pem")),
            ..phone(model, mac, format!("https://prov.example.net/{site}/"))
        };
        assert!(!boot_phone(&bare).0, "{model} without a credential");
        for credential in [
            Credential::Key,
            Credential::Password(None),
            Credential::Password(Some(Scheme::Basic)),
            Credential::Password(Some(Scheme::DigestMd5)),
            Credential::Password(Some(Scheme::DigestSha256)),
            Credential::Certificate,
        ] {
            let bare = bare.clone();
            let arguments = match credential {
                Credential::Certificate => Arguments {
                    cert: Some(file("phone.pem")),
                    key: Some(file("phone.key")),
                    ..bare
                },
                Credential::Key => Arguments {
                    url: Some(keyed.clone()),
                    ..bare
                },
                Credential::Password(auth) => Arguments {
                    user: Some((*mac).to_owned()),
                    password: keyed.split('/').nth(4).map(str::to_owned),
                    auth,
                    ..bare
                },
            };
            let (good, report) = boot_phone(&arguments);
            assert!(good, "{model} {mac} {credential:?}: {report:#}");
            assert_eq!(report["firmware"], *firmware, "{model} {credential:?}");
        }
    }
}

/// The office as it would be in earnest: TLS only, certificates count, and who may not is asked for a password.
fn strict_office(fleet: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/office");
    tree::copy(&fixture, fleet, &["state"]);
    for (file, old, new) in [
        (
            "handset.toml",
            "[settings]",
            "refusal = \"challenge\"\n\n[settings]",
        ),
        ("sites/hq.toml", "plain_http", "client_certificates"),
        ("sites/hq.toml", "http://", "https://"),
        ("sites/branch.toml", "plain_http", "client_certificates"),
        ("sites/branch.toml", "http://", "https://"),
    ] {
        let text = fs::read_to_string(fleet.join(file)).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(fleet.join(file), text.replacen(old, new, 1)).unwrap();
    }
}
