//! Simulated phones: as captured against canned answers, and whole boots against the native server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/boots.rs"]
mod boots;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use handset::boot::Arguments;
use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::store::directory::DirectoryStore;
use serde_json::Value;

use boots::boot_phone;
use boots::phone;

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
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let store = Arc::new(DirectoryStore::open(state.path(), fleet.snapshot).unwrap());
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        site: None,
        secrets: Some(boots::secret::secrets()),
        tls: None,
    };
    (
        Server::start(store, &options, Log::to(std::io::sink())).unwrap(),
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
