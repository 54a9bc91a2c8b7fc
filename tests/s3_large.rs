//! An upload of more than 100 MB to S3 and back, in a process of its own: its memory is measured.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

#[path = "support/bucket.rs"]
#[expect(dead_code, reason = "the service does more than this suite needs")]
mod bucket;

use std::fs;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use handset::store::StoreErrorKind;
use handset::store::directory::Upload;
use handset::store::keyed::Objects;
use http_body::Body;
use http_body::Frame;

use bucket::Service;
use bucket::block_on;
use bucket::store;

/// More than goes in one request, and no whole number of parts or pieces.
const LENGTH: u64 = 105_000_001;
const PIECE: u64 = 60_000;
/// What hashing, buffers and two runtimes may take; the upload is three times as large.
const MOST_MEMORY: u64 = 32 << 20;

#[test]
fn a_large_upload_goes_in_parts_with_flat_memory() {
    let service = Service::start();
    let bucket = &&store(service.place("")).bucket;
    let before = memory("VmRSS:");
    block_on(async {
        for said in [LENGTH - 1, LENGTH + 1] {
            let broken = Objects::put(bucket, "uploads/x", upload(LENGTH), said).await;
            let error = broken.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Incomplete, "{said}");
            assert!(
                Objects::get(bucket, "uploads/x", 0..1)
                    .await
                    .unwrap()
                    .is_none()
            );
        }
        Objects::put(bucket, "uploads/x", upload(LENGTH), LENGTH)
            .await
            .unwrap();
        let mut sent = Generated::new(LENGTH);
        let mut body = Objects::get(bucket, "uploads/x", 0..LENGTH)
            .await
            .unwrap()
            .unwrap();
        let mut expected = Bytes::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let mut bytes = frame.unwrap().into_data().unwrap();
            while !bytes.is_empty() {
                if expected.is_empty() {
                    expected = sent.next().unwrap();
                }
                let length = bytes.len().min(expected.len());
                assert!(bytes.split_to(length) == expected.split_to(length));
            }
        }
        assert!(expected.is_empty() && sent.next().is_none());
    });
    let grown = memory("VmHWM:").saturating_sub(before);
    println!("memory grew by {} KB", grown >> 10);
    assert!(grown < MOST_MEMORY, "{grown} bytes");
}

fn upload(length: u64) -> Upload {
    Upload::new(Generated::new(length))
}

/// Bytes that are made when they are asked for; no two pieces are alike.
struct Generated {
    at: u64,
    length: u64,
}

impl Generated {
    fn new(length: u64) -> Self {
        Self { at: 0, length }
    }

    fn next(&mut self) -> Option<Bytes> {
        let length = PIECE.min(self.length - self.at);
        if length == 0 {
            return None;
        }
        let mut piece = vec![(self.at / PIECE) as u8; length as usize];
        let mark = self.at.to_be_bytes();
        let length = mark.len().min(piece.len());
        piece[..length].copy_from_slice(&mark[..length]);
        self.at += piece.len() as u64;
        Some(piece.into())
    }
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A line of proc(5); nothing where there is no such file.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.map_or(0, |number| number.parse::<u64>().unwrap() << 10)
}
