//! Redirects of the server (RFC 9110 section 15.4), followed for phones that cannot: a large image comes from a bucket's own address.
//!
//! What it deliberately does not do: no credential, and nothing that is known of a phone, goes to another address than the
//! server's; nothing is sent there, and nothing is asked in the clear but where the server itself is on this machine.

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header;

use crate::relay::upstream::Ask;
use crate::relay::upstream::Base;
use crate::relay::upstream::Fetched;
use crate::relay::upstream::Upstream;
use crate::relay::upstream::UpstreamError;

/// How many in a row are followed.
pub const REDIRECTS: u8 = 3;

/// What is asked elsewhere, and where.
#[derive(Debug)]
struct Hop {
    base: Base,
    ask: Ask,
}

impl Upstream {
    /// What a redirect leads to. What has a file's status is the file; anything else is the server's fault, who said that it is there.
    pub(super) async fn follow(&self, ask: &Ask, first: Fetched) -> Result<Fetched, UpstreamError> {
        let (mut from, mut fetched) = (self.base().clone(), first);
        for _ in 0..ask.redirects {
            let hop = self.hop(ask, &from, &fetched.headers)?;
            // Its body is of no interest, and its connection is one that may be kept.
            fetched.body.finish().await;
            let there = self.elsewhere(hop.base.clone());
            fetched = there.fetch(&hop.ask).await?;
            fetched.elsewhere = true;
            from = hop.base;
            match fetched.status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED => {
                    return Ok(fetched);
                }
                status if is_redirect(status) => {}
                _ => {
                    return Err(UpstreamError::Misbehaved(
                        "the server redirects to what is no file",
                    ));
                }
            }
        }
        Err(UpstreamError::Misbehaved("the server redirects too often"))
    }

    fn hop(&self, ask: &Ask, from: &Base, headers: &HeaderMap) -> Result<Hop, UpstreamError> {
        let location = headers.get(header::LOCATION);
        let location = location.and_then(|it| it.to_str().ok()?.parse::<Uri>().ok());
        let place = location.and_then(|uri| place(&uri, from, self.base().secure));
        let wrong =
            UpstreamError::Misbehaved("the server redirects to where the relay does not go");
        let (base, target) = place.ok_or(wrong)?;
        let mut asked = Ask::new(ask.method.clone(), target);
        asked.patience = ask.patience;
        for name in CARRIED {
            if let Some(value) = ask.headers.get(&name) {
                asked.headers.insert(name, value.clone());
            }
        }
        Ok(Hop { base, ask: asked })
    }
}

/// Whether an answer is to be followed.
pub(super) fn leads_on(ask: &Ask, status: StatusCode) -> bool {
    ask.redirects > 0 && ask.method == Method::GET && is_redirect(status)
}

fn is_redirect(status: StatusCode) -> bool {
    [301, 302, 303, 307, 308].contains(&status.as_u16())
}

/// Where an address leads, if the relay may go there: `secure` says whether it came to be known without anybody reading along.
fn place(uri: &Uri, from: &Base, secure: bool) -> Option<(Base, String)> {
    let path = uri.path_and_query()?.as_str();
    let target = path.strip_prefix('/')?.to_owned();
    let base = match uri.authority() {
        Some(_) => Base::of(uri).ok()?,
        None => from.clone(),
    };
    let base = Base {
        path: String::new(),
        ..base
    };
    (base.secure || !secure).then_some((base, target))
}

/// What says which part of the file is wanted, and no more.
const CARRIED: [HeaderName; 4] = [
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
];

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::place;
    use crate::relay::upstream::Base;

    #[test]
    fn where_a_redirect_may_lead() {
        let far: Base = "https://prov.example.net/site/key".parse().unwrap();
        let near: Base = "http://127.0.0.1:8080/site/key".parse().unwrap();
        for (location, from, expected) in [
            (
                "https://s3.example.net/b/a%20b?X-Amz-Signature=1",
                &far,
                Some("https://s3.example.net/b/a%20b?X-Amz-Signature=1"),
            ),
            ("/other?x", &far, Some("https://prov.example.net/other?x")),
            (
                "https://s3.example.net",
                &near,
                Some("https://s3.example.net/"),
            ),
            (
                "http://127.0.0.1:9000/a",
                &near,
                Some("http://127.0.0.1:9000/a"),
            ),
            ("http://s3.example.net/a", &far, None),
            ("http://s3.example.net/a", &near, None),
            ("http://127.0.0.1:9000/a", &far, None),
            ("http://localhost/a", &far, None),
            ("https://user:word@s3.example.net/a", &far, None),
            ("ftp://s3.example.net/a", &far, None),
            ("file:///etc/passwd", &far, None),
            ("*", &far, None),
        ] {
            let uri: Option<Uri> = location.parse().ok();
            let found = uri.and_then(|uri| place(&uri, from, from.secure));
            let found = found.map(|(base, target)| {
                format!(
                    "{}://{}{}",
                    base.scheme(),
                    base.authority,
                    base.path_of(&target)
                )
            });
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }
}
