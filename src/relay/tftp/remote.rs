//! TFTP's files as the carrier has them.

use std::task::Context;
use std::task::Poll;
use std::task::ready;

use crate::relay::carrier::Carrier;
use crate::relay::carrier::Storing;
use crate::relay::carrier::Visitor;
use crate::relay::carrier::body::Body;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::largest_upload;
use crate::relay::journal::Transfer;
use crate::relay::metrics::Ending;
use crate::relay::metrics::Protocol;
use crate::relay::tftp::files::Asked;
use crate::relay::tftp::files::Files;
use crate::relay::tftp::files::Reading;
use crate::relay::tftp::files::Refusal;
use crate::relay::tftp::files::Report;
use crate::relay::tftp::files::Writing;
use crate::tftp::packet::ErrorCode;
use crate::tftp::packet::RequestKind;
use crate::tftp::transfer::Outcome;

/// The files of a carrier.
#[derive(Clone, Debug)]
pub struct Remote(Carrier);

impl Remote {
    /// The files of this one.
    pub fn new(carrier: Carrier) -> Self {
        Self(carrier)
    }
}

impl Files for Remote {
    type Reading = Body;
    type Writing = Storing;

    async fn open(&self, asked: &Asked) -> Result<Body, Refusal> {
        let fetched = self.0.fetch(&visitor(asked), &asked.name, 0).await;
        fetched.map_err(Refusal::from)
    }

    async fn create(&self, asked: &Asked) -> Result<Storing, Refusal> {
        if asked.length.is_some_and(|length| length > largest_upload()) {
            return Err(Failure::too_large().into());
        }
        let storing = self.0.store(&visitor(asked), &asked.name, None).await;
        storing.map_err(Refusal::from)
    }

    fn finished(&self, report: &Report<'_>) {
        let ending = ending(report.outcome);
        let metrics = self.0.metrics();
        metrics.transferred(Protocol::Tftp, ending, report.bytes);
        self.0.journal().transfer(&Transfer {
            protocol: Protocol::Tftp,
            request: match report.asked.kind {
                RequestKind::Read => "read",
                RequestKind::Write => "write",
            },
            file: report.asked.name.to_string(),
            peer: report.asked.peer,
            outcome: report.outcome.to_string(),
            bytes: report.bytes,
            took: report.took,
        });
    }
}

impl Reading for Body {
    fn length(&self) -> Option<u64> {
        Self::length(self)
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<Result<usize, Refusal>> {
        Self::poll_read(self, context, into).map_err(Refusal::from)
    }
}

impl Writing for Storing {
    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Refusal>> {
        self.write(bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(ready!(Self::poll_store(self, context)).map_err(Refusal::from))
    }
}

fn visitor(asked: &Asked) -> Visitor {
    Visitor::new(Protocol::Tftp, asked.peer.ip(), asked.local)
}

fn ending(outcome: &Outcome) -> Ending {
    match outcome {
        Outcome::Completed => Ending::Completed,
        Outcome::Refused(ErrorCode::FILE_NOT_FOUND) => Ending::Missing,
        Outcome::Refused(ErrorCode::ACCESS_VIOLATION) => Ending::Denied,
        Outcome::Refused(_) => Ending::Failed,
        _ => Ending::Abandoned,
    }
}
