//! The relay's log: a line of JSON for each transfer that ended, and for what whoever runs it should know. No line has a key, a
//! credential or a file's body.

use std::net::IpAddr;
use std::time::Duration;
use std::time::SystemTime;

use serde::Serialize;

use crate::mac::MacAddress;
use crate::platform::native::log::Log;
use crate::platform::native::log::rfc3339;
use crate::relay::metrics::Protocol;

/// The log; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Journal(Log);

/// A transfer that ended.
#[derive(Clone, Debug)]
pub struct Transfer<'t> {
    /// How the phone asked.
    pub protocol: Protocol,
    /// What it asked for: read, write, or a method.
    pub request: &'t str,
    /// The file.
    pub file: String,
    /// Who asked, by address and port.
    pub peer: std::net::SocketAddr,
    /// How it ended, for people.
    pub outcome: String,
    /// How many bytes of the file were moved.
    pub bytes: u64,
    /// From the request to the end.
    pub took: Duration,
}

impl Journal {
    /// Writes to a log.
    pub fn new(log: Log) -> Self {
        Self(log)
    }

    /// A transfer ended.
    pub fn transfer(&self, transfer: &Transfer<'_>) {
        self.0.line(&TransferLine {
            time: rfc3339(SystemTime::now()),
            protocol: transfer.protocol,
            request: transfer.request,
            file: &transfer.file,
            peer: transfer.peer.to_string(),
            outcome: &transfer.outcome,
            bytes: transfer.bytes,
            milliseconds: transfer.took.as_millis(),
        });
    }

    /// Something that whoever runs the relay should know.
    pub fn event(&self, event: &str, reason: &str) {
        self.0.line(&EventLine {
            time: rfc3339(SystemTime::now()),
            event,
            reason,
            file: None,
            peer: None,
            mac: None,
        });
    }

    /// The same, about a phone and a file.
    pub fn about(
        &self,
        event: &str,
        reason: &str,
        file: &str,
        peer: IpAddr,
        mac: Option<MacAddress>,
    ) {
        self.0.line(&EventLine {
            time: rfc3339(SystemTime::now()),
            event,
            reason,
            file: Some(file),
            peer: Some(peer),
            mac,
        });
    }
}

#[derive(Serialize)]
struct TransferLine<'l> {
    time: String,
    protocol: Protocol,
    request: &'l str,
    file: &'l str,
    peer: String,
    outcome: &'l str,
    bytes: u64,
    milliseconds: u128,
}

#[derive(Serialize)]
struct EventLine<'l> {
    time: String,
    event: &'l str,
    reason: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<MacAddress>,
}
