//! The Worker beside one written by hand in JavaScript, both in one miniflare: time and CPU time a
//! request, start and memory, as ratios.
//!
//! Needs Node with the packages of `xtask/node`, and the bundle; `cargo xtask bench worker` sees to the
//! packages. Each line is the median over rounds in which the two take turns, each in a fresh miniflare,
//! with the sign test's 95 % interval of the median of the rounds' ratios. miniflare's own KV and R2 run in the same process, so
//! that they are part of every time that reads from a store, on both sides; what reads from none is the
//! Workers' own, and what the runtime takes for any request.
//!
//! `--control` runs the JavaScript Worker on both sides: its ratios have to include 1. `--quick` runs one
//! short round of everything, to see that it works. `--bundle FOLDER` names another bundle, `--rounds N`
//! how many there are: more of them narrow the intervals on a noisy machine.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

#[path = "worker/load.rs"]
mod load;
#[path = "worker/server.rs"]
mod server;
#[path = "worker/statistics.rs"]
mod statistics;
#[path = "../tests/support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::entries;
use handset::fleet::entries::Content;
use handset::fleet::entries::Place;
use tokio::runtime::Runtime;

use load::Answer;
use load::Load;
use server::Server;
use server::root;
use statistics::Median;

const OURS: &str = "handset";
const THEIRS: &str = "baseline";
const DEVICE: &str = "/office/0004f2000400-device.cfg";
const IMAGE: &str = "3111-46157-002.sip.ld";
const RESOURCE: &str = "ringtone.wav";
const VERSION: &str = "5.9.7";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let after = |flag: &str| arguments.iter().skip_while(|it| *it != flag).nth(1);
    let named = after("--bundle");
    let bundle = named.map_or_else(|| root().join("build/worker"), PathBuf::from);
    let ours = ["index.js", "index_bg.wasm"].map(|name| bundle.join(name));
    let mut plan = if has("--quick") || has("--test") {
        Plan::QUICK
    } else {
        Plan::FULL
    };
    if let Some(rounds) = after("--rounds") {
        plan.rounds = rounds.parse().unwrap();
    }
    if !root().join("xtask/node/node_modules/miniflare").is_dir() {
        println!("skipped: no node packages: `cargo xtask bench worker` installs them");
    } else if !has("--control") && !ours.iter().all(|module| module.is_file()) {
        println!("skipped: no bundle: `cargo xtask build worker` makes it");
    } else {
        let work = tempfile::tempdir().unwrap();
        let theirs = vec![bundle_baseline(work.path())];
        let ours = if has("--control") {
            theirs.clone()
        } else {
            ours.to_vec()
        };
        compare(&plan, work.path(), &ours, &theirs);
    }
}

/// How much is measured.
struct Plan {
    rounds: usize,
    round: Duration,
    image_bytes: u32,
    starts: usize,
    memories: usize,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 15,
        round: Duration::from_millis(400),
        image_bytes: 60_000_000,
        starts: 11,
        memories: 7,
    };
    const QUICK: Self = Self {
        rounds: 1,
        round: Duration::from_millis(50),
        image_bytes: 1_000_000,
        starts: 1,
        memories: 1,
    };
}

/// One kind of request.
struct Case {
    name: &'static str,
    request: String,
    status: u16,
}

/// What a request took of a round.
struct Spent {
    seconds: f64,
    cpu_seconds: f64,
}

/// Two Workers in turn, on the same stores.
struct Comparison<'a> {
    plan: &'a Plan,
    runtime: Runtime,
    persist: PathBuf,
    modules: [(&'static str, &'a [PathBuf]); 2],
}

fn compare(plan: &Plan, work: &Path, ours: &[PathBuf], theirs: &[PathBuf]) {
    let manifest = write_entries(work, plan.image_bytes);
    let comparison = Comparison {
        plan,
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap(),
        persist: work.join("stores"),
        modules: [(OURS, ours), (THEIRS, theirs)],
    };
    let server = Server::start(&comparison.persist, Some(&manifest), &comparison.modules);
    let cases = comparison.cases(&server);
    comparison.check(&server, &cases);
    drop(server);
    comparison.requests(&cases);
    comparison.starts();
    comparison.memory(&cases);
}

impl Comparison<'_> {
    fn cases(&self, server: &Server) -> Vec<Case> {
        let file = format!("/office/{RESOURCE}");
        let image = format!("/office/firmware/{VERSION}/{IMAGE}");
        let case = |name, request, status| Case {
            name,
            request,
            status,
        };
        let get = |path: &str| load::request("GET", path, &[]);
        let again = |path: &str| {
            let answer = self.ask(server, THEIRS, &get(path));
            let tags = format!("\"another\", {}", answer.header("etag"));
            load::request("GET", path, &[("If-None-Match", &tags)])
        };
        vec![
            case("rendered, of a device", get(DEVICE), 200),
            // Reads no store, so that it is the Workers' own work that is compared.
            case("rendered, shared", get("/office/shared.cfg"), 200),
            case("4 KB file", get(&file), 200),
            case("60 MB image", get(&image), 200),
            case("304, configuration", again(DEVICE), 304),
            case("304, file", again(&file), 304),
            case("404", get("/office/nothing-here.cfg"), 404),
        ]
    }

    fn ask(&self, server: &Server, name: &str, request: &str) -> Answer {
        load::ask(&self.runtime, server.address(name), request).unwrap()
    }

    /// Both must give the same, to the byte: of what is measured, and of what shows that the job is done.
    fn check(&self, server: &Server, cases: &[Case]) {
        let image = format!("/office/{IMAGE}");
        let more = [
            ("HEAD", DEVICE, vec![]),
            ("GET", "/office/0004f2000400.cfg", vec![]),
            ("GET", "/office/0004f2000401.cfg", vec![]),
            ("GET", "/office/000000000000.cfg", vec![]),
            ("HEAD", "/office/shared.cfg", vec![]),
            ("GET", "/elsewhere/shared.cfg", vec![]),
            ("GET", DEVICE, vec![("Range", "bytes=10-19")]),
            ("HEAD", &image, vec![]),
            ("GET", &image, vec![("Range", "bytes=-1000")]),
            (
                "GET",
                &image,
                vec![("Range", "bytes=0-9"), ("If-Range", "\"x\"")],
            ),
            ("GET", &image, vec![("Range", "bytes=999999999-")]),
        ];
        let more = more.map(|(method, path, headers)| load::request(method, path, &headers));
        for request in cases.iter().map(|case| &case.request).chain(&more) {
            let [ours, theirs] = [OURS, THEIRS].map(|name| self.ask(server, name, request));
            let line = request.lines().next().unwrap();
            assert_eq!(ours.status, theirs.status, "{line}");
            // Line by line, so that a difference can be seen.
            for (ours, theirs) in ours.lines().iter().zip(&theirs.lines()) {
                assert_eq!(ours, theirs, "{line}");
            }
            for name in COMPARED {
                assert_eq!(ours.header(name), theirs.header(name), "{line}: {name}");
            }
            assert!(ours.body == theirs.body, "{line}: the bodies differ");
        }
        let configuration = self.ask(server, OURS, &cases[0].request);
        println!(
            "the same answers to {} requests; the configuration has {} bytes",
            cases.len() + more.len(),
            configuration.body.len()
        );
    }

    fn requests(&self, cases: &[Case]) {
        let mut rounds = Vec::new();
        let mut discarded = 0;
        while rounds.len() < self.plan.rounds {
            match self.round(rounds.len(), cases) {
                Some(round) => rounds.push(round),
                None => discarded += 1,
            }
            assert!(
                discarded <= self.plan.rounds,
                "workerd hangs in most rounds"
            );
        }
        println!(
            "{} rounds, {discarded} discarded as workerd hung; microseconds a request; ratios are ours : \
             JavaScript's [95 %]",
            rounds.len()
        );
        println!("{:<28}{:<50}CPU time", "requests x connections", "time");
        for (index, (case, connections)) in loads(cases).enumerate() {
            let rounds: Vec<_> = rounds.iter().map(|round| &round[index]).collect();
            let name = format!("{} x {connections}", case.name);
            let time = row(&rounds, |spent| spent.seconds * 1e6);
            let cpu = row(&rounds, |spent| spent.cpu_seconds * 1e6);
            println!("{name:<28}{time:<50}{cpu}");
        }
    }

    /// Every load once, ours and theirs, after as long a time to warm up. Each round has a miniflare of
    /// its own: what a process has compiled how, and where it lies in memory, stays as it is while the
    /// process lives, so that rounds of one process would all err to the same side.
    ///
    /// `None` if workerd hung: under load it now and then sweeps its heap without end (V8's
    /// `IncrementalSweepTask` in `PumpMessageLoop`), whichever Worker it runs.
    fn round(&self, number: usize, cases: &[Case]) -> Option<Vec<[Spent; 2]>> {
        let mut workers = self.modules;
        workers.rotate_left(number % 2);
        let server = Server::start(&self.persist, None, &workers);
        let measured = loads(cases).map(|(case, connections)| {
            let measure = |name| self.measure(&server, case, name, connections);
            let [Some(_), Some(_)] = in_turn(number, measure) else {
                return None;
            };
            let [ours, theirs] = in_turn(number, measure);
            Some([ours?, theirs?])
        });
        measured.collect()
    }

    /// What a request takes, over whole requests.
    fn measure(&self, server: &Server, case: &Case, name: &str, connections: u32) -> Option<Spent> {
        let load = Load {
            address: server.address(name),
            request: case.request.clone(),
            status: case.status,
        };
        let before = server.cpu_seconds();
        let loaded = load::load(&self.runtime, &load, connections, self.plan.round)?;
        Some(Spent {
            seconds: loaded.seconds_each(),
            cpu_seconds: (server.cpu_seconds() - before) / f64::from(loaded.requests),
        })
    }

    /// Starts a miniflare with one Worker of the two.
    fn alone(&self, name: &str) -> Server {
        let one = self.modules.iter().filter(|(other, _)| *other == name);
        Server::start(&self.persist, None, &one.copied().collect::<Vec<_>>())
    }

    /// From nothing to the first configuration, and how long that first one takes of it.
    fn starts(&self) {
        let request = load::request("GET", DEVICE, &[]);
        let rounds = rounds(self.plan.starts, |name| {
            let start = Instant::now();
            let server = self.alone(name);
            let ready = start.elapsed();
            let answer = self.ask(&server, name, &request);
            assert_eq!(answer.status, 200);
            let total = start.elapsed();
            (total.as_secs_f64(), (total - ready).as_secs_f64())
        });
        println!(
            "{} starts of a fresh miniflare each, milliseconds",
            self.plan.starts
        );
        report("start to first 200", &rounds, |round| round.0 * 1e3);
        report("of that the request", &rounds, |round| round.1 * 1e3);
    }

    /// Resident memory with one Worker alone: after one request, and after all kinds of load.
    fn memory(&self, cases: &[Case]) {
        let rounds = rounds(self.plan.memories, |name| {
            // A hung workerd says nothing of memory.
            let mut tries = (0..self.plan.memories).map(|_| self.grown(name, cases));
            tries.find_map(|grown| grown).unwrap()
        });
        println!(
            "{} starts, resident megabytes of workerd with one Worker",
            rounds.len()
        );
        report("idle", &rounds, |round| round.0);
        report("after load", &rounds, |round| round.1);
    }

    fn grown(&self, name: &str, cases: &[Case]) -> Option<(f64, f64)> {
        let server = self.alone(name);
        let answer = self.ask(&server, name, &cases[0].request);
        assert_eq!(answer.status, 200);
        let idle = server.megabytes();
        for case in cases {
            self.measure(&server, case, name, 50)?;
        }
        Some((idle, server.megabytes()))
    }
}

/// Every case over one connection and over many.
fn loads(cases: &[Case]) -> impl Iterator<Item = (&Case, u32)> {
    let connections = [1, 50];
    let each = move |case| connections.map(|connections| (case, connections));
    cases.iter().flat_map(each)
}

/// Measures both, theirs first in every other round.
fn in_turn<T>(round: usize, measure: impl Fn(&'static str) -> T) -> [T; 2] {
    if round.is_multiple_of(2) {
        [OURS, THEIRS].map(measure)
    } else {
        let [theirs, ours] = [THEIRS, OURS].map(measure);
        [ours, theirs]
    }
}

fn rounds<T>(count: usize, measure: impl Fn(&'static str) -> T) -> Vec<[T; 2]> {
    (0..count).map(|round| in_turn(round, &measure)).collect()
}

/// What both must say alike. The date is the runtime's.
const COMPARED: &[&str] = &[
    "accept-ranges",
    "cache-control",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
];

fn report<T>(name: &str, rounds: &[[T; 2]], of: impl Fn(&T) -> f64) {
    let rounds: Vec<_> = rounds.iter().collect();
    println!("{name:<28}{}", row(&rounds, of));
}

/// The medians of both and of the rounds' ratios.
fn row<T>(rounds: &[&[T; 2]], of: impl Fn(&T) -> f64) -> String {
    let [ours, theirs] =
        [0, 1].map(|which| Median::of(rounds.iter().map(|round| of(&round[which]))));
    let ratio = Median::of(rounds.iter().map(|[ours, theirs]| of(ours) / of(theirs)));
    format!("{:9.1} : {:9.1}  {ratio}", ours.value, theirs.value)
}

fn bundle_baseline(work: &Path) -> PathBuf {
    let output = work.join("baseline/index.js");
    let status = Command::new("node")
        .arg(root().join("benches/worker/bundle.mjs"))
        .arg(&output)
        .status()
        .unwrap();
    assert!(status.success());
    output
}

/// Compiles the fleet, its generated files included, and lists what the stores shall hold.
fn write_entries(work: &Path, image_bytes: u32) -> PathBuf {
    let directory = work.join("fleet");
    tree::copy(&root().join("benches/worker/fleet"), &directory, &["state"]);
    let images = directory.join("firmware/polycom").join(VERSION);
    let resources = directory.join("resources");
    for (folder, file, length) in [(images, IMAGE, image_bytes), (resources, RESOURCE, 4096)] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), content(length)).unwrap();
    }
    let fleet = fleet::compile(&directory, &mut Hashes::default()).unwrap();
    let entries = entries::of(&fleet.snapshot).into_iter().enumerate();
    let entries = entries.map(|(number, entry)| {
        let file = match entry.content {
            Content::File(path) => path,
            Content::Record(bytes) => {
                let path = work.join(format!("record-{number}"));
                fs::write(&path, bytes).unwrap();
                path
            }
        };
        let place = match entry.place {
            Place::Values => "values",
            Place::Devices | Place::Objects => "objects",
        };
        serde_json::json!({"place": place, "key": entry.key, "file": file})
    });
    let manifest = work.join("entries.json");
    let list = serde_json::Value::Array(entries.collect());
    fs::write(&manifest, list.to_string()).unwrap();
    manifest
}

/// Bytes that do not repeat within 16 MB.
fn content(length: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length.div_ceil(4)).flat_map(u32::to_be_bytes).collect();
    bytes.truncate(length as usize);
    bytes
}
