//! An answer's body on its way to a phone; when it is gone, the transfer is counted and logged.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;

use crate::relay::carrier::Carrier;
use crate::relay::carrier::body::Body;
use crate::relay::carrier::failure::Failure;
use crate::relay::journal::Transfer;
use crate::relay::metrics::Ending;
use crate::relay::metrics::Protocol;

/// A body, and what is said when it is gone.
pub(super) struct Sending {
    body: Body,
    buffer: Vec<u8>,
    /// There is nothing to send, whatever the body's length.
    bodiless: bool,
    sent: u64,
    ended: bool,
    told: Told,
}

/// What is known of a transfer before its body.
pub(super) struct Told {
    pub(super) carrier: Carrier,
    pub(super) method: Method,
    pub(super) file: String,
    pub(super) peer: SocketAddr,
    pub(super) status: StatusCode,
    pub(super) begun: Instant,
}

impl Sending {
    pub(super) fn new(body: Body, bodiless: bool, told: Told) -> Self {
        let ended = bodiless || body.length() == Some(0);
        Self {
            body,
            buffer: Vec::new(),
            bodiless,
            sent: 0,
            ended,
            told,
        }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let sending = &mut *self;
        if sending.ended {
            return Poll::Ready(None);
        }
        sending.buffer.resize(PIECE, 0);
        let read = ready!(sending.body.poll_read(context, &mut sending.buffer))?;
        if read == 0 {
            sending.ended = true;
            let short = sending.body.length().is_some_and(|left| left > 0);
            return Poll::Ready(short.then(|| Err(Failure::unreachable())));
        }
        sending.sent += u64::try_from(read).unwrap_or(u64::MAX);
        sending.ended = sending.body.length() == Some(0);
        let bytes = Bytes::copy_from_slice(sending.buffer.get(..read).unwrap_or_default());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.length() {
            _ if self.bodiless => SizeHint::with_exact(0),
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let told = &self.told;
        let ending = if self.ended {
            Ending::of(told.status.as_u16())
        } else {
            Ending::Abandoned
        };
        let metrics = told.carrier.metrics();
        metrics.transferred(Protocol::Http, ending, self.sent);
        let cut = if self.ended { "" } else { ", cut off" };
        told.carrier.journal().transfer(&Transfer {
            protocol: Protocol::Http,
            request: told.method.as_str(),
            file: told.file.clone(),
            peer: told.peer,
            outcome: format!("{}{cut}", told.status.as_u16()),
            bytes: self.sent,
            took: told.begun.elapsed(),
        });
    }
}

const PIECE: usize = 32 << 10;
