//! Files that are larger than an instance's memory may be, and where they are sent from.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::client;
use crate::host::Deployment;

const LARGE: usize = 60_000_000;
/// What an instance may have, whatever passes through it.
const FLAT: u64 = 8 << 20;
/// What the host's process may grow by meanwhile.
const FLAT_HOST: u64 = 32 << 20;
const IMAGE: &str = "/a/3111-44500-001.sip.ld";
const UPLOAD: &str = "/a/0004f2000500-app.log";

#[test]
fn an_image_and_an_upload_pass_with_flat_memory() {
    let fleet = fleet(LARGE, "");
    let deployment = Deployment::start(fleet.path(), None);
    let image = client::ask(deployment.address(), "GET", "/a/000000000000.cfg", "");
    assert_eq!(image.status, 200);
    let before = deployment.host.peak();
    let image = client::ask(deployment.address(), "GET", IMAGE, "");
    let length = LARGE.to_string();
    assert_eq!(image.header("content-length"), Some(length.as_str()));
    assert!(image.status == 200 && image.body == content(LARGE));
    let part = client::ask(
        deployment.address(),
        "GET",
        IMAGE,
        "Range: bytes=59999000-\r\n",
    );
    assert_eq!((part.status, part.body.len()), (206, 1000));
    let body = content(LARGE);
    let answer = client::put(deployment.address(), UPLOAD, "", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    let answer = client::put(
        deployment.address(),
        UPLOAD,
        "Handset-Append: 60000000\r\n",
        b"end",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    // Two parts, which go through the instance as one body.
    let answer = client::ask(deployment.address(), "GET", UPLOAD, "");
    assert_eq!(answer.body.len(), LARGE + 3);
    assert!(answer.body == [&body[..], b"end"].concat());
    let memory = deployment.host.counts()["memory"].as_u64().unwrap();
    let grown = deployment.host.peak() - before;
    println!("the guest had {memory} bytes at most; the host's process grew by {grown}");
    assert!(memory <= FLAT, "{memory}");
    assert!(grown <= FLAT_HOST, "{grown}");
}

#[test]
fn a_large_image_is_redirected_where_the_site_says_so() {
    let fleet = fleet(100_000, "[images]\nredirect_over = 99999\n");
    let deployment = Deployment::start(fleet.path(), None);
    let answer = client::ask(deployment.address(), "GET", IMAGE, "");
    assert_eq!((answer.status, answer.body.len()), (302, 0));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let location = answer.header("location").unwrap().to_owned();
    let origin = format!("http://{}", deployment.service.address);
    let target = location.strip_prefix(&origin).unwrap();
    let host = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n",
        deployment.service.address
    );
    let image = client::exchange(deployment.service.address, host.as_bytes(), "GET");
    assert_eq!(image.status, 200);
    assert!(image.body == content(100_000));
}

/// A fleet directory with an image of so many bytes.
fn fleet(image: usize, settings: &str) -> TempDir {
    let fleet = tempfile::tempdir().unwrap();
    let settings = format!(
        "{settings}[firmware]\npolycom = \"5.9.7\"\n\n[uploads]\nlargest = 104857600\nbytes = 1073741824\n"
    );
    write(fleet.path(), "handset.toml", settings.as_bytes());
    write(fleet.path(), "sites/a.toml", b"access = \"open\"\n");
    let devices = b"mac,site,model\n0004f2000500,a,VVX 500\n";
    write(fleet.path(), "devices/a.csv", devices);
    let path = "firmware/polycom/5.9.7/3111-44500-001.sip.ld";
    write(fleet.path(), path, &content(image));
    fleet
}

fn write(fleet: &Path, name: &str, bytes: &[u8]) {
    let path = fleet.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// No two places within 16 MB look alike.
fn content(length: usize) -> Vec<u8> {
    let numbers = 0..u32::try_from(length.div_ceil(4)).unwrap();
    let mut bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    bytes.truncate(length);
    bytes
}
