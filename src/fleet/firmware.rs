//! `handset firmware add`: images out of a release package, and nothing else of it.
//!
//! A package brings sample masters and configurations, which must never take the place of the operator's.
//! What deliberately does not happen: no name of a package is ever a path, and nothing is written before
//! all of it is known to be sound.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::fleet;
use crate::fleet::Hashes;
use crate::path::RequestPath;
use crate::pattern::Pattern;
use crate::vendor::ALL;
use crate::vendor::FileKind;
use crate::vendor::Vendor;

/// What to add.
#[derive(Clone, Copy, Debug)]
pub struct Order<'o> {
    /// The fleet directory.
    pub directory: &'o Path,
    /// Whose images.
    pub vendor: &'o str,
    /// The version, as pins name it.
    pub version: &'o str,
    /// Packages (zip) and single files.
    pub sources: &'o [PathBuf],
    /// Whether other bytes of the same name are replaced.
    pub replace: bool,
    /// Bytes of one image, at most.
    pub largest: u64,
}

/// What was added.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Added {
    /// Files written, with their bytes.
    pub written: BTreeMap<String, u64>,
    /// Files that were there already, byte for byte.
    pub same: BTreeSet<String>,
    /// How many files of the packages were left out.
    pub left_out: usize,
    /// Models whose image the version has now.
    pub covered: Vec<&'static str>,
    /// Models of the fleet whose image it lacks.
    pub missing: Vec<String>,
    /// What the operator should look at.
    pub notes: Vec<String>,
}

/// Bytes of one image: the largest that are known have 60 million.
pub const LARGEST_IMAGE: u64 = 1 << 29;

/// Bytes of all images together, packed or not.
const LARGEST_SUM: u64 = 1 << 32;

/// Files in a package.
const MOST_FILES: usize = 20_000;

/// Adds images and version files.
///
/// # Errors
///
/// Says which file is at fault and what to do; then nothing was written.
pub fn add(order: &Order<'_>) -> Result<Added, String> {
    let vendor = Vendor::find(order.vendor).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|vendor| vendor.name).collect();
        format!(
            "unknown vendor {:?}; known: {}",
            order.vendor,
            known.join(", ")
        )
    })?;
    check_version(order.version)?;
    let target = order
        .directory
        .join("firmware")
        .join(vendor.name)
        .join(order.version);
    // Hidden, so that a server over this directory does not look into it.
    let beside = target.with_file_name(format!(".{}.adding", order.version));
    let result = Taking::new(vendor, &beside, order.largest)
        .and_then(|taking| taking.take(order))
        .and_then(|taken| taken.publish(order, &target));
    let _ = fs::remove_dir_all(&beside);
    result
}

/// It becomes a folder and stands in addresses.
fn check_version(version: &str) -> Result<(), String> {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = !version.is_empty() && version.bytes().all(letters) && !version.starts_with('.');
    match good {
        true => Ok(()),
        false => Err(format!(
            "{version:?} is no version: letters, digits, '.', '_' and '-', the first no '.'"
        )),
    }
}

/// Files on their way, in a folder of their own.
struct Taking {
    vendor: &'static Vendor,
    folder: PathBuf,
    taken: BTreeMap<String, u64>,
    left_out: usize,
    sum: u64,
    largest: u64,
}

impl Taking {
    fn new(vendor: &'static Vendor, folder: &Path, largest: u64) -> Result<Self, String> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
        Ok(Self {
            vendor,
            folder: folder.to_owned(),
            taken: BTreeMap::new(),
            left_out: 0,
            sum: 0,
            largest,
        })
    }

    fn take(mut self, order: &Order<'_>) -> Result<Self, String> {
        for source in order.sources {
            let file = File::open(source).map_err(|error| at(source, &error))?;
            match is_zip(source, &file).map_err(|error| at(source, &error))? {
                true => self.package(source, file)?,
                false => self.single(source, file)?,
            }
        }
        if self.taken.is_empty() {
            let name = self.vendor.name;
            return Err(format!(
                "no image of {name} is among {} files: see that the package is {name}'s",
                self.left_out
            ));
        }
        Ok(self)
    }

    fn single(&mut self, source: &Path, file: File) -> Result<(), String> {
        let name = source
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !is_firmware(self.vendor, name) {
            return Err(format!(
                "{} has no name that phones of {} ask for: rename it as its maker does",
                source.display(),
                self.vendor.name
            ));
        }
        self.keep(name, file)
    }

    fn package(&mut self, source: &Path, file: File) -> Result<(), String> {
        let damaged = |error: ZipError| format!("{}: {error}", source.display());
        let mut archive = ZipArchive::new(file).map_err(damaged)?;
        if archive.len() > MOST_FILES {
            return Err(format!(
                "{} holds over {MOST_FILES} files",
                source.display()
            ));
        }
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(damaged)?;
            let path = entry.name().map_err(damaged)?.into_owned();
            // Only the last part counts: where a package has its files is its own affair.
            let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
            if entry.is_file() && is_firmware(self.vendor, name) {
                self.keep(name, entry)?;
            } else if !entry.is_dir() {
                self.left_out += 1;
            }
        }
        Ok(())
    }

    /// Keeps one file; the bytes that come are counted, not those that are announced.
    fn keep(&mut self, name: &str, mut bytes: impl Read) -> Result<(), String> {
        if self
            .taken
            .keys()
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            return Err(format!("{name} comes twice: give one of the two packages"));
        }
        let path = self.folder.join(name);
        let failed = |error: io::Error| format!("{name}: {error}");
        let mut file = File::create(&path).map_err(failed)?;
        let most = self.largest.min(LARGEST_SUM - self.sum);
        let length = io::copy(&mut bytes.by_ref().take(most + 1), &mut file).map_err(failed)?;
        if length > most {
            return Err(format!(
                "{name} has over {most} bytes: no phone has room for that"
            ));
        }
        file.sync_all().map_err(failed)?;
        check_bytes(self.vendor, name, &path, length)?;
        self.sum += length;
        self.taken.insert(name.to_owned(), length);
        Ok(())
    }

    fn publish(self, order: &Order<'_>, target: &Path) -> Result<Added, String> {
        let mut added = Added {
            left_out: self.left_out,
            ..Added::default()
        };
        let same = |name: &str| is_same(&self.folder.join(name), &target.join(name));
        let (same, new): (Vec<_>, Vec<_>) = self.taken.iter().partition(|(name, _)| same(name));
        let other = new.iter().find(|(name, _)| target.join(name).exists());
        if let Some((name, _)) = other.filter(|_| !order.replace) {
            return Err(format!(
                "{} is there with other bytes: give another version, or --replace",
                target.join(name).display()
            ));
        }
        fs::create_dir_all(target).map_err(|error| at(target, &error))?;
        for (name, length) in new {
            let path = target.join(name);
            fs::rename(self.folder.join(name), &path).map_err(|error| at(&path, &error))?;
            added.written.insert(name.clone(), *length);
        }
        added.same = same.into_iter().map(|(name, _)| name.clone()).collect();
        self.account(order, target, &mut added);
        Ok(added)
    }

    /// Which models have their image now.
    fn account(&self, order: &Order<'_>, target: &Path, added: &mut Added) {
        let entries = fs::read_dir(target).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let there: BTreeSet<String> = names.map(|name| name.to_ascii_lowercase()).collect();
        let has = |image: &str| {
            let name = image.replace("{version}", order.version);
            !image.is_empty() && there.contains(&name.to_ascii_lowercase())
        };
        let models = self.vendor.models.iter();
        added.covered = models
            .filter(|model| has(model.image))
            .map(|model| model.name)
            .collect();
        for (model, image) in fleet_models(order.directory, self.vendor) {
            if !has(&image) {
                added.missing.push(model);
            }
        }
        added.notes.extend(
            self.taken
                .keys()
                .filter_map(|name| self.note(name, order, target)),
        );
    }

    /// What is odd about a file that was taken.
    fn note(&self, name: &str, order: &Order<'_>, target: &Path) -> Option<String> {
        match kind(self.vendor, name)? {
            FileKind::FirmwareVersion => {
                let text = fs::read_to_string(target.join(name)).ok()?;
                let says = text.split_whitespace().next()?.to_owned();
                let agree = says.starts_with(order.version) || order.version.starts_with(&says);
                (!agree).then(|| format!("{name} says {says}, not {}", order.version))
            }
            _ => {
                let of_model = |image: &str| {
                    name.eq_ignore_ascii_case(&image.replace("{version}", order.version))
                };
                let known = self.vendor.models.iter().any(|model| of_model(model.image));
                (!known).then(|| {
                    format!("{name} is no known model's image: rename it, or describe its model in models/")
                })
            }
        }
    }
}

/// What a file of this name is, where it is firmware: by the rules of the vendor's table.
fn kind(vendor: &Vendor, name: &str) -> Option<FileKind> {
    let path = RequestPath::parse(name).ok()?;
    let rules = vendor.rules.iter().filter(|rule| {
        let firmware = matches!(
            rule.kind,
            FileKind::FirmwareImage | FileKind::FirmwareVersion
        );
        firmware && !rule.pattern.contains('/')
    });
    let matching = rules.filter_map(|rule| Some((rule, Pattern::parse(rule.pattern).ok()?)));
    let mut matching = matching.filter(|(_, pattern)| pattern.capture(&path).is_some());
    matching.next().map(|(rule, _)| rule.kind)
}

fn is_firmware(vendor: &Vendor, name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.starts_with('.');
    plain && !name.contains(['/', '\\', ':']) && kind(vendor, name).is_some()
}

/// What is saved under an image's name is often the page that offers it.
fn check_bytes(vendor: &Vendor, name: &str, path: &Path, length: u64) -> Result<(), String> {
    if length == 0 {
        return Err(format!("{name} is empty: load the package again"));
    }
    if kind(vendor, name) != Some(FileKind::FirmwareImage) {
        return Ok(());
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(|error| at(path, &error))?;
    file.take(512)
        .read_to_end(&mut head)
        .map_err(|error| at(path, &error))?;
    let text = String::from_utf8_lossy(&head)
        .trim_start()
        .to_ascii_lowercase();
    match ["<!doctype", "<html", "<?xml"]
        .iter()
        .find(|begin| text.starts_with(**begin))
    {
        Some(begin) => Err(format!(
            "{name} is no image: it begins with {begin:?}, as a saved page does; load it again"
        )),
        None => Ok(()),
    }
}

/// The models of the fleet's phones and their images; none if it does not compile.
fn fleet_models(directory: &Path, vendor: &Vendor) -> BTreeMap<String, String> {
    let Ok(fleet) = fleet::compile_without_images(directory, &mut Hashes::default()) else {
        return BTreeMap::new();
    };
    let groups = fleet::outputs::groups(&fleet);
    let own = groups
        .iter()
        .filter(|group| group.model.vendor == vendor.name);
    own.map(|group| (group.model.name.to_owned(), group.model.image.to_owned()))
        .collect()
}

/// By its first bytes: packages have all kinds of names.
fn is_zip(path: &Path, mut file: &File) -> io::Result<bool> {
    let named = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    let mut head = [0; 4];
    let read = file.read(&mut head)?;
    io::Seek::rewind(&mut file)?;
    Ok(named || head.get(..read) == Some(b"PK\x03\x04"))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
