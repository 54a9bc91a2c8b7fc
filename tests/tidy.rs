//! The repository's rules, enforced: every breach at once, with file, line and remedy.
//!
//! A rule is a row of one of the tables below. A relaxation is a row too, and says why.

use std::fmt;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use handset::settings;

#[test]
fn the_repository_is_tidy() {
    let breaches: Vec<Breach> = tracked_files().iter().flat_map(check).collect();
    assert!(breaches.is_empty(), "{}", report(&breaches));
}

#[test]
fn every_rule_bites() {
    for (path, text, expected) in PLANTED {
        let breaches = check(&File::new(path, text));
        let found: Vec<&str> = breaches.iter().map(|breach| breach.rule).collect();
        assert_eq!(&found, expected, "in {path}: {text:?}");
    }
}

#[test]
fn functions_are_measured_to_their_last_line() {
    for (lines, expected) in [(58, vec![]), (59, vec![4])] {
        let body = "        let _ = \"}\";\n".repeat(lines);
        let text = format!(
            "//! A.\nimpl A {{\n    fn short();\n    pub(crate) async fn long(\n    ) {{\n{body}    }}\n}}\n"
        );
        assert_eq!(
            long_functions(&File::new("src/mac.rs", &text)),
            expected,
            "{lines} lines"
        );
    }
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

/// Everything wrong with one file.
fn check(file: &File) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for rule in WORD_RULES.iter().filter(|rule| rule.concerns(&file.path)) {
        breaches.extend(rule.breaches(file));
    }
    for rule in SHAPE_RULES
        .iter()
        .filter(|rule| rule.among.contains(&file.path))
    {
        let lines = (rule.lines)(file).into_iter();
        breaches.extend(lines.map(|line| file.breach(line, rule.name, rule.remedy)));
    }
    breaches
}

fn report(breaches: &[Breach]) -> String {
    let mut text = format!("{} breaches of the repository's rules:\n", breaches.len());
    for breach in breaches {
        let _ = writeln!(text, "{breach}");
    }
    text
}

/// A place where a rule is broken.
struct Breach {
    path: String,
    line: usize,
    rule: &'static str,
    remedy: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            remedy,
        } = self;
        write!(f, "{path}:{line}: {rule}: {remedy}")
    }
}

/// A text file of the repository.
struct File {
    /// From the root, with forward slashes.
    path: String,
    text: String,
    lines: Vec<Line>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let mut in_tests = path.starts_with("tests/") || path.ends_with("/tests.rs");
        let mut before = "";
        let mut lines = Vec::new();
        for text in text.lines() {
            in_tests |= text.trim() == "mod tests {" && before.trim() == "#[cfg(test)]";
            before = text;
            lines.push(Line {
                text: text.to_owned(),
                in_tests,
            });
        }
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            lines,
        }
    }

    fn breach(&self, line: usize, rule: &'static str, remedy: &'static str) -> Breach {
        Breach {
            path: self.path.clone(),
            line,
            rule,
            remedy,
        }
    }

    /// The numbers of the lines for which `wrong` holds.
    fn lines_where(&self, wrong: impl Fn(&Line) -> bool) -> Vec<usize> {
        let numbered = (1..).zip(&self.lines);
        numbered
            .filter(|(_, line)| wrong(line))
            .map(|(number, _)| number)
            .collect()
    }
}

struct Line {
    text: String,
    in_tests: bool,
}

impl Line {
    /// The line without its comment; `//` inside of a string counts unless a colon precedes it.
    fn code(&self) -> &str {
        let mut comments = self.text.match_indices("//").map(|(at, _)| at);
        let comment =
            comments.find(|at| !self.text.get(..*at).is_some_and(|code| code.ends_with(':')));
        self.text
            .get(..comment.unwrap_or(self.text.len()))
            .unwrap_or_default()
    }
}

/// Some of the repository's files.
#[derive(Clone, Copy)]
enum Among {
    /// Everything that is text, lock files excepted.
    All,
    /// Rust, in any folder.
    Rust,
    /// Rust that is compiled into a program: not `tests/`, `benches/` or `fuzz/`.
    Programs,
    /// Rust under `src/`.
    Source,
    /// What people write line by line: golden files and templates hold exact bytes instead.
    Written,
}

impl Among {
    fn contains(self, path: &str) -> bool {
        let rust = path.ends_with(".rs");
        match self {
            Self::All => !LOCK_FILES.iter().any(|name| path.ends_with(name)),
            Self::Rust => rust,
            Self::Programs => rust && (path.starts_with("src/") || path.starts_with("xtask/")),
            Self::Source => rust && path.starts_with("src/"),
            Self::Written => WRITTEN.iter().any(|end| path.ends_with(end)) && !exact_bytes(path),
        }
    }
}

/// What `.gitattributes` keeps byte for byte.
fn exact_bytes(path: &str) -> bool {
    let template = path.starts_with("src/vendor/") && !path.ends_with(".rs");
    template || EXACT_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Which lines of a file are searched for words.
#[derive(Clone, Copy, PartialEq)]
enum Lines {
    /// All of them, comments too.
    All,
    /// The code, without comments.
    Code,
    /// The code that ships: neither comments nor tests.
    Shipped,
    /// The code of tests.
    Tests,
}

/// Words that may stand only where a row says so.
struct WordRule {
    name: &'static str,
    words: &'static [&'static str],
    case: Case,
    among: Among,
    lines: Lines,
    /// Files, or folders with a slash at the end, where the words may stand, and why.
    except: &'static [(&'static str, &'static str)],
    remedy: &'static str,
}

#[derive(Clone, Copy)]
enum Case {
    /// Any case, within longer words too.
    Ignored,
    /// As written, and not within a longer identifier.
    Kept,
}

impl WordRule {
    fn concerns(&self, path: &str) -> bool {
        let excepted = |(place, _): &(&str, &str)| {
            path == *place || (place.ends_with('/') && path.starts_with(place))
        };
        self.among.contains(path) && !self.except.iter().any(excepted)
    }

    fn breaches(&self, file: &File) -> Vec<Breach> {
        let lines = file.lines_where(|line| self.finds(line));
        lines
            .into_iter()
            .map(|line| file.breach(line, self.name, self.remedy))
            .collect()
    }

    fn finds(&self, line: &Line) -> bool {
        let text = match (self.lines, line.in_tests) {
            (Lines::All, _) => line.text.as_str(),
            (Lines::Code, _) | (Lines::Shipped, false) | (Lines::Tests, true) => line.code(),
            (Lines::Shipped, true) | (Lines::Tests, false) => return false,
        };
        match self.case {
            Case::Ignored => {
                let text = text.to_lowercase();
                self.words.iter().any(|word| text.contains(word))
            }
            Case::Kept => self.words.iter().any(|word| holds_word(text, word)),
        }
    }
}

/// Whether `word` stands in `text` and is not a part of a longer identifier.
fn holds_word(text: &str, word: &str) -> bool {
    let joins = |other: Option<char>, own: Option<char>| {
        let letter = |c: char| c.is_alphanumeric() || c == '_';
        other.is_some_and(letter) && own.is_some_and(letter)
    };
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text
            .get(at + word.len()..)
            .and_then(|after| after.chars().next());
        !joins(before, word.chars().next()) && !joins(after, word.chars().next_back())
    })
}

/// A rule on the form of a file; gives the lines that break it.
struct ShapeRule {
    name: &'static str,
    among: Among,
    lines: fn(&File) -> Vec<usize>,
    remedy: &'static str,
}

fn first_line_undocumented(file: &File) -> Vec<usize> {
    let documented = file
        .lines
        .first()
        .is_some_and(|line| line.text.starts_with("//! "));
    if documented { Vec::new() } else { vec![1] }
}

fn trailing_spaces(file: &File) -> Vec<usize> {
    file.lines_where(|line| line.text.ends_with([' ', '\t', '\r']))
}

fn tabs(file: &File) -> Vec<usize> {
    file.lines_where(|line| line.text.contains('\t'))
}

fn unended(file: &File) -> Vec<usize> {
    let ended = file.text.is_empty() || (file.text.ends_with('\n') && !file.text.ends_with("\n\n"));
    if ended {
        Vec::new()
    } else {
        vec![file.lines.len()]
    }
}

fn vaguely_named(file: &File) -> Vec<usize> {
    let path = Path::new(&file.path);
    let names = path
        .iter()
        .filter_map(|name| name.to_str())
        .map(|name| name.trim_end_matches(".rs"));
    let by_path = names.filter(|name| VAGUE_NAMES.contains(name)).map(|_| 1);
    let vague = |line: &Line| {
        let mut words = line
            .code()
            .split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "mod")
            && words.next().is_some_and(|name| VAGUE_NAMES.contains(&name))
    };
    by_path.chain(file.lines_where(vague)).collect()
}

/// Functions of more than [`FUNCTION_LINES`], but for tests, which hold their tables; as the layout is rustfmt's, one ends at a brace as far in
/// as it began.
fn long_functions(file: &File) -> Vec<usize> {
    let long = |(start, line): (usize, &Line)| {
        let begins = !line.in_tests && begins_function(line.text.trim_start());
        let excepted = LONG_FUNCTIONS
            .iter()
            .any(|(path, name, _)| *path == file.path && line.text.contains(&format!("fn {name}")));
        (begins && !excepted && function_length(file, start) > FUNCTION_LINES).then_some(start)
    };
    (1..).zip(&file.lines).filter_map(long).collect()
}

fn begins_function(line: &str) -> bool {
    let mut before = line.split_whitespace().take_while(|word| *word != "fn");
    let qualifies = |word: &str| QUALIFIERS.contains(&word) || word.starts_with("pub(");
    before.all(qualifies) && (line.starts_with("fn ") || line.contains(" fn "))
}

/// The lines after the first.
fn function_length(file: &File, start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let body = file
        .lines
        .iter()
        .skip(start - 1)
        .map(|line| line.text.as_str());
    let Some(first) = body.clone().next() else {
        return 0;
    };
    if first.ends_with([';', '}']) {
        return 0;
    }
    let ends = |line: &str| {
        let text = line.trim_start();
        indent(line) == indent(first)
            && (text.starts_with('}') || (text.starts_with(')') && text.ends_with(';')))
    };
    let inner = body.skip(1).position(ends);
    inner.map_or(0, |inner| inner + 1)
}

/// All text files under the root, but for what git ignores.
fn tracked_files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let Some(name) = path.strip_prefix(&root).ok().and_then(Path::to_str) else {
                continue;
            };
            let name = name.replace('\\', "/");
            if path.is_symlink() || ignored(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.push(File::new(&name, &text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.iter().any(|file| file.path == "src/lib.rs"),
        "no sources under {}",
        root.display()
    );
    files
}

/// Where cargo says that the package is, so that another checkout can be looked at with the same program.
fn root() -> PathBuf {
    let built_in = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from)
}

/// What `.gitignore` names.
fn ignored(path: &str) -> bool {
    let state = path.starts_with("fixtures/") && path.ends_with("/state");
    state || IGNORED.contains(&path) || path.ends_with("node_modules")
}

const IGNORED: &[&str] = &[
    ".git",
    "build",
    "fuzz/artifacts",
    "fuzz/corpus",
    "fuzz/target",
    "target",
    "tests/spin-host/sample/target",
    "tests/spin-host/target",
];

const LOCK_FILES: &[&str] = &["Cargo.lock", "package-lock.json"];

const WRITTEN: &[&str] = &[
    ".ci/run",
    ".gitattributes",
    ".gitignore",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".rs",
    ".sh",
    ".toml",
    ".ts",
    ".yml",
];

const EXACT_FOLDERS: &[&str] = &[
    "fixtures/",
    "fuzz/seeds/",
    "tests/cases/",
    "tests/fleet/schema/",
];

const VAGUE_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils",
];

/// What may stand before `fn`.
const QUALIFIERS: &[&str] = &["async", "const", "extern", "pub", "unsafe", "\"C\""];

const FUNCTION_LINES: usize = 60;

/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

const SHAPE_RULES: &[ShapeRule] = &[
    ShapeRule {
        name: "first line",
        among: Among::Rust,
        lines: first_line_undocumented,
        remedy: "begin the file with a `//! ` sentence that says what it is",
    },
    ShapeRule {
        name: "trailing space",
        among: Among::Written,
        lines: trailing_spaces,
        remedy: "remove it",
    },
    ShapeRule {
        name: "tab",
        among: Among::Rust,
        lines: tabs,
        remedy: "indent with spaces; in a string write \\t",
    },
    ShapeRule {
        name: "last line",
        among: Among::Written,
        lines: unended,
        remedy: "end the file with one newline",
    },
    ShapeRule {
        name: "module file",
        among: Among::Rust,
        lines: |file| {
            if file.path.ends_with("/mod.rs") {
                vec![1]
            } else {
                Vec::new()
            }
        },
        remedy: "move `name/mod.rs` to `name.rs`",
    },
    ShapeRule {
        name: "module name",
        among: Among::Rust,
        lines: vaguely_named,
        remedy: "name the module after what is in it",
    },
    ShapeRule {
        name: "long function",
        among: Among::Programs,
        lines: long_functions,
        remedy: "split it; one that is long for a reason goes into LONG_FUNCTIONS of tests/tidy.rs",
    },
];

/// Words, and the places where they may stand.
#[rustfmt::skip]
const WORD_RULES: &[WordRule] = &[
    WordRule {
        name: "unfinished",
        words: &["todo!(", "unimplemented!(", "dbg!("],
        case: Case::Kept,
        among: Among::Rust,
        lines: Lines::Code,
        except: &[("tests/tidy.rs", "names what it forbids")],
        remedy: "finish it or leave it out",
    },
    WordRule {
        name: "lint",
        words: &["#[allow(", "#![allow("],
        case: Case::Kept,
        among: Among::Rust,
        lines: Lines::Code,
        except: &[("tests/tidy.rs", "names what it forbids")],
        remedy: "use `#[expect(lint, reason = \"…\")]`",
    },
    WordRule {
        name: "test attribute",
        words: &["#[ignore", "#[should_panic"],
        case: Case::Kept,
        among: Among::Rust,
        lines: Lines::Code,
        except: &[("tests/tidy.rs", "names what it forbids")],
        remedy: "run every test on every run; compare the error instead of catching a panic",
    },
    WordRule {
        name: "sleep in a test",
        words: &["sleep", "sleep_until"],
        case: Case::Kept,
        among: Among::Rust,
        lines: Lines::Tests,
        except: &[
            ("tests/spin-host/src/instance.rs", "a program: it ends idle instances after a second, as Spin does"),
            ("tests/tidy.rs", "names what it forbids"),
        ],
        remedy: "wait for the event itself, or pass the time in",
    },
    WordRule {
        name: "target",
        words: &[
            "cfg(target", "cfg(not(target", "cfg(any(target", "cfg(all(target", "cfg!(target", "target_arch",
            "target_env", "target_family", "target_os", "cfg(unix", "cfg(windows", "cfg(not(unix",
        ],
        case: Case::Kept,
        among: Among::Source,
        lines: Lines::Code,
        except: &[
            ("src/lib.rs", "says which modules exist on which platform"),
            ("src/platform.rs", "chooses the platform"),
            ("src/seal.rs", "the Worker's runtime has AES"),
            ("src/store.rs", "only a native server has a directory"),
        ],
        remedy: "let src/platform.rs choose; elsewhere code is the same on every platform",
    },
    WordRule {
        name: "clock",
        words: &["Instant::now", "SystemTime::now", "elapsed"],
        case: Case::Kept,
        among: Among::Source,
        lines: Lines::Shipped,
        except: &[
            ("src/bin/", "a program reads the clock for the rest"),
            ("src/boot.rs", "the simulated phone times its requests"),
            ("src/boot/", "the simulated phone times its requests"),
            ("src/platform/", "an adapter reads the clock for the core"),
            ("src/relay.rs", "the relay has deadlines"),
            ("src/relay/", "the relay has deadlines"),
            ("src/store/directory.rs", "versions carry the time they were stored"),
            ("src/store/directory/", "versions carry the time they were stored"),
            ("src/store/files.rs", "a store that stands alone says what time it is"),
        ],
        remedy: "take the time as an argument",
    },
    WordRule {
        name: "disk",
        words: &["std::fs", "tokio::fs"],
        case: Case::Kept,
        among: Among::Source,
        lines: Lines::Shipped,
        except: &[
            ("src/bin/", "a program opens files for the rest"),
            ("src/boot.rs", "the simulated phone's flash is a file"),
            ("src/boot/", "the simulated phone's flash is a file"),
            ("src/fleet.rs", "the fleet directory is on a disk"),
            ("src/fleet/", "the fleet directory is on a disk"),
            ("src/platform/", "the native server watches its fleet directory and reads its certificate"),
            ("src/relay.rs", "the relay's cache and spool are on a disk"),
            ("src/relay/", "the relay's cache and spool are on a disk"),
            ("src/store/directory.rs", "the store that is a directory"),
            ("src/store/directory/", "the store that is a directory"),
            ("src/store/files.rs", "the store that is a directory of objects"),
        ],
        remedy: "take bytes as an argument, or go through a store",
    },
    WordRule {
        name: "socket",
        words: &[
            "std::net", "tokio", "tokio_rustls", "hyper", "hyper_util", "nix", "rustix", "socket2", "ureq",
            "worker::", "spin_sdk",
        ],
        case: Case::Kept,
        among: Among::Source,
        lines: Lines::Shipped,
        except: &[
            ("src/bin/", "a program starts the runtime"),
            ("src/fleet/dhcp.rs", "addresses as plain values; no socket is opened"),
            ("src/boot.rs", "the simulated phone is a client"),
            ("src/boot/", "the simulated phone is a client"),
            ("src/platform/", "an adapter speaks the platform's own types"),
            ("src/relay.rs", "the relay is sockets"),
            ("src/relay/", "the relay is sockets"),
            ("src/store/directory.rs", "file work is moved off the runtime's thread"),
            ("src/store/directory/", "file work is moved off the runtime's thread"),
        ],
        remedy: "the core has no sockets: bytes come in and go out as arguments",
    },
    WordRule {
        name: "vendor",
        words: &[
            "aastra", "audiocodes", "avaya", "cisco", "fanvil", "gigaset", "grandstream", "htek", "mitel",
            "panasonic", "polycom", "sangoma", "snom", "yealink",
        ],
        case: Case::Ignored,
        among: Among::Source,
        lines: Lines::Shipped,
        except: &[
            ("src/bin/handset/", "examples of calls, for people"),
            ("src/boot.rs", "the simulated phone knows what it simulates, apart from the server's tables"),
            ("src/boot/", "the simulated phone knows what it simulates, apart from the server's tables"),
            ("src/fleet/builtin.rs", "lists the templates that lie in src/vendor/"),
            ("src/settings.rs", "describes settings, to people, that one vendor reads"),
            ("src/discovery.rs", "how a phone finds its server differs by vendor"),
            ("src/discovery/", "how a phone finds its server differs by vendor"),
            ("src/vendor.rs", "lists the vendors' tables"),
            ("src/vendor/", "the vendors' tables"),
        ],
        remedy: "make it a column of the vendor's table in src/vendor/",
    },
    WordRule {
        name: "registry",
        words: &[
            concat!("crates", ".io"), concat!("registry", ".npmjs"), concat!("pypi", ".org"),
            concat!("files.python", "hosted.org"), concat!("deb.", "debian"),
            concat!("static.rust-", "lang.org"),
        ],
        case: Case::Ignored,
        among: Among::All,
        lines: Lines::All,
        except: &[],
        remedy: "name the package and let the tool's own configuration say where it comes from",
    },
];

/// Files with a fault each, and the rule that finds it: path, text, rules.
#[rustfmt::skip]
const PLANTED: &[(&str, &str, &[&str])] = &[
    ("src/mac.rs", "//! Fine.\nfn main() {}\n", &[]),
    ("src/mac.rs", "use std::fmt;\n", &["first line"]),
    ("src/mac.rs", "//! A. \n", &["trailing space"]),
    ("README.md", "Two spaces.  \n", &["trailing space"]),
    ("fixtures/a.toml", "exact = 1  ", &[]),
    ("src/mac.rs", "//! A.\n\tfn x() {}\n", &["tab"]),
    ("src/mac.rs", "//! A.", &["last line"]),
    ("src/mac.rs", "//! A.\n\n", &["last line"]),
    ("src/mac/mod.rs", "//! A.\n", &["module file"]),
    ("src/fleet/util.rs", "//! A.\n", &["module name"]),
    ("tests/helpers/main.rs", "//! A.\n", &["module name"]),
    ("src/mac.rs", "//! A.\npub(crate) mod common;\n", &["module name"]),
    ("src/mac.rs", "//! A.\nfn x() { todo!() }\n", &["unfinished"]),
    ("src/mac.rs", "//! A.\n#[allow(dead_code)]\n", &["lint"]),
    ("tests/a.rs", "//! A.\n#[ignore]\n", &["test attribute"]),
    ("tests/a.rs", "//! A.\nthread::sleep(SECOND);\n", &["sleep in a test"]),
    ("src/mac.rs", "//! A.\n#[cfg(test)]\nmod tests {\nsleep(x);\n}\n", &["sleep in a test"]),
    ("src/bin/handset.rs", "//! A.\nsleep(x);\n", &[]),
    ("src/mac.rs", "//! A.\n#[cfg(not(target_family = \"wasm\"))]\n", &["target"]),
    ("src/platform.rs", "//! A.\n#[cfg(not(target_family = \"wasm\"))]\n", &[]),
    ("src/mac.rs", "//! A.\nlet now = Instant::now();\n", &["clock"]),
    ("src/mac.rs", "//! A.\nuse std::fs;\n", &["disk"]),
    ("src/fleet/files.rs", "//! A.\nuse std::fs;\nuse tokio::net;\n", &["socket"]),
    ("src/mac.rs", "//! A.\nuse hyper::Request;\n", &["socket"]),
    ("src/mac.rs", "//! A, unlike hyper.\nlet hyperlink = my_worker::x(); // tokio\n", &[]),
    ("src/mac.rs", "//! A.\nlet url = \"http://x\"; use tokio;\n", &["socket"]),
    ("src/mac.rs", "//! A.\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n", &[]),
    ("src/route.rs", "//! A.\nif vendor == Vendor::Polycom {\n", &["vendor"]),
    ("src/route.rs", "//! As Polycom's phones do.\n", &[]),
    ("docs/a.md", concat!("See https://crates", ".io/\n"), &["registry"]),
    ("Cargo.lock", concat!("source = \"https://crates", ".io\"\n"), &[]),
];
