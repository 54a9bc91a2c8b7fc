//! Who changed what: a line for each request that may change something, kept beside what it changes. No line holds a body
//! or a query.

use http::StatusCode;

use crate::publish::Audit;
use crate::publish::AuditEntry;
use crate::respond::operator::Asked;
use crate::respond::operator::answer::Answered;
use crate::respond::operator::answer::encode;
use crate::respond::operator::answer::shown;
use crate::store::Publishing;
use crate::store::Records;
use crate::store::StoreError;
use crate::store::keyed;
use crate::store::keyed::Condition;

/// Where the keys of all lines begin.
const LINES_OF: &str = "audit/";
/// Lines of a page.
const PAGE: usize = 20;

impl<S: Records + Publishing> Asked<'_, S> {
    /// Writes down what was asked and what came of it.
    pub(super) async fn note(&self, path: &str, status: StatusCode) -> Result<(), StoreError> {
        let entry = AuditEntry {
            at: self.request.now,
            tenant: self.token.tenant.clone(),
            of: self.of.clone(),
            network: self.request.client.network.map(str::to_owned),
            site: Some(self.named.site.to_owned()).filter(|site| !site.is_empty()),
            method: self.request.method.to_string(),
            path: path.to_owned(),
            status: status.as_u16(),
        };
        let key = format!(
            "{LINES_OF}{:013}-{:032x}",
            self.request.now, self.request.id
        );
        // Texts and numbers always have a JSON form.
        let bytes = encode(&entry).unwrap_or_default();
        let written = self.store.write_object(&key, bytes, Condition::Always);
        written.await.map(drop)
    }

    /// The lines, oldest first; for a tenant's token those of its own sites.
    pub(super) async fn audit(&self) -> Answered<S::Body> {
        let after = self.after().unwrap_or_default();
        let keys = self
            .store
            .keys(LINES_OF, &format!("{LINES_OF}{after}"), PAGE)
            .await?;
        let mut page = Audit::default();
        for key in &keys {
            let Some((bytes, _)) = self.store.read_object(key).await? else {
                continue;
            };
            let entry: AuditEntry = keyed::parse(key, &bytes)?;
            let tenant = self.token.tenant.as_ref();
            if tenant.is_none() || tenant == entry.of.as_ref() || tenant == entry.tenant.as_ref() {
                page.entries.push(entry);
            }
        }
        let last = keys.last().filter(|_| keys.len() >= PAGE);
        page.next = last.and_then(|key| Some(key.strip_prefix(LINES_OF)?.to_owned()));
        shown(&page)
    }
}
