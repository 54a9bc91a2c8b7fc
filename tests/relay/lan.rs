//! Phones that speak plain HTTP to the relay.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::branch::until_kept;
use crate::programs::Program;
use crate::site::File;
use crate::site::Site;

/// A relay with a listener for HTTP, and where that is.
fn relay(site: &Site) -> (Program, SocketAddr, TempDir) {
    let state = tempfile::tempdir().unwrap();
    let more = [
        "--http",
        "127.0.0.1:0",
        "--identity",
        "any",
        "--state",
        state.path().to_str().unwrap(),
    ];
    let (relay, _) = Program::relay(&site.base(), &more);
    let address = relay.addresses[1].strip_prefix("http://").unwrap();
    let address = address.parse().unwrap();
    (relay, address, state)
}

/// A request and what is answered: status, some headers, body.
fn ask(
    at: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, http::HeaderMap, Vec<u8>) {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .build()
        .new_agent();
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("http://{at}/{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = if body.is_empty() {
        agent.run(request.body(()).unwrap())
    } else {
        agent.run(request.body(body).unwrap())
    };
    let (head, body) = response.unwrap().into_parts();
    let bytes = body.into_with_config().read_to_vec().unwrap();
    (head.status.as_u16(), head.headers, bytes)
}

#[test]
fn files() {
    let site = Site::start();
    let (_relay, at, _state) = relay(&site);
    site.put("a.cfg", "no-cache", b"0123456789");
    let (status, headers, body) = ask(at, "GET", "a.cfg", &[], b"");
    assert_eq!((status, body.as_slice()), (200, &b"0123456789"[..]));
    assert_eq!(headers["content-length"], "10");
    assert_eq!(headers["cache-control"], "no-cache");
    let etag = headers["etag"].to_str().unwrap().to_owned();
    for (method, headers, status, expected) in [
        ("GET", ("range", "bytes=2-4"), 206, "234"),
        ("GET", ("range", "bytes=20-"), 416, ""),
        ("GET", ("if-none-match", etag.as_str()), 304, ""),
        ("GET", ("if-none-match", "\"other\""), 200, "0123456789"),
        ("HEAD", ("accept", "*/*"), 200, ""),
        ("DELETE", ("accept", "*/*"), 405, "method not allowed\n"),
    ] {
        let (said, head, body) = ask(at, method, "a.cfg", &[headers], b"");
        assert_eq!(
            (said, String::from_utf8(body).unwrap().as_str()),
            (status, expected),
            "{method} {headers:?}"
        );
        if method == "HEAD" {
            assert_eq!(head["content-length"], "10");
        }
    }
    // What is not in the cache yet goes on as it is.
    site.put("b.cfg", "no-cache", b"0123456789");
    let (status, headers, body) = ask(at, "GET", "b.cfg", &[("range", "bytes=3-5")], b"");
    assert_eq!((status, body.as_slice()), (206, &b"345"[..]));
    assert_eq!(headers["content-range"], "bytes 3-5/10");
    assert_eq!(ask(at, "GET", "none.cfg", &[], b"").0, 404);
    assert_eq!(ask(at, "GET", "..%2f..%2fetc%2fpasswd", &[], b"").0, 404);
    site.set_away(true);
    until_kept(|| ask(at, "GET", "a.cfg", &[("range", "bytes=0-0")], b"").0 == 206);
    assert_eq!(ask(at, "HEAD", "a.cfg", &[], b"").0, 200);
    let (status, headers, _) = ask(at, "GET", "c.cfg", &[], b"");
    assert_eq!(
        (status, headers["retry-after"].to_str().unwrap()),
        (503, "30")
    );
}

/// The phone's credential and name go on; what only a relay or a proxy may say does not.
#[test]
fn headers() {
    let site = Site::start();
    let (relay, at, _state) = relay(&site);
    let challenge = File {
        bytes: b"who?\n".to_vec(),
        status: 401,
        headers: "WWW-Authenticate: Digest realm=\"handset\", nonce=\"1\"\r\nKeep-Alive: timeout=5\r\nX-Kept: yes\r\n",
        ..File::default()
    };
    site.put_file("a.cfg", challenge);
    let elsewhere = File {
        status: 302,
        headers: "Location: https://elsewhere.example/image\r\n",
        ..File::default()
    };
    site.put_file("b.ld", elsewhere);
    let sent = [
        ("authorization", "Basic eDp5"),
        ("user-agent", "FileTransport PolycomVVX-VVX_500-UA/5.9.7"),
        ("handset-relay-device", "mac=0004f2000501"),
        ("handset-append", "3"),
        ("x-forwarded-for", "198.51.100.1"),
        ("accept-encoding", "gzip"),
        ("proxy-authorization", "Basic eDp5"),
    ];
    let (status, headers, body) = ask(at, "GET", "a.cfg?mac=0004f2000500", &sent, b"");
    assert_eq!(status, 404, "the table has no queries");
    drop((headers, body));
    let (status, headers, body) = ask(at, "GET", "a.cfg", &sent, b"");
    assert_eq!((status, body.as_slice()), (401, &b"who?\n"[..]));
    assert!(
        headers["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Digest")
    );
    assert!(headers.contains_key("x-kept") && !headers.contains_key("keep-alive"));
    let requests = site.requests();
    assert_eq!(requests[0].path, "/site/key/a.cfg?mac=0004f2000500");
    assert!(
        requests[0]
            .header("handset-relay-device")
            .unwrap()
            .starts_with("mac=0004f2000500, by=name")
    );
    let asked = &requests[1];
    assert_eq!(asked.header("authorization"), Some("Basic eDp5"));
    assert!(asked.header("user-agent").unwrap().contains("VVX_500"));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(
        asked.header("handset-relay-device"),
        Some("address=127.0.0.1")
    );
    assert_eq!(
        asked.header("handset-relay-base"),
        Some(relay.addresses[1].as_str())
    );
    for name in ["handset-append", "x-forwarded-for", "proxy-authorization"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let (status, headers, _) = ask(at, "GET", "b.ld", &[], b"");
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (302, "https://elsewhere.example/image")
    );
}

#[test]
fn uploads() {
    let site = Site::start();
    let (_relay, at, state) = relay(&site);
    for (method, name) in [
        ("PUT", "0004f2000500-app.log"),
        ("POST", "0004f2000500-web.cfg"),
    ] {
        let kind = [("content-type", "text/plain")];
        assert_eq!(ask(at, method, name, &kind, b"bytes").0, 200);
    }
    site.wait(|requests| requests.len() == 2);
    let requests = site.requests();
    for asked in &requests {
        assert_eq!(
            (asked.header("content-type"), asked.body.as_slice()),
            (Some("text/plain"), &b"bytes"[..])
        );
    }
    // With a credential, the phone hears the server itself; without the server, the relay.
    let credential = [("authorization", "Basic c2VjcmV0OnNlY3JldA==")];
    site.refuse("0004f2000500-own.log", 401);
    assert_eq!(
        ask(at, "PUT", "0004f2000500-own.log", &credential, b"x").0,
        401
    );
    site.set_away(true);
    assert_eq!(
        ask(at, "PUT", "0004f2000500-late.log", &credential, b"late").0,
        200
    );
    let waiting = crate::branch::files(&state.path().join("spool"));
    for path in &waiting {
        let text = fs::read(path).unwrap();
        assert!(
            !text.windows(12).any(|it| it == b"c2VjcmV0OnNl"),
            "a credential is on the disk"
        );
    }
    site.set_away(false);
    site.wait(|requests| requests.iter().any(|it| it.body == b"late"));
    let large = vec![b'x'; (8 << 20) + 1];
    assert_eq!(ask(at, "PUT", "0004f2000500-large.log", &[], &large).0, 413);
}
