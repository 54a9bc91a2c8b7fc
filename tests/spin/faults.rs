//! What a device sees when S3, the key-value store, the variables or the component itself fail.

use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use serde_json::json;

use crate::attacks::Fleet;
use crate::bucket::SECRET;
use crate::bucket::block_on;
use crate::client;
use crate::client::Answer;
use crate::client::secret::with_keys;
use crate::host::Deployment;
use crate::host::Host;
use crate::host::fixture;
use crate::host::variables;
use crate::scripted;
use crate::scripted::Scripted;

const FILE: &str = "/hq/~0004f2000500/0004f2000500-device.cfg";
const IMAGE: &str = "/hq/~/3111-44500-001.sip.ld";
const UPLOAD: &str = "/hq/~0004f2000500/0004f2000500-phone.cfg";

fn is_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {answer:?}");
    assert_eq!(answer.header("retry-after"), Some("30"), "{what}");
}

/// A host over good values and a bucket that is something else.
fn misled(deployment: &Deployment, endpoint: SocketAddr, patience: &str) -> Host {
    let mut variables = variables(endpoint);
    variables.insert("s3_patience".to_owned(), patience.to_owned());
    deployment.misled(&variables)
}

/// The line of JSON that the last error is in the log.
fn logged(host: &Host) -> Value {
    let said = host.said();
    let line = said.lines().rfind(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no line: {said}"))).unwrap()
}

#[test]
fn a_bucket_that_is_down_is_503_and_what_needs_none_is_served() {
    let deployment = Deployment::of_fixture("office");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let host = misled(&deployment, nobody, "20000");
    for target in [FILE, IMAGE] {
        is_unavailable(&client::ask(host.address, "GET", target, ""), target);
    }
    is_unavailable(&client::put(host.address, UPLOAD, "", b"<a/>"), UPLOAD);
    let answer = client::ask(host.address, "GET", "/hq/~/000000000000.cfg", "");
    assert_eq!(answer.status, 200);
    assert_eq!(logged(&host)["site"], "hq");
    Fleet::of_fixture("office").assert_silent("the log", &host.said(), b"");
}

/// It takes the connection and says nothing: the deadline is the component's.
#[test]
fn a_bucket_that_does_not_answer_is_given_up() {
    let deployment = Deployment::of_fixture("office");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = misled(&deployment, silent.local_addr().unwrap(), "50");
    is_unavailable(&client::ask(host.address, "GET", IMAGE, ""), IMAGE);
    let reason = logged(&host)["reason"].to_string();
    assert!(reason.contains("nothing moved"), "{reason}");
}

#[test]
fn a_bucket_that_refuses_is_503_and_the_log_says_why() {
    let deployment = Deployment::of_fixture("office");
    let refusal = || scripted::error("403 Forbidden", "AccessDenied");
    let bucket = Scripted::start(vec![refusal(), refusal()]);
    let host = misled(&deployment, bucket.address, "20000");
    for target in [FILE, IMAGE] {
        is_unavailable(&client::ask(host.address, "GET", target, ""), target);
    }
    let line = logged(&host);
    assert_eq!(
        (&line["outcome"], &line["site"]),
        (&json!("serve"), &json!("hq")),
        "{line}"
    );
    let reason = line["reason"].to_string();
    assert!(reason.contains("s3:GetObject"), "{reason}");
    assert!(!host.said().contains("Signature="), "{}", host.said());
}

/// The head says a length that the body does not reach, and then the connection ends: nothing that any
/// client takes for a whole file.
#[test]
fn a_bucket_that_breaks_off_closes_the_connection() {
    let deployment = Deployment::of_fixture("office");
    let length = client::ask(deployment.address(), "HEAD", IMAGE, "");
    let length: usize = length.header("content-length").unwrap().parse().unwrap();
    let last = length - 1;
    let half = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\n\
         Content-Range: bytes 0-{last}/{length}\r\n\r\n{}",
        "x".repeat(length / 2)
    );
    let bucket = Scripted::start(vec![half]);
    let host = misled(&deployment, bucket.address, "20000");
    let mut stream = client::connect(host.address);
    let image = with_keys(IMAGE);
    write!(stream, "GET {image} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let bytes = client::rest(&mut stream);
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    if !text.is_empty() {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let said = format!("\r\ncontent-length: {length}");
        assert!(head.contains(&said), "{head}");
        assert!(body.len() < length, "{} of {length}", body.len());
    }
}

/// A record that breaks off is read again; a phone never gets a configuration made from half of one.
#[test]
fn a_record_that_breaks_off_is_503() {
    let deployment = Deployment::of_fixture("office");
    let half =
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 100\r\n\r\n{\"settings\":".to_owned();
    let bucket = Scripted::start(vec![half; 4]);
    let host = misled(&deployment, bucket.address, "20000");
    is_unavailable(&client::ask(host.address, "GET", FILE, ""), FILE);
    assert_eq!(bucket.requests().len(), 4);
}

#[test]
fn a_key_value_store_that_fails_is_503_and_then_works_again() {
    let deployment = Deployment::of_fixture("office");
    let fail = |fails: bool| deployment.host.control(&json!({ "fail_key_value": fails }));
    fail(true);
    for target in [FILE, IMAGE, "/-/health"] {
        let answer = client::ask(deployment.address(), "GET", target, "");
        is_unavailable(&answer, target);
    }
    fail(false);
    let answer = client::ask(deployment.address(), "GET", FILE, "");
    assert_eq!(answer.status, 200);
}

/// An upload that the bucket does not take is not acknowledged, and is not there later.
#[test]
fn what_was_not_acknowledged_is_not_there() {
    let deployment = Deployment::of_fixture("office");
    let mut wrong = variables(deployment.service.address);
    wrong.insert("s3_secret_key".to_owned(), "another secret".to_owned());
    let host = deployment.misled(&wrong);
    is_unavailable(&client::put(host.address, UPLOAD, "", b"<a/>"), UPLOAD);
    let reason = logged(&host)["reason"].to_string();
    assert!(reason.contains("s3_secret_key"), "{reason}");
    assert!(!host.said().contains("another secret"), "{}", host.said());
    let answer = client::ask(deployment.address(), "GET", UPLOAD, "");
    assert_eq!(answer.status, 404);
}

/// The device goes away in the middle of its upload.
#[test]
fn half_an_upload_is_not_kept() {
    let deployment = Deployment::of_fixture("office");
    let mut stream = client::connect(deployment.address());
    let name = with_keys(UPLOAD);
    let head = format!("PUT {name} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b'a'; 50_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = String::from_utf8_lossy(&client::rest(stream)).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    assert_eq!(
        client::ask(deployment.address(), "GET", UPLOAD, "").status,
        404
    );
    assert_eq!(
        block_on(deployment.bucket.list("uploads/")).unwrap(),
        [""; 0]
    );
    let whole = client::put(deployment.address(), UPLOAD, "", b"<a/>");
    assert_eq!(whole.status, 201);
}

/// The instance ends in the middle of a request, as by a panic; whoever comes next gets a new one.
#[test]
fn a_trap_in_one_request_leaves_the_next_one_whole() {
    let deployment = Deployment::of_fixture("office");
    let trap = |traps: bool| deployment.host.control(&json!({ "trap_key_value": traps }));
    // An instance that is new reads values, and so does one that has never seen the site.
    for (target, before) in [
        (FILE, 1),
        ("/branch/~0004f2000501/0004f2000501-device.cfg", 2),
    ] {
        trap(true);
        let answer = client::ask(deployment.address(), "GET", target, "");
        assert_eq!(answer.status, 500);
        trap(false);
        let good = client::ask(deployment.address(), "GET", FILE, "");
        assert_eq!(good.status, 200);
        assert!(good.body.ends_with(b">\n"), "{good:?}");
        assert_eq!(deployment.host.counts()["traps"], before);
    }
}

/// A variable that is missing or wrong is said in the log, and no request is answered as if all were well.
#[test]
fn variables_that_are_wrong_are_named_and_no_secret_is_printed() {
    for (name, value, said) in [
        ("s3_bucket", "", "s3_bucket"),
        ("s3_endpoint", "", "s3_endpoint"),
        ("s3_endpoint", "minio", "endpoint="),
        ("s3_endpoint", "http://192.0.2.1:9000", "insecure=true"),
        ("s3_style", "odd", "a style is path or virtual"),
        ("s3_prefix", "a//b", "prefix"),
        ("s3_access_key", " ", "s3_access_key"),
        ("s3_secret_key", "", "s3_secret_key"),
        ("s3_patience", "soon", "s3_patience"),
    ] {
        let mut wrong = variables("127.0.0.1:9".parse().unwrap());
        wrong.insert(name.to_owned(), value.to_owned());
        let host = Host::start(&wrong, None);
        is_unavailable(&client::ask(host.address, "GET", "/-/health", ""), name);
        let reason = logged(&host)["reason"].to_string();
        assert!(reason.contains(said), "{name}: {reason}");
        assert!(!host.said().contains(SECRET), "{}", host.said());
    }
}

/// The store's host is not in spin.toml.
#[test]
fn a_host_that_is_not_allowed_is_named() {
    let deployment = Deployment::of_fixture("office");
    let host = Host::allowed(&variables(deployment.service.address), None, &[]);
    deployment.fill(&host);
    is_unavailable(&client::ask(host.address, "GET", IMAGE, ""), IMAGE);
    let reason = logged(&host)["reason"].to_string();
    assert!(reason.contains("allowed_outbound_hosts"), "{reason}");
}

/// Uploads go to the bucket and values to a file; a host that is killed loses none of what it said is kept.
#[test]
fn what_was_acknowledged_outlives_a_restart() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("values");
    let deployment = Deployment::start(&fixture("office"), Some(&file));
    let answer = client::put(deployment.address(), UPLOAD, "", b"<a/>");
    assert_eq!(answer.status, 201);
    let Deployment { host, service, .. } = deployment;
    drop(host);
    let host = Host::start(&variables(service.address), Some(&file));
    let answer = client::ask(host.address, "GET", UPLOAD, "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"<a/>"[..]));
}

/// Two hosts write one device's record at once, and no upload is lost or mixed.
#[test]
fn two_hosts_are_one_deployment() {
    const UPLOADS: usize = 6;
    let deployment = Deployment::of_fixture("office");
    let other = deployment.another();
    let addresses = [deployment.address(), other.address];
    let names = ["phone", "web"];
    thread::scope(|scope| {
        for (number, (address, name)) in addresses.into_iter().zip(names).enumerate() {
            scope.spawn(move || {
                for upload in 0..UPLOADS {
                    let name = format!("/hq/~0004f2000500/0004f2000500-{name}.cfg");
                    let body = format!("<a b=\"{number} {upload}\"/>");
                    let answer = client::put(address, &name, "", body.as_bytes());
                    assert!([200, 201].contains(&answer.status), "{answer:?}");
                }
            });
        }
    });
    for (number, name) in names.iter().enumerate() {
        let target = format!("/hq/~0004f2000500/0004f2000500-{name}.cfg");
        let answer = client::ask(addresses[1 - number], "GET", &target, "");
        let newest = format!("<a b=\"{number} {}\"/>", UPLOADS - 1);
        assert_eq!(String::from_utf8(answer.body).unwrap(), newest);
    }
}
