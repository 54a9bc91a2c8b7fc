//! What large fleets take, by the tool's own commands: `check`, every file of every phone rendered, `diff` against a
//! directory and against a server, and `push`, of everything and where one phone in a hundred changed.
//!
//! `cargo xtask bench fleet` measures 100, 10,000 and 100,000 phones; with `--test` it takes the first alone. Time is
//! wall-clock time, and memory the most that the command had resident, without the server's.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use handset::fleet;
use handset::fleet::Hashes;
use handset::fleet::outputs;
use handset::platform::native::ServeOptions;
use handset::platform::native::Server;
use handset::platform::native::log::Log;
use handset::secret::DeploymentSecrets;
use handset::store::files::Files;
use handset::store::single::SingleStore;
use handset::token::Scope;
use handset::token::Token;

/// Address block, and model.
const MODELS: [(&str, &str); 4] = [
    ("0004f2", "VVX 400"),
    ("0004f2", "VVX 500"),
    ("00908f", "420HD"),
    ("0080f0", "KX-UT136"),
];

/// Phones of a site.
const SITE: usize = 1000;

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let counts: &[usize] = if short {
        &[100]
    } else {
        &[100, 10_000, 100_000]
    };
    println!("{:>8}  {:<28}{:>9}{:>9}", "phones", "what", "seconds", "MB");
    for count in counts {
        measure(*count);
    }
}

fn measure(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before");
    let fleet = directory.path().join("fleet");
    write(&before, count, "");
    write(&fleet, count, "");
    let shown = [&fleet, &before].map(|path| path.to_string_lossy().into_owned());
    let [fleet_path, before_path] = &shown;
    let tool = |what: &str, arguments: &[&str], code: i32| {
        let (seconds, megabytes) = run(arguments, code, "");
        row(count, what, seconds, Some(megabytes));
    };
    tool("check", &["check", fleet_path], 0);
    row(count, "render every file", rendered(&fleet), None);
    let server = Destination::open(directory.path());
    let push = ["push", fleet_path, "--to", &server.url];
    server.tool(count, "push, everything", &push, 0);
    server.tool(count, "push, nothing changed", &push, 0);
    write(&fleet, count, " B.");
    tool(
        "diff DIR, 1 % changed",
        &["diff", fleet_path, "--against", before_path],
        1,
    );
    server.tool(
        count,
        "diff URL, 1 % changed",
        &["diff", fleet_path, "--against", &server.url],
        1,
    );
    server.tool(
        count,
        "push --dry-run",
        &["push", fleet_path, "--to", &server.url, "--dry-run"],
        0,
    );
    server.tool(count, "push, 1 % changed", &push, 0);
    server.tool(count, "status", &["status", "--url", &server.url], 0);
}

fn row(count: usize, what: &str, seconds: f64, megabytes: Option<f64>) {
    let megabytes = megabytes.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}"));
    println!("{count:>8}  {what:<28}{seconds:>9.2}{megabytes:>9}");
}

/// Compiles, and renders every file of every phone on all cores.
fn rendered(directory: &Path) -> f64 {
    let start = Instant::now();
    let fleet = fleet::compile(directory, &mut Hashes::default()).unwrap();
    let groups = outputs::groups(&fleet);
    for group in &groups {
        assert!(group.shared().iter().all(|output| output.text.is_ok()));
        let good = outputs::on_every_core(&group.phones, |(mac, settings)| {
            let own = group.own(*mac, settings);
            own.iter().all(|output| output.text.is_ok())
        });
        assert!(good.into_iter().all(|good| good));
    }
    start.elapsed().as_secs_f64()
}

/// A server over a directory, in this process.
struct Destination {
    _server: Server,
    url: String,
    token: String,
}

impl Destination {
    fn open(directory: &Path) -> Self {
        let secret = "8f1d6c3a92b4e0577ac1d20b3e4f65981a2c7d90b8e3f4461527c8d9e0a1b3f2";
        let secrets = DeploymentSecrets::parse(secret).unwrap();
        let files = Files::open(&directory.join("objects")).unwrap();
        let store = SingleStore::new(files, Some(secrets.clone()));
        let token = Token {
            scope: Scope::Write,
            tenant: None,
        };
        let token = token.text(&secrets).expose_text().unwrap().to_owned();
        let options = ServeOptions {
            secrets: Some(secrets),
            ..ServeOptions::default()
        };
        let log = Log::to(std::io::sink());
        let server = Server::start(Arc::new(store), &options, log).unwrap();
        Self {
            url: server.url(),
            _server: server,
            token,
        }
    }

    fn tool(&self, count: usize, what: &str, arguments: &[&str], code: i32) {
        let (seconds, megabytes) = run(arguments, code, &self.token);
        row(count, what, seconds, Some(megabytes));
    }
}

/// Runs the tool; gives how long it took, and the most memory that it had.
fn run(arguments: &[&str], code: i32, token: &str) -> (f64, f64) {
    let start = Instant::now();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_handset"))
        .args(arguments)
        .env("HANDSET_TOKEN", token)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", tool.id());
    let mut most = 0.0;
    let ended = loop {
        // The peak only grows, so that the last look has it but for the program's last moment.
        let text = fs::read_to_string(&status).unwrap_or_default();
        most = peak(&text).unwrap_or(most);
        match tool.try_wait().unwrap() {
            Some(ended) => break ended,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(ended.code(), Some(code), "{arguments:?}");
    (start.elapsed().as_secs_f64(), most)
}

/// Megabytes.
fn peak(status: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// A fleet where one phone in a hundred has this after its name.
fn write(directory: &Path, count: usize, after: &str) {
    put(
        directory,
        "handset.toml",
        "[settings]\nntp_server = \"pool.example.net\"\nlanguage = \"en-US\"\n",
    );
    let sites = count.div_ceil(SITE);
    for site in 0..sites {
        let text = format!(
            "access = \"open\"\npublic_url = \"https://prov.example.net\"\n[settings]\nsip_server = \"sip{site}.example.net\"\n"
        );
        put(directory, &format!("sites/site{site:04}.toml"), &text);
    }
    let mut table = "mac,site,model,line1.user,line1.password,line1.display_name\n".to_owned();
    for (phone, (block, model)) in (0..count).zip(MODELS.iter().cycle()) {
        let site = phone % sites;
        // Some in each site: that is what costs a push the most.
        let after = match (phone / sites) % 100 {
            0 => after,
            _ => "",
        };
        let _ = writeln!(
            table,
            "{block}{phone:06x},site{site:04},{model},{phone},secret-{phone:06},Person {phone}{after}"
        );
    }
    put(directory, "devices/all.csv", &table);
}

fn put(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
