//! From libunftp's tasks, which might be on any thread, to the carrier, which is on one: orders through a channel, bytes through
//! others. What is ordered is carried out, counted and logged here.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::relay::carrier::Carrier;
use crate::relay::carrier::Length;
use crate::relay::carrier::Visitor;
use crate::relay::carrier::failure::Failure;
use crate::relay::carrier::failure::FailureKind;
use crate::relay::journal::Transfer;
use crate::relay::metrics::Ending;
use crate::relay::metrics::Protocol;
use crate::tftp::name::FileName;

/// The end that orders; clones lead to the same carrier.
#[derive(Clone, Debug)]
pub(super) struct Bridge(mpsc::Sender<Order>);

/// The end that carries out.
pub(super) struct Orders(mpsc::Receiver<Order>);

/// What a session wants of the carrier.
enum Order {
    Length(FileName, oneshot::Sender<Result<Length, Failure>>),
    Read(FileName, u64, oneshot::Sender<Result<Incoming, Failure>>),
    Write(FileName, Option<u64>, Writing),
}

/// A file on its way to a phone.
pub(super) struct Incoming {
    pub(super) pieces: mpsc::Receiver<Result<Bytes, Failure>>,
    /// To be told when the phone has it.
    pub(super) arrived: oneshot::Sender<()>,
}

/// A phone's upload. To drop it before it is stored discards it.
pub(super) struct Outgoing {
    pieces: mpsc::Sender<Piece>,
    stored: oneshot::Receiver<Result<(), Failure>>,
}

struct Writing {
    pieces: mpsc::Receiver<Piece>,
    stored: oneshot::Sender<Result<(), Failure>>,
}

enum Piece {
    Bytes(Bytes),
    End,
}

impl Bridge {
    pub(super) fn new() -> (Self, Orders) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), Orders(receiver))
    }

    /// How long a file is.
    pub(super) async fn length(&self, name: FileName) -> Result<Length, Failure> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Length(name, answer)).await?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Opens a file from `offset` on.
    pub(super) async fn read(&self, name: FileName, offset: u64) -> Result<Incoming, Failure> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Read(name, offset, answer)).await?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Begins an upload; `append` is where it continues what was uploaded before.
    pub(super) async fn write(
        &self,
        name: FileName,
        append: Option<u64>,
    ) -> Result<Outgoing, Failure> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let (stored, outcome) = oneshot::channel();
        let writing = Writing { pieces, stored };
        self.order(Order::Write(name, append, writing)).await?;
        Ok(Outgoing {
            pieces: sender,
            stored: outcome,
        })
    }

    async fn order(&self, order: Order) -> Result<(), Failure> {
        self.0.send(order).await.map_err(|_| gone())
    }
}

impl Outgoing {
    /// Hands on the next bytes; `false` where nobody wants more of them.
    pub(super) async fn write(&self, bytes: Bytes) -> bool {
        self.pieces.send(Piece::Bytes(bytes)).await.is_ok()
    }

    /// Whether it is stored, for good, now that all of it was written.
    pub(super) async fn store(self) -> Result<(), Failure> {
        // Where nobody listens, the answer says why.
        let _ = self.pieces.send(Piece::End).await;
        self.stored.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Orders {
    /// Until the session has ended and everything that it ordered.
    pub(super) async fn carry_out(mut self, carrier: Carrier, visitor: Visitor, peer: SocketAddr) {
        let mut transfers = JoinSet::new();
        let clerk = Clerk {
            carrier,
            visitor,
            peer,
        };
        loop {
            tokio::select! {
                Some(_) = transfers.join_next() => {}
                order = self.0.recv() => match order {
                    Some(order) => {
                        transfers.spawn_local(clerk.clone().carry_out(order));
                    }
                    None => break,
                },
            }
        }
        while transfers.join_next().await.is_some() {}
    }
}

/// Who carries out a session's orders.
#[derive(Clone)]
struct Clerk {
    carrier: Carrier,
    visitor: Visitor,
    peer: SocketAddr,
}

/// What came of a transfer.
struct Outcome {
    ending: Ending,
    text: String,
    bytes: u64,
}

impl Clerk {
    async fn carry_out(self, order: Order) {
        let begun = Instant::now();
        let (request, name, outcome) = match order {
            Order::Length(name, answer) => {
                // Who asks may be gone; then nobody wants to know.
                let _ = answer.send(self.carrier.length(&self.visitor, &name).await);
                return;
            }
            Order::Read(name, offset, answer) => {
                let outcome = self.read(&name, offset, answer).await;
                ("read", name, outcome)
            }
            Order::Write(name, append, writing) => {
                let outcome = self.write(&name, append, writing).await;
                let request = append.map_or("write", |_| "append");
                (request, name, outcome)
            }
        };
        let metrics = self.carrier.metrics();
        metrics.transferred(Protocol::Ftp, outcome.ending, outcome.bytes);
        self.carrier.journal().transfer(&Transfer {
            protocol: Protocol::Ftp,
            request,
            file: name.to_string(),
            peer: self.peer,
            outcome: outcome.text,
            bytes: outcome.bytes,
            took: begun.elapsed(),
        });
    }

    async fn read(
        &self,
        name: &FileName,
        offset: u64,
        answer: oneshot::Sender<Result<Incoming, Failure>>,
    ) -> Outcome {
        let mut body = match self.carrier.fetch(&self.visitor, name, offset).await {
            Ok(body) => body,
            Err(failure) => {
                let outcome = Outcome::failed(&failure, 0);
                let _ = answer.send(Err(failure));
                return outcome;
            }
        };
        let (sender, pieces) = mpsc::channel(PIECES);
        let (arrived, arrival) = oneshot::channel();
        if answer.send(Ok(Incoming { pieces, arrived })).is_err() {
            return Outcome::abandoned(0);
        }
        let mut sent = 0;
        loop {
            let mut piece = vec![0; PIECE];
            let read = match body.next(&mut piece).await {
                Ok(0) if body.length().is_none_or(|left| left == 0) => break,
                Ok(0) => Err(Failure::unreachable()),
                read => read,
            };
            let handed = match read {
                Ok(read) => {
                    piece.truncate(read);
                    sent += u64::try_from(read).unwrap_or(u64::MAX);
                    sender.send(Ok(piece.into())).await
                }
                Err(failure) => {
                    let outcome = Outcome::failed(&failure, sent);
                    let _ = sender.send(Err(failure)).await;
                    return outcome;
                }
            };
            if handed.is_err() {
                return Outcome::abandoned(sent);
            }
        }
        drop(sender);
        match arrival.await {
            Ok(()) => Outcome::completed(sent),
            Err(_) => Outcome::abandoned(sent),
        }
    }

    async fn write(&self, name: &FileName, append: Option<u64>, writing: Writing) -> Outcome {
        let Writing { mut pieces, stored } = writing;
        let mut received = 0;
        let storing = async {
            let mut storing = self.carrier.store(&self.visitor, name, append).await?;
            while let Some(piece) = pieces.recv().await {
                match piece {
                    Piece::Bytes(bytes) => {
                        received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                        storing.write(&bytes)?;
                    }
                    Piece::End => {
                        poll_fn(|context| storing.poll_store(context)).await?;
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        };
        let outcome: Result<bool, Failure> = storing.await;
        let told = match &outcome {
            Ok(true) => Outcome::completed(received),
            Ok(false) => Outcome::abandoned(received),
            Err(failure) => Outcome::failed(failure, received),
        };
        // Before the pieces are let go of: who cannot hand on any looks here.
        let _ = stored.send(outcome.map(|_| ()));
        told
    }
}

impl Outcome {
    fn completed(bytes: u64) -> Self {
        Self {
            ending: Ending::Completed,
            text: "completed".to_owned(),
            bytes,
        }
    }

    fn abandoned(bytes: u64) -> Self {
        Self {
            ending: Ending::Abandoned,
            text: "cut off".to_owned(),
            bytes,
        }
    }

    fn failed(failure: &Failure, bytes: u64) -> Self {
        let ending = match failure.kind {
            FailureKind::Missing => Ending::Missing,
            FailureKind::Forbidden => Ending::Denied,
            _ => Ending::Failed,
        };
        Self {
            ending,
            text: format!("{}: {failure}", failure.reply()),
            bytes,
        }
    }
}

/// The relay is ending.
fn gone() -> Failure {
    Failure::new(FailureKind::Busy, "the relay is ending")
}

/// How many pieces wait for a phone that reads slowly, and how large they are at most.
const PIECES: usize = 2;
const PIECE: usize = 32 << 10;
