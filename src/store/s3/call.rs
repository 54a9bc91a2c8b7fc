//! One request of S3: signed, sent, sent again if that may help, and its answer told apart.

use std::time::Duration;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use rusty_s3::S3Action;

use crate::store::StoreError;
use crate::store::s3::S3;
use crate::store::s3::problem::Problem;
use crate::store::s3::problem::code;
use crate::store::s3::wire::Sent;
use crate::store::s3::wire::Wire;

/// What is asked of S3.
pub(super) struct Call<A> {
    action: A,
    headers: HeaderMap,
    /// What the key must be allowed to do.
    permission: &'static str,
}

/// What S3 says to it, unless it is an error.
pub(super) enum Answer<B> {
    /// 409 or 412: something else lies there than the request is for.
    Conflict,
    /// It was done.
    Done(Response<B>),
    /// 404, and S3 says itself that it is the object that is missing.
    Missing,
    /// 416: the object ends before the range begins.
    PastEnd,
}

impl<'a, A: S3Action<'a>> Call<A> {
    pub(super) fn new(action: A, permission: &'static str) -> Self {
        Self {
            action,
            headers: HeaderMap::new(),
            permission,
        }
    }

    /// With a header, which is signed: whatever takes it away on its way does not get the rest through.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Result<Self, Problem> {
        let strange = |_| Problem::Strange(format!("{value:?} cannot stand in a header"));
        let text = HeaderValue::from_str(value).map_err(strange)?;
        let signed = self.action.headers_mut();
        signed.insert(name.as_str().to_owned(), value.to_owned());
        self.headers.insert(name, text);
        Ok(self)
    }

    /// The request, signed for a time. The signature is in the URI and covers no body.
    fn request<U>(&self, now: u64, body: Sent<U>) -> Result<Request<Sent<U>>, Problem> {
        let url = self.url(now, GOOD_FOR)?;
        let length = match &body {
            Sent::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Sent::Upload(_, length) => *length,
        };
        let mut request = Request::new(body);
        let strange = |_| Problem::Strange("the key makes no URI".to_owned());
        *request.uri_mut() = url.parse().map_err(strange)?;
        *request.method_mut() = method::<A>();
        *request.headers_mut() = self.headers.clone();
        // Amazon wants a length where there is no body, too.
        if !matches!(A::METHOD, rusty_s3::Method::Get) {
            let length = HeaderValue::from(length);
            request.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        Ok(request)
    }

    /// The URL by which anybody can make the request for some time.
    pub(super) fn url(&self, now: u64, good_for: Duration) -> Result<String, Problem> {
        let time = UNIX_EPOCH + Duration::from_millis(now);
        let strange = |_| Problem::Strange("this machine's clock is out of range".to_owned());
        let time = time.try_into().map_err(strange)?;
        Ok(self.action.sign_with_time(good_for, &time).into())
    }
}

impl<W: Wire> S3<W> {
    /// Sends a request once, and tells its answers apart.
    pub(super) async fn ask<'a, A: S3Action<'a>>(
        &self,
        call: &Call<A>,
        body: Sent<W::Upload>,
    ) -> Result<Answer<W::Body>, Problem> {
        let request = call.request(self.wire.now(), body)?;
        let response = self.wire.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer::Done(response));
        }
        let text = self.wire.collect(response.into_body(), LONGEST_ERROR).await;
        let code = code(&text.unwrap_or_default());
        match (status, code.as_str()) {
            (StatusCode::NOT_FOUND, "NoSuchKey") => Ok(Answer::Missing),
            (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => Ok(Answer::Conflict),
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => Ok(Answer::PastEnd),
            _ => Err(Problem::of(status, code, call.permission)),
        }
    }

    /// Does something until it succeeds, fails in earnest, or has taken long enough: a device waits. What
    /// is done is given whether an attempt before may have had an effect that nobody has seen.
    pub(super) async fn repeat<T>(
        &self,
        key: &str,
        mut attempt: impl AsyncFnMut(bool) -> Result<T, Problem>,
    ) -> Result<T, StoreError> {
        let began = self.wire.now();
        for (attempts, pause) in PAUSES.iter().enumerate() {
            let problem = match attempt(attempts > 0).await {
                Ok(done) => return Ok(done),
                Err(problem) => problem,
            };
            if !problem.is_passing() || self.wire.now().saturating_sub(began) > LONG_ENOUGH {
                return Err(problem.at(key));
            }
            self.wire.pause(spread(*pause, self.wire.random())).await;
        }
        attempt(true).await.map_err(|problem| problem.at(key))
    }
}

/// At least half of a pause: servers that lost the same service must not come back all at once.
fn spread(pause: u64, random: u64) -> u64 {
    let half = pause / 2;
    half + random % (half + 1)
}

fn method<'a, A: S3Action<'a>>() -> http::Method {
    match A::METHOD {
        rusty_s3::Method::Delete => http::Method::DELETE,
        rusty_s3::Method::Get => http::Method::GET,
        rusty_s3::Method::Head => http::Method::HEAD,
        rusty_s3::Method::Post => http::Method::POST,
        rusty_s3::Method::Put => http::Method::PUT,
    }
}

/// How far our clock and that of the service may be apart; Amazon allows as much.
const GOOD_FOR: Duration = Duration::from_secs(900);
const LONGEST_ERROR: usize = 64 << 10;
/// Milliseconds between attempts.
const PAUSES: &[u64] = &[100, 400, 1600];
const LONG_ENOUGH: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn a_pause_is_at_least_half_and_at_most_whole() {
        for random in [0, 1, 50, 51, u64::MAX] {
            let pause = spread(100, random);
            assert!((50..=100).contains(&pause), "{random}: {pause}");
        }
    }
}
