//! A response's body on its way out; when it is gone, the request is logged and its contact recorded.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use tokio::sync::mpsc::Receiver;

use crate::platform::native::Outgoing;
use crate::respond::Payload;
use crate::store::StoreError;

/// A response's body.
pub(super) struct Sending<B> {
    bytes: Bytes,
    stored: VecDeque<B>,
    /// What comes as it happens, without an end of its own.
    live: Option<Receiver<Bytes>>,
    remaining: u64,
    sent: u64,
    finish: Option<Finish>,
}

/// What is to be done when the body is gone, given the bytes sent and whether they were all.
pub(super) type Finish = Box<dyn FnOnce(u64, bool)>;

impl<B: Outgoing> Sending<B> {
    /// The body, and what to do when it is sent or dropped.
    pub(super) fn new(payload: Payload<B>, finish: Finish) -> Self {
        let (bytes, stored) = match payload {
            Payload::Bytes(bytes) => (bytes, VecDeque::new()),
            Payload::Stored(bodies) => (Vec::new(), bodies.into()),
        };
        let lengths = stored.iter().filter_map(|body| body.size_hint().exact());
        Self {
            remaining: length(&bytes) + lengths.sum::<u64>(),
            bytes: bytes.into(),
            stored,
            live: None,
            sent: 0,
            finish: Some(finish),
        }
    }

    /// A body that goes on for as long as whoever feeds it does.
    pub(super) fn live(pieces: Receiver<Bytes>, finish: Finish) -> Self {
        let mut sending = Self::new(Payload::Bytes(Vec::new()), finish);
        sending.live = Some(pieces);
        sending
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.bytes))));
        }
        while let Some(body) = self.stored.front_mut() {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => drop(self.stored.pop_front()),
            }
        }
        match &mut self.live {
            Some(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(Ok)),
            None => Poll::Ready(None),
        }
    }
}

impl<B: Outgoing> HttpBody for Sending<B> {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let next = ready!(self.poll_next(cx));
        if let Some(Ok(bytes)) = &next {
            let came = length(bytes);
            self.sent += came;
            self.remaining = self.remaining.saturating_sub(came);
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 && self.live.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.live {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.remaining),
        }
    }
}

impl<B> Drop for Sending<B> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish.take() {
            finish(self.sent, self.remaining == 0);
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
