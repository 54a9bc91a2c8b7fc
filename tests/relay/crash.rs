//! Power cuts and full disks: no upload is lost that a phone was told is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use handset::relay::tftp::client::ClientError;
use handset::tftp::packet::ErrorCode;
use handset::tftp::transfer::Outcome;
use tokio::time;

use crate::branch::block_on;
use crate::programs::Program;
use crate::site::Site;

const NAMES: [&str; 3] = [
    "0004f2000500-app.log",
    "0004f2000500-boot.log",
    "0004f2000501-app.log",
];

/// A generator of numbers that is the same on every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What phones were told is stored, by name, in order.
type Told = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// Every upload in `told` came to the server, a file's in order; some may have come twice.
fn assert_delivered(site: &Site, told: &Told) {
    let count: usize = told.values().map(Vec::len).sum();
    site.wait(|requests| {
        let missing = |name: &str, bytes: &Vec<u8>| {
            !requests
                .iter()
                .any(|it| it.path.ends_with(name) && it.body == *bytes)
        };
        let mut all = told
            .iter()
            .flat_map(|(name, bytes)| bytes.iter().map(move |it| (name, it)));
        requests.len() >= count && !all.any(|(name, bytes)| missing(name, bytes))
    });
    for (name, expected) in told {
        let uploads = site.uploads().into_iter();
        let mut came = uploads
            .filter(|(other, _)| other == name)
            .map(|(_, bytes)| bytes);
        for bytes in expected {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            assert!(came.any(|it| it == *bytes), "{name}: {text} came too soon");
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let moments = std::env::var("HANDSET_CRASHES").map_or(100, |text| text.parse().unwrap());
    let (site, state) = (Site::start(), tempfile::tempdir().unwrap());
    let more = [
        "--identity",
        "any",
        "--state",
        state.path().to_str().unwrap(),
    ];
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut told = Told::new();
    let (mut number, mut files) = (0, 0);
    for moment in 0..moments {
        // The server comes and goes, too.
        site.set_away(dice.roll(2) == 0);
        site.put("image.ld", "no-cache", &image(moment));
        let (mut relay, client) = Program::relay(&site.base(), &more);
        let pause = Duration::from_micros(dice.roll(60_000));
        block_on(async {
            let uploading = async {
                loop {
                    let name = NAMES[number % NAMES.len()];
                    let line = format!("{number} of {name}\n");
                    let bytes = line.repeat(1 + number % 300).into_bytes();
                    number += 1;
                    client.write(name.as_bytes(), &bytes).await.unwrap();
                    told.entry(name).or_default().push(bytes);
                }
            };
            let downloading = async {
                loop {
                    // What an image says of itself is all of it.
                    if let Ok(bytes) = client.read(b"image.ld").await {
                        assert!(bytes == image(of(&bytes)), "not one image");
                        files += 1;
                    }
                }
            };
            let both = async { tokio::join!(uploading, downloading) };
            let _: Result<((), ()), _> = time::timeout(pause, both).await;
        });
        relay.kill();
    }
    let count: usize = told.values().map(Vec::len).sum();
    println!("{moments} crashes, {number} uploads begun, {count} acknowledged, {files} files read");
    assert!(count > 0, "no upload was ever acknowledged");
    assert!(files > 0, "no file was ever read");
    site.set_away(false);
    let (_relay, _) = Program::relay(&site.base(), &more);
    assert_delivered(&site, &told);
}

/// A version of an image: its number, over and over, and a length that only it has.
fn image(version: u32) -> Vec<u8> {
    let words = std::iter::repeat_n(version.to_be_bytes(), 50_000);
    let mut image: Vec<u8> = words.flatten().collect();
    image.resize(image.len() + version as usize, 0);
    image
}

/// Which version an image seems to be.
fn of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// A small file system, which is unmounted when it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `Err` is why there can be none.
    fn mount() -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(directory.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self(directory)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The directory cannot be removed else, which is no failure of the test.
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn full_disk() {
    let small = match Small::mount() {
        Ok(small) => small,
        Err(reason) => return println!("skipped, nothing can be mounted here: {reason}"),
    };
    let site = Site::start();
    let image: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(3 << 20).collect();
    site.put("image.ld", "no-cache", &image);
    let more = [
        "--identity",
        "any",
        "--state",
        small.path().to_str().unwrap(),
    ];
    let (mut relay, client) = Program::relay(&site.base(), &more);
    // More than there is room for: it comes all the same.
    assert!(block_on(client.read(b"image.ld")).unwrap() == image);
    site.set_away(true);
    let mut told = Told::new();
    let name = NAMES[0];
    let mut full = 0;
    for number in 0..50 {
        // Smaller and smaller, so that the last bytes are taken, too.
        let bytes = format!("{number}\n")
            .repeat(20_000 / (1 + number))
            .into_bytes();
        match block_on(client.write(name.as_bytes(), &bytes)) {
            Ok(()) => told.entry(name).or_default().push(bytes),
            Err(ClientError::Transfer(Outcome::PeerFailed { code, .. })) => {
                assert_eq!(code, ErrorCode::DISK_FULL);
                full += 1;
            }
            Err(error) => panic!("{error}"),
        }
        if number == 30 {
            std::fs::write(small.path().join("ballast"), vec![0; 2 << 20]).unwrap_err();
        }
    }
    relay.kill();
    println!("{} uploads acknowledged, {full} refused", told[name].len());
    assert!(full > 0 && !told[name].is_empty());
    site.set_away(false);
    let (_relay, client) = Program::relay(&site.base(), &more);
    assert_delivered(&site, &told);
    std::fs::remove_file(small.path().join("ballast")).unwrap();
    block_on(client.write(NAMES[1].as_bytes(), b"there is room again")).unwrap();
    told.insert(NAMES[1], vec![b"there is room again".to_vec()]);
    assert_delivered(&site, &told);
}
