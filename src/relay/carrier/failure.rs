//! Why a phone gets no file, or cannot upload one: the same in each protocol's words.

use std::fmt;
use std::io;

use http::StatusCode;

use crate::relay::tftp::files::Refusal;
use crate::relay::upstream::UpstreamError;
use crate::tftp::packet::ErrorCode;

/// A request that comes to nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What kind it is of.
    pub kind: FailureKind,
    /// The reason, for whoever looks at the wire.
    pub message: String,
}

/// The kinds of failures, by what the phone should do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// Come back soon.
    Busy,
    /// Go on without: it may not have it. TFTP error 2, FTP 550, HTTP 403.
    Forbidden,
    /// Come back another day: there is no room. TFTP error 3, FTP 452, HTTP 507.
    Full,
    /// Go on with the next name. TFTP error 1, FTP 550, HTTP 404.
    Missing,
    /// Come back later: something failed. TFTP error 0, FTP 451, HTTP 502.
    Other,
    /// Send less. TFTP error 3, FTP 552, HTTP 413.
    TooLarge,
    /// Come back later: the server cannot be reached. TFTP error 0, FTP 450, HTTP 503.
    Unreachable,
}

impl Failure {
    /// Any.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
        }
    }

    /// There is no such file.
    pub fn missing() -> Self {
        Self::new(FailureKind::Missing, "file not found")
    }

    /// It is another's; the phone should not learn that there is one.
    pub fn denied() -> Self {
        Self::missing()
    }

    /// It has more bytes than are taken.
    pub fn too_large() -> Self {
        Self::new(FailureKind::TooLarge, "the file is too large")
    }

    /// The server cannot be reached.
    pub fn unreachable() -> Self {
        Self::new(FailureKind::Unreachable, "the server cannot be reached")
    }

    /// What a server's answer means that is no file.
    ///
    /// Phones take a missing file as final and go on with the next name, so that nothing else may be one; whoever hears that the
    /// server is busy comes back.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::missing(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(FailureKind::Forbidden, "access violation")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(),
            StatusCode::INSUFFICIENT_STORAGE => Self::new(FailureKind::Full, "disk full"),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Self::new(FailureKind::Busy, "server busy, try again")
            }
            _ => Self::new(
                FailureKind::Other,
                format_args!("the server answered {status}"),
            ),
        }
    }

    /// In HTTP's words.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            FailureKind::Busy | FailureKind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Forbidden => StatusCode::FORBIDDEN,
            FailureKind::Full => StatusCode::INSUFFICIENT_STORAGE,
            FailureKind::Missing => StatusCode::NOT_FOUND,
            FailureKind::Other => StatusCode::BAD_GATEWAY,
            FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// In FTP's words (RFC 959 section 4.2).
    pub fn reply(&self) -> u16 {
        match self.kind {
            FailureKind::Busy | FailureKind::Unreachable => 450,
            FailureKind::Other => 451,
            FailureKind::Full => 452,
            FailureKind::Forbidden | FailureKind::Missing => 550,
            FailureKind::TooLarge => 552,
        }
    }

    /// In TFTP's words.
    pub fn code(&self) -> ErrorCode {
        match self.kind {
            FailureKind::Busy | FailureKind::Other | FailureKind::Unreachable => {
                ErrorCode::NOT_DEFINED
            }
            FailureKind::Forbidden => ErrorCode::ACCESS_VIOLATION,
            FailureKind::Full | FailureKind::TooLarge => ErrorCode::DISK_FULL,
            FailureKind::Missing => ErrorCode::FILE_NOT_FOUND,
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code(), failure.message)
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        let kind = match error {
            UpstreamError::Down(_) => FailureKind::Unreachable,
            UpstreamError::Misbehaved(_) => FailureKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The relay's disk.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(FailureKind::Full, "disk full")
            }
            kind => Self::new(FailureKind::Other, kind),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Failure;

    #[test]
    fn answers_upstream_and_what_phones_are_told() {
        for (status, code, reply, answer, message) in [
            (404, 1, 550, 404, "file not found"),
            (410, 1, 550, 404, "file not found"),
            (401, 2, 550, 403, "access violation"),
            (403, 2, 550, 403, "access violation"),
            (413, 3, 552, 413, "the file is too large"),
            (507, 3, 452, 507, "disk full"),
            (503, 0, 450, 503, "server busy, try again"),
            (429, 0, 450, 503, "server busy, try again"),
            (
                500,
                0,
                451,
                502,
                "the server answered 500 Internal Server Error",
            ),
            (302, 0, 451, 502, "the server answered 302 Found"),
        ] {
            let failure = Failure::of_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(
                (
                    failure.code().0,
                    failure.reply(),
                    failure.status().as_u16(),
                    failure.message.as_str()
                ),
                (code, reply, answer, message),
                "{status}"
            );
        }
    }
}
