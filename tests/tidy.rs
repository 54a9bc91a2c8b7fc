//! The repository's rules, checked: first lines, banned words, what may touch the world, where vendors live.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use handset::settings;

/// A word that may stand only in some places.
struct Rule {
    words: &'static [&'static str],
    /// Prefixes of paths that the rule is about.
    within: &'static [&'static str],
    /// Prefixes of paths where the words may stand, each for the reason beside it.
    except: &'static [&'static str],
    /// Whether test modules are looked at too.
    tests: bool,
    remedy: &'static str,
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule {
        words: &["#[ignore", "#[should_panic", "todo!(", "unimplemented!(", "dbg!(", "#[allow("],
        within: &["src", "tests", "xtask", "fuzz", "benches"],
        except: &["tests/tidy.rs"],
        tests: true,
        remedy: "make it real; `#[expect(lint, reason = \"…\")]` instead of allow",
    },
    Rule {
        words: &["thread::sleep", "time::sleep"],
        within: &["src", "tests"],
        except: &["src/platform/native/", "tests/tidy.rs"],   // a server's deadlines
        tests: true,
        remedy: "wait for what is to happen, not for time to pass",
    },
    Rule {
        words: &["cfg(target", "cfg(not(target"],
        within: &["src"],
        except: &["src/lib.rs", "src/platform.rs", "src/store.rs"],   // whole modules that need an operating system
        tests: true,
        remedy: "platforms differ in src/platform/ and in Cargo.toml only",
    },
    Rule {
        words: &["worker::", "spin_sdk", "tokio", "hyper", "std::net", "std::fs", "Instant::now", "SystemTime::now", "ureq"],
        within: &["src"],
        except: &[
            "src/platform/",            // the platforms
            "src/store/directory",      // the embedded store is a directory
            "src/fleet",                // the operator's side reads the fleet directory
            "src/boot",                 // the simulated phone is a client
            "src/bin/",                 // the programs
        ],
        tests: false,
        remedy: "bytes and time come in as arguments; only the files named here touch the world",
    },
    Rule {
        words: &["polycom", "audiocodes", "panasonic", "yealink", "grandstream", "cisco", "snom", "fanvil"],
        within: &["src"],
        except: &[
            "src/vendor",               // the tables
            "src/discovery",            // each vendor's own way to find the server
            "src/boot",                 // the simulated phones
            "src/fleet/builtin.rs",     // names of the templates' files
            "src/lib.rs",
        ],
        tests: false,
        remedy: "a vendor is a row in src/vendor/, never a branch",
    },
];

#[test]
fn the_rules_are_kept() {
    let mut found = Vec::new();
    for path in files(&[".rs"]) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        shape(&path, &text, &mut found);
        for rule in RULES {
            apply(rule, &path, &text, &mut found);
        }
        functions(&path, &text, &mut found);
    }
    for path in files(&[
        ".rs", ".toml", ".md", ".csv", ".txt", ".cfg", ".xml", ".case", "run",
    ]) {
        registries(&path, &mut found);
    }
    assert!(
        found.is_empty(),
        "{} breaches:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// What docs/settings.md says is what the tables say.
#[test]
fn every_setting_is_documented() {
    let text = fs::read_to_string(root().join("docs/settings.md")).unwrap();
    let tables = [
        settings::SETTINGS,
        settings::LINE_FIELDS,
        settings::KEY_FIELDS,
    ];
    for setting in tables.into_iter().flatten() {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", setting.name)));
        let row = row.unwrap_or_else(|| panic!("{} has no row in docs/settings.md", setting.name));
        assert!(
            text.contains(setting.help),
            "{row}: should say {:?}",
            setting.help
        );
        let secret = text.lines().any(|line| {
            line.starts_with(&format!("| `{}` |", setting.name)) && line.contains(", secret |")
        });
        assert_eq!(secret, setting.secret, "{row}");
    }
}

/// First line, white space, names of files.
fn shape(path: &str, text: &str, found: &mut Vec<String>) {
    if !text.starts_with("//! ") {
        found.push(format!(
            "{path}:1: the first line says what the file is: `//! …`"
        ));
    }
    if !text.ends_with('\n') {
        found.push(format!("{path}: ends without a line end"));
    }
    for (index, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) || line.contains('\t') {
            found.push(format!(
                "{path}:{}: trailing white space or a tab",
                index + 1
            ));
        }
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    if [
        "mod.rs",
        "util.rs",
        "helpers.rs",
        "common.rs",
        "manager.rs",
        "misc.rs",
    ]
    .contains(&name)
    {
        found.push(format!("{path}: name the file after what it holds"));
    }
}

fn apply(rule: &Rule, path: &str, text: &str, found: &mut Vec<String>) {
    let about = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    if !about(rule.within) || about(rule.except) {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        if !rule.tests && line.trim() == "#[cfg(test)]" {
            return;
        }
        if line.trim_start().starts_with("//") {
            continue;
        }
        if let Some(word) = rule.words.iter().find(|word| line.contains(**word)) {
            found.push(format!("{path}:{}: {word}: {}", index + 1, rule.remedy));
        }
    }
}

/// A longer function does more than one thing.
const LONGEST_FUNCTION: usize = 60;

fn functions(path: &str, text: &str, found: &mut Vec<String>) {
    if !path.starts_with("src") && !path.starts_with("xtask") {
        return;
    }
    let mut begun: Option<(usize, usize)> = None;
    for (index, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            return;
        }
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let starts = code.starts_with("fn ")
            || (code.starts_with("pub")
                || code.starts_with("async")
                || code.starts_with("const fn"))
                && code.contains(" fn ")
            || code.starts_with("pub fn ");
        match begun {
            None if starts && !code.ends_with(';') => begun = Some((index, indent)),
            Some((start, depth)) if indent == depth && code.starts_with('}') => {
                if index - start > LONGEST_FUNCTION {
                    found.push(format!(
                        "{path}:{}: a function of {} lines",
                        start + 1,
                        index - start
                    ));
                }
                begun = None;
            }
            _ => {}
        }
    }
}

/// Where packages come from is the machine's business.
fn registries(path: &str, found: &mut Vec<String>) {
    let hosts = [
        ["crates", ".io"],
        ["registry", ".npmjs"],
        ["pypi", ".org"],
        ["deb", ".debian"],
    ]
    .map(|parts| parts.concat());
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    if let Some(host) = hosts.iter().find(|host| text.contains(host.as_str())) {
        found.push(format!("{path}: names a package registry's host, {host}"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's files with these endings, but for what is built or written at run time.
fn files(endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            let built = [
                "target",
                "build",
                "state",
                "artifacts",
                "corpus",
                "node_modules",
                ".git",
            ];
            if entry.is_dir() && !built.contains(&name.as_str()) {
                folders.push(entry);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(
                    entry
                        .strip_prefix(root())
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    found.sort();
    found
}
