//! Bodies on their way between the disk and the wire, a bounded piece at a time.

use std::cell::RefCell;
use std::fs::File;
use std::future;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body as HttpBody;
use http_body::Frame;
use http_body::SizeHint;

use crate::store::BlobKey;
use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::directory::SourceFile;

/// A range of a file, read as it is sent.
///
/// An operator's file that changes meanwhile ends in an error before its last piece: the phone must not
/// take a mixture of two files for an image.
#[derive(Debug)]
pub struct Body {
    key: BlobKey,
    file: File,
    remaining: u64,
    source: Option<SourceFile>,
}

/// What a device sends, as it comes in.
pub struct Upload(Pin<Box<dyn HttpBody<Data = Bytes, Error = UploadError>>>);

type UploadError = Box<dyn std::error::Error + Send + Sync>;

impl Body {
    /// A range of an operator's file.
    pub(super) fn of_source(
        key: &BlobKey,
        file: File,
        source: &SourceFile,
        range: Range<u64>,
    ) -> Result<Self, StoreError> {
        unchanged(&file, source).map_err(|error| down(key, error))?;
        let mut body = Self::of_range(key, file, range)?;
        body.source = Some(source.clone());
        Ok(body)
    }

    /// A range of an upload, which never changes.
    pub(in crate::store) fn of_upload(
        key: &BlobKey,
        file: File,
        range: Range<u64>,
    ) -> Result<Self, StoreError> {
        let length = file.metadata().map_err(|error| down(key, error))?.len();
        if length < range.end {
            let problem = "shorter than its record says";
            return Err(StoreError::new(StoreErrorKind::Damaged, key, problem));
        }
        Self::of_range(key, file, range)
    }

    fn of_range(key: &BlobKey, mut file: File, range: Range<u64>) -> Result<Self, StoreError> {
        file.seek(SeekFrom::Start(range.start))
            .map_err(|error| down(key, error))?;
        Ok(Self {
            key: key.clone(),
            file,
            remaining: range.end.saturating_sub(range.start),
            source: None,
        })
    }

    fn read(&mut self) -> io::Result<Piece> {
        let mut piece = Piece::take();
        let wanted = self.remaining.min(PIECE);
        let read = (&self.file).take(wanted).read_to_end(&mut piece.0)?;
        if u64::try_from(read) != Ok(wanted) {
            return Err(io::Error::other(CHANGED));
        }
        self.remaining -= wanted;
        if let (0, Some(source)) = (self.remaining, &self.source) {
            unchanged(&self.file, source)?;
        }
        Ok(piece)
    }
}

impl Body {
    /// Writes all of it: a file's body is always ready, for it is read as it is asked for.
    pub fn copy(mut self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        while self.remaining > 0 {
            out.write_all(self.read()?.as_ref())?;
        }
        Ok(())
    }
}

struct NoBody;

impl HttpBody for NoBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        Poll::Ready(None)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let piece = self
            .read()
            .map(|piece| Frame::data(Bytes::from_owner(piece)));
        Poll::Ready(Some(piece.map_err(|error| down(&self.key, error))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl Upload {
    /// What any body brings.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error = UploadError> + 'static,
    {
        Self(Box::pin(body))
    }

    /// No body: for requests that are only asked about.
    pub fn none() -> Self {
        Self::new(NoBody)
    }

    /// What a file holds, and how many bytes that is.
    pub fn of_file(path: &Path) -> io::Result<(Self, u64)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let body = Body {
            key: BlobKey::content(&path.to_string_lossy()),
            file,
            remaining: length,
            source: None,
        };
        Ok((Self(Box::pin(OfFile(body))), length))
    }

    /// All of it, if that is at most `most` bytes.
    pub(crate) async fn collect(mut self, most: usize) -> Result<Vec<u8>, UploadError> {
        let mut bytes = Vec::new();
        while let Some(frame) = future::poll_fn(|cx| self.0.as_mut().poll_frame(cx)).await {
            bytes.extend_from_slice(&frame?.into_data().unwrap_or_default());
            if bytes.len() > most {
                return Err(format!("more than {most} bytes").into());
            }
        }
        Ok(bytes)
    }

    /// Writes exactly `length` bytes to a file, or fails.
    pub(in crate::store) async fn receive(
        mut self,
        key: &BlobKey,
        file: &mut impl Write,
        length: u64,
    ) -> Result<(), StoreError> {
        let mut missing = length;
        while let Some(frame) = future::poll_fn(|cx| self.0.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|error| incomplete(key, error))?;
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            missing = u64::try_from(bytes.len())
                .ok()
                .and_then(|came| missing.checked_sub(came))
                .ok_or_else(|| incomplete(key, "more bytes than were said"))?;
            file.write_all(&bytes).map_err(|error| down(key, error))?;
        }
        if missing > 0 {
            return Err(incomplete(key, "fewer bytes than were said"));
        }
        Ok(())
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.0.as_mut().poll_frame(cx)
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

impl From<Vec<u8>> for Upload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Whole(bytes.into()))
    }
}

/// An upload that is there already.
struct Whole(Bytes);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }
}

/// An upload of a file.
struct OfFile(Body);

impl HttpBody for OfFile {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(Into::into)
    }
}

/// The memory of a piece, which goes back to its thread when the piece is sent: fresh memory for each
/// would cost a page fault every 4 KB.
struct Piece(Vec<u8>);

impl Piece {
    fn take() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| Vec::with_capacity(PIECE_CAPACITY)))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.0);
        memory.clear();
        // Fails only while the thread ends.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_PIECES {
                spare.push(memory);
            }
        });
    }
}

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn unchanged(file: &File, source: &SourceFile) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.len() != source.length || metadata.modified()? != source.modified {
        return Err(io::Error::other(CHANGED));
    }
    Ok(())
}

fn down(key: &BlobKey, error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Down, key, error)
}

fn incomplete(key: &BlobKey, why: impl Into<UploadError>) -> StoreError {
    StoreError::new(StoreErrorKind::Incomplete, key, why)
}

const CHANGED: &str = "the file has changed since it was compiled";
/// What a TLS session takes at once.
const PIECE: u64 = 64 << 10;
const PIECE_CAPACITY: usize = 64 << 10;
const SPARE_PIECES: usize = 16;
