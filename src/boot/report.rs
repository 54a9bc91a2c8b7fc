//! What came of a boot: every request, what was taken from each file, what the phone would suffer.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use serde_json::json;

use crate::boot::client::Exchange;
use crate::key;
use crate::mac::MacAddress;

/// A boot, from power to rest.
#[derive(Debug)]
pub(super) struct Report {
    model: &'static str,
    mac: MacAddress,
    /// Every request.
    pub(super) requests: Vec<Exchange>,
    /// The files that parameters were taken from, the one that wins first.
    pub(super) files: Vec<Taken>,
    /// What the phone would suffer.
    pub(super) findings: Vec<String>,
    /// The firmware that runs in the end.
    pub(super) firmware: String,
    /// How often it rebooted.
    pub(super) reboots: usize,
    /// Whether it has a configuration from the server.
    pub(super) came_up: bool,
}

/// What a phone took from a file.
#[derive(Debug)]
pub(super) struct Taken {
    /// The file's name.
    pub(super) file: String,
    /// Parameters in order.
    pub(super) parameters: Vec<(String, String)>,
    /// Parameters that this model does not know.
    pub(super) unknown: Vec<String>,
}

impl Report {
    pub(super) fn new(model: &'static str, mac: MacAddress) -> Self {
        Self {
            model,
            mac,
            requests: Vec::new(),
            files: Vec::new(),
            findings: Vec::new(),
            firmware: String::new(),
            reboots: 0,
            came_up: false,
        }
    }

    /// Adds something that the phone would suffer.
    pub(super) fn finding(&mut self, problem: impl Into<String>) {
        self.findings.push(problem.into());
    }

    /// Whether the phone does not run as its operator meant it to.
    pub(super) fn suffers(&self) -> bool {
        !self.findings.is_empty() || !self.came_up
    }

    /// What is in force: the first file that has a parameter wins.
    pub(super) fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        for (name, value) in self.files.iter().flat_map(|file| &file.parameters) {
            parameters
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        parameters
    }

    /// Prints tables for a person.
    pub(super) fn write_table(
        &self,
        out: &mut impl Write,
        secrets: bool,
        before: Option<&BTreeMap<String, String>>,
    ) -> io::Result<()> {
        writeln!(out, "{} {}", self.model, self.mac)?;
        writeln!(
            out,
            "\n{:<5}{:<60}{:>7}{:>11}{:>6}  ",
            "", "request", "status", "bytes", "ms"
        )?;
        for request in &self.requests {
            writeln!(
                out,
                "{:<5}{:<60}{:>7}{:>11}{:>6}  {}",
                request.method,
                without_keys(&request.shown, secrets),
                request.status,
                request.bytes,
                request.milliseconds,
                without_keys(&request.note, secrets)
            )?;
        }
        writeln!(out, "\nconfiguration status")?;
        for file in &self.files {
            let (taken, errors) = (file.parameters.len(), file.unknown.len());
            write!(
                out,
                "  {:<40}{taken:>4} parameters{errors:>4} errors",
                file.file
            )?;
            writeln!(
                out,
                "{}",
                file.unknown
                    .iter()
                    .fold(String::new(), |text, name| text + "  unknown: " + name)
            )?;
        }
        writeln!(
            out,
            "\nruns firmware {} after {} reboots, with",
            self.firmware, self.reboots
        )?;
        for (name, value) in self.parameters() {
            writeln!(out, "  {name} = {}", shown(&name, &value, secrets))?;
        }
        if let Some(before) = before {
            self.write_changes(out, before, secrets)?;
        }
        for finding in &self.findings {
            writeln!(out, "\nfinding: {}", without_keys(finding, secrets))?;
        }
        let verdict = if self.suffers() {
            "the phone would suffer"
        } else {
            "the phone runs as configured"
        };
        writeln!(out, "\n{verdict}")
    }

    /// Prints the same as JSON.
    pub(super) fn write_json(
        &self,
        out: &mut impl Write,
        secrets: bool,
        before: Option<&BTreeMap<String, String>>,
    ) -> io::Result<()> {
        let requests: Vec<_> = self.requests.iter().map(|request| {
            let text = |text: &str| without_keys(text, secrets);
            json!({"method": request.method, "url": text(&request.url), "path": text(&request.shown),
                "status": request.status, "bytes": request.bytes, "milliseconds": request.milliseconds,
                "note": text(&request.note)})
        }).collect();
        let files: Vec<_> = self.files.iter().map(|file| {
            json!({"file": file.file, "parameters": file.parameters.len(), "errors": file.unknown.len(), "unknown": file.unknown})
        }).collect();
        let findings = self.findings.iter();
        let findings: Vec<String> = findings.map(|it| without_keys(it, secrets)).collect();
        let mask = |parameters: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            parameters
                .iter()
                .map(|(name, value)| (name.clone(), shown(name, value, secrets)))
                .collect()
        };
        let mut report = json!({"model": self.model, "mac": self.mac, "requests": requests, "files": files,
            "firmware": self.firmware, "reboots": self.reboots, "parameters": mask(&self.parameters()),
            "findings": findings, "ok": !self.suffers()});
        if let (Some(before), Some(report)) = (before, report.as_object_mut()) {
            report.insert("identical".to_owned(), json!(*before == self.parameters()));
            report.insert("before".to_owned(), json!(mask(before)));
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)
    }

    fn write_changes(
        &self,
        out: &mut impl Write,
        before: &BTreeMap<String, String>,
        secrets: bool,
    ) -> io::Result<()> {
        let now = self.parameters();
        writeln!(out, "\nsince the last boot")?;
        if *before == now {
            return writeln!(out, "  identical");
        }
        for (name, value) in before
            .iter()
            .filter(|(name, value)| now.get(*name) != Some(value))
        {
            writeln!(out, "  - {name} = {}", shown(name, value, secrets))?;
        }
        for (name, value) in now
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(value))
        {
            writeln!(out, "  + {name} = {}", shown(name, value, secrets))?;
        }
        Ok(())
    }
}

/// Addresses hold keys, which open what passwords open.
fn without_keys(text: &str, secrets: bool) -> String {
    match secrets {
        true => text.to_owned(),
        false => key::hide(text),
    }
}

fn shown(name: &str, value: &str, secrets: bool) -> String {
    let name = name.to_ascii_lowercase();
    let secret = ["pass", "secret", "pin"]
        .into_iter()
        .any(|word| name.contains(word))
        && !name.contains("pincredentials");
    if secret && !secrets && !value.is_empty() {
        return "***".to_owned();
    }
    let line = value.replace(['\r', '\n'], " ");
    let line = without_keys(&line, secrets);
    if line.chars().count() > 60 && !secrets {
        line.chars().take(57).collect::<String>() + "..."
    } else {
        line
    }
}
