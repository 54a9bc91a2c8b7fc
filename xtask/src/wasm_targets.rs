//! The wasm targets: from rustup where it may install, else built from Debian's `rust-src`.
//!
//! Library and compiler must be of exactly the same version, so that is checked first. What is there
//! already is left alone; a run that is cut short leaves nothing half done.

mod sources;

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::parts::root;

/// Where the core is to run.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

const REMEDY: &str = "\
remedy: `rustup target add wasm32-unknown-unknown wasm32-wasip2`; or let HANDSET_TOOLCHAIN_DIR name a directory with
rust-library-VERSION.tar.xz and wasi-libc-wasip2.tar.xz, VERSION being what `rustc -V` says";

/// Makes every target usable.
pub(crate) fn ensure_all() -> Result<(), String> {
    let toolchain = Toolchain::of_this_machine()?;
    if !TARGETS.iter().all(|target| toolchain.usable(target)) {
        let ensured = toolchain.ensure_each();
        ensured.map_err(|problem| format!("{problem}\n{REMEDY}"))?;
    }
    println!(
        "{}: usable with {}",
        TARGETS.join(", "),
        toolchain.version_line
    );
    Ok(())
}

/// Puts the sources of the compiler's own library in place, for those who compile it anew.
pub(crate) fn ensure_library_sources() -> Result<(), String> {
    Toolchain::of_this_machine()?
        .library_sources()
        .map_err(|problem| format!("{problem}\n{REMEDY}"))
}

/// The compiler, and a directory to work in.
struct Toolchain {
    /// What `rustc -V` says: version, commit and date.
    version_line: String,
    version: String,
    /// `lib/rustlib` of the compiler's own directory.
    libraries: PathBuf,
    /// Under `target/`: downloads, and crates to compile outside of the workspace.
    work: PathBuf,
}

impl Toolchain {
    fn of_this_machine() -> Result<Self, String> {
        let version_line = output(Command::new("rustc").arg("-V"))?;
        let version = version_line.split_whitespace().nth(1);
        let version = version.ok_or("rustc -V names no version")?.to_owned();
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let work = root().join("target/wasm-targets");
        create(&work)?;
        Ok(Self {
            version_line,
            version,
            libraries: Path::new(&sysroot).join("lib/rustlib"),
            work,
        })
    }

    fn ensure_each(&self) -> Result<(), String> {
        let _lock = self.lock()?;
        for target in TARGETS {
            if !self.usable(target) && !self.added_by_rustup(target) {
                self.build(target)
                    .map_err(|problem| format!("{target} cannot be made usable: {problem}"))?;
            }
        }
        Ok(())
    }

    /// Checkouts share a toolchain, and two runs at once would write the same files.
    fn lock(&self) -> Result<File, String> {
        let path = self.libraries.join("handset-lock");
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::create(&path).map_err(|error| wrong(&error))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => println!("waiting for another run to finish"),
            Err(TryLockError::Error(error)) => return Err(wrong(&error)),
        }
        file.lock().map_err(|error| wrong(&error))?;
        Ok(file)
    }

    /// Whether what is there is of this compiler's version and complete.
    fn usable(&self, target: &str) -> bool {
        let folder = self.libraries.join(target).join("lib");
        let ours = marked(&folder).is_none_or(|version| version == self.version_line);
        let complete = ["libcore-", "libstd-"]
            .iter()
            .all(|library| holds(&folder, library));
        ours && complete && self.links(target)
    }

    /// Whether a small program links: the compiler refuses a library of another version, and the
    /// linker misses what wasi-libc has to give.
    fn links(&self, target: &str) -> bool {
        let folder = self.work.join(format!("probe-{}", std::process::id()));
        let source = folder.join("probe.rs");
        let text = "#[unsafe(no_mangle)]\npub extern \"C\" fn probe() { println!(\"probe\") }\n";
        if create(&folder).is_err() || write(&source, text).is_err() {
            return false;
        }
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "cdylib"]);
        rustc
            .args(["--target", target])
            .arg("--out-dir")
            .arg(&folder);
        let links = succeeds(rustc.arg(&source).stderr(Stdio::null()));
        let _ = fs::remove_dir_all(&folder);
        links
    }

    /// Lets rustup add the target, unless it must not install or fails to.
    fn added_by_rustup(&self, target: &str) -> bool {
        let forbidden = std::env::var("RUSTUP_AUTO_INSTALL").is_ok_and(|value| value == "0");
        !forbidden
            && succeeds(Command::new("rustup").args(["target", "add", target]))
            && self.usable(target)
    }

    /// Builds `std` for a target from its sources and puts it where rustc looks for it.
    fn build(&self, target: &str) -> Result<(), String> {
        self.library_sources()?;
        let new = self.libraries.join(format!("{target}.new"));
        let folder = new.join("lib");
        replace(&new)?;
        create(&folder)?;
        if target == "wasm32-wasip2" {
            copy_files(&self.wasi_libc()?, &folder.join("self-contained"), |name| {
                WASI_OBJECTS.contains(&name)
            })?;
        }
        let built = self.build_std(target)?;
        copy_files(&built, &folder, |name| {
            name.ends_with(".rlib") && !name.starts_with("libempty-")
        })?;
        mark(&folder, &self.version_line)?;
        let place = self.libraries.join(target);
        replace(&place)?;
        rename(&new, &place)?;
        if self.usable(target) {
            Ok(())
        } else {
            Err("it was built, but a small program does not link".to_owned())
        }
    }

    /// Compiles an empty crate together with `std`; gives the directory of the libraries.
    fn build_std(&self, target: &str) -> Result<PathBuf, String> {
        let project = self.work.join("build-std");
        create(&project.join("src"))?;
        write(&project.join("src/lib.rs"), "//! Nothing.\n")?;
        write(&project.join("Cargo.toml"), EMPTY_MANIFEST)?;
        let built = project.join("target").join(target);
        replace(&built)?;
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&project)
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo
            .env("CARGO_TARGET_DIR", project.join("target"))
            .env("RUSTC_BOOTSTRAP", "1");
        // Without the bitcode, link-time optimisation fails: "Can't find section .llvmbc".
        cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes");
        cargo.args(["build", "--release", "--target", target]);
        must(cargo.args(["-Z", "build-std=std,panic_abort,proc_macro,test"]))?;
        Ok(built.join("release/deps"))
    }
}

/// What programs for wasip2 are linked with, out of wasi-libc.
const WASI_OBJECTS: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// A workspace of its own, as it lies within ours.
const EMPTY_MANIFEST: &str = "\
[package]
name = \"empty\"
version = \"0.0.0\"
edition = \"2024\"

[workspace]
";

/// What we put into the toolchain names the compiler that it is for.
const MARK: &str = "handset-version";

fn mark(folder: &Path, version_line: &str) -> Result<(), String> {
    write(&folder.join(MARK), version_line)
}

fn marked(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(MARK)).ok()
}

fn holds(folder: &Path, prefix: &str) -> bool {
    let mut names = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with(prefix))
}

fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
    create(to)?;
    let wrong = |error| format!("copying {} to {}: {error}", from.display(), to.display());
    for entry in fs::read_dir(from).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if let Some(name) = path
            .file_name()
            .and_then(OsStr::to_str)
            .filter(|n| wanted(n))
        {
            fs::copy(&path, to.join(name)).map_err(wrong)?;
        }
    }
    Ok(())
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// Makes room: afterwards there is nothing of this name.
fn replace(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| format!("{}: {error}", to.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{command:?} ended with {}", output.status))
    }
}

fn must(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("{command:?} cannot be run: {error}")),
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
