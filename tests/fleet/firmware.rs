//! `handset firmware add`: what is taken out of packages, and what is refused.

use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use handset::fleet::firmware::Added;
use handset::fleet::firmware::Order;
use handset::fleet::firmware::add;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const VVX_400: &str = "3111-46157-002.sip.ld";
const VVX_500: &str = "3111-44500-001.sip.ld";

/// A fleet of two models, beside a place for packages.
fn fleet() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("fleet/handset.toml", "[firmware]\npolycom = \"5.9.7\"\n"),
        ("fleet/sites/s.toml", "access = \"open\"\n"),
        (
            "fleet/devices/d.csv",
            "mac,site,model\n0004f2000001,s,VVX 400\n0004f2000002,s,VVX 500\n",
        ),
        (
            "fleet/templates/polycom/000000000000.cfg",
            "<APPLICATION/>\n",
        ),
    ] {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn package(directory: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let path = directory.join("package.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn order<'o>(directory: &'o Path, sources: &'o [PathBuf]) -> Order<'o> {
    Order {
        directory,
        vendor: "polycom",
        version: "5.9.7",
        sources,
        replace: false,
        largest: 1 << 20,
    }
}

/// Everything below a folder, hidden files too.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.path().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let path = entry.path();
                    found.push(path.strip_prefix(folder).unwrap().display().to_string());
                }
            }
        }
    }
    found.sort();
    found
}

fn added(files: &[(&str, &[u8])]) -> (TempDir, Result<Added, String>) {
    let directory = fleet();
    let sources = [package(directory.path(), files)];
    let result = add(&order(&directory.path().join("fleet"), &sources));
    (directory, result)
}

#[test]
fn images_and_version_are_taken_and_nothing_else() {
    let (directory, result) = added(&[
        ("UCS/000000000000.cfg", b"<APPLICATION sample='1'/>"),
        ("UCS/Config/sip-basic.cfg", b"<x/>"),
        ("UCS/3111-46157-002.sip.ld", b"image of the 400"),
        ("UCS/sip.ver", b"5.9.7.2979\n"),
        ("UCS/SoundPointIPWelcome.wav", b"RIFF"),
    ]);
    let result = result.unwrap();
    let firmware = files(&directory.path().join("fleet/firmware"));
    assert_eq!(
        firmware,
        [
            "polycom/5.9.7/3111-46157-002.sip.ld",
            "polycom/5.9.7/sip.ver"
        ]
    );
    assert_eq!(result.left_out, 3);
    assert_eq!(result.covered, ["VVX 400"]);
    assert_eq!(result.missing, ["VVX 500"]);
    assert_eq!(result.notes, [] as [String; 0]);
    let master = directory
        .path()
        .join("fleet/templates/polycom/000000000000.cfg");
    assert_eq!(fs::read_to_string(master).unwrap(), "<APPLICATION/>\n");
}

#[test]
fn climbing_names_are_names() {
    let (directory, result) = added(&[
        ("../../../../3111-46157-002.sip.ld", b"a"),
        ("..\\..\\3111-44500-001.sip.ld", b"b"),
        ("/etc/sip.ver", b"5.9.7"),
        ("C:\\..:sip.ld", b"c"),
    ]);
    result.unwrap();
    let found = files(&directory.path().join("fleet/firmware"));
    let expected = [VVX_500, VVX_400, "sip.ver"].map(|name| format!("polycom/5.9.7/{name}"));
    assert_eq!(found, expected);
    assert_eq!(files(directory.path()).len(), 4 + 3 + 1, "a file climbed");
}

#[test]
fn what_is_wrong_writes_nothing() {
    for (files_of_package, problem) in [
        (
            &[("readme.txt", &b"x"[..])][..],
            "no image of polycom is among 1 files",
        ),
        (&[(VVX_400, b"")], "is empty"),
        (
            &[("sip.ver", b"5"), (VVX_400, b"\n<!DOCTYPE html><p>Log in")],
            "saved page",
        ),
        (&[("a/sip.ver", b"1"), ("b/SIP.VER", b"2")], "comes twice"),
    ] {
        let (directory, result) = added(files_of_package);
        let found = result.unwrap_err();
        assert!(found.contains(problem), "{found}");
        assert_eq!(
            files(&directory.path().join("fleet/firmware")),
            [] as [String; 0]
        );
    }
}

#[test]
fn other_bytes_are_replaced_only_if_asked() {
    let (directory, result) = added(&[(VVX_400, b"one")]);
    result.unwrap();
    let fleet = directory.path().join("fleet");
    let image = directory.path().join(VVX_400);
    let sources = [image.clone()];
    fs::write(&image, "one").unwrap();
    assert_eq!(add(&order(&fleet, &sources)).unwrap().same.len(), 1);
    fs::write(&image, "two").unwrap();
    let problem = add(&order(&fleet, &sources)).unwrap_err();
    assert!(problem.contains("--replace"), "{problem}");
    let forced = Order {
        replace: true,
        ..order(&fleet, &sources)
    };
    assert_eq!(add(&forced).unwrap().written.len(), 1);
    let kept = fs::read(fleet.join("firmware/polycom/5.9.7").join(VVX_400)).unwrap();
    assert_eq!(kept, b"two");
}

/// A megabyte of zeros is a kilobyte in a package: what comes out is counted.
#[test]
fn a_bomb_is_stopped_at_its_bound() {
    let directory = fleet();
    let path = directory.path().join("package.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    zip.start_file(VVX_400, SimpleFileOptions::default())
        .unwrap();
    zip.write_all(&vec![0; (1 << 20) + 1]).unwrap();
    zip.finish().unwrap();
    let sources = [path];
    let problem = add(&order(&directory.path().join("fleet"), &sources)).unwrap_err();
    assert!(problem.contains("no phone has room"), "{problem}");
    assert_eq!(
        files(&directory.path().join("fleet/firmware")),
        [] as [String; 0]
    );
}

#[test]
fn versions_and_names_are_compared() {
    let (_directory, result) =
        added(&[("sip.ver", b"4.1.4.0296"), ("2345-00000-001.sip.ld", b"x")]);
    assert_eq!(
        result.unwrap().notes,
        [
            "2345-00000-001.sip.ld is no known model's image: rename it, or describe its model in models/",
            "sip.ver says 4.1.4.0296, not 5.9.7"
        ]
    );
    for version in ["", "..", "../x", ".hidden", "a/b", "a b"] {
        let sources = [PathBuf::from("x.zip")];
        let order = Order {
            version,
            ..order(Path::new("fleet"), &sources)
        };
        let problem = add(&order).unwrap_err();
        assert!(problem.contains("is no version"), "{version:?}: {problem}");
    }
}
