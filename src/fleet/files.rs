//! The files of a fleet directory that are served as they are or rendered: images, resources, templates.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use sha2::Digest;
use sha2::Sha256;

use crate::fleet::diagnostic::Diagnostics;
use crate::fleet::diagnostic::Place;
use crate::fleet::diagnostic::suggest;
use crate::fleet::sealed::FleetKey;
use crate::fleet::sealed::Seals;
use crate::map::Map;
use crate::pattern::Pattern;
use crate::release::BlobRecord;
use crate::release::TemplateRecord;
use crate::store::directory::SourceFile;
use crate::vendor::ALL;
use crate::vendor::Format;
use crate::vendor::Vendor;

/// A fleet directory whose files are being read.
#[derive(Debug)]
pub(super) struct Files<'h> {
    root: PathBuf,
    hashes: &'h mut Hashes,
    /// What opens the secrets in it.
    pub(super) seals: Seals<'h>,
    /// Every file whose bytes are served, by SHA-256.
    pub(super) sources: HashMap<String, SourceFile>,
}

/// The SHA-256 of files that have not changed since they were last read: images are large.
#[derive(Debug, Default)]
pub struct Hashes(HashMap<PathBuf, (SourceFile, String)>);

impl<'h> Files<'h> {
    /// The files below `root`.
    pub(super) fn new(root: &Path, hashes: &'h mut Hashes, key: Option<&'h FleetKey>) -> Self {
        Self {
            root: root.to_owned(),
            hashes,
            seals: Seals::new(key),
            sources: HashMap::new(),
        }
    }

    /// The text of a file, if it can be read.
    pub(super) fn text(&self, file: &str, diagnostics: &mut Diagnostics) -> Option<String> {
        match fs::read_to_string(self.root.join(file)) {
            Ok(text) => Some(
                text.strip_prefix('\u{feff}')
                    .map(str::to_owned)
                    .unwrap_or(text),
            ),
            Err(error) => {
                let remedy = match error.kind() {
                    io::ErrorKind::InvalidData => "save it as UTF-8",
                    io::ErrorKind::NotFound => {
                        "`handset init DIR` writes a directory to start from"
                    }
                    _ => "see that the file can be read",
                };
                diagnostics.report(
                    "unreadable",
                    &Place::file(file),
                    format!("cannot be read: {error}"),
                    remedy,
                );
                None
            }
        }
    }

    /// The files with this ending in a folder, sorted, relative to the fleet directory.
    pub(super) fn list(
        &self,
        folder: &str,
        ending: &str,
        diagnostics: &mut Diagnostics,
    ) -> Vec<String> {
        let files = self.walk(folder, diagnostics);
        files
            .into_iter()
            .filter(|file| file.ends_with(ending))
            .collect()
    }

    /// The templates of a folder `templates/`, by `vendor/name`.
    pub(super) fn templates(
        &self,
        folder: &str,
        diagnostics: &mut Diagnostics,
    ) -> Map<TemplateRecord> {
        let mut templates = Map::default();
        for file in self.walk(folder, diagnostics) {
            let name = below(&file, folder);
            let Some(vendor) = template_vendor(&file, name, diagnostics) else {
                continue;
            };
            let Some(text) = self.text(&file, diagnostics) else {
                continue;
            };
            check_template(vendor, &file, name, &text, diagnostics);
            let format = Format::of_text(&text, vendor.text);
            templates.insert(
                name.to_owned(),
                TemplateRecord {
                    format,
                    text,
                    file: Some(file.clone()),
                },
            );
        }
        templates
    }

    /// The resources of a folder `resources/`, by lower-case path.
    pub(super) fn resources(
        &mut self,
        folder: &str,
        diagnostics: &mut Diagnostics,
    ) -> Map<BlobRecord> {
        let mut resources = Map::default();
        for file in self.walk(folder, diagnostics) {
            let path = below(&file, folder).to_ascii_lowercase();
            check_name(&file, &path, diagnostics);
            for vendor in ALL {
                check_reserved(vendor, &file, &path, diagnostics);
            }
            if let Some(blob) = self.blob(&file, diagnostics)
                && resources.insert(path, blob).is_some()
            {
                report_twins(&file, diagnostics);
            }
        }
        resources
    }

    /// The images of `firmware/`, by vendor, version and lower-case name.
    pub(super) fn firmware(&mut self, diagnostics: &mut Diagnostics) -> Map<Map<Map<BlobRecord>>> {
        let mut firmware = Map::<Map<Map<BlobRecord>>>::default();
        for file in self.walk("firmware", diagnostics) {
            let parts: Vec<&str> = file.split('/').collect();
            let [_, vendor, version, name] = parts.as_slice() else {
                let remedy = "put images into firmware/<vendor>/<version>/";
                diagnostics.report(
                    "misplaced-file",
                    &Place::file(&file),
                    "is not in a version's folder",
                    remedy,
                );
                continue;
            };
            if Vendor::find(vendor).is_none() {
                report_vendor(&file, vendor, diagnostics);
                continue;
            }
            let Some(blob) = self.blob(&file, diagnostics) else {
                continue;
            };
            let versions = firmware.get_or_default(vendor);
            let names = versions.get_or_default(version);
            if names.insert(name.to_ascii_lowercase(), blob).is_some() {
                report_twins(&file, diagnostics);
            }
        }
        firmware
    }

    /// Every file below a folder, sorted, relative to the fleet directory; hidden ones are passed over.
    fn walk(&self, folder: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    diagnostics.report(
                        "unreadable",
                        &Place::file(&folder),
                        format!("cannot be read: {error}"),
                        "",
                    );
                    continue;
                }
            };
            for entry in entries.flatten() {
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    let remedy = "rename it: phones ask for names in UTF-8";
                    diagnostics.report(
                        "name-not-utf8",
                        &Place::file(&folder),
                        "holds a name that is not UTF-8",
                        remedy,
                    );
                    continue;
                };
                let path = format!("{folder}/{name}");
                match entry.path().metadata() {
                    _ if name.starts_with('.') => {}
                    Ok(metadata) if metadata.is_dir() => folders.push(path),
                    Ok(_) => files.push(path),
                    Err(error) => diagnostics.report(
                        "unreadable",
                        &Place::file(&path),
                        format!("cannot be read: {error}"),
                        "",
                    ),
                }
            }
        }
        files.sort();
        files
    }

    fn blob(&mut self, file: &str, diagnostics: &mut Diagnostics) -> Option<BlobRecord> {
        match self.hash(file) {
            Ok((source, sha256)) => {
                let since = source
                    .modified
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                let blob = BlobRecord {
                    sha256: sha256.clone(),
                    length: source.length,
                    modified: since.as_secs(),
                };
                self.sources.insert(sha256, source);
                Some(blob)
            }
            Err(error) => {
                diagnostics.report(
                    "unreadable",
                    &Place::file(file),
                    format!("cannot be read: {error}"),
                    "see that the file can be read",
                );
                None
            }
        }
    }

    fn hash(&mut self, file: &str) -> io::Result<(SourceFile, String)> {
        let path = self.root.join(file);
        let mut opened = fs::File::open(&path)?;
        let source = stamp(&path, &opened)?;
        if let Some((known, sha256)) = self.hashes.0.get(&path)
            && *known == source
        {
            return Ok((source, sha256.clone()));
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match opened.read(&mut buffer)? {
                0 => break,
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        if stamp(&path, &opened)? != source {
            return Err(io::Error::other(
                "it changes while it is read; it is taken up when it is whole",
            ));
        }
        let sha256 = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        self.hashes.0.insert(path, (source.clone(), sha256.clone()));
        Ok((source, sha256))
    }
}

fn stamp(path: &Path, file: &fs::File) -> io::Result<SourceFile> {
    let metadata = file.metadata()?;
    let modified: SystemTime = metadata.modified()?;
    Ok(SourceFile {
        path: path.to_owned(),
        length: metadata.len(),
        modified,
    })
}

fn below<'f>(file: &'f str, folder: &str) -> &'f str {
    file.strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(file)
}

fn template_vendor(
    file: &str,
    name: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'static Vendor> {
    let folder = name
        .split_once('/')
        .map(|(folder, _)| folder)
        .unwrap_or_default();
    let vendor = Vendor::find(folder);
    if vendor.is_none() {
        report_vendor(file, folder, diagnostics);
    }
    vendor
}

fn report_vendor(file: &str, folder: &str, diagnostics: &mut Diagnostics) {
    let known = ALL.iter().map(|vendor| vendor.name);
    let problem = format!("is not below a vendor's folder ({folder:?} is none)");
    diagnostics.report(
        "unknown-vendor",
        &Place::file(file),
        problem,
        suggest(folder, known),
    );
}

fn report_twins(file: &str, diagnostics: &mut Diagnostics) {
    let remedy = "rename one: names are matched without regard to case";
    diagnostics.report(
        "names-differ-by-case",
        &Place::file(file),
        "another file has this name but for its case",
        remedy,
    );
}

fn check_template(
    vendor: &Vendor,
    file: &str,
    name: &str,
    text: &str,
    diagnostics: &mut Diagnostics,
) {
    let name = below(name, vendor.name);
    check_name(file, name, diagnostics);
    check_reserved(vendor, file, name, diagnostics);
    for (pattern, mark, reason) in vendor.marked {
        if is_name(name, pattern)
            && !text.contains(mark)
            && !text.contains("{% include")
            && !text.contains("{% extends")
        {
            let remedy = format!("rename it, for example to {{mac}}-device.cfg: {reason}");
            diagnostics.report(
                "false-master",
                &Place::file(file),
                format!("has the name of a master file, but no {mark}> in it"),
                remedy,
            );
        }
    }
}

fn check_reserved(vendor: &Vendor, file: &str, name: &str, diagnostics: &mut Diagnostics) {
    // A licence or a seed directory of one phone is a resource with that phone's address in its name.
    for (pattern, reason) in vendor
        .reserved
        .iter()
        .filter(|(pattern, _)| is_name(name, pattern))
    {
        let remedy = format!("give it another name: {reason}");
        diagnostics.report(
            "reserved-name",
            &Place::file(file),
            format!("{pattern} is a reserved name"),
            remedy,
        );
    }
}

fn check_name(file: &str, name: &str, diagnostics: &mut Diagnostics) {
    if let Err(error) = Pattern::parse(name) {
        let remedy = "holes are {mac}, {MAC} and {model}; other names have no braces";
        diagnostics.report("bad-name", &Place::file(file), error.to_string(), remedy);
    }
}

/// Whether a template's name is this pattern, in whatever folder and case.
fn is_name(name: &str, pattern: &str) -> bool {
    name.rsplit('/')
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(pattern))
}
