//! Where the sources of `std` and the objects of wasi-libc come from: Debian, or archives on this machine.
//!
//! apt is given a state of its own, so that nothing of the machine's changes and nothing is installed.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::Toolchain;
use super::create;
use super::mark;
use super::marked;
use super::must;
use super::output;
use super::rename;
use super::replace;
use super::write;

/// The suite that has several versions of `rust-src` side by side.
const SUITE: &str = "trixie-backports";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Toolchain {
    /// Puts the library's sources where cargo's `build-std` looks for them.
    pub(super) fn library_sources(&self) -> Result<(), String> {
        let place = self.libraries.join("src/rust/library");
        let there = place.join("std/Cargo.toml").exists();
        // Sources without a mark are rustup's, which keeps them at the compiler's version.
        if there && marked(&place).is_none_or(|version| version == self.version_line) {
            return Ok(());
        }
        let found = self.debian_or_archive(
            || self.debian_sources(),
            &format!("rust-library-{}.tar.xz", self.version),
            "library",
        )?;
        let new = self.libraries.join("src/rust/library.new");
        create(&self.libraries.join("src/rust"))?;
        replace(&new)?;
        must(Command::new("cp").arg("-r").arg(&found).arg(&new))?;
        mark(&new, &self.version_line)?;
        replace(&place)?;
        rename(&new, &place)
    }

    /// The folder with `libc.a` and the start objects for wasip2.
    pub(super) fn wasi_libc(&self) -> Result<PathBuf, String> {
        let debian = || {
            let unpacked = self.debian_package("wasi-libc", "wasi-libc")?;
            existing(unpacked.join("usr/lib/wasm32-wasip2"))
        };
        self.debian_or_archive(debian, "wasi-libc-wasip2.tar.xz", ".")
    }

    fn debian_sources(&self) -> Result<PathBuf, String> {
        let package = format!("rust-src={}*", self.version);
        let unpacked = self.debian_package("rust-src", &package)?;
        existing(unpacked.join(format!("usr/src/rustc-{}/library", self.version)))
    }

    /// What Debian gives, else a folder of an archive in HANDSET_TOOLCHAIN_DIR.
    fn debian_or_archive(
        &self,
        debian: impl Fn() -> Result<PathBuf, String>,
        archive: &str,
        folder: &str,
    ) -> Result<PathBuf, String> {
        debian().or_else(|problem| {
            eprintln!("not from Debian: {problem}");
            let unpacked = self.archive(archive);
            unpacked
                .map(|unpacked| unpacked.join(folder))
                .map_err(|other| format!("{problem}; {other}"))
        })
    }

    /// Downloads and unpacks a package; gives where.
    fn debian_package(&self, name: &str, package: &str) -> Result<PathBuf, String> {
        let apt = self.work.join("apt");
        let download = apt.join(name);
        for folder in ["lists/partial", "cache/archives/partial"] {
            create(&apt.join(folder))?;
        }
        replace(&download)?;
        create(&download)?;
        let line = format!("deb [signed-by={KEYRING}] {} {SUITE} main\n", mirror()?);
        write(&apt.join("sources.list"), &line)?;
        must(private_apt(&apt).arg("update"))?;
        must(
            private_apt(&apt)
                .args(["download", package])
                .current_dir(&download),
        )?;
        let unpacked = download.join("unpacked");
        must(
            Command::new("sh")
                .args(["-c", "dpkg-deb -x *.deb unpacked"])
                .current_dir(&download),
        )?;
        Ok(unpacked)
    }

    /// Unpacks an archive of HANDSET_TOOLCHAIN_DIR; gives where.
    fn archive(&self, name: &str) -> Result<PathBuf, String> {
        let folder = std::env::var_os("HANDSET_TOOLCHAIN_DIR");
        let folder = folder.ok_or("HANDSET_TOOLCHAIN_DIR is not set")?;
        let archive = existing(Path::new(&folder).join(name))?;
        let unpacked = self.work.join("archives").join(name);
        replace(&unpacked)?;
        create(&unpacked)?;
        let mut tar = Command::new("tar");
        must(tar.arg("-xJf").arg(archive).arg("-C").arg(&unpacked))?;
        Ok(unpacked)
    }
}

/// The mirror that the machine itself uses.
fn mirror() -> Result<String, String> {
    let sites = output(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
    let mirror = sites
        .lines()
        .find(|site| site.trim_end_matches('/').ends_with("/debian"));
    mirror
        .map(str::to_owned)
        .ok_or_else(|| "apt names no Debian mirror".to_owned())
}

fn private_apt(state: &Path) -> Command {
    let mut command = Command::new("apt-get");
    for (option, path) in [
        ("Dir::Etc::SourceList", state.join("sources.list")),
        ("Dir::Etc::SourceParts", PathBuf::from("-")),
        ("Dir::State::Lists", state.join("lists")),
        ("Dir::Cache", state.join("cache")),
    ] {
        command
            .arg("-o")
            .arg(format!("{option}={}", path.display()));
    }
    // The download goes into our directory, which apt's own user may not enter.
    command.args(["-o", "APT::Sandbox::User=root", "-qq"]);
    command
}

fn existing(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("there is no {}", path.display()))
    }
}
