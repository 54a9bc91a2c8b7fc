//! What a host is started with: a JSON file or arguments.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The settings of a host; in JSON the same names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The component.
    pub component: PathBuf,
    /// Where it is served.
    #[serde(default = "any_port")]
    pub listen: SocketAddr,
    /// The file of its key-value store; `None` for a store in memory.
    #[serde(default)]
    pub key_value: Option<PathBuf>,
    /// Its variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Where it may send requests to, as in `spin.toml`.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// How many requests an instance answers.
    #[serde(default = "requests")]
    pub requests: usize,
    /// How many of them at once.
    #[serde(default = "concurrent_requests")]
    pub concurrent_requests: usize,
    /// For how many milliseconds an instance is kept without a request.
    #[serde(default = "idle_milliseconds")]
    pub idle_milliseconds: u64,
}

impl Settings {
    /// Settings with Spin's defaults.
    pub fn new(component: PathBuf) -> Self {
        Self {
            component,
            listen: any_port(),
            key_value: None,
            variables: BTreeMap::new(),
            allowed_outbound_hosts: Vec::new(),
            requests: requests(),
            concurrent_requests: concurrent_requests(),
            idle_milliseconds: idle_milliseconds(),
        }
    }

    /// Settings from a program's arguments.
    pub fn from_arguments(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self::new(PathBuf::new());
        while let Some(name) = arguments.next() {
            let Some(value) = arguments.next() else {
                return Err(SettingsError(format!("{name} needs a value\n{USAGE}")));
            };
            settings.apply(&name, value)?;
        }
        if settings.component.as_os_str().is_empty() {
            return Err(SettingsError(USAGE.to_owned()));
        }
        Ok(settings)
    }

    fn apply(&mut self, name: &str, value: String) -> Result<(), SettingsError> {
        match name {
            "--settings" => *self = Self::from_file(&value)?,
            "--component" => self.component = PathBuf::from(value),
            "--listen" => self.listen = value.parse().map_err(SettingsError::of)?,
            "--key-value" => self.key_value = Some(PathBuf::from(value)),
            "--allow" => self.allowed_outbound_hosts.push(value),
            "--variable" => {
                let Some((name, value)) = value.split_once('=') else {
                    return Err(SettingsError(format!("no = in the variable {value:?}")));
                };
                self.variables.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(SettingsError(format!("{name} is not known\n{USAGE}"))),
        }
        Ok(())
    }

    fn from_file(path: &str) -> Result<Self, SettingsError> {
        let text = fs::read(path).map_err(SettingsError::of)?;
        serde_json::from_slice(&text).map_err(SettingsError::of)
    }
}

/// Arguments or a file that make no settings.
#[derive(Debug)]
pub struct SettingsError(String);

impl SettingsError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

const USAGE: &str = "\
usage: spin-host --settings FILE.json
       spin-host --component FILE.wasm [--listen ADDRESS] [--key-value FILE] [--variable NAME=VALUE]…
                 [--allow ORIGIN]…";

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

// The three defaults of Spin's HTTP trigger for components of WASI 0.3.

fn requests() -> usize {
    128
}

fn concurrent_requests() -> usize {
    16
}

fn idle_milliseconds() -> u64 {
    1000
}
