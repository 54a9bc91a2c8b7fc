//! A connection's bytes: watched for progress, and closed so that the peer can read the last answer.

use std::cell::Cell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time;
use tokio::time::Instant;
use tokio::time::Sleep;

/// A stream whose shutdown lingers: a socket that is closed with unread bytes in it is reset, and the
/// reset takes the answer (411, 413) from a phone that is still sending.
pub(crate) struct Wire<T> {
    stream: T,
    conduct: Rc<Conduct>,
    lingering: Option<Lingering>,
}

/// What is known of a connection besides its bytes.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    moved: Cell<bool>,
    /// Whether nothing can be left to read when the connection ends.
    pub(crate) drained: Cell<bool>,
}

struct Lingering {
    pause: Pin<Box<Sleep>>,
    end: Instant,
    bytes: usize,
}

impl Conduct {
    /// Whether bytes went either way since this was asked last.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved.replace(false)
    }
}

impl<T> Wire<T> {
    pub(crate) fn new(stream: T, conduct: Rc<Conduct>) -> Self {
        Self {
            stream,
            conduct,
            lingering: None,
        }
    }

    fn note(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = result {
            self.conduct.moved.set(true);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.conduct.moved.set(true);
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if wire.lingering.is_none() {
            ready!(Pin::new(&mut wire.stream).poll_shutdown(cx))?;
        }
        if wire.conduct.drained.get() {
            return Poll::Ready(Ok(()));
        }
        let lingering = wire.lingering.get_or_insert_with(Lingering::new);
        lingering.poll(&mut wire.stream, cx).map(Ok)
    }
}

impl Lingering {
    fn new() -> Self {
        Self {
            pause: Box::pin(time::sleep(LINGER_PAUSE)),
            end: Instant::now() + LINGER,
            bytes: LINGER_BYTES,
        }
    }

    /// Reads and forgets, until the peer has closed its side or has had its chance to.
    fn poll(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut memory = [0; 4096];
        while self.bytes > 0 && self.pause.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut memory);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            let came = buffer.filled().len();
            if read.is_err() || came == 0 {
                break;
            }
            self.bytes = self.bytes.saturating_sub(came);
            let pause = self.end.min(Instant::now() + LINGER_PAUSE);
            self.pause.as_mut().reset(pause);
        }
        Poll::Ready(())
    }
}

const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 32 << 20;
