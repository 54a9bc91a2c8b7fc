//! The one table of the operator's endpoints: a row each, with its path, what a token needs and what it does.

use http::StatusCode;

use crate::mac::MacAddress;
use crate::respond::operator::answer::Problem;
use crate::respond::operator::answer::problem;
use crate::token::Scope;

/// What all of them begin with: no site can be named so.
pub(super) const ROOT: &str = "/-/v1/";

/// An endpoint.
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) scope: Scope,
    pub(super) action: Action,
}

/// What an endpoint does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Abandon,
    Audit,
    Batch,
    Begin,
    Changed,
    CompareDevices,
    CompareRelease,
    CompareSite,
    Contacts,
    DeleteUpload,
    Deployment,
    Device,
    Devices,
    Document,
    Knocking,
    List,
    Lock,
    Open,
    Promote,
    Publication,
    Publications,
    Publish,
    PutBlob,
    PutDeployment,
    PutRelease,
    ReadBlob,
    ReadUpload,
    Release,
    Rollback,
    Show,
    Site,
    Sites,
    Unlock,
    Uploads,
}

impl Action {
    /// Whether it is about devices as they are, whoever brought them into the store.
    pub(super) fn operates(self) -> bool {
        matches!(
            self,
            Self::Contacts
                | Self::DeleteUpload
                | Self::Knocking
                | Self::Lock
                | Self::Open
                | Self::ReadUpload
                | Self::Show
                | Self::Unlock
                | Self::Uploads
        )
    }
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("GET",    "audit",                                                    Scope::Read,  Action::Audit),
    row("GET",    "blobs/{sha256}",                                           Scope::Read,  Action::ReadBlob),
    row("PUT",    "blobs/{sha256}",                                           Scope::Write, Action::PutBlob),
    row("GET",    "deployment",                                               Scope::Read,  Action::Deployment),
    row("PUT",    "deployment",                                               Scope::Write, Action::PutDeployment),
    row("GET",    "openapi.json",                                             Scope::Read,  Action::Document),
    row("GET",    "releases/{id}",                                            Scope::Read,  Action::Release),
    row("PUT",    "releases/{id}",                                            Scope::Write, Action::PutRelease),
    row("POST",   "releases/{id}/compare",                                    Scope::Read,  Action::CompareRelease),
    row("GET",    "sites",                                                    Scope::Read,  Action::Sites),
    row("GET",    "sites/{site}",                                             Scope::Read,  Action::Site),
    row("POST",   "sites/{site}/compare",                                     Scope::Read,  Action::CompareSite),
    row("GET",    "sites/{site}/contacts",                                    Scope::Read,  Action::Contacts),
    row("GET",    "sites/{site}/devices",                                     Scope::Read,  Action::Devices),
    row("POST",   "sites/{site}/devices/changed/{shard}",                     Scope::Read,  Action::Changed),
    row("POST",   "sites/{site}/devices/compare",                             Scope::Read,  Action::CompareDevices),
    row("GET",    "sites/{site}/devices/{mac}",                               Scope::Read,  Action::Device),
    row("GET",    "sites/{site}/devices/{mac}/enrolment",                     Scope::Read,  Action::Show),
    row("PUT",    "sites/{site}/devices/{mac}/enrolment",                     Scope::Write, Action::Open),
    row("POST",   "sites/{site}/devices/{mac}/lock",                          Scope::Write, Action::Lock),
    row("POST",   "sites/{site}/devices/{mac}/unlock",                        Scope::Write, Action::Unlock),
    row("GET",    "sites/{site}/devices/{mac}/uploads",                       Scope::Read,  Action::Uploads),
    row("GET",    "sites/{site}/devices/{mac}/uploads/{name}",                Scope::Read,  Action::ReadUpload),
    row("DELETE", "sites/{site}/devices/{mac}/uploads/{name}",                Scope::Write, Action::DeleteUpload),
    row("GET",    "sites/{site}/knocking",                                    Scope::Read,  Action::Knocking),
    row("GET",    "sites/{site}/publications",                                Scope::Read,  Action::Publications),
    row("POST",   "sites/{site}/publications",                                Scope::Write, Action::Begin),
    row("GET",    "sites/{site}/publications/{number}",                       Scope::Read,  Action::Publication),
    row("PUT",    "sites/{site}/publications/{number}",                       Scope::Write, Action::Publish),
    row("DELETE", "sites/{site}/publications/{number}",                       Scope::Write, Action::Abandon),
    row("PUT",    "sites/{site}/publications/{number}/devices/{shard}",       Scope::Write, Action::List),
    row("PUT",    "sites/{site}/publications/{number}/devices/{shard}/batch", Scope::Write, Action::Batch),
    row("POST",   "sites/{site}/publications/{number}/publish",               Scope::Write, Action::Promote),
    row("POST",   "sites/{site}/rollback",                                    Scope::Write, Action::Rollback),
];

const fn row(method: &'static str, path: &'static str, scope: Scope, action: Action) -> Row {
    Row {
        method,
        path,
        scope,
        action,
    }
}

/// What a path names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Named<'a> {
    pub(super) site: &'a str,
    pub(super) mac: Option<MacAddress>,
    pub(super) number: u64,
    /// A shard, a hash, or the name of an upload, which may have slashes in it.
    pub(super) text: &'a str,
}

impl Row {
    fn capture<'a>(&self, path: &'a str) -> Option<Named<'a>> {
        let mut named = Named::default();
        let mut rest = Some(path);
        for wanted in self.path.split('/') {
            if wanted == "{name}" {
                named.text = rest.take().filter(|name| !name.is_empty())?;
                continue;
            }
            let (segment, behind) = match rest?.split_once('/') {
                Some((segment, behind)) => (segment, Some(behind)),
                None => (rest?, None),
            };
            rest = behind;
            match wanted {
                "{site}" => named.site = Some(segment).filter(|name| is_site_name(name))?,
                "{mac}" => named.mac = Some(segment.parse().ok()?),
                "{number}" => named.number = number(segment)?,
                "{shard}" | "{id}" | "{sha256}" => named.text = digits(segment, wanted)?,
                _ if segment == wanted => {}
                _ => return None,
            }
        }
        rest.is_none().then_some(named)
    }

    fn takes(&self, method: &str) -> bool {
        self.method == method || self.method == "GET" && method == "HEAD"
    }
}

/// What a site can be called: every store and every address takes it as it is.
pub(super) fn is_site_name(name: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name != "-" && name.bytes().all(fine)
}

/// A number as it is written, in one way only: a path is one publication's.
fn number(segment: &str) -> Option<u64> {
    let number: u64 = segment.parse().ok()?;
    (number > 0 && number.to_string() == segment).then_some(number)
}

fn digits<'a>(segment: &'a str, wanted: &str) -> Option<&'a str> {
    let length = match wanted {
        "{shard}" => 1,
        "{id}" => 32,
        _ => 64,
    };
    let fine = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (segment.len() == length && segment.bytes().all(fine)).then_some(segment)
}

/// The row of a request.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Result<(&'static Row, Named<'a>), Problem> {
    let mut allow = String::new();
    for row in ROWS {
        match row.capture(path) {
            Some(named) if row.takes(method) => return Ok((row, named)),
            Some(_) => {
                let comma = if allow.is_empty() { "" } else { ", " };
                allow.push_str(comma);
                allow.push_str(row.method);
            }
            None => {}
        }
    }
    if allow.is_empty() {
        let detail = "there is no such endpoint; /-/v1/openapi.json lists them";
        return Err(problem(StatusCode::NOT_FOUND, detail));
    }
    let detail = "the endpoint has other methods";
    Err(Problem {
        allow,
        ..problem(StatusCode::METHOD_NOT_ALLOWED, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::Action;
    use super::ROWS;
    use super::find;

    #[test]
    fn rows_are_sorted_by_path_and_none_hides_another() {
        let paths: Vec<&str> = ROWS.iter().map(|row| row.path).collect();
        assert!(paths.is_sorted(), "{paths:?}");
        for row in ROWS {
            let path = row
                .path
                .replace("{site}", "hq")
                .replace("{mac}", "0004f2000500")
                .replace("{number}", "7")
                .replace("{shard}", "a")
                .replace("{id}", &"0".repeat(32))
                .replace("{sha256}", &"f".repeat(64))
                .replace("{name}", "overrides/a.cfg");
            let found = find(row.method, &path).ok().map(|(row, _)| row.action);
            assert_eq!(found, Some(row.action), "{} {path}", row.method);
        }
    }

    #[test]
    fn paths_are_taken_apart_strictly() {
        let rows: &[(&str, &str, Option<Action>)] = &[
            ("GET", "sites/hq", Some(Action::Site)),
            ("HEAD", "sites/hq", Some(Action::Site)),
            ("GET", "sites/hq/", None),
            ("GET", "sites//hq", None),
            ("GET", "sites/-", None),
            ("GET", "sites/a%2fb", None),
            ("GET", "sites/..", None),
            ("PUT", "sites/hq/publications/7", Some(Action::Publish)),
            ("PUT", "sites/hq/publications/07", None),
            ("PUT", "sites/hq/publications/0", None),
            ("PUT", "sites/hq/publications/-7", None),
            ("PUT", "sites/hq/publications/7/devices/g", None),
            ("PUT", "sites/hq/publications/7/devices/A", None),
            ("PUT", "blobs/00", None),
            ("GET", "sites/hq/devices/0004f2000500/uploads/", None),
            (
                "GET",
                "sites/hq/devices/0004f2000500/uploads/a/b",
                Some(Action::ReadUpload),
            ),
        ];
        for (method, path, expected) in rows {
            let found = find(method, path).ok().map(|(row, _)| row.action);
            assert_eq!(found, *expected, "{method} {path}");
        }
    }
}
