//! Whether a service keeps the promises of S3 that records rest upon: conditional writes.

use std::fmt;

use crate::store::Revision;
use crate::store::StoreError;
use crate::store::keyed::Condition;
use crate::store::keyed::Objects;
use crate::store::s3::S3;
use crate::store::s3::wire::Wire;

/// Why a service cannot hold a deployment.
#[derive(Debug)]
pub struct ProbeError {
    endpoint: String,
    bucket: String,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    /// It writes, or refuses to, regardless of this header.
    Ignores(&'static str, &'static str),
    /// The probe itself failed.
    Store(StoreError),
}

impl<W: Wire> S3<W> {
    /// Writes an object under conditions that hold and that do not, and takes it away.
    ///
    /// With a service that ignores conditions, two uploads at once would overwrite each other's record
    /// now and then, and nobody would notice.
    pub async fn probe(&self) -> Result<(), ProbeError> {
        let key = format!("probe/{:016x}", self.wire.random());
        let found = self.probe_at(&key).await;
        let deleted = Objects::delete(&self, &key).await.map_err(Fault::Store);
        found.and(deleted).map_err(|fault| ProbeError {
            endpoint: self.address.endpoint().to_owned(),
            bucket: self.address.bucket().to_owned(),
            fault,
        })
    }

    async fn probe_at(&self, key: &str) -> Result<(), Fault> {
        let write = async |text: &str, condition: Condition<'_>| {
            let written = Objects::write(&self, key, text.into(), condition).await;
            written.map_err(Fault::Store)
        };
        let read = async || {
            let read = Objects::read(&self, key).await.map_err(Fault::Store)?;
            let missing = Fault::Ignores("a write", "it took one, but does not give it back");
            Ok(read.ok_or(missing)?.1)
        };
        if !write("1", Condition::Absent).await? {
            return Err(Fault::Ignores(NONE_MATCH, "it finds what is not there"));
        }
        let first: Revision = read().await?;
        if write("2", Condition::Absent).await? {
            return Err(Fault::Ignores(NONE_MATCH, "it overwrites what is there"));
        }
        if !write("3", Condition::At(&first)).await? {
            let what = "it does not know its own ETag again; does a proxy change it?";
            return Err(Fault::Ignores(MATCH, what));
        }
        if read().await? == first {
            return Err(Fault::Ignores(
                MATCH,
                "its ETag stays when the object changes",
            ));
        }
        if write("4", Condition::At(&first)).await? {
            return Err(Fault::Ignores(MATCH, "it overwrites what has changed"));
        }
        Ok(())
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            bucket,
            fault,
        } = self;
        match fault {
            Fault::Ignores(header, what) => write!(
                f,
                "{endpoint} (bucket {bucket}) does not honour {header}: {what}; servers would lose each other's \
                 records. Use a service with conditional writes, or a newer version of this one (docs/s3.md)"
            ),
            Fault::Store(error) => {
                write!(f, "{endpoint} (bucket {bucket}) cannot be used: {error}")?;
                match &error.source {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for ProbeError {}

const MATCH: &str = "If-Match";
const NONE_MATCH: &str = "If-None-Match";
