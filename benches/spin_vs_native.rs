//! The Spin component in the test host beside the native server, over one S3 service: time a request, as
//! ratios.
//!
//! `cargo xtask bench spin` builds component and host, the host optimised. Each line is the median over rounds
//! in which the two take turns, with the sign test's 95 % interval of the median of the rounds' ratios. The S3
//! service runs in this process and is part of every time that reads from the bucket, on both sides. The host
//! is not Spin: it has the same engine, handler type and reuse of instances, on one thread.
//! `--rounds N` says how many rounds there are.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark ends where something is not as it should be"
)]

#[path = "../tests/support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than is measured")]
mod bucket;
#[path = "../tests/spin/host.rs"]
#[expect(dead_code, reason = "the host does more than is measured")]
mod host;
#[path = "worker/load.rs"]
#[expect(dead_code, reason = "an answer has more than is compared")]
mod load;
#[path = "worker/statistics.rs"]
mod statistics;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use handset::fleet;
use handset::fleet::Hashes;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use tokio::runtime::Runtime;

use host::Deployment;
use load::Load;
use statistics::Median;

const IMAGE_BYTES: u32 = 60_000_000;
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(500);

/// What is asked, by name, over so many connections.
const CASES: [(&str, &str, u32); 5] = [
    ("rendered, of a device", "/a/0004f2000500-device.cfg", 1),
    ("rendered, of a device", "/a/0004f2000500-device.cfg", 16),
    ("rendered, shared", "/a/000000000000.cfg", 1),
    ("rendered, shared", "/a/000000000000.cfg", 16),
    ("60 MB image", "/a/3111-44500-001.sip.ld", 1),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().skip_while(|it| *it != "--rounds").nth(1);
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    if arguments.iter().any(|argument| argument == "--test") {
        println!("skipped: only `cargo xtask bench spin` measures");
    } else if std::env::var_os("HANDSET_SPIN_HOST").is_none() {
        println!("skipped: no host: `cargo xtask bench spin` builds it");
    } else {
        compare(rounds);
    }
}

fn compare(rounds: usize) {
    let fleet = tempfile::tempdir().unwrap();
    write_fleet(fleet.path());
    let deployment = Deployment::start(fleet.path(), None);
    // The component has its site's record in the key-value store; the native server has all of it in the bucket.
    let compiled = fleet::compile(fleet.path(), &mut Hashes::default()).unwrap();
    let store = deployment.service.filled("native", &compiled.snapshot);
    let options = ServeOptions::default();
    let native = Server::start(Arc::new(store), &options, Log::to(std::io::sink())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let servers = [deployment.address(), native.address()];
    check(&runtime, servers);
    println!("{rounds} rounds; component : native, microseconds a request; ratios [95 %]");
    for (name, path, connections) in CASES {
        let rounds = (0..rounds).map(|round| {
            let mut spent = [0.0; 2];
            for at in [round % 2, (round + 1) % 2] {
                spent[at] = seconds_each(&runtime, servers[at], path, connections);
            }
            spent
        });
        let rounds: Vec<[f64; 2]> = rounds.collect();
        let median = |at: usize| Median::of(rounds.iter().map(|spent| spent[at] * 1e6)).value;
        let ratio = Median::of(rounds.iter().map(|[ours, theirs]| ours / theirs));
        let name = format!("{name} x {connections}");
        println!(
            "{name:<28}{:>10.1} : {:>10.1}   {ratio}",
            median(0),
            median(1)
        );
    }
}

/// Both must give the same, to the byte.
fn check(runtime: &Runtime, servers: [SocketAddr; 2]) {
    for (_, path, _) in CASES {
        let request = load::request("GET", path, &[]);
        let [ours, theirs] = servers.map(|server| load::ask(runtime, server, &request).unwrap());
        assert_eq!((ours.status, theirs.status), (200, 200), "{path}");
        assert_eq!(ours.header("etag"), theirs.header("etag"), "{path}");
        assert!(ours.body == theirs.body, "{path}: the bodies differ");
    }
}

fn seconds_each(runtime: &Runtime, address: SocketAddr, path: &str, connections: u32) -> f64 {
    let load = Load {
        address,
        request: load::request("GET", path, &[]),
        status: 200,
    };
    let loaded = load::load(runtime, &load, connections, ROUND);
    loaded.expect("the server stopped answering").seconds_each()
}

fn write_fleet(fleet: &Path) {
    let image: Vec<u8> = (0..IMAGE_BYTES / 4).flat_map(u32::to_be_bytes).collect();
    for (name, bytes) in [
        ("handset.toml", &b"[firmware]\npolycom = \"5.9.7\"\n"[..]),
        ("sites/a.toml", b"access = \"open\"\n"),
        ("devices/a.csv", b"mac,site,model\n0004f2000500,a,VVX 500\n"),
        ("firmware/polycom/5.9.7/3111-44500-001.sip.ld", &image),
    ] {
        let path = fleet.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
