//! What devices have uploaded: lists, bodies, and taking away.

use crate::device::UploadVersion;
use crate::path::RequestPath;
use crate::precondition::Verdict;
use crate::publish::UploadLine;
use crate::publish::Uploads;
use crate::respond::TRIES;
use crate::respond::etag;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::changed;
use crate::respond::operator::answer::not_found;
use crate::respond::operator::answer::shown;
use crate::respond::operator::answer::verdict;
use crate::store::BlobKey;
use crate::store::Publishing;
use crate::store::Records;

impl<S: Records + Publishing> Asked<'_, S> {
    /// Every version of every file that is kept.
    pub(super) async fn uploads(&self) -> Answered<S::Body> {
        let (record, _, _) = self.device().await?;
        let mut uploads = Uploads::default();
        for (name, versions) in &record.state.uploads {
            let lines = versions.iter().rev().map(|version| UploadLine {
                name: name.clone(),
                version: version.id().to_owned(),
                at: version.at,
                length: version.length(),
            });
            uploads.uploads.extend(lines);
        }
        shown(&uploads)
    }

    /// One version of a file, the newest if none is said.
    pub(super) async fn read_upload(&self) -> Answered<S::Body> {
        let (record, _, mac) = self.device().await?;
        let name = self.upload_name()?;
        let versions = record.state.uploads.get(&name);
        let version = versions.and_then(|versions| self.wanted(versions));
        let version = version.ok_or_else(missing)?;
        let parts = version.segments.iter().map(|segment| {
            let key = BlobKey::upload(self.named.site, mac, &name, &segment.id);
            (key, segment.length)
        });
        self.stream(parts.collect(), &etag(version.id())).await
    }

    /// Takes a version away, or all of a file. First the record lets go of it, then its bytes go: what the record
    /// names is there.
    pub(super) async fn delete_upload(&self) -> Answered<S::Body> {
        let name = self.upload_name()?;
        for _ in 0..TRIES {
            let (mut record, revision, mac) = self.device().await?;
            let versions = record.state.uploads.get_mut(&name).ok_or_else(missing)?;
            let newest = versions.last().map(|version| etag(version.id()));
            if newest.is_some_and(|tag| verdict(self.request, &tag) == Verdict::Failed) {
                return Err(changed());
            }
            let wanted = self.asked_for("version=");
            let goes = |version: &UploadVersion| wanted.is_none_or(|id| version.id() == id);
            let gone: Vec<UploadVersion> =
                versions.extract_if(.., |version| goes(version)).collect();
            if gone.is_empty() {
                return Err(missing());
            }
            if versions.is_empty() {
                record.state.uploads.remove(&name);
            }
            let updated = self
                .store
                .update_device(self.named.site, mac, &revision, &record);
            if !updated.await? {
                continue;
            }
            for segment in gone.iter().flat_map(|version| &version.segments) {
                let key = BlobKey::upload(self.named.site, mac, &name, &segment.id);
                // Best effort: bytes that no record names are never served.
                let _ = self.store.delete(&key).await;
            }
            return shown(&serde_json::json!({ "deleted": gone.len() }));
        }
        Err(changed())
    }

    fn wanted<'v>(&self, versions: &'v [UploadVersion]) -> Option<&'v UploadVersion> {
        match self.asked_for("version=") {
            Some(id) => versions.iter().find(|version| version.id() == id),
            None => versions.last(),
        }
    }

    /// The name that the path has, decoded.
    fn upload_name(&self) -> Result<String, Problem> {
        let path = RequestPath::parse(self.named.text).map_err(|_| missing())?;
        Ok(path.as_str().to_owned())
    }
}

fn missing() -> Problem {
    not_found("the device has no such upload")
}
