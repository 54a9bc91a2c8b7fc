//! The wasm targets: from rustup where it may install, else built from Debian's `rust-src`.
//!
//! Library and compiler must be of exactly the same version, so that is checked first. What is there
//! already is left alone; the machine's apt keeps its own state.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::parts::root;

/// Where the core is to run.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

const REMEDY: &str = "remedy: `rustup target add wasm32-unknown-unknown wasm32-wasip2`; or let HANDSET_TOOLCHAIN_DIR name \
a directory with rust-library-VERSION.tar.xz and wasi-libc-wasip2.tar.xz";

/// Makes every target usable.
pub(crate) fn ensure_all() -> Result<(), String> {
    let toolchain = Toolchain::of_this_machine()?;
    let _lock = lock(&toolchain.work)?;
    for target in TARGETS {
        if toolchain.works(target) {
            println!("{target}: usable with rustc {}", toolchain.version);
            continue;
        }
        if rustup_may_install() && succeeds(Command::new("rustup").args(["target", "add", target]))
        {
            continue;
        }
        toolchain
            .build(target)
            .map_err(|problem| format!("{target} cannot be made usable: {problem}\n{REMEDY}"))?;
        if !toolchain.works(target) {
            return Err(format!(
                "{target} was built, but does not compile an empty crate\n{REMEDY}"
            ));
        }
        println!("{target}: built for rustc {}", toolchain.version);
    }
    Ok(())
}

/// The compiler, and a directory to work in.
struct Toolchain {
    version: String,
    sysroot: PathBuf,
    work: PathBuf,
}

impl Toolchain {
    fn of_this_machine() -> Result<Self, String> {
        let version = output(Command::new("rustc").arg("-V"))?;
        let version = version
            .split_whitespace()
            .nth(1)
            .ok_or("rustc -V names no version")?
            .to_owned();
        let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
        let work = root().join("target/wasm-targets");
        fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
        Ok(Self {
            version,
            sysroot,
            work,
        })
    }

    /// Whether an empty crate compiles: the compiler refuses a library of another version.
    fn works(&self, target: &str) -> bool {
        let source = self.work.join("empty.rs");
        let written = fs::write(
            &source,
            "pub fn answer() -> String { String::from(\"42\") }\n",
        )
        .is_ok();
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--target",
            target,
            "--out-dir",
        ]);
        rustc
            .arg(&self.work)
            .arg(&source)
            .stderr(std::process::Stdio::null());
        written && succeeds(&mut rustc)
    }

    /// Builds `std` for a target from its sources and puts it where rustc looks for it.
    fn build(&self, target: &str) -> Result<(), String> {
        self.sources()?;
        let libraries = self.sysroot.join("lib/rustlib").join(target).join("lib");
        if target == "wasm32-wasip2" {
            let objects = libraries.join("self-contained");
            create(&objects)?;
            copy_files(&self.wasi_libc()?, &objects, |_| true)?;
        }
        let project = self.work.join("build-std");
        create(&project.join("src"))?;
        write(
            &project.join("Cargo.toml"),
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
        )?;
        write(&project.join("src/lib.rs"), "//! Nothing.\n")?;
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(&project)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Cembed-bitcode=yes");
        cargo.env("CARGO_TARGET_DIR", project.join("target"));
        cargo.args([
            "build",
            "--release",
            "--target",
            target,
            "-Z",
            "build-std=std,panic_abort,proc_macro,test",
        ]);
        must(&mut cargo)?;
        create(&libraries)?;
        let built = project.join("target").join(target).join("release/deps");
        copy_files(&built, &libraries, |name| {
            name.ends_with(".rlib") && !name.starts_with("libempty")
        })
    }

    /// The library's sources, where cargo's `build-std` looks for them.
    fn sources(&self) -> Result<(), String> {
        let place = self.sysroot.join("lib/rustlib/src/rust");
        if place.join("library/std/Cargo.toml").exists() && self.marked(&place) {
            return Ok(());
        }
        let unpacked = self.debian_sources().or_else(|problem| {
            let archive = format!("rust-library-{}.tar.xz", self.version);
            self.archive(&archive)
                .map_err(|other| format!("{problem}; {other}"))
        })?;
        create(&place)?;
        let library = place.join("library");
        let _ = fs::remove_dir_all(&library);
        must(Command::new("cp").arg("-r").arg(&unpacked).arg(&library))?;
        write(&place.join("handset-version"), &self.version)
    }

    /// Whether the sources are of the compiler's version: ours are marked, rustup's come with it.
    fn marked(&self, place: &Path) -> bool {
        match fs::read_to_string(place.join("handset-version")) {
            Ok(version) => version == self.version,
            Err(_) => true,
        }
    }

    /// Unpacks Debian's package of the sources; gives its `library/`.
    fn debian_sources(&self) -> Result<PathBuf, String> {
        let package = format!("rust-src={}*", self.version);
        let unpacked = self.debian(&package, "rust-src")?;
        let library = format!("usr/src/rustc-{}/library", self.version);
        let found = unpacked.join(library);
        if found.is_dir() {
            Ok(found)
        } else {
            Err("Debian's rust-src has no library/ of this version".to_owned())
        }
    }

    /// The folder with `libc.a` and the start objects for wasip2.
    fn wasi_libc(&self) -> Result<PathBuf, String> {
        let of_debian = self
            .debian("wasi-libc", "wasi-libc")
            .map(|unpacked| unpacked.join("usr/lib/wasm32-wasip2"));
        match of_debian {
            Ok(folder) if folder.join("libc.a").exists() => Ok(folder),
            _ => self.archive("wasi-libc-wasip2.tar.xz"),
        }
    }

    /// Downloads a package with a private state of apt, and unpacks it.
    fn debian(&self, package: &str, name: &str) -> Result<PathBuf, String> {
        let apt = self.work.join("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            create(&apt.join(folder))?;
        }
        let sites = output(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
        let site = sites
            .lines()
            .find(|site| site.ends_with("/debian"))
            .ok_or("apt names no Debian mirror")?;
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let sources = apt.join("sources.list");
        write(
            &sources,
            &format!(
                "deb [signed-by={keyring}] {site} trixie-backports main\ndeb [signed-by={keyring}] {site} trixie main\n"
            ),
        )?;
        let apt_get = || {
            let mut command = Command::new("apt-get");
            command.current_dir(&apt);
            for (option, value) in [
                ("Dir::Etc::SourceList", sources.display()),
                ("Dir::Etc::SourceParts", Path::new("-").display()),
                ("Dir::State::Lists", apt.join("lists").display()),
                ("Dir::Cache", apt.join("cache").display()),
            ] {
                command.arg("-o").arg(format!("{option}={value}"));
            }
            command.args(["-o", "APT::Sandbox::User=root", "-qq"]);
            command
        };
        must(apt_get().arg("update"))?;
        must(apt_get().args(["download", package]))?;
        let archive = newest(&apt, name)?;
        let unpacked = self.work.join(name);
        must(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(archive)
                .arg(&unpacked),
        )?;
        Ok(unpacked)
    }

    /// Unpacks an archive of HANDSET_TOOLCHAIN_DIR; gives its only folder, or where it was unpacked.
    fn archive(&self, name: &str) -> Result<PathBuf, String> {
        let folder =
            std::env::var_os("HANDSET_TOOLCHAIN_DIR").ok_or("HANDSET_TOOLCHAIN_DIR is not set")?;
        let archive = Path::new(&folder).join(name);
        let unpacked = self.work.join(name.trim_end_matches(".tar.xz"));
        create(&unpacked)?;
        must(
            Command::new("tar")
                .arg("-xJf")
                .arg(&archive)
                .arg("-C")
                .arg(&unpacked),
        )?;
        let library = unpacked.join("library");
        Ok(if library.is_dir() { library } else { unpacked })
    }
}

fn rustup_may_install() -> bool {
    std::env::var("RUSTUP_AUTO_INSTALL").as_deref() != Ok("0")
}

/// Two runs at once would write the same files.
fn lock(folder: &Path) -> Result<fs::File, String> {
    let file = fs::File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    file.lock().map_err(|error| error.to_string())?;
    Ok(file)
}

fn newest(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let names = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let file = path
            .file_name()
            .and_then(|file| file.to_str())
            .unwrap_or_default();
        file.starts_with(&format!("{name}_")) && file.ends_with(".deb")
    });
    names
        .max()
        .ok_or_else(|| format!("apt downloaded no {name}"))
}

fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), String> {
    let copy = || -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.path().is_file() && wanted(&entry.file_name().to_string_lossy()) {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    };
    copy().map_err(|error| format!("copying {} to {}: {error}", from.display(), to.display()))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn must(command: &mut Command) -> Result<(), String> {
    if succeeds(command) {
        Ok(())
    } else {
        Err(format!("{command:?} failed"))
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
