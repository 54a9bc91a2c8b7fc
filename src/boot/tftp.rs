//! A simulated phone's TFTP (RFC 1350): the relay's own client, its outcomes in HTTP's words.
//!
//! As a loader does, it asks for no options.

use std::net::SocketAddr;
use std::net::ToSocketAddrs as _;

use http::Response;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use ureq::Body;

use crate::relay::tftp::client::Client;
use crate::relay::tftp::client::ClientError;
use crate::tftp::packet::ErrorCode;
use crate::tftp::transfer::Outcome;

/// Reads or writes the file of an address after its `tftp://`: `HOST[:PORT]/NAME`.
pub(super) fn call(
    method: &str,
    address: &str,
    body: Option<&[u8]>,
) -> Result<Response<Body>, String> {
    let (host, name) = address.split_once('/').unwrap_or((address, ""));
    let client = Client::new(find(host, 69)?);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let transfer = async {
        match body {
            Some(body) => client.write(name.as_bytes(), body).await.map(|()| None),
            None => client.read(name.as_bytes()).await.map(Some),
        }
    };
    let (status, bytes) = match LocalSet::new().block_on(&runtime, transfer) {
        Ok(None) => (201, Vec::new()),
        // There is no asking for a head alone.
        Ok(Some(_)) if method == "HEAD" => (200, Vec::new()),
        Ok(Some(bytes)) => (200, bytes),
        Err(error) => (status(&error).ok_or_else(|| error.to_string())?, Vec::new()),
    };
    let response = Response::builder().status(status);
    let response = response.body(Body::builder().data(bytes));
    response.map_err(|error| error.to_string())
}

/// The status that says the same, where there is one.
fn status(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::Transfer(Outcome::PeerFailed { code, .. }) => match *code {
            ErrorCode::FILE_NOT_FOUND => Some(404),
            ErrorCode::ACCESS_VIOLATION => Some(403),
            ErrorCode::DISK_FULL => Some(507),
            _ => None,
        },
        _ => None,
    }
}

/// The address of `HOST[:PORT]`.
pub(super) fn find(host: &str, port: u16) -> Result<SocketAddr, String> {
    let numbered = host.rsplit_once(':').is_some_and(|(before, port)| {
        let whole = !before.contains(':') || before.ends_with(']');
        whole && port.parse::<u16>().is_ok()
    });
    let with_port = if numbered {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let mut found = with_port
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn addresses() {
        for (host, expected) in [
            ("192.0.2.1", "192.0.2.1:69"),
            ("192.0.2.1:6969", "192.0.2.1:6969"),
            ("[2001:db8::1]", "[2001:db8::1]:69"),
            ("[2001:db8::1]:70", "[2001:db8::1]:70"),
        ] {
            let found = find(host, 69).map(|it| it.to_string());
            assert_eq!(found.as_deref(), Ok(expected));
        }
    }
}
