//! A request's body on its way to S3: bytes, or what a device sends while it sends it.

use std::cell::Cell;
use std::cell::RefCell;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;

use crate::store::directory::Upload;

/// A request's body.
pub(super) enum Sending {
    Bytes(Bytes),
    Exact(Exact),
}

/// A device's body that ends well only if it has as many bytes as were said. The last of them are held
/// back until it has ended: a request must not reach its end if there are more.
pub(super) struct Exact {
    upload: Upload,
    missing: u64,
    held: Option<Bytes>,
    ended: bool,
    progress: Rc<Progress>,
}

/// What is known of a body while hyper has it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: Cell<bool>,
    waiting: Cell<bool>,
    failure: RefCell<Option<String>>,
}

/// An upload that goes in several requests, one after the other.
#[derive(Debug)]
pub struct Parts {
    shared: Rc<RefCell<Shared>>,
    left: u64,
}

/// What the parts take their bytes from.
#[derive(Debug)]
struct Shared {
    upload: Upload,
    /// Bytes that came with the last ones of a part.
    ahead: Bytes,
}

/// One part; the last one has no bound, so that bytes too many are seen.
struct Part {
    shared: Rc<RefCell<Shared>>,
    left: Option<u64>,
}

type BoxError = Box<dyn Error + Send + Sync>;
type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl Progress {
    /// Whether a pause is nobody's fault, or the device's: its connection has a deadline of its own.
    pub(super) fn is_excused(&self) -> bool {
        self.moved.replace(false) || self.waiting.get()
    }

    /// What was wrong with the device's body.
    pub(super) fn failure(&self) -> Option<BoxError> {
        self.failure.take().map(Into::into)
    }
}

impl Exact {
    pub(super) fn new(upload: Upload, length: u64, progress: Rc<Progress>) -> Self {
        Self {
            upload,
            missing: length,
            held: None,
            ended: false,
            progress,
        }
    }

    /// Some of its bytes, or its end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        while !self.ended {
            let polled = Pin::new(&mut self.upload).poll_frame(cx);
            self.progress.waiting.set(polled.is_pending());
            let frame = ready!(polled).transpose()?;
            self.progress.moved.set(true);
            let Some(frame) = frame else {
                self.ended = true;
                break;
            };
            let bytes = frame.into_data().unwrap_or_default();
            let came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let missing = self.missing.checked_sub(came);
            self.missing = missing.ok_or("more bytes than were said")?;
            if self.missing > 0 {
                return Poll::Ready(Ok(Some(bytes)));
            }
            if !bytes.is_empty() {
                self.held = Some(bytes);
            }
        }
        if self.missing > 0 {
            return Poll::Ready(Err("fewer bytes than were said".into()));
        }
        Poll::Ready(Ok(self.held.take()))
    }
}

impl HttpBody for Exact {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let polled = ready!(self.poll_bytes(cx));
        if let Err(error) = &polled {
            *self.progress.failure.borrow_mut() = Some(error.to_string());
        }
        Poll::Ready(polled.transpose().map(|bytes| bytes.map(Frame::data)))
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut *self {
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Exact(exact) => Pin::new(exact).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Exact(exact) => exact.ended && exact.held.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(0)),
            Self::Exact(_) => SizeHint::default(),
        }
    }
}

impl Parts {
    pub(super) fn new(upload: Upload, length: u64) -> Self {
        let shared = Shared {
            upload,
            ahead: Bytes::new(),
        };
        Self {
            shared: Rc::new(RefCell::new(shared)),
            left: length,
        }
    }

    /// The next part.
    pub(super) fn next(&mut self, length: u64) -> Upload {
        self.left = self.left.saturating_sub(length);
        Upload::new(Part {
            shared: self.shared.clone(),
            left: (self.left > 0).then_some(length),
        })
    }
}

impl Shared {
    /// Bytes, at most `most` of them.
    fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        while self.ahead.is_empty() {
            match ready!(Pin::new(&mut self.upload).poll_frame(cx)) {
                Some(Ok(frame)) => self.ahead = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let bytes = self.ahead.split_to(most.min(self.ahead.len()));
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl HttpBody for Part {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        let most = self.left.unwrap_or(u64::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let polled = ready!(self.shared.borrow_mut().poll_bytes(cx, most));
        if let (Some(left), Some(Ok(bytes))) = (&mut self.left, &polled) {
            *left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        }
        Poll::Ready(polled.map(|bytes| bytes.map(Frame::data)))
    }
}
