//! What the S3 store does when the service is not as it should be, and what it makes of its address.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/client.rs"]
mod client;
#[path = "support/deployment.rs"]
mod deployment;
#[path = "support/scripted.rs"]
mod scripted;

use std::future::poll_fn;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::pin::Pin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use handset::device::DeviceRecord;
use handset::fleet::entries;
use handset::fleet::fill::fill;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::platform::native::s3;
use handset::platform::native::s3::HttpWire;
use handset::store::Records;
use handset::store::Revision;
use handset::store::StoreError;
use handset::store::StoreErrorKind;
use handset::store::directory::Upload;
use handset::store::keyed::Condition;
use handset::store::keyed::Objects;
use handset::store::s3::S3;
use http_body::Body;

use bucket::Conditions;
use bucket::SECRET;
use bucket::Service;
use bucket::block_on;
use bucket::credentials;
use client::secret::secrets;
use deployment::SITE;
use deployment::VVX;
use scripted::Scripted;
use scripted::answer;
use scripted::error;

type Bucket = S3<HttpWire>;

/// A bucket of whatever listens at an endpoint.
fn bucket_at(endpoint: &str, secret: &str, token: &str) -> Bucket {
    let address = format!("s3://{}?{endpoint}", bucket::BUCKET);
    let wire = HttpWire::new().unwrap();
    S3::new(address.parse().unwrap(), credentials(secret, token), wire)
}

fn scripted_bucket(answers: Vec<String>) -> (Bucket, Scripted) {
    let server = Scripted::start(answers);
    let endpoint = format!("endpoint=http://{}", server.address);
    (bucket_at(&endpoint, SECRET, ""), server)
}

/// Of a service that is well.
fn bucket_of(service: &Service) -> Bucket {
    let endpoint = format!("endpoint=http://{}", service.address);
    bucket_at(&endpoint, SECRET, "")
}

fn read(bucket: &Bucket, key: &str) -> Result<Option<String>, StoreError> {
    let found = block_on(Objects::read(&bucket, key))?;
    Ok(found.map(|(bytes, _)| String::from_utf8(bytes).unwrap()))
}

fn write(bucket: &Bucket, key: &str, text: &str, condition: Condition<'_>) -> bool {
    block_on(Objects::write(&bucket, key, text.into(), condition)).unwrap()
}

/// A bucket of a service that has little time.
fn impatient(listener: &TcpListener) -> Bucket {
    let endpoint = listener.local_addr().unwrap();
    let address = format!("s3://{}?endpoint=http://{endpoint}", bucket::BUCKET);
    let wire = HttpWire::new()
        .unwrap()
        .with_patience(Duration::from_millis(50));
    S3::new(address.parse().unwrap(), credentials(SECRET, ""), wire)
}

/// What comes of a body, and how it ends.
async fn to_the_end(mut body: s3::Body) -> (Vec<u8>, Option<StoreError>) {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

/// All that the log would say.
fn said(error: &StoreError) -> String {
    format!("{error}: {}", error.source.as_ref().unwrap())
}

#[test]
fn a_wrong_secret_is_denied_and_the_error_says_so() {
    let service = Service::start();
    let endpoint = format!("endpoint=http://{}", service.address);
    let bucket = bucket_at(&endpoint, "another secret", "");
    let error = read(&bucket, "deployment").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
    let text = said(&error);
    assert!(text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
    assert!(!text.contains("another secret"), "{text}");
}

#[test]
fn what_s3_denies_names_what_to_change() {
    let cases = [
        ("403 Forbidden", "AccessDenied", "s3:GetObject"),
        ("403 Forbidden", "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("400 Bad Request", "ExpiredToken", "AWS_SESSION_TOKEN"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
        ("301 Moved Permanently", "PermanentRedirect", "region="),
        ("404 Not Found", "NoSuchBucket", "no such bucket"),
    ];
    for (status, code, expected) in cases {
        let (bucket, server) = scripted_bucket(vec![error(status, code)]);
        let error = read(&bucket, "deployment").unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Down, "{code}");
        assert!(said(&error).contains(expected), "{}", said(&error));
        server.requests();
    }
}

#[test]
fn a_404_that_is_not_of_s3_is_an_error() {
    let (bucket, _server) = scripted_bucket(vec![answer("404 Not Found", "", "<html>")]);
    let error = read(&bucket, "deployment").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
}

#[test]
fn a_service_that_is_gone_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("endpoint=http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = read(&bucket_at(&endpoint, SECRET, ""), "deployment").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
    assert!(said(&error).contains("no answer"), "{}", said(&error));
}

#[test]
fn an_overloaded_service_is_asked_again() {
    let slow = || error("503 Service Unavailable", "SlowDown");
    let found = answer("200 OK", "ETag: \"1\"\r\n", "found");
    let (bucket, server) = scripted_bucket(vec![slow(), slow(), found]);
    assert_eq!(read(&bucket, "deployment").unwrap().unwrap(), "found");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_body_of_a_device_is_not_sent_again() {
    let (bucket, server) = scripted_bucket(vec![error("503 Service Unavailable", "SlowDown")]);
    let body = b"abc".to_vec().into();
    let error = block_on(Objects::put(&&bucket, "uploads/x", body, 3)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_write_whose_answer_was_lost_has_taken_place() {
    let ours = answer("200 OK", "ETag: \"2\"\r\n", "ours");
    let answers = vec![
        String::new(),
        error("412 Precondition Failed", "PreconditionFailed"),
        ours,
    ];
    let (bucket, server) = scripted_bucket(answers);
    assert!(write(&bucket, "device/x", "ours", Condition::Absent));
    server.requests();
}

#[test]
fn a_write_that_another_was_faster_with_has_not_taken_place() {
    let theirs = answer("200 OK", "ETag: \"2\"\r\n", "theirs");
    let answers = vec![
        String::new(),
        error("409 Conflict", "ConditionalRequestConflict"),
        theirs,
    ];
    let (bucket, server) = scripted_bucket(answers);
    assert!(!write(&bucket, "device/x", "ours", Condition::Absent));
    server.requests();
}

#[test]
fn a_write_at_another_revision_does_not_take_place() {
    let revision = Revision("\"1\"".to_owned());
    let cases = [
        ("412 Precondition Failed", "PreconditionFailed"),
        ("409 Conflict", "ConditionalRequestConflict"),
        ("404 Not Found", "NoSuchKey"),
    ];
    for (status, code) in cases {
        let (bucket, server) = scripted_bucket(vec![error(status, code)]);
        assert!(!write(
            &bucket,
            "device/x",
            "ours",
            Condition::At(&revision)
        ));
        let request = server.requests().remove(0).to_lowercase();
        assert!(request.contains("\r\nif-match: \"1\"\r\n"), "{request}");
        assert!(
            request.contains("signedheaders=host%3bif-match"),
            "{request}"
        );
    }
}

#[test]
fn a_body_that_is_cut_is_an_error_and_not_short() {
    let cut = "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\n\r\nhalf";
    let (bucket, _server) = scripted_bucket(vec![cut.to_owned()]);
    let (bytes, error) = block_on(async {
        let got = Objects::get(&&bucket, "blobs/x", 0..10).await;
        to_the_end(got.unwrap().unwrap()).await
    });
    assert_eq!(bytes, b"half");
    assert_eq!(error.unwrap().kind, StoreErrorKind::Down);
}

#[test]
fn a_service_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = read(&impatient(&listener), "deployment").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
    assert!(said(&error).contains("nothing moved"), "{}", said(&error));
}

#[test]
fn a_service_that_stops_within_a_body_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bucket = impatient(&listener);
    let half = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        scripted::request(&mut stream);
        let head = "HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\n\r\n";
        stream.write_all(format!("{head}half").as_bytes()).unwrap();
        stream
    });
    let (bytes, error) = block_on(async {
        let got = Objects::get(&&bucket, "blobs/x", 0..10).await;
        to_the_end(got.unwrap().unwrap()).await
    });
    assert_eq!(bytes, b"half");
    assert!(said(&error.unwrap()).contains("nothing moved"));
    half.join().unwrap();
}

#[test]
fn an_object_shorter_than_its_record_is_damaged() {
    let service = Service::start();
    let bucket = bucket_of(&service);
    assert!(write(&bucket, "blobs/x", "abc", Condition::Always));
    for range in [0..4, 2..4, 3..4, 5..9] {
        let error = block_on(Objects::get(&&bucket, "blobs/x", range.clone())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Damaged, "{range:?}");
    }
}

#[test]
fn a_service_that_ignores_ranges_is_not_believed() {
    let (bucket, _server) = scripted_bucket(vec![answer("200 OK", "", "0123456789")]);
    let error = block_on(Objects::get(&&bucket, "blobs/x", 2..4)).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
}

#[test]
fn the_probe_passes_a_service_that_honours_conditions_and_leaves_nothing() {
    let service = Service::start();
    let bucket = bucket_of(&service);
    block_on(bucket.probe()).unwrap();
    assert_eq!(block_on(bucket.list("")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_service_that_ignores_conditions_is_refused_by_name() {
    let cases = [
        (Conditions::Ignored, "honour If-None-Match"),
        (Conditions::IgnoredIfMatch, "honour If-Match"),
    ];
    for (conditions, expected) in cases {
        let service = Service::with(conditions);
        let bucket = bucket_of(&service);
        let error = block_on(bucket.probe()).unwrap_err().to_string();
        let endpoint = format!("http://{}", service.address);
        for expected in [endpoint.as_str(), expected, "newer version"] {
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(block_on(bucket.list("")).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_session_token_is_sent_and_signed() {
    let server = Scripted::start(vec![error("404 Not Found", "NoSuchKey")]);
    let endpoint = format!("endpoint=http://{}", server.address);
    let bucket = bucket_at(&endpoint, SECRET, "a token/");
    assert_eq!(read(&bucket, "deployment").unwrap(), None);
    let requests = server.requests();
    let expected = "&X-Amz-Security-Token=a%20token%2F&";
    assert!(requests[0].contains(expected), "{}", requests[0]);

    let service = Service::start();
    let endpoint = format!("endpoint=http://{}", service.address);
    let bucket = bucket_at(&endpoint, SECRET, "a token/");
    assert!(write(&bucket, "x", "1", Condition::Absent));
}

#[test]
fn a_bucket_in_the_host_name_is_found_and_signed_for() {
    let service = Service::start();
    let port = service.address.port();
    let by_host = bucket_at(
        &format!("endpoint=http://s3.localhost:{port}&style=virtual"),
        SECRET,
        "",
    );
    assert!(write(&by_host, "site/a b+c", "text", Condition::Absent));
    assert_eq!(read(&by_host, "site/a b+c").unwrap().unwrap(), "text");
    assert_eq!(
        read(&bucket_of(&service), "site/a b+c").unwrap().unwrap(),
        "text"
    );
}

#[test]
fn over_tls_the_certificate_must_be_one_that_is_trusted() {
    let service = Service::secure();
    let bucket = |wire| {
        let endpoint = service.address;
        let address = format!("s3://{}?endpoint=https://{endpoint}", bucket::BUCKET);
        S3::new(address.parse().unwrap(), credentials(SECRET, ""), wire)
    };
    let trusting = bucket(HttpWire::trusting(&bucket::certificate()).unwrap());
    block_on(trusting.probe()).unwrap();
    assert!(write(&trusting, "x", "1", Condition::Absent));
    let error = read(&bucket(HttpWire::new().unwrap()), "x").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Down);
    assert!(said(&error).contains("certificate"), "{}", said(&error));
}

#[test]
fn keys_may_have_any_characters_but_lead_nowhere_else() {
    let service = Service::start();
    let bucket = bucket_of(&service);
    for key in [
        "site/ä ö",
        "uploads/a+b&c=d",
        "uploads/100%25",
        "uploads/(1)~'!*",
    ] {
        assert!(write(&bucket, key, key, Condition::Absent), "{key}");
        assert_eq!(read(&bucket, key).unwrap().unwrap(), key);
    }
    for key in ["", "../other/deployment", "site/./x", "site//x"] {
        let error = read(&bucket, key).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Damaged, "{key:?}");
    }
}

#[test]
fn a_bucket_is_listed_by_what_keys_begin_with() {
    let service = Service::start();
    let part = bucket::store(service.place("one")).bucket;
    for key in [
        "contacts/lync/a",
        "contacts/lync/b",
        "contacts/office/c",
        "deployment",
    ] {
        assert!(write(&part, key, "1", Condition::Always));
    }
    let listed = block_on(part.list("contacts/lync/")).unwrap();
    assert_eq!(listed, ["contacts/lync/a", "contacts/lync/b"]);
}

#[test]
fn a_presigned_url_gives_its_object_to_anybody_and_no_other() {
    let service = Service::start();
    let bucket = bucket_of(&service);
    assert!(write(&bucket, "blobs/x", "bytes", Condition::Always));
    assert!(write(&bucket, "blobs/y", "bytes", Condition::Always));
    let url = bucket.presigned("blobs/x", 60).unwrap();
    let target = url
        .strip_prefix(&format!("http://{}", service.address))
        .unwrap();
    let ask = |target: &str| {
        let host = service.address;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        client::only(&client::send(host, request.as_bytes()), "GET")
    };
    assert_eq!(ask(target).body, b"bytes");
    assert_eq!(ask(&target.replace("blobs/x", "blobs/y")).status, 403);
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let service = Service::start();
    let bucket = bucket_of(&service);
    block_on(async {
        for at in 0..5_u8 {
            let bucket = &&bucket;
            let written = Objects::write(bucket, "x", vec![at], Condition::Always).await;
            assert!(written.unwrap());
            Objects::read(bucket, "x").await.unwrap().unwrap();
            Objects::delete(bucket, "x").await.unwrap();
            assert!(Objects::read(bucket, "x").await.unwrap().is_none());
        }
    });
    assert_eq!(service.connections(), 1);
}

#[test]
fn filling_again_keeps_a_devices_state_and_its_settings_of_the_current_publication() {
    let service = Service::start();
    let fleet = tempfile::tempdir().unwrap();
    let snapshot = deployment::snapshot(fleet.path(), 1000);
    let store = service.filled("", &snapshot);
    let mac = VVX.parse().unwrap();
    let device = || block_on(store.device(SITE, mac)).unwrap().unwrap();
    let (mut record, revision) = device();
    record.state.uploads.insert("a.log".to_owned(), Vec::new());
    assert!(block_on(store.update_device(SITE, mac, &revision, &record)).unwrap());

    let second = deployment::snapshot(fleet.path(), 2000);
    let again = || {
        let entries = entries::of(&second);
        block_on(fill(
            &store.bucket,
            &store.bucket,
            Some(&secrets()),
            &entries,
            Upload::of_file,
        ))
        .unwrap();
        device().0
    };
    let numbers =
        |record: &DeviceRecord| -> Vec<String> { record.settings.keys().cloned().collect() };
    // The same again is the same publication.
    for expected in [vec!["0000000001", "0000000002"], vec!["0000000002"]] {
        let filled = again();
        assert_eq!(filled.state, record.state);
        assert_eq!(numbers(&filled), expected);
    }
}

#[test]
fn serve_says_what_it_misses_and_no_secret() {
    let service = Service::start();
    let address = format!(
        "s3://{}?endpoint=http://{}",
        bucket::BUCKET,
        service.address
    );
    let serve = |secret: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_handset"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--store", &address]);
        command.env_clear().env("AWS_ACCESS_KEY_ID", bucket::KEY);
        command.envs(secret.map(|secret| ("AWS_SECRET_ACCESS_KEY", secret)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = serve(None);
    assert!(
        missing.contains("AWS_SECRET_ACCESS_KEY is not set"),
        "{missing}"
    );
    let wrong = serve(Some("hush"));
    assert!(
        wrong.contains(&format!("http://{}", service.address)),
        "{wrong}"
    );
    assert!(wrong.contains("AWS_SECRET_ACCESS_KEY"), "{wrong}");
    assert!(!wrong.contains("hush"), "{wrong}");
}

#[test]
fn serve_answers_from_a_bucket_and_its_log_holds_no_key() {
    let service = Service::start();
    let fleet = tempfile::tempdir().unwrap();
    service.filled("fleet", &deployment::snapshot(fleet.path(), 1000));
    let endpoint = service.address;
    let address = format!("s3://{}/fleet?endpoint=http://{endpoint}", bucket::BUCKET);
    let mut server = Command::new(env!("CARGO_BIN_EXE_handset"))
        .args(["serve", "--listen", "127.0.0.1:0", "--store", &address])
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", bucket::KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(server.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let listening: SocketAddr = line.trim().rsplit('/').next().unwrap().parse().unwrap();
    let image = format!("/{SITE}/{}", deployment::IMAGE);
    assert_eq!(
        client::ask(listening, "GET", &image, "").body,
        deployment::content(1000)
    );
    let log = format!("/{SITE}/{VVX}-app.log");
    assert_eq!(client::put(listening, &log, "", b"a line").status, 201);
    drop(service);
    assert_eq!(client::ask(listening, "GET", &log, "").status, 503);
    // A line is written when its response is gone, so that the last may come after its answer.
    let mut log = String::new();
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    for _ in 0..3 {
        lines.read_line(&mut log).unwrap();
    }
    server.kill().unwrap();
    lines.read_to_string(&mut log).unwrap();
    server.wait().unwrap();
    assert!(log.contains("no answer"), "{log}");
    for secret in [SECRET, bucket::KEY, "X-Amz"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn an_upload_that_a_device_breaks_off_leaves_nothing() {
    let service = Service::start();
    let fleet = tempfile::tempdir().unwrap();
    let snapshot = deployment::snapshot(fleet.path(), 1000);
    let store = Arc::new(service.filled("", &snapshot));
    let options = ServeOptions::default();
    let server = Server::start(store.clone(), &options, Log::to(std::io::sink())).unwrap();
    let mut stream = client::connect(server.address());
    let head =
        format!("PUT /{SITE}/{VVX}-app.log HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b'x'; 50]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    client::rest(stream);
    server.stop();
    let left = block_on(store.bucket.list("uploads/")).unwrap();
    assert_eq!(left, Vec::<String>::new());
}
