//! What the relay tells whoever watches over it (sd_notify(3)): that it serves, that it ends, and that it still lives.

use std::env;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokio::time;
use tokio::time::MissedTickBehavior;

/// Where to tell it, if anywhere.
#[derive(Debug)]
pub(crate) struct Notice {
    socket: Option<UnixDatagram>,
    /// How often to say that it lives.
    pulse: Option<Duration>,
}

impl Notice {
    /// To whom the environment says. Nobody there to hear it keeps no phone from its files, but somebody should know.
    pub(crate) fn from_environment() -> (Self, Option<String>) {
        let place = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty());
        let (socket, problem) = match place.map(connect) {
            None => (None, None),
            Some(Ok(socket)) => (Some(socket), None),
            Some(Err(error)) => (None, Some(format!("NOTIFY_SOCKET: {error}"))),
        };
        let pulse = pulse(
            env::var("WATCHDOG_USEC").ok().as_deref(),
            env::var("WATCHDOG_PID").ok().as_deref(),
        );
        (Self { socket, pulse }, problem)
    }

    /// Says something, as far as anybody listens.
    pub(crate) fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // It does not read: then it will find out by itself.
            let _ = socket.send(state.as_bytes());
        }
    }

    /// Says that it lives, for ever: on the thread that serves, so that it stops when that does.
    pub(crate) async fn run(&self) {
        let Some(pulse) = self.pulse else {
            return pending().await;
        };
        let mut ticks = time::interval(pulse);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell("WATCHDOG=1");
        }
    }
}

/// A path, or a name without one, which begins with `@`.
fn connect(place: OsString) -> io::Result<UnixDatagram> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(&place)?,
        _ => {
            let reason = "it is no path, and does not begin with @";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // Phones are not kept waiting for long by who does not read.
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Half of what whoever watches waits for, if it waits for this process.
fn pulse(microseconds: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let ours = process.is_none_or(|id| id.parse() == Ok(std::process::id()));
    let microseconds: u64 = microseconds?.parse().ok()?;
    let half = Duration::from_micros(microseconds / 2);
    (ours && !half.is_zero()).then_some(half)
}

const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pulse;

    #[test]
    fn how_often_it_says_that_it_lives() {
        let own = std::process::id().to_string();
        for (microseconds, process, expected) in [
            (None, None, None),
            (Some("3000000"), None, Some(1500)),
            (Some("3000000"), Some(own.as_str()), Some(1500)),
            (Some("3000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(pulse(microseconds, process), expected, "{microseconds:?}");
        }
    }
}
