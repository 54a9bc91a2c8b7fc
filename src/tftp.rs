//! TFTP (RFC 1350) with options (RFC 2347, 2348, 2349) and windows (RFC 7440), without any I/O.
//!
//! A transfer is a state machine: datagrams and the time go in, datagrams and the time of the next timeout
//! come out. There are two, and each serves at either end of the wire: a [`sender::Sender`] answers a read
//! request or asks to write, a [`receiver::Receiver`] answers a write request or asks to read. The bytes of
//! the file come from the caller as they arrive, and go to the caller, who says when they are stored.
//!
//! What this deliberately does not do: no sockets, no clock, no randomness, no files, and no decision about
//! who may have what.

pub mod block;
pub mod name;
mod netascii;
pub mod options;
pub mod packet;
pub mod receiver;
pub mod sender;
#[cfg(test)]
mod tests;
mod timer;
pub mod transfer;
