//! Large images that are redirected to the bucket, and everything that is not.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;
#[path = "support/client.rs"]
#[expect(dead_code, reason = "the client does more than this suite needs")]
mod client;
#[path = "support/deployment.rs"]
mod deployment;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::Store;
use handset::platform::native::log::Log;
use handset::site::Images;
use handset::site::SiteRecord;
use handset::store::directory::DirectoryStore;
use handset::store::directory::Snapshot;

use bucket::Service;
use client::ask;
use deployment::IMAGE;
use deployment::RESOURCE;
use deployment::SITE;
use deployment::VVX;

const LENGTH: u64 = 100_000;

/// A deployment whose site redirects what is larger than this.
fn snapshot(fleet: &Path, redirect_over: Option<u64>) -> Snapshot {
    let mut snapshot = deployment::snapshot(fleet, LENGTH);
    let site = SiteRecord {
        images: Images { redirect_over },
        ..(*snapshot.sites[SITE]).clone()
    };
    snapshot.sites.insert(SITE.to_owned(), Arc::new(site));
    snapshot
}

fn serve(store: impl Store) -> Server {
    let options = ServeOptions::default();
    Server::start(Arc::new(store), &options, Log::to(std::io::sink())).unwrap()
}

/// A native server over a bucket, redirecting what is larger than this.
fn over_a_bucket(service: &Service, prefix: &str, redirect_over: Option<u64>) -> Server {
    let fleet = tempfile::tempdir().unwrap();
    let snapshot = snapshot(fleet.path(), redirect_over);
    serve(service.filled(prefix, &snapshot))
}

fn image() -> String {
    format!("/{SITE}/{IMAGE}")
}

/// Follows an address as any HTTP client does.
fn follow(location: &str, server: SocketAddr, more: &str) -> client::Answer {
    let origin = format!("http://{server}");
    let target = location.strip_prefix(&origin).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {server}\r\n{more}\r\n");
    client::exchange(server, request.as_bytes(), "GET")
}

#[test]
fn a_large_image_is_got_from_the_bucket_by_an_address_that_nobody_keeps() {
    let service = Service::start();
    let server = over_a_bucket(&service, "a", Some(LENGTH - 1));
    let answer = ask(server.address(), "GET", &image(), "");
    assert_eq!((answer.status, answer.body.len()), (302, 0));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let location = answer.header("location").unwrap();
    let whole = follow(location, service.address, "");
    assert!(whole.status == 200 && whole.body == deployment::content(LENGTH));
    let part = follow(location, service.address, "Range: bytes=10-19\r\n");
    assert_eq!(part.status, 206);
    assert_eq!(part.body, deployment::content(LENGTH)[10..20]);
    let other = location.replace("/blobs/", "/device/");
    assert_eq!(follow(&other, service.address, "").status, 403);
}

/// What has no body needs no other place to come from.
#[test]
fn only_a_get_that_would_send_bytes_is_redirected() {
    let service = Service::start();
    let server = over_a_bucket(&service, "a", Some(LENGTH - 1));
    let head = ask(server.address(), "HEAD", &image(), "");
    let length = LENGTH.to_string();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some(length.as_str()))
    );
    let tag = format!("If-None-Match: {}\r\n", head.header("etag").unwrap());
    assert_eq!(ask(server.address(), "GET", &image(), &tag).status, 304);
    let failed = "If-Match: \"other\"\r\n";
    assert_eq!(ask(server.address(), "GET", &image(), failed).status, 412);
    let range = "Range: bytes=0-9\r\n";
    assert_eq!(ask(server.address(), "GET", &image(), range).status, 302);
}

#[test]
fn what_is_small_or_a_devices_own_is_sent() {
    let service = Service::start();
    let server = over_a_bucket(&service, "a", Some(LENGTH - 1));
    let resource = format!("/{SITE}/{}", RESOURCE.replace(' ', "%20"));
    assert_eq!(ask(server.address(), "GET", &resource, "").status, 200);
    let log = format!("/{SITE}/{VVX}-app.log");
    let large = vec![b'x'; 200_000];
    let answer = client::put(server.address(), &log, "", &large);
    assert_eq!(answer.status, 201);
    let answer = ask(server.address(), "GET", &log, "");
    assert!(answer.status == 200 && answer.body == large);
    let exactly = over_a_bucket(&service, "b", Some(LENGTH));
    assert_eq!(ask(exactly.address(), "GET", &image(), "").status, 200);
    let off = over_a_bucket(&service, "c", None);
    assert_eq!(ask(off.address(), "GET", &image(), "").status, 200);
}

#[test]
fn a_store_without_addresses_sends_everything() {
    let [fleet, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = DirectoryStore::open(state.path(), snapshot(fleet.path(), Some(1))).unwrap();
    let server = serve(store);
    let answer = ask(server.address(), "GET", &image(), "");
    assert!(answer.status == 200 && answer.body == deployment::content(LENGTH));
}

/// Sites that redirect, and those of their phones that may not follow.
#[test]
fn check_warns_of_phones_that_are_not_known_to_follow() {
    let fleet = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("handset.toml", "[images]\nredirect_over = 8388608\n"),
        ("sites/a.toml", "access = \"open\"\n"),
        (
            "sites/b.toml",
            "access = \"open\"\n[images]\nredirect_over = 0\n",
        ),
        (
            "devices/d.csv",
            "mac,site,model\n00908f000420,a,420HD\n0004f2000001,a,VVX 400\n00908f000421,b,420HD\n",
        ),
    ] {
        let path = fleet.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let compiled = fleet::compile(fleet.path(), &mut Hashes::default()).unwrap();
    let found = fleet::check::check(&compiled);
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let [warning] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(warning.starts_with("warning: sites/a.toml"), "{warning}");
    assert!(warning.contains("audiocodes"), "{warning}");
    assert!(warning.contains("redirect_over = 0"), "{warning}");
}
