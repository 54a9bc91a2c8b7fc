//! What large fleets take: `check`, and `diff` where one phone in a hundred changes and where all do.
//!
//! `cargo xtask bench fleet` measures 100, 10,000 and 100,000 phones; with `--test` it takes the first alone.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark ends where something is not as it should be"
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use handset::fleet;
use handset::fleet::Fleet;
use handset::fleet::Hashes;
use handset::fleet::diff::diff;

/// Address block, and model.
const MODELS: [(&str, &str); 4] = [
    ("0004f2", "VVX 400"),
    ("0004f2", "VVX 500"),
    ("00908f", "420HD"),
    ("0080f0", "KX-UT136"),
];

/// Phones of a site.
const SITE: usize = 100;

fn main() {
    let short = std::env::args().any(|argument| argument == "--test");
    let counts: &[usize] = if short {
        &[100]
    } else {
        &[100, 10_000, 100_000]
    };
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>9}",
        "phones", "compile", "check", "diff 1 %", "diff all"
    );
    for count in counts {
        measure(*count);
    }
}

fn measure(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), count, "en-US", "");
    let (base, compiling) = timed(|| compile(directory.path()));
    let (found, checking) = timed(|| fleet::check::check(&base));
    assert!(found.is_empty(), "{found:?}");
    write(directory.path(), count, "en-US", " B.");
    let some = compile(directory.path());
    let (few, small) = timed(|| diff(&base, &some));
    write(directory.path(), count, "de-DE", "");
    let other = compile(directory.path());
    let (all, large) = timed(|| diff(&base, &other));
    let changed = |difference: &fleet::diff::Difference| {
        difference
            .summary
            .values()
            .map(|tally| tally.changed)
            .sum::<usize>()
    };
    assert_eq!((changed(&few), changed(&all)), (count / 100, count));
    println!("{count:>8} {compiling:>7.2} s {checking:>7.2} s {small:>7.2} s {large:>7.2} s");
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

fn compile(directory: &Path) -> Fleet {
    fleet::compile(directory, &mut Hashes::default()).unwrap()
}

/// A fleet in this language, where one phone in a hundred has this after its name.
fn write(directory: &Path, count: usize, language: &str, after: &str) {
    let settings =
        format!("[settings]\nntp_server = \"pool.example.net\"\nlanguage = \"{language}\"\n");
    put(directory, "handset.toml", &settings);
    let sites = count.div_ceil(SITE);
    for site in 0..sites {
        let text = format!(
            "access = \"open\"\npublic_url = \"https://prov.example.net\"\n[settings]\nsip_server = \"sip{site}.example.net\"\n"
        );
        put(directory, &format!("sites/site{site:04}.toml"), &text);
    }
    let mut table = "mac,site,model,line1.user,line1.password,line1.display_name\n".to_owned();
    for (phone, (block, model)) in (0..count).zip(MODELS.iter().cycle()) {
        let after = if phone % 100 == 0 { after } else { "" };
        let site = phone % sites;
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
