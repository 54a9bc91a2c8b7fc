//! `handset init`: a commented fleet directory to start from.

use std::fs;
use std::io;
use std::path::Path;

/// Writes the starter into `directory`, which must be missing or empty.
pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        let problem = format!(
            "{} is not empty; give a directory that is, or a new one",
            directory.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    for (name, text) in FILES {
        let path = directory.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

const FILES: &[(&str, &str)] = &[
    (
        ".gitignore",
        "# What Handset itself writes: uploads, last contacts.\n/state/\n",
    ),
    ("handset.toml", include_str!("starter/handset.toml")),
    ("sites/lab.toml", include_str!("starter/lab.toml")),
    ("devices/lab.csv", include_str!("starter/lab.csv")),
];

#[cfg(test)]
mod tests {
    use crate::fleet::Hashes;
    use crate::fleet::compile;

    #[test]
    fn the_starter_compiles() {
        let directory = tempfile::tempdir().unwrap();
        super::write(directory.path()).unwrap();
        let fleet = compile(directory.path(), &mut Hashes::default()).unwrap();
        assert_eq!(fleet.warnings, []);
        assert_eq!(fleet.devices.len(), 3);
        super::write(directory.path()).unwrap_err();
    }
}
