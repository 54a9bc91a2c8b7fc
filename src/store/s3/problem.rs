//! Why the service did not do what it was asked, and who has to change what.

use std::error::Error;
use std::fmt;

use http::StatusCode;

use crate::store::StoreError;
use crate::store::StoreErrorKind;
use crate::store::s3::wire::WireError;

/// Why the service did not do what it was asked.
#[derive(Debug)]
pub enum Problem {
    /// The service does not let this key do this.
    Denied {
        /// S3's name of the error.
        code: String,
        /// What the operator has to look at.
        remedy: String,
    },
    /// The service failed, or does not know what it was asked for.
    Failed {
        /// The status of its response.
        status: StatusCode,
        /// S3's name of the error, or nothing.
        code: String,
    },
    /// An answer that S3 does not give.
    Strange(String),
    /// There was no answer.
    Wire(WireError),
}

impl Problem {
    /// A response's meaning, from its status and its body: S3's documentation, "Error responses".
    pub(super) fn of(status: StatusCode, code: String, permission: &str) -> Self {
        match remedy(status, &code, permission) {
            Some(remedy) => Self::Denied { code, remedy },
            None => Self::Failed { status, code },
        }
    }

    /// Whether the same request may succeed if it is sent again soon.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Failed { status, .. } => matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504),
            Self::Wire(error) => matches!(error, WireError::Lost(_)),
            Self::Denied { .. } | Self::Strange(_) => false,
        }
    }

    /// As an error of the store.
    pub(super) fn at(self, key: &str) -> StoreError {
        let kind = match self {
            Self::Wire(WireError::Upload(_)) => StoreErrorKind::Incomplete,
            _ => StoreErrorKind::Down,
        };
        StoreError::new(kind, key, self)
    }
}

impl From<WireError> for Problem {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { code, remedy } => write!(f, "S3 denies it ({code}): {remedy}"),
            Self::Failed { status, code } => write!(f, "S3 answered {status} {code}"),
            Self::Strange(what) => write!(f, "S3 answered strangely: {what}"),
            Self::Wire(error) => error.fmt(f),
        }
    }
}

impl Error for Problem {}

/// What to look at when the service refuses the key, and nothing when it did not.
fn remedy(status: StatusCode, code: &str, permission: &str) -> Option<String> {
    let remedy = match code {
        "InvalidAccessKeyId" => {
            "the service does not know the key in AWS_ACCESS_KEY_ID (on Spin: s3_access_key)"
        }
        "SignatureDoesNotMatch" => {
            "the secret in AWS_SECRET_ACCESS_KEY (on Spin: s3_secret_key) is not that of the key"
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            "the session in AWS_SESSION_TOKEN (on Spin: s3_session_token) is over"
        }
        "InvalidToken" => {
            "AWS_SESSION_TOKEN (on Spin: s3_session_token) does not go with the key; without a session, unset it"
        }
        "RequestTimeTooSkewed" | "RequestExpired" => "this machine's clock is wrong",
        "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
            "the region is another one; set region= in the store's address (on Spin: s3_region)"
        }
        "PermanentRedirect" | "TemporaryRedirect" => {
            "the bucket is in another region; set region= and endpoint= in the store's address"
        }
        "NoSuchBucket" => "there is no such bucket; it must be made first",
        _ if matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
            return Some(format!("the key needs the permission {permission}"));
        }
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// S3's name of an error, from its XML. The document is read no further than this: services add to it.
pub(super) fn code(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    // Amazon calls it AccessDenied, as it calls a permission that is missing, but then says its own time.
    if text.contains("<ServerTime>") {
        return "RequestExpired".to_owned();
    }
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code);
    let fine = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    code.chars().filter(fine).take(LONGEST_CODE).collect()
}

const LONGEST_CODE: usize = 64;

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn errors_have_a_name_even_in_odd_documents() {
        let cases = [
            (
                "<Error><Code>NoSuchKey</Code><Key>a</Key></Error>",
                "NoSuchKey",
            ),
            ("<Error>\n  <Code>Slow\nDown</Code>", "SlowDown"),
            ("<Error><Code>NoSuchKey", ""),
            ("<html>404</html>", ""),
            ("", ""),
            (
                "<Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
                 <ServerTime>2026-01-01T00:00:00Z</ServerTime></Error>",
                "RequestExpired",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(code(body.as_bytes()), expected, "{body}");
        }
        let long = format!("<Code>{}</Code>", "x".repeat(1000));
        assert_eq!(code(long.as_bytes()).len(), 64);
    }
}
