//! What the relay listens on: sockets that were passed to it, else those of its settings.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use handset::relay::carrier::Carrier;
#[cfg(feature = "ftp")]
use handset::relay::ftp;
use handset::relay::http::Listener;
use handset::relay::journal::Journal;
use handset::relay::monitor::Monitor;
use handset::relay::pnp;
use handset::relay::tftp::Server;
use handset::relay::tftp::Settings;
use handset::relay::tftp::remote::Remote;

use crate::Arguments;
use crate::passed::Passed;

/// What the relay listens on.
pub(crate) struct Listeners {
    tftp: Option<Server>,
    #[cfg(feature = "ftp")]
    ftp: Option<ftp::Listener>,
    http: Option<Listener>,
    pnp: Option<pnp::Listener>,
    monitor: Option<Monitor>,
}

impl Listeners {
    pub(crate) async fn bind(
        arguments: &Arguments,
        passed: Passed,
        journal: &Journal,
    ) -> Result<Self, String> {
        let tftp = tftp(arguments, passed.tftp)?;
        if let Some(small) = tftp.as_ref().and_then(Server::small_buffer) {
            journal.event("small-buffer", &small.to_string());
        }
        let told = tftp.as_ref().map(Server::address);
        let monitor = match arguments.metrics {
            None => None,
            Some(address) => Some(
                Monitor::bind(address, told)
                    .await
                    .map_err(|error| deaf("metrics", address, &error))?,
            ),
        };
        let http = match (passed.http, arguments.http) {
            (Some(socket), _) => Some(Listener::on(socket).map_err(|error| unfit("http", &error))?),
            (None, None) => None,
            (None, Some(address)) => Some(
                Listener::bind(address)
                    .await
                    .map_err(|error| deaf("http", address, &error))?,
            ),
        };
        let pnp = bind_pnp(arguments, http.as_ref(), told).await?;
        Ok(Self {
            tftp,
            #[cfg(feature = "ftp")]
            ftp: bind_ftp(arguments, passed.ftp)?,
            http,
            pnp,
            monitor,
        })
    }

    /// Where, in the order of the flags.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let tftp = self.tftp.as_ref();
        let tftp = tftp.map(|it| format!("tftp://{}", it.address()));
        #[cfg(feature = "ftp")]
        let ftp = self
            .ftp
            .as_ref()
            .map(|it| format!("ftp://{}", it.address()));
        #[cfg(not(feature = "ftp"))]
        let ftp = None;
        let http = self.http.as_ref();
        let http = http.map(|it| format!("http://{}", it.address()));
        let monitor = self.monitor.as_ref();
        let monitor = monitor.map(|it| format!("http://{}/metrics", it.address()));
        let pnp = self.pnp.as_ref();
        let pnp = pnp.map(|it| format!("sip://{}", it.address()));
        [tftp, ftp, http, pnp, monitor]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Serves until a listener fails for good.
    pub(crate) async fn run(self, carrier: &Carrier) -> io::Result<()> {
        let tftp = async {
            match self.tftp {
                Some(server) => server.run(Remote::new(carrier.clone())).await,
                None => pending().await,
            }
        };
        #[cfg(feature = "ftp")]
        let ftp = async {
            match self.ftp {
                Some(listener) => listener.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        #[cfg(not(feature = "ftp"))]
        let ftp = pending::<()>();
        let http = async {
            match self.http {
                Some(listener) => listener.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        let monitor = async {
            match self.monitor {
                Some(monitor) => monitor.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        let pnp = async {
            match self.pnp {
                Some(listener) => listener.run(carrier.clone()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            ended = tftp => ended,
            () = pnp => Ok(()),
            () = monitor => Ok(()),
            () = ftp => Ok(()),
            () = http => Ok(()),
        }
    }
}

fn tftp(
    arguments: &Arguments,
    passed: Option<std::net::UdpSocket>,
) -> Result<Option<Server>, String> {
    let settings = |address| Settings {
        ports: arguments.tftp_ports.clone(),
        ..Settings::new(address)
    };
    let server = match (passed, arguments.tftp.0) {
        (Some(socket), _) => {
            let address = socket.local_addr().map_err(|error| unfit("tftp", &error))?;
            let server = Server::on(socket, settings(address));
            server.map_err(|error| unfit("tftp", &error))?
        }
        (None, None) => return Ok(None),
        (None, Some(address)) => {
            let server = Server::bind(settings(address));
            server.map_err(|error| deaf("tftp", address, &error))?
        }
    };
    Ok(Some(server))
}

#[cfg(feature = "ftp")]
fn bind_ftp(
    arguments: &Arguments,
    passed: Vec<std::net::TcpListener>,
) -> Result<Option<ftp::Listener>, String> {
    let settings = |address| ftp::Settings {
        address,
        passive_ports: arguments.ftp_passive_ports.clone(),
        active: arguments.ftp_active,
    };
    if let Some(socket) = passed.first() {
        let address = socket.local_addr().map_err(|error| unfit("ftp", &error))?;
        let listener = ftp::Listener::on(passed, settings(address));
        return listener.map(Some).map_err(|error| unfit("ftp", &error));
    }
    let Some(address) = arguments.ftp else {
        return Ok(None);
    };
    let listener = ftp::Listener::bind(settings(address));
    listener
        .map(Some)
        .map_err(|error| deaf("ftp", address, &error))
}

async fn bind_pnp(
    arguments: &Arguments,
    http: Option<&Listener>,
    tftp: Option<SocketAddr>,
) -> Result<Option<pnp::Listener>, String> {
    let Some(address) = arguments.sip_pnp else {
        return Ok(None);
    };
    let settings = pnp::Settings {
        address,
        url: arguments.sip_pnp_url.clone(),
        http: http.map(Listener::address),
        tftp,
    };
    let listener = pnp::Listener::bind(settings).await;
    listener
        .map(Some)
        .map_err(|error| deaf("sip-pnp", address.into(), &error))
}

fn deaf(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error} (--{flag} takes another address)")
}

fn unfit(name: &str, error: &io::Error) -> String {
    format!("cannot listen on the socket {name:?} that was passed: {error}")
}
