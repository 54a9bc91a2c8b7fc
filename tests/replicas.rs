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
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use handset::enrolment::Enrolment;
use handset::platform::native::s3::HttpWire;
use handset::site::Access;
use handset::site::Deployment;
use handset::site::Terms;
use handset::store::BlobKey;
use handset::store::Records;
use handset::store::keyed::Objects;
use handset::store::s3::S3;
use handset::store::single::SingleStore;
use handset::token::Scope;
use handset::token::Token;

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
            .env("HANDSET_SECRET", client::secret::SECRET)
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
    assert_eq!(record.state.uploads.get(&name).unwrap().len(), 2 * UPLOADS);
    let seen = kept(&store, SPIP, &name);
    let all = (0..2).flat_map(|replica| (0..UPLOADS).map(move |upload| body(replica, upload)));
    assert!(seen.into_iter().collect::<BTreeSet<_>>() == all.collect());
}

/// Every version of an upload that the device's record has, oldest first.
fn kept(store: &SingleStore<S3<HttpWire>>, mac: &str, name: &str) -> Vec<Vec<u8>> {
    let mac = mac.parse().unwrap();
    let (record, _) = block_on(store.device(SITE, mac)).unwrap().unwrap();
    let versions = record.state.uploads.get(name).into_iter().flatten();
    let key = |id| BlobKey::upload(SITE, mac, name, id);
    let found = versions.map(|it| block_on(Objects::read(&store.bucket, key(it.id()).as_str())));
    found.map(|found| found.unwrap().unwrap().0).collect()
}

/// An operator's request.
fn operate(address: SocketAddr, action: &str) -> String {
    let token = Token {
        scope: Scope::Write,
        tenant: None,
    };
    let token = token.text(&client::secret::secrets());
    let token = token.expose_text().unwrap();
    let request = format!(
        "POST /-/v1/sites/{SITE}/devices/{VVX}/{action} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let answer = client::exchange(address, request.as_bytes(), "POST");
    assert_eq!(answer.status, 200, "{action}: {answer:?}");
    String::from_utf8(answer.body).unwrap()
}

/// While a phone asks both servers for its file with its own key, over and over, and uploads to both, an operator
/// locks it: from the answer on nobody gets anything, what was acknowledged is kept, and nothing else is.
#[test]
fn a_phone_that_is_locked_while_it_boots_loses_nothing() {
    let service = Service::start();
    let fleet = tempfile::tempdir().unwrap();
    let mut snapshot = deployment::snapshot(fleet.path(), 1000);
    let terms = Terms {
        plain_http: true,
        ..Terms::default()
    };
    snapshot.deployment = Arc::new(Deployment {
        sites: [(SITE.to_owned(), Access::Keys(terms))].into(),
        ..Deployment::default()
    });
    let store = service.filled("", &snapshot);
    let replicas = [(); 2].map(|()| Replica::start(&service));
    let addresses = replicas.each_ref().map(|replica| replica.address);
    let own = format!("/{SITE}/~{VVX}/{VVX}-device.cfg");
    let get = |address| client::ask(address, "GET", &own, "").status;
    let locked = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (get, locked, address) = (&get, &locked, addresses[number % 2]);
            scope.spawn(move || {
                for _ in 0..25 {
                    let late = locked.load(Ordering::SeqCst);
                    let status = get(address);
                    assert!(status == 404 || status == 200 && !late, "{status} {late}");
                }
            });
        }
        for (replica, address) in addresses.into_iter().enumerate() {
            let (locked, acknowledged) = (&locked, &acknowledged);
            scope.spawn(move || {
                for upload in 0..UPLOADS {
                    let late = locked.load(Ordering::SeqCst);
                    let target = format!("/{SITE}/~{VVX}/{VVX}-app.log");
                    let answer = client::put(address, &target, "", &body(replica, upload));
                    let taken = [200, 201].contains(&answer.status);
                    assert!(answer.status == 404 || taken && !late, "{answer:?} {late}");
                    if taken {
                        acknowledged.lock().unwrap().push(body(replica, upload));
                    }
                }
            });
        }
        for _ in 0..5 {
            assert_eq!(addresses.map(get), [200, 200]);
        }
        assert!(operate(addresses[0], "lock").contains("locked"));
        locked.store(true, Ordering::SeqCst);
    });
    let (record, _) = block_on(store.device(SITE, VVX.parse().unwrap()))
        .unwrap()
        .unwrap();
    let enrolled = Enrolment::Locked { enrolled: None };
    assert_ne!(
        record.state.enrolment, enrolled,
        "it had come with its own key"
    );
    let mut kept = kept(&store, VVX, &format!("{VVX}-app.log"));
    let mut acknowledged = acknowledged.into_inner().unwrap();
    kept.sort();
    acknowledged.sort();
    assert!(
        kept == acknowledged,
        "{} of {}",
        kept.len(),
        acknowledged.len()
    );
    assert_eq!(addresses.map(get), [404, 404]);
    assert!(operate(addresses[1], "unlock").contains("enrolled"));
    assert_eq!(addresses.map(get), [200, 200]);
}
