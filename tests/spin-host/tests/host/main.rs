//! The host and the sample: every thing that a component may count on, over real connections.
#![forbid(unsafe_code)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what a test cannot do without is a failure of the test"
)]

mod client;
mod origin;
mod running;

use client::Connection;
use origin::Origin;
use origin::object;
use running::Running;
use serde_json::json;

const MANY: usize = 60_000_000;

/// What the guest may have, whatever passes through it.
const FLAT_GUEST: u64 = 4 * 1024 * 1024;

/// What the host's memory may grow by meanwhile, in KiB.
const FLAT_HOST: u64 = 16 * 1024;

#[test]
fn an_instance_answers_128_requests() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let mut connection = Connection::open(host.address);
    for expected in (1..=128).chain([1]) {
        let answer = connection.request("GET", "/seen", Some(b""));
        assert_eq!(answer.text(), expected.to_string());
    }
    let counts = host.counts();
    assert_eq!(counts["instances"], 2);
    assert_eq!(counts["requests"], 129);
    assert!(host.end());
}

#[test]
fn an_instance_answers_16_requests_at_once() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    // One after the other: an instance takes a further request when all that it has are waiting. Of requests that come
    // together each gets an instance of its own.
    let mut waiting: Vec<_> = (0..17)
        .map(|_| {
            let mut connection = Connection::open(host.address);
            connection.send_head("GET", "/outbound/held/1", Some(0));
            origin.next();
            connection
        })
        .collect();
    assert_eq!(host.counts()["instances"], 2);
    origin.release();
    for connection in &mut waiting {
        assert_eq!(connection.head().status, 200);
    }
}

#[test]
fn an_idle_instance_ends() {
    let origin = Origin::start();
    let settings = json!({ "idle_milliseconds": 0 });
    let mut host = Running::start_with(origin.address, settings);
    assert_eq!(host.get("/seen").text(), "1");
    let ended = (0..100_000).any(|_| host.counts()["ended"] == 1);
    assert!(ended);
    assert_eq!(host.get("/seen").text(), "1");
    assert_eq!(host.counts()["traps"], 0);
}

#[test]
fn variables_and_the_host_are_read() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    assert_eq!(host.get("/variable/greeting").text(), "hello");
    assert_eq!(host.get("/variable/none").head.status, 404);
    assert_eq!(host.get("/host").text(), "Some(phones.example)");
    let mut connection = Connection::open(host.address);
    connection.send(b"GET /host HTTP/1.1\r\n\r\n");
    assert_eq!(connection.head().status, 500);
    assert_eq!(host.counts()["variables"], 2);
}

#[test]
fn values_outlive_a_killed_host() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let mut connection = Connection::open(host.address);
    for key in ["a", "b"] {
        let path = format!("/value/{key}");
        let set = connection.request("PUT", &path, Some(&[0, 159, 255]));
        assert_eq!(set.head.status, 204);
    }
    assert_eq!(
        connection
            .request("DELETE", "/value/b", Some(b""))
            .head
            .status,
        204
    );
    let set = json!({ "key_value": { "key": "c", "text": "from outside" } });
    assert_eq!(host.control(&set), json!({ "done": true }));
    let expected = json!({ "delete": 1, "open": 3, "set": 2 });
    assert_eq!(host.counts()["key_value"], expected);

    let mut host = host.restart(origin.address);
    assert_eq!(host.get("/value/a").body, [0, 159, 255]);
    assert_eq!(host.get("/value/b").head.status, 204);
    assert_eq!(host.get("/value/c").text(), "from outside");
    assert_eq!(host.counts()["key_value"], json!({ "get": 3, "open": 3 }));
}

#[test]
fn a_failing_store_is_seen_and_recovers() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    host.control(&json!({ "fail_key_value": true }));
    assert_eq!(host.get("/value/a").head.status, 503);
    host.control(&json!({ "fail_key_value": false }));
    assert_eq!(host.get("/value/a").head.status, 204);
}

#[test]
fn what_is_spawned_is_done_after_the_response() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    assert_eq!(host.get("/later/key").head.status, 202);
    let done = (0..1000).any(|_| host.get("/value/key").body == b"later");
    assert!(done);
}

#[test]
fn bodies_on_their_way_do_not_count_as_requests() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let downloads: Vec<_> = (0..40)
        .map(|_| {
            let mut download = Connection::open(host.address);
            download.send_head("GET", &format!("/stream/{MANY}"), Some(0));
            assert_eq!(download.head().status, 200);
            download
        })
        .collect();
    assert_eq!(host.get("/seen").text(), "41");
    let counts = host.counts();
    assert_eq!(counts["instances"], 1);
    assert!(counts["memory"].as_u64().unwrap() < FLAT_GUEST);
    drop(downloads);
}

/// Else phones that go away would leave connections to the store behind.
#[test]
fn a_client_that_goes_away_ends_the_request_that_was_sent_for_it() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    for way in ["outbound", "handed"] {
        let mut download = Connection::open(host.address);
        download.send_head("GET", &format!("/{way}/object/{MANY}"), Some(0));
        assert_eq!(download.head().status, 200);
        drop(download);
        assert!(!origin.next_was_taken(), "{way}");
    }
    assert_eq!(host.get("/seen").text(), "3");
}

#[test]
fn a_body_streams_out_and_others_are_answered_meanwhile() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let before = host.peak_memory();
    let mut download = Connection::open(host.address);
    download.send_head("GET", &format!("/stream/{MANY}"), Some(0));
    let head = download.head();
    assert_eq!(head.header("content-length"), Some("60000000"));
    for expected in 2..=50 {
        assert_eq!(host.get("/seen").text(), expected.to_string());
    }
    let (body, whole) = download.body(&head);
    assert!(whole);
    let mut frames = body.chunks(16 * 1024).enumerate();
    assert!(
        frames.all(|(number, frame)| frame.iter().all(|byte| usize::from(*byte) == number % 256))
    );
    assert_flat(&mut host, before);

    let head = download
        .request("HEAD", &format!("/stream/{MANY}"), Some(b""))
        .head;
    assert_eq!(head.header("content-length"), Some("60000000"));
    let path = format!("/stream/{MANY}");
    download.send_head_with("GET", &path, Some(0), "If-None-Match: \"v1\"");
    assert_eq!(download.head().status, 304);
    assert_eq!(download.request("GET", "/seen", Some(b"")).text(), "53");
    assert_eq!(host.counts()["instances"], 1);
}

#[test]
fn an_object_passes_through_with_the_headers_that_are_allowed() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let before = host.peak_memory();
    for way in ["outbound", "handed"] {
        let answer = host.get(&format!("/{way}/object/{MANY}"));
        assert_eq!(answer.head.status, 200);
        assert_eq!(
            answer.head.names(),
            ["content-length", "etag", "date"],
            "{way}"
        );
        assert_eq!(answer.head.header("content-length"), Some("60000000"));
        assert_eq!(answer.head.header("etag"), Some("\"v1\""));
        assert!(answer.body == object(MANY), "{way}");
    }
    assert_flat(&mut host, before);
    assert_eq!(host.counts()["outbound"], json!({ "GET": 2 }));
}

#[test]
fn headers_are_the_components_to_set_but_for_the_connections() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    assert_eq!(host.get("/forbidden").head.status, 500);
    let answer = host.get("/seen");
    assert_eq!(answer.head.header("content-length"), None);
    assert_eq!(answer.head.header("transfer-encoding"), Some("chunked"));
}

#[test]
fn two_objects_are_one_body() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    let answer = host.get("/joined/100000/50000");
    assert_eq!(answer.head.header("content-length"), None);
    assert!(answer.whole);
    assert!(answer.body == [object(100_000), object(50_000)].concat());
}

#[test]
fn an_upload_passes_through_with_its_length() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    let before = host.peak_memory();
    let mut connection = Connection::open(host.address);
    let answer = connection.request("PUT", "/outbound/object/0", Some(&object(MANY)));
    assert_eq!(answer.head.status, 200);
    let received = origin.next();
    let host_header = format!("host: {}", origin.address);
    let expected = [
        "content-length: 60000000",
        &host_header,
        "put /object/0 http/1.1",
    ];
    assert_eq!(received.head, expected);
    assert!(received.whole);
    let drained = connection.request("PUT", "/drain", Some(&object(MANY)));
    assert_eq!(drained.text(), "60000000");
    assert_flat(&mut host, before);
    assert_eq!(host.counts()["outbound"], json!({ "PUT": 1 }));
}

#[test]
fn an_upload_without_a_length_is_refused() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    let mut connection = Connection::open(host.address);
    let answer = connection.request("PUT", "/outbound/object/0", None);
    assert_eq!(answer.head.status, 411);
    assert!(origin.is_unasked());
}

/// Else half of an upload would be stored as if it were the whole.
#[test]
fn an_upload_that_breaks_off_breaks_off_at_the_server_too() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    let mut connection = Connection::open(host.address);
    connection.send_head("PUT", "/outbound/object/0", Some(1_000_000));
    connection.send(&object(500_000));
    drop(connection);
    assert!(!origin.next().whole);
    assert_eq!(host.get("/seen").head.status, 200);
}

#[test]
fn a_host_that_is_not_allowed_gets_no_request() {
    let origin = Origin::start();
    let mut host = Running::start_with(
        origin.address,
        json!({ "allowed_outbound_hosts": ["https://s3.example"] }),
    );
    assert_eq!(host.get("/outbound/object/1").head.status, 500);
    assert!(origin.is_unasked());
    let counts = host.counts();
    assert_eq!(counts["refused"], 1);
    assert_eq!(counts["outbound"], json!({}));
    assert_eq!(host.get("/seen").text(), "2");
}

#[test]
fn a_panic_spoils_one_request() {
    let origin = Origin::start();
    let mut host = Running::start(origin.address);
    assert_eq!(host.get("/seen").text(), "1");
    assert_eq!(host.get("/panic").head.status, 500);
    assert_eq!(host.get("/seen").text(), "1");
    let counts = host.counts();
    assert_eq!(counts["traps"], 1);
    assert_eq!(counts["failed"], 1);
    assert_eq!(counts["instances"], 2);
}

/// Whoever writes a component must know: it is not the request that ends in a panic, it is the instance.
#[test]
fn a_panic_breaks_off_what_the_instance_is_sending() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    let mut download = Connection::open(host.address);
    download.send_head("GET", &format!("/stream/{MANY}"), Some(0));
    let head = download.head();
    assert_eq!(host.get("/panic").head.status, 500);
    let (_, whole) = download.body(&head);
    assert!(!whole);
}

/// Else half of a firmware image would be taken for the whole.
#[test]
fn a_body_that_breaks_off_closes_the_connection() {
    let origin = Origin::start();
    let host = Running::start(origin.address);
    for path in [
        "/outbound/cut/1000000",
        "/handed/cut/1000000",
        "/broken/500000",
    ] {
        let answer = host.get(path);
        assert_eq!(answer.head.status, 200, "{path}");
        assert!(!answer.whole, "{path}");
        assert!(answer.body.len() <= 500_000, "{path}");
    }
    assert_eq!(host.get("/seen").text(), "4");
}

fn assert_flat(host: &mut Running, before: u64) {
    let guest = host.counts()["memory"].as_u64().unwrap();
    assert!(guest < FLAT_GUEST, "the guest had {guest} bytes");
    let grown = host.peak_memory() - before;
    assert!(grown < FLAT_HOST, "the host grew by {grown} KiB");
}
