//! Two native servers over one bucket, each a process of its own: nothing is lost, and nothing is mixed.

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

use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use handset::store::BlobKey;
use handset::store::Records;
use handset::store::keyed::Objects;

use bucket::Service;
use bucket::block_on;
use deployment::IMAGE;
use deployment::SITE;
use deployment::SPIP;
use deployment::VVX;

const UPLOADS: usize = 5;
const IMAGE_LENGTH: u64 = 300_000;

/// `handset serve` over a service's bucket.
struct Replica {
    process: Child,
    address: SocketAddr,
}

impl Replica {
    fn start(service: &Service) -> Self {
        let endpoint = service.address;
        let address = format!("s3://{}/?endpoint=http://{endpoint}", bucket::BUCKET);
        let mut process = Command::new(env!("CARGO_BIN_EXE_handset"))
            .args(["serve", "--listen", "127.0.0.1:0", "--store", &address])
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", bucket::KEY)
            .env("AWS_SECRET_ACCESS_KEY", bucket::SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { process, address }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An upload that can be told from every other: 20,000 times the same line.
fn body(replica: usize, upload: usize) -> Vec<u8> {
    format!("{replica} {upload}\n").repeat(20_000).into_bytes()
}

/// Every replica uploads a file that only it writes and one that both do, and reads an image meanwhile.
fn busy(address: SocketAddr, replica: usize) {
    for upload in 0..UPLOADS {
        for name in [
            format!("{VVX}-{}", ["app.log", "boot.log"][replica]),
            format!("{SPIP}-app.log"),
        ] {
            let target = format!("/{SITE}/{name}");
            let answer = client::put(address, &target, "", &body(replica, upload));
            assert!([200, 201].contains(&answer.status), "{name}: {answer:?}");
        }
        let image = client::ask(address, "GET", &format!("/{SITE}/{IMAGE}"), "");
        assert!(image.body == deployment::content(IMAGE_LENGTH));
        let target = format!("/{SITE}/{VVX}-device.cfg");
        assert_eq!(client::ask(address, "GET", &target, "").status, 200);
    }
}

#[test]
fn two_servers_serve_and_take_uploads_at_once() {
    let service = Service::start();
    let fleet = tempfile::tempdir().unwrap();
    let store = service.filled("", &deployment::snapshot(fleet.path(), IMAGE_LENGTH));
    let replicas = [(); 2].map(|()| Replica::start(&service));
    let addresses = replicas.each_ref().map(|replica| replica.address);
    thread::scope(|scope| {
        for (replica, address) in addresses.into_iter().enumerate() {
            scope.spawn(move || busy(address, replica));
        }
    });
    // Each sees what the other wrote last.
    for (replica, name) in ["app.log", "boot.log"].into_iter().enumerate() {
        let target = format!("/{SITE}/{VVX}-{name}");
        let answer = client::ask(addresses[1 - replica], "GET", &target, "");
        assert!(answer.body == body(replica, UPLOADS - 1), "{name}");
    }
    // Of the file that both wrote, every version that is kept is one of the uploads, whole, and none is twice.
    let device = block_on(store.device(SITE, SPIP.parse().unwrap()));
    let (record, _) = device.unwrap().unwrap();
    let name = format!("{SPIP}-app.log");
    let versions = record.state.uploads.get(&name).unwrap();
    assert_eq!(versions.len(), 2 * UPLOADS);
    let mut seen = BTreeSet::new();
    for version in versions {
        let key = BlobKey::upload(SITE, SPIP.parse().unwrap(), &name, version.id());
        let found = block_on(Objects::read(&&store.bucket, key.as_str()));
        seen.insert(found.unwrap().unwrap().0);
    }
    let all = (0..2).flat_map(|replica| (0..UPLOADS).map(move |upload| body(replica, upload)));
    assert!(seen == all.collect());
}
