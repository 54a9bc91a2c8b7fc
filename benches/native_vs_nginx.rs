//! The native server beside nginx, in one run: requests, bytes and CPU time a request, as ratios.
//!
//! Needs nginx, wrk and openssl; says so and succeeds where one is missing. Each line is the median of
//! rounds in which the two take turns. CPU time is what the kernel charges the servers' processes.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

#[path = "../tests/support/deployment.rs"]
mod deployment;

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use handset::platform::native::ServeOptions;
use handset::platform::native::log::Log;
use handset::platform::native::serve;
use handset::store::directory::DirectoryStore;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::StreamOwned;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use deployment::IMAGE;
use deployment::SITE;
use deployment::VVX;

const IMAGE_BYTES: u64 = 50 << 20;
const ROUNDS: usize = 5;
const SECONDS: u64 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("serve") => serve_deployment(&arguments[2..]),
        Some("--test") => skip("only `cargo bench` measures"),
        _ if !["nginx", "wrk", "openssl"].into_iter().all(is_installed) => {
            skip("nginx or wrk not installed (apt-get install nginx-light wrk)");
        }
        _ => compare(),
    }
}

fn skip(why: &str) {
    println!("skipped: {why}");
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn compare() {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let nginx = Nginx::start(directory.path());
    let [plain, tls] = [false, true].map(|tls| Handset::start(directory.path(), 100, tls));
    let image = format!("/{SITE}/{IMAGE}");
    let small = format!("/{SITE}/ring%20(1).wav");
    println!("ours : nginx (CPU is user and system time for each request)");
    for (name, path, ours, port) in [
        ("50 MB over TLS", &image, &tls, nginx.tls),
        ("50 MB, sendfile off", &image, &plain, nginx.copying),
        ("50 MB, sendfile on", &image, &plain, nginx.sending),
        ("4 KB over TLS", &small, &tls, nginx.tls),
        ("4 KB, sendfile off", &small, &plain, nginx.copying),
        ("4 KB, sendfile on", &small, &plain, nginx.sending),
    ] {
        let scheme = if port == nginx.tls { "https" } else { "http" };
        let theirs = format!("{scheme}://127.0.0.1:{port}{path}");
        let ours_at = format!("{}{path}", ours.url);
        let rounds = (0..ROUNDS).map(|_| {
            let ours = measure(&ours_at, &[ours.child.id()]);
            (ours, measure(&theirs, &nginx.processes()))
        });
        report(name, &rounds.collect::<Vec<_>>());
    }
    rendering(&plain, directory.path());
    for handset in [&plain, &tls] {
        slow_readers(handset, &image, directory.path());
    }
}

/// One round of one server.
#[derive(Clone, Copy)]
struct Measured {
    requests: f64,
    megabytes: f64,
    seconds: f64,
    cpu: f64,
}

impl Measured {
    /// CPU seconds for a request; wrk cuts the last ones off, so large files count by their bytes.
    fn cpu_each(&self) -> f64 {
        if self.megabytes / self.requests.max(1.0) > 1.0 {
            self.cpu / (self.megabytes * 1e6 / IMAGE_BYTES as f64)
        } else {
            self.cpu / self.requests
        }
    }
}

fn report(name: &str, rounds: &[(Measured, Measured)]) {
    let median = |value: &dyn Fn(&(Measured, Measured)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let rate = |it: &Measured| it.requests / it.seconds;
    let bytes = |it: &Measured| it.megabytes / it.seconds;
    println!(
        "{name:22} req/s {:9.1} : {:9.1}   MB/s {:7.0} : {:7.0}   CPU us {:9.1} : {:9.1}   CPU ratio {:.2}",
        median(&|(ours, _)| rate(ours)),
        median(&|(_, theirs)| rate(theirs)),
        median(&|(ours, _)| bytes(ours)),
        median(&|(_, theirs)| bytes(theirs)),
        median(&|(ours, _)| ours.cpu_each() * 1e6),
        median(&|(_, theirs)| theirs.cpu_each() * 1e6),
        median(&|(ours, theirs)| ours.cpu_each() / theirs.cpu_each()),
    );
}

/// A rendered configuration, with few devices and with many.
fn rendering(few: &Handset, directory: &Path) {
    let many = Handset::start(directory, 100_000, false);
    let path = format!("/{SITE}/{VVX}-device.cfg");
    let rounds = (0..ROUNDS).map(|_| {
        let [few, many] =
            [few, &many].map(|it| measure(&format!("{}{path}", it.url), &[it.child.id()]));
        (few, many)
    });
    println!("100 devices : 100,000 devices");
    report("rendered configuration", &rounds.collect::<Vec<_>>());
}

/// Loads a server for some seconds.
fn measure(url: &str, processes: &[u32]) -> Measured {
    let before: f64 = processes.iter().map(|id| cpu_seconds(*id)).sum();
    let output = Command::new("wrk")
        .args(["-t1", "-c8", "--timeout", "30s"])
        .args([format!("-d{SECONDS}s"), url.to_owned()])
        .output()
        .unwrap();
    let after: f64 = processes.iter().map(|id| cpu_seconds(*id)).sum();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{url}: {text}");
    // "  36 requests in 3.00s, 1.79GB read"
    let line = text.lines().find(|line| line.contains(" requests in "));
    let words: Vec<&str> = line
        .unwrap_or_else(|| panic!("{text}"))
        .split_whitespace()
        .collect();
    Measured {
        requests: words[0].parse().unwrap(),
        seconds: words[3].trim_end_matches("s,").parse().unwrap(),
        megabytes: megabytes(words[4]),
        cpu: after - before,
    }
}

/// `1.79GB`, as wrk writes it, in millions of bytes.
fn megabytes(text: &str) -> f64 {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap());
    let factor = match unit {
        "GB" => 1_073.741_824,
        "MB" => 1.048_576,
        "KB" => 0.001_024,
        _ => 1e-6,
    };
    number.parse::<f64>().unwrap() * factor
}

/// User and system time (proc(5), fields 14 and 15), with that of waited-for children.
fn cpu_seconds(process: u32) -> f64 {
    let fields = stat(process);
    let ticks: f64 = fields[11..15]
        .iter()
        .map(|it| it.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

/// The fields of a process after its name.
fn stat(process: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

fn memory(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Memory while 200 phones read a little now and then.
fn slow_readers(handset: &Handset, path: &str, directory: &Path) {
    let id = handset.child.id();
    // Making the files took memory, too, which is not to count (proc(5), clear_refs).
    fs::write(format!("/proc/{id}/clear_refs"), "5").unwrap();
    let before = memory(id, "VmRSS");
    let address = handset.url.split_once("://").unwrap().1;
    let mut readers: Vec<_> = (0..200)
        .map(|_| reader(handset, address, directory))
        .collect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for reader in &mut readers {
        reader.write_all(request.as_bytes()).unwrap();
    }
    let mut seen = Vec::new();
    let mut piece = vec![0; 256 << 10];
    for _ in 0..16 {
        for reader in &mut readers {
            reader.read_exact(&mut piece).unwrap();
        }
        seen.push(memory(id, "VmRSS"));
    }
    // More in all than the kernel's buffers hold, so that the server has to wait and go on.
    println!(
        "{}: resident KB before {before}, after each 256 KB that 200 readers took {seen:?}, highest {}",
        handset.url,
        memory(id, "VmHWM"),
    );
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

fn reader(handset: &Handset, address: &str, directory: &Path) -> Box<dyn Stream> {
    let stream = TcpStream::connect(address).unwrap();
    if handset.url.starts_with("http:") {
        return Box::new(stream);
    }
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    Box::new(StreamOwned::new(session, stream))
}

fn certify(directory: &Path) {
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "30", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

/// This program again, as the server.
struct Handset {
    child: Child,
    url: String,
}

impl Handset {
    fn start(directory: &Path, devices: u32, tls: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("serve").arg(directory).arg(devices.to_string());
        if tls {
            command.arg("tls");
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { child, url }
    }
}

impl Drop for Handset {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve_deployment(arguments: &[String]) {
    let directory = PathBuf::from(&arguments[0]);
    let devices = arguments[1].parse().unwrap();
    let tls = arguments
        .get(2)
        .map(|_| (directory.join("cert.pem"), directory.join("key.pem")));
    let state = tempfile::tempdir().unwrap();
    // A folder of its own, for a file that another server serves must not change.
    let fleet = tempfile::tempdir_in(&directory).unwrap();
    let mut snapshot = deployment::snapshot(fleet.path(), IMAGE_BYTES);
    let site = snapshot.devices.get_mut(SITE).unwrap();
    for number in 0..devices {
        let mac = format!("0004f2{number:06x}").parse().unwrap();
        site.insert(mac, br#"{"model": "VVX 400"}"#.to_vec().into());
    }
    let store = DirectoryStore::open(state.path(), snapshot).unwrap();
    let options = ServeOptions {
        tls,
        ..ServeOptions::default()
    };
    serve(Arc::new(store), &options, Log::to(io::stderr())).unwrap();
}

/// nginx with two workers, on three ports.
struct Nginx {
    child: Child,
    tls: u16,
    copying: u16,
    sending: u16,
}

impl Nginx {
    fn start(directory: &Path) -> Self {
        let root = directory.join("root");
        fs::create_dir_all(root.join(SITE)).unwrap();
        let files = root.join(SITE);
        fs::write(files.join(IMAGE), deployment::content(IMAGE_BYTES)).unwrap();
        fs::write(files.join(deployment::RESOURCE), deployment::content(4096)).unwrap();
        let [tls, copying, sending] = free_ports();
        let at = directory.display();
        let common = "access_log /dev/null; keepalive_requests 100000000;";
        let config = format!(
            "worker_processes 2; daemon off; pid {at}/nginx.pid; error_log {at}/error.log;
             events {{ worker_connections 1024; }}
             http {{ {common} root {at}/root; client_body_temp_path {at}/body;
               proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
               uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
               server {{ listen 127.0.0.1:{copying} reuseport; sendfile off; }}
               server {{ listen 127.0.0.1:{sending} reuseport; sendfile on; tcp_nopush on; }}
               server {{ listen 127.0.0.1:{tls} ssl reuseport; sendfile on;
                 ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;
                 ssl_protocols TLSv1.2 TLSv1.3; }} }}"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, config).unwrap();
        // Workers drop root's rights, and a temporary directory is its owner's alone.
        let user = if is_root() { "user root;" } else { "" };
        let child = Command::new("nginx")
            .arg("-e")
            .arg(directory.join("error.log"))
            .arg("-c")
            .arg(&file)
            .args(["-g", user])
            .spawn()
            .unwrap();
        let nginx = Self {
            child,
            tls,
            copying,
            sending,
        };
        nginx.wait();
        nginx
    }

    fn wait(&self) {
        while TcpStream::connect(("127.0.0.1", self.tls)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The master and its workers.
    fn processes(&self) -> Vec<u32> {
        let master = self.child.id();
        let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.parse::<u32>().ok()
        });
        let parent = |process: u32| stat(process).get(1)?.parse::<u32>().ok();
        let workers = numbers.filter(|process| parent(*process) == Some(master));
        std::iter::once(master).chain(workers).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let master = self.child.id().to_string();
        // SIGTERM, for a killed master would leave its workers behind.
        let _ = Command::new("kill").arg(master).status();
        let _ = self.child.wait();
    }
}

fn free_ports() -> [u16; 3] {
    // All are held at once, so that they differ.
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}
