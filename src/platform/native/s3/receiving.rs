//! A response's body on its way from S3, with a deadline for the service and none for the device.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;
use tokio::time;
use tokio::time::Sleep;

use crate::platform::native::s3::connection::Connection;
use crate::platform::native::s3::stalled;
use crate::store::StoreError;
use crate::store::StoreErrorKind;

/// A response's body.
#[derive(Debug)]
pub struct Body {
    key: String,
    incoming: Incoming,
    /// Gone when the body has ended and others may have the connection.
    connection: Option<Connection>,
    /// Runs while bytes are waited for, and not while a device does not take those that came.
    waiting: Option<Pin<Box<Sleep>>>,
    patience: Duration,
}

impl Body {
    pub(super) fn new(
        key: String,
        incoming: Incoming,
        connection: Connection,
        patience: Duration,
    ) -> Self {
        let mut body = Self {
            key,
            incoming,
            connection: Some(connection),
            waiting: None,
            patience,
        };
        if body.incoming.is_end_stream() {
            body.let_go();
        }
        body
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|it| {
                it.map_err(|error| StoreError::new(StoreErrorKind::Down, &self.key, error))
            }));
        }
        let patience = self.patience;
        let sleep = || Box::pin(time::sleep(patience));
        ready!(self.waiting.get_or_insert_with(sleep).as_mut().poll(cx));
        let error = StoreError::new(StoreErrorKind::Down, &self.key, stalled(patience));
        Poll::Ready(Some(Err(error)))
    }

    /// A connection whose body has ended is good for the next request.
    fn let_go(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let frame = ready!(self.poll_incoming(cx));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.let_go();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
