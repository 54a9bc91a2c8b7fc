//! A simulated phone's flash: what it still knows when its power comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

/// What a phone keeps.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Flash {
    /// The address it was given.
    #[serde(default)]
    pub(super) url: Option<String>,
    /// The user name for the server.
    #[serde(default)]
    pub(super) user: Option<String>,
    /// The password for the server.
    #[serde(default)]
    pub(super) password: Option<String>,
    /// The firmware that runs.
    #[serde(default)]
    pub(super) firmware: String,
    /// Directory for logs, as the last master file said.
    #[serde(default)]
    pub(super) log_directory: String,
    /// The addresses that configurations told it to come to, by the names of their settings.
    #[serde(default)]
    pub(super) told: BTreeMap<String, String>,
    /// The last good configuration.
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, String>,
    /// The user's own changes.
    #[serde(default)]
    pub(super) overrides: BTreeMap<String, String>,
}

impl Flash {
    /// Reads a flash; a file that is not there is an empty one.
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let problem = format!(
                    "{} is no phone's flash: {error}; --factory-reset clears it",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, problem)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Notes what a configuration says of addresses; `true` if that is news.
    pub(super) fn tell<'s>(&mut self, said: impl Iterator<Item = (&'s str, &'s str)>) -> bool {
        let before = self.told.clone();
        self.told
            .extend(said.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.told != before
    }

    /// Writes the flash beside and renames it, as a power cut would have it.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        fs::rename(beside, path)
    }
}
