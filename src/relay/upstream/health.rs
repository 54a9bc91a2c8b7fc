//! Whether the server can be reached, from what came of the requests to it; and if not, why.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::time::error::Elapsed;
use tokio_rustls::rustls;

use crate::relay::metrics::Counter;
use crate::relay::upstream::UpstreamError;

/// What is known of the server.
#[derive(Debug, Default)]
pub struct Health {
    state: Cell<Option<State>>,
    /// When it was last found silent, and not only closed.
    silent: Cell<Option<Instant>>,
    errors: [Counter; 6],
    /// The last error, and its time in seconds since 1970.
    last: Cell<Option<(Trouble, u64)>>,
}

/// Whether the last request was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct State {
    /// If it was.
    pub reached: bool,
    /// Since when that is so, in seconds since 1970.
    pub since: u64,
}

/// Kinds of errors, by where whoever runs the relay should look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It answers what nobody asked for.
    Answer,
    /// The connection ended before its time.
    Closed,
    /// Its name is not known, or cannot be asked for.
    Name,
    /// There is no way there, or nobody listens.
    Refused,
    /// It says nothing, or not in time.
    Timeout,
    /// Its certificate or ours, or the form of TLS.
    Tls,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Answer,
        Self::Closed,
        Self::Name,
        Self::Refused,
        Self::Timeout,
        Self::Tls,
    ];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Closed => "closed",
            Self::Name => "name",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
        }
    }

    fn of(error: &UpstreamError) -> Self {
        let mut found = match error {
            UpstreamError::Misbehaved(_) => return Self::Answer,
            UpstreamError::Down(error) => Some(error.as_ref() as &(dyn Error + 'static)),
        };
        while let Some(error) = found {
            if let Some(trouble) = Self::of_cause(error) {
                return trouble;
            }
            found = error.source();
        }
        Self::Closed
    }

    /// What this one error says, whatever caused it.
    fn of_cause(error: &(dyn Error + 'static)) -> Option<Self> {
        if error.is::<NameError>() {
            return Some(Self::Name);
        }
        if error.is::<Elapsed>() {
            return Some(Self::Timeout);
        }
        if error.is::<rustls::Error>() {
            return Some(Self::Tls);
        }
        let error = error.downcast_ref::<io::Error>()?;
        // What an error of another kind was made into one of input and output for is not among its causes.
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            return Some(Self::Tls);
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Some(Self::Timeout),
            io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable => Some(Self::Refused),
            _ => None,
        }
    }
}

/// The server's name could not be made an address.
#[derive(Debug)]
pub(super) struct NameError(pub(super) io::Error);

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("its name has no address")
    }
}

impl Error for NameError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Health {
    /// Whether the last request was answered; `None` before the first.
    pub fn state(&self) -> Option<State> {
        self.state.get()
    }

    /// How many errors there were of a kind.
    pub fn errors(&self, kind: Trouble) -> u64 {
        self.errors.get(kind as usize).map_or(0, Counter::total)
    }

    /// The last of them, and when it was, in seconds since 1970.
    pub fn last_error(&self) -> Option<(Trouble, u64)> {
        self.last.get()
    }

    /// Whether it has just let a request wait in vain: what need not wait for it should not.
    pub fn is_silent(&self) -> bool {
        let silent = self.silent.get();
        silent.is_some_and(|since| since.elapsed() < SILENCE)
    }

    /// A request ended after this time, with an error or an answer.
    pub(super) fn note(&self, error: Option<&UpstreamError>, took: Duration) {
        let reached = error.is_none();
        if self.state.get().is_none_or(|it| it.reached != reached) {
            let since = now();
            self.state.set(Some(State { reached, since }));
        }
        let waited = took >= WAITED;
        self.silent.set((!reached && waited).then(Instant::now));
        if let Some(error) = error {
            self.count(error);
        }
    }

    /// One more error.
    pub(super) fn count(&self, error: &UpstreamError) {
        let kind = Trouble::of(error);
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.count();
        }
        self.last.set(Some((kind, now())));
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A failure that took so long is one by silence.
const WAITED: Duration = Duration::from_secs(1);
/// For how long one that was silent is taken to be.
const SILENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use tokio_rustls::rustls;

    use super::Health;
    use super::NameError;
    use super::Trouble;
    use crate::relay::upstream::UpstreamError;
    use crate::relay::upstream::down;

    #[test]
    fn kinds() {
        let of = |kind: io::ErrorKind| down(io::Error::from(kind));
        let tls = rustls::Error::NoCertificatesPresented;
        for (error, expected) in [
            (UpstreamError::Misbehaved("x"), Trouble::Answer),
            (of(io::ErrorKind::ConnectionReset), Trouble::Closed),
            (down("x"), Trouble::Closed),
            (
                down(NameError(io::ErrorKind::TimedOut.into())),
                Trouble::Name,
            ),
            (of(io::ErrorKind::ConnectionRefused), Trouble::Refused),
            (of(io::ErrorKind::TimedOut), Trouble::Timeout),
            (down(tls.clone()), Trouble::Tls),
            (
                down(io::Error::new(io::ErrorKind::InvalidData, tls)),
                Trouble::Tls,
            ),
        ] {
            assert_eq!(Trouble::of(&error), expected, "{error:?}");
        }
        let names = Trouble::ALL.map(Trouble::name);
        assert!(names.is_sorted());
    }

    #[test]
    fn the_last_error_stays_known_when_all_is_well_again() {
        let health = Health::default();
        assert!(health.state().is_none() && health.last_error().is_none());
        health.note(Some(&down("x")), Duration::ZERO);
        assert!(!health.state().unwrap().reached && !health.is_silent());
        health.note(Some(&down("x")), Duration::from_secs(2));
        assert!(health.is_silent());
        health.note(None, Duration::from_secs(2));
        assert!(health.state().unwrap().reached && !health.is_silent());
        assert_eq!(health.errors(Trouble::Closed), 2);
        assert_eq!(health.last_error().unwrap().0, Trouble::Closed);
    }
}
