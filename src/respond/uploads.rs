//! Uploads: bytes first, then the device's record, which makes them the newest version.

use http::StatusCode;
use http::header;

use crate::device::DeviceRecord;
use crate::device::Segment;
use crate::device::Upload;
use crate::mac::MacAddress;
use crate::path::RequestPath;
use crate::release::Rule;
use crate::respond::APPEND;
use crate::respond::Context;
use crate::respond::Failure;
use crate::respond::Response;
use crate::respond::TRIES;
use crate::respond::empty;
use crate::respond::etag;
use crate::respond::put;
use crate::route::Explanation;
use crate::store::BlobKey;
use crate::store::Blobs;
use crate::store::Records;
use crate::well_formed;

/// XML is checked in memory. A thousand contacts take some 300 KB.
const LARGEST_XML: u64 = 4 << 20;

impl<S: Records + Blobs> Context<'_, S> {
    /// Stores an upload: the bytes first, under a name of their own, then the device's record, which
    /// makes them the newest version. Two uploads at once can neither mix nor get lost.
    pub(super) async fn accept(
        &self,
        name: &str,
        rule: &Rule,
        upload: S::Upload,
        explanation: &mut Explanation,
    ) -> Result<Response<S::Body>, Failure> {
        let mac = self
            .mac(explanation)
            .ok_or_else(|| Failure::NotFound("no device".to_owned()))?;
        let length = self.upload_length(rule)?;
        let paced = |device: &DeviceRecord| device.state.pace(&self.site.uploads, self.request.now);
        self.device.and_then(paced).ok_or(Failure::TooMany)?;
        let id = format!("{:013}-{:032x}", self.request.now, self.request.id);
        let key = BlobKey::upload(&self.site.name, mac, name, &id);
        if rule.takes_xml() {
            let bytes = self.collect_xml(upload, length).await?;
            self.store.keep(&key, bytes).await?;
        } else {
            self.store.put(&key, upload, length).await?;
        }
        let segment = Segment { id, length };
        let mut tried = None;
        let entered = self.enter(mac, name, rule, segment, &mut tried).await;
        match entered {
            Ok((new, etag_text)) => {
                explanation.source = Some(format!("uploads/{name}"));
                explanation.reason = format!("{length} bytes kept");
                let mut response = empty(if new {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                });
                put(&mut response.headers, header::ETAG, &etag(&etag_text));
                Ok(response)
            }
            Err(failure) => {
                // A record that failed to be written may have been written all the same, and names the blob
                // then. A blob that no record names is never served; taking it away is best effort.
                if tried.is_none() {
                    let _ = self.store.delete(&key).await;
                }
                Err(failure)
            }
        }
    }

    fn upload_length(&self, rule: &Rule) -> Result<u64, Failure> {
        let refuse = |status, reason: &str| Err(Failure::Status(status, reason.to_owned()));
        let Some(length) = self.request.headers.get(header::CONTENT_LENGTH) else {
            return refuse(StatusCode::LENGTH_REQUIRED, "an upload without its length");
        };
        let Some(length) = length
            .to_str()
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
        else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "an upload whose length is no number",
            );
        };
        let most = match rule.takes_xml() {
            true => self.site.uploads.largest.min(LARGEST_XML),
            false => self.site.uploads.largest,
        };
        if length > most {
            return refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "an upload over the site's limit",
            );
        }
        Ok(length)
    }

    /// The bytes of an XML file, which others than the phone that sent it will read.
    async fn collect_xml(&self, upload: S::Upload, length: u64) -> Result<Vec<u8>, Failure> {
        let most = usize::try_from(length).unwrap_or_default();
        let bytes = self.store.collect(upload, most).await?;
        let refuse = |reason| Failure::Status(StatusCode::BAD_REQUEST, reason);
        if bytes.len() < most {
            return Err(refuse("the device broke off its upload".to_owned()));
        }
        well_formed::check(&bytes).map_err(|flaw| refuse(flaw.to_string()))?;
        Ok(bytes)
    }

    /// Makes a stored segment the newest of its file; says whether the file is new, and its tag. `tried` is
    /// what was last tried: from then on the record may name the segment, whatever the store said.
    async fn enter(
        &self,
        mac: MacAddress,
        name: &str,
        rule: &Rule,
        segment: Segment,
        tried: &mut Option<Entry>,
    ) -> Result<(bool, String), Failure> {
        // Every part of XML was checked as a document, and so it is one.
        let append = self.request.headers.get(APPEND);
        let append = append.filter(|_| !rule.takes_xml());
        let append = append.and_then(|value| value.to_str().ok()?.parse().ok());
        let mut failed = false;
        for _ in 0..TRIES {
            let Some((mut record, revision)) = self.store.device(&self.site.name, mac).await?
            else {
                break;
            };
            if let Some(entry) = tried.take_if(|_| record.state.holds(name, &segment.id)) {
                // The store wrote it the last time, though it said otherwise.
                self.drop_segments(mac, entry.dropped).await;
                return Ok((entry.new, segment.id));
            }
            let new = record.state.newest(name).is_none();
            let paced = record.state.pace(&self.site.uploads, self.request.now);
            let Some(paced) = paced else {
                // Others were faster, and no record names these bytes.
                tried.take_if(|_| !failed);
                return Err(Failure::TooMany);
            };
            record.state.paced = paced;
            let limits = &self.site.uploads;
            let upload = Upload {
                name,
                at: self.request.now,
            };
            let kin = |other: &str| {
                RequestPath::parse(other).is_ok_and(|other| rule.pattern.capture(&other).is_some())
            };
            let dropped = record
                .state
                .accept(&upload, segment.clone(), append, limits, kin);
            let updated = self
                .store
                .update_device(&self.site.name, mac, &revision, &record);
            match updated.await {
                Ok(true) => {
                    self.drop_segments(mac, dropped).await;
                    return Ok((new, segment.id));
                }
                Err(error) if failed => return Err(error.into()),
                result => {
                    failed = result.is_err();
                    *tried = Some(Entry { new, dropped });
                }
            }
        }
        Err(self.keeps_changing())
    }

    /// Best effort: bytes that no record names any more are never served.
    async fn drop_segments(&self, mac: MacAddress, dropped: Vec<(String, Segment)>) {
        for (name, segment) in dropped {
            let key = BlobKey::upload(&self.site.name, mac, &name, &segment.id);
            let _ = self.store.delete(&key).await;
        }
    }
}

/// An upload's place in a device's record.
struct Entry {
    /// Whether there was no file of its name before.
    new: bool,
    /// What falls off the end for it, by its file's name.
    dropped: Vec<(String, Segment)>,
}
