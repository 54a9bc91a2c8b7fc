//! Bodies that stream out of a component with flat memory.
//!
//! A body is `StreamBody::new(unfold(state, step))`. spin-sdk's task asks for the next frame only when the host
//! has taken the one before, so that one frame at a time is in memory. A channel with a task that fills it
//! (`spin_sdk::http::body::stream`) holds 1024 frames instead, and fills up as fast as it can.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::HeaderMap;
use http::response;
use http_body::Body;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::StreamBody;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;

/// What a response may say that another server's response said. Its other headers are about the other
/// connection, and the host refuses a response with any of those (`connection`, `keep-alive`,
/// `transfer-encoding`…) as a whole.
pub(crate) const ALLOWED: &[&str] = &["content-length", "content-type", "etag", "last-modified"];

/// As much as the host takes from a component at once is more; this is what a read from the host gives.
const FRAME: u64 = 16 * 1024;

/// So many bytes, each the low byte of its frame's number.
pub(crate) fn made(length: u64) -> impl Body<Data = Bytes, Error = ErrorCode> {
    StreamBody::new(unfold((length, 0_u8), async |(left, number)| {
        let size = left.min(FRAME);
        if size == 0 {
            return None;
        }
        let frame = Bytes::from(vec![number; usize::try_from(size).unwrap_or_default()]);
        Some((
            Ok(Frame::data(frame)),
            (left - size, number.wrapping_add(1)),
        ))
    }))
}

/// Bodies of other servers, one after the other.
///
/// An error is passed on: the host then breaks the connection to the client off, which a client can tell from
/// the end of a body.
pub(crate) fn joined(
    bodies: impl IntoIterator<Item = IncomingResponseBody>,
) -> impl Body<Data = Bytes, Error = ErrorCode> {
    let bodies: VecDeque<_> = bodies.into_iter().collect();
    StreamBody::new(unfold(bodies, async |mut bodies| {
        loop {
            let body = bodies.front_mut()?;
            match body.frame().await {
                Some(Ok(frame)) if frame.is_data() => return Some((Ok(frame), bodies)),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    bodies.clear();
                    return Some((Err(error), bodies));
                }
                None => drop(bodies.pop_front()),
            }
        }
    }))
}

/// A body that fails after so many bytes.
pub(crate) fn broken(length: u64) -> impl Body<Data = Bytes, Error = ErrorCode> {
    let failure = async |before| match before {
        true => Some((Err(ErrorCode::ConnectionTerminated), false)),
        false => None,
    };
    let body = futures_util::StreamExt::chain(
        http_body_util::BodyStream::new(made(length)),
        unfold(true, failure),
    );
    StreamBody::new(body)
}

/// The head of another server's response, as far as it may be passed on.
pub(crate) fn allowed(parts: response::Parts) -> response::Parts {
    let (mut kept, ()) = http::Response::new(()).into_parts();
    kept.status = parts.status;
    kept.headers = parts
        .headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .filter(|(name, _)| ALLOWED.contains(&name.as_str()))
        .collect::<HeaderMap>();
    kept
}
