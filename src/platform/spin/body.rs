//! Bodies and responses: a stored file is handed to the host whole, and what is made or joined here goes out
//! frame by frame.
//!
//! A stream that comes from the bucket becomes the response's own, so that the host moves the bytes and none
//! of them come into the instance's memory. The stream brings its end or its failure with it.

use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::unfold;
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::StreamBody;
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http::types::ErrorCode;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::http_compat::IncomingResponseBody;
use spin_sdk::wasip3::wit_bindgen::FutureReader;
use spin_sdk::wasip3::wit_bindgen::StreamReader;
use spin_sdk::wasip3::wit_future;

use crate::respond;
use crate::respond::Payload;

/// A part of a stored file, on its way from the bucket.
pub(super) type Stored = IncomingResponseBody;

/// A message's body, and how it will have ended.
pub(super) type Contents = (
    Option<StreamReader<u8>>,
    FutureReader<Result<Option<types::Trailers>, ErrorCode>>,
);

/// The handler's response as the host's. Its headers were all made by the handler: what another server said
/// of its connection would fail the response.
pub(super) fn translate(response: respond::Response<Stored>) -> Result<types::Response, ErrorCode> {
    let status = response.status.as_u16();
    let headers = types::Fields::try_from(response.headers);
    let headers = headers.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (contents, trailers) = match response.body {
        Payload::Bytes(bytes) => whole(bytes),
        Payload::Stored(parts) => stored(parts),
    };
    let (response, _sent) = types::Response::new(headers, contents, trailers);
    let _ = response.set_status_code(status);
    Ok(response)
}

/// Bytes that are there.
pub(super) fn whole(bytes: Vec<u8>) -> Contents {
    if bytes.is_empty() {
        return (None, wit_future::new(|| Ok(None)).1);
    }
    made(Full::new(Bytes::from(bytes)))
}

/// A body that is made frame by frame, each when the host has taken the one before.
pub(super) fn made<B>(body: B) -> Contents
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (writer, contents, trailers) = BodyWriter::new();
    wasip3::spawn(async move {
        let mut body = pin!(body);
        // Whoever reads it no longer has gone, and needs no word of it.
        let _ = writer.send_http_body(&mut body).await;
    });
    (Some(contents), trailers)
}

fn stored(mut parts: Vec<Stored>) -> Contents {
    if let [part] = parts.as_mut_slice()
        && let Some(response) = part.take_unstarted()
    {
        let (_consumed, consumed) = wit_future::new(|| Ok(()));
        let (contents, trailers) = types::Response::consume_body(response, consumed);
        return (Some(contents), trailers);
    }
    made(joined(parts))
}

/// One after the other. An error breaks the connection to the device off, which it can tell from an end.
fn joined(parts: Vec<Stored>) -> impl Body<Data = Bytes, Error = ErrorCode> {
    let parts = parts.into_iter();
    StreamBody::new(unfold((None, parts), async |(current, mut parts)| {
        let mut current = current.or_else(|| parts.next());
        loop {
            match current.as_mut()?.frame().await {
                Some(Ok(frame)) if frame.is_data() => return Some((Ok(frame), (current, parts))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Some((Err(error), (None, Vec::new().into_iter()))),
                None => current = parts.next(),
            }
        }
    }))
}
