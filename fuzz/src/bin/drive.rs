//! Runs a fuzz target without a nightly: `drive TARGET SECONDS`, mutating seeds and what it knows.
//!
//! No coverage guides it; for that the same targets run under cargo-fuzz. The sequence is the same every
//! time. An input that makes the target panic, or hang, is written to `fuzz/artifacts/`.

use std::fs;
use std::panic;
use std::process;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use handset_fuzz::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, seconds] = arguments.as_slice() else {
        eprintln!("usage: drive TARGET SECONDS");
        return ExitCode::from(2);
    };
    let Some((name, run)) = TARGETS.iter().find(|(name, _)| name == target) else {
        let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("no target {target}; known: {}", known.join(", "));
        return ExitCode::from(2);
    };
    let Ok(seconds) = seconds.parse() else {
        eprintln!("{seconds} is no number of seconds");
        return ExitCode::from(2);
    };
    drive(name, *run, Duration::from_secs(seconds))
}

fn drive(name: &'static str, run: fn(&[u8]), time: Duration) -> ExitCode {
    panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut corpus: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let mut runs = 0_u64;
    let running = watch(name);
    while start.elapsed() < time {
        for _ in 0..1000 {
            let input = random.mutate(&corpus);
            running.begin(runs, &input);
            if panic::catch_unwind(|| run(&input)).is_err() {
                return report(name, "panics", &input);
            }
            if random.below(64) == 0 && input.len() < 4096 {
                let place = random.below(corpus.len().max(512));
                match corpus.get_mut(place) {
                    Some(old) if place >= SEEDS.len() => *old = input,
                    _ => corpus.push(input),
                }
            }
            runs += 1;
        }
    }
    println!(
        "{name}: {runs} inputs in {:.0} s, no fault",
        start.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

/// What is being run, for whoever finds that it takes too long.
#[derive(Default)]
struct Running(Mutex<(u64, Vec<u8>)>);

impl Running {
    fn begin(&self, number: u64, input: &[u8]) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.0 = number;
        input.clone_into(&mut running.1);
    }

    fn current(&self) -> (u64, Vec<u8>) {
        let running = self.0.lock();
        running.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ends the program when one input takes longer than [`LONGEST`]: a hang cannot be caught as a panic can.
fn watch(name: &'static str) -> Arc<Running> {
    let running = Arc::new(Running::default());
    let watched = Arc::clone(&running);
    thread::spawn(move || {
        loop {
            let (before, _) = watched.current();
            thread::sleep(LONGEST);
            let (number, input) = watched.current();
            if number == before {
                report(name, "hangs", &input);
                process::exit(1);
            }
        }
    });
    running
}

/// A thousand times what an input takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

fn report(name: &str, fault: &str, input: &[u8]) -> ExitCode {
    // Where cargo-fuzz puts its own.
    let folder = format!("{}/artifacts/{name}", env!("CARGO_MANIFEST_DIR"));
    let path = format!("{folder}/drive");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    eprintln!(
        "{name} {fault} on {:?} ({path}: {written:?})",
        String::from_utf8_lossy(input)
    );
    ExitCode::FAILURE
}

/// Xorshift (Marsaglia 2003): the same sequence every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(6) {
            let place = self.below(input.len() + 1);
            match self.below(6) {
                0 => input.truncate(place),
                1 => input.insert(place, self.next() as u8),
                2 if place < input.len() => input[place] ^= 1 << self.below(8),
                3 if place < input.len() => drop(input.remove(place)),
                4 => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    input.truncate(place);
                    input.extend(&other[from..]);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    input.splice(place..place, word.bytes());
                }
            }
        }
        input
    }
}

const SEEDS: &[&str] = &[
    "/lync/firmware/3111-46157-002.3111-46157-002.sip.ld",
    "/lync/%2e%2e/00-04-f2-80-62-d6-phone.cfg",
    "{mac}-{name}.tar.gz\n0004f28062d6-core.tar.gz",
    "firmware/{version}/{part_number}.sip.ld\nfirmware/4.1.4/3111-46157-002.sip.ld",
    "bytes=0-99,200-",
    "SUBSCRIBE sip:224.0.1.75 SIP/2.0\r\nVia: SIP/2.0/UDP a;rport\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\nEvent: ua-profile;model=\"440HD\"\r\nAccept: application/url\r\n\r\n",
    "bytes=-18446744073709551616",
    "FileTransport PolycomVVX-VVX_400-UA/4.1.4.7430 (SN:0004f28062d6) Type/Application",
    "AUDC-IPPhone/2.2.8.61 (440HDG-Rev0; 00908F602AAC)",
    "Panasonic_KX-UT113/01.133 (0080f0c8c381)",
    "Basic UGxjbVNwSXA6UGxjbVNwSXA=\n/office/0004f28062d6.cfg",
    "Digest username=\"a\\\"b\", realm=\"office\", nonce=\"00\", uri=\"/office/x.cfg\", response=\"8ca523f5e9506fed4657c9700eebdbec\", algorithm=MD5, cnonce=\"c\", nc=00000001, qop=auth\n/office/x.cfg",
    "Digest username=\"u\", realm=\"office\", nonce=\"00\", uri=\"http://h//office/x.cfg?a\", response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\", algorithm=SHA-256, cnonce=\"c\", nc=\"0000000a\", qop=\"auth\", opaque=\"o\"\n/office/x.cfg?a",
    "bq7fzrm2xk5uoe3wl6hdcyt4psa/pbkdf2-sha256:2:00ff:8ca523f5e9506fed4657c9700eebdbec8ca523f5e9506fed4657c9700eebdbec",
    "<?xml version=\"1.0\"?><APPLICATION APP_FILE_PATH=\"sip.ld\" CONFIG_FILES=\"a.cfg, [MACADDRESS]-b.cfg\"><APPLICATION_VVX400 CONFIG_FILES_VVX400=\"c\"/></APPLICATION>",
    "2\x00\x01sip.ld\x00octet\x00blksize\x001428\x00windowsize\x0016\x00tsize\x000\x00\x04\x00\x04\x00\x00\x04\x00\x04\x00\x10\x04\x00\x04\x00\x09\x04\x00\x04\x00\x09\x04\x00\x05\x00\x08",
    "!\x00\x02/a\\b-app.log\x00netascii\x00tsize\x0099\x00h\x00\x03\x00\x01xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\x06\x00\x03\x00\x02\x0d\x0a\x06\x00\x03\x00\x02\x0d\x0a",
    "\x0a\x00\x01x\x00octet\x00\x1a\x00\x06blksize\x0016\x00windowsize\x004\x00\x14\x00\x03\x00\x01yyyyyyyyyyyyyyyy\x14\x00\x03\x00\x03yyyyyyyyyyyyyyyy\x07\x00\x03\x00\x02end\x04\x00\x04\x00\x00\x04\x00\x04\x00\x01",
];

const WORDS: &[&str] = &[
    "/",
    "//",
    "..",
    "%2e",
    "%00",
    "%",
    "\\",
    "{",
    "}",
    "{mac}",
    "{model}",
    "{name}",
    "Basic ",
    "Digest ",
    "=\"",
    ", nc=",
    "digest-md5:",
    "plain:",
    "bytes=",
    "-",
    ",",
    "0004f28062d6",
    "Poly",
    "-UA/",
    "(SN:",
    "AUDC-IPPhone",
    "_UC_",
    "<",
    ">",
    "\"",
    "&#10;",
    "]]>",
    "<!--",
    "APPLICATION",
    "é",
    "\u{1F600}",
    "\n",
    "\x00\x01",
    "\x00\x03\x00\x01",
    "\x00\x04\x00\x01",
    "\x00\x05\x00\x00",
    "\x00\x06",
    "\x00octet\x00",
    "blksize\x008\x00",
    "windowsize\x0064\x00",
    "\x04\x00\x04\x00\x02",
];
