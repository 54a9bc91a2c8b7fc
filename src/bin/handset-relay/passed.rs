//! Sockets that whoever started the relay has opened for it (sd_listen_fds(3)), by name: `tftp`, `ftp` and `http`.

use std::net::TcpListener;
use std::net::UdpSocket;

use listenfd::ListenFd;

/// What was passed.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) tftp: Option<UdpSocket>,
    pub(crate) ftp: Vec<TcpListener>,
    pub(crate) http: Option<TcpListener>,
}

impl Passed {
    /// Takes them. Must come first of all, for it changes the environment, which other threads must not read meanwhile.
    pub(crate) fn take() -> Result<Self, String> {
        // What is read from the environment is gone afterwards.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let mut names = names.split(':');
        let mut passed = Self::default();
        for at in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            passed
                .enter(name, &mut sockets, at)
                .map_err(|problem| format!("the socket {name:?} that was passed: {problem}"))?;
        }
        Ok(passed)
    }

    fn enter(&mut self, name: &str, sockets: &mut ListenFd, at: usize) -> Result<(), String> {
        match name {
            "tftp" => {
                let socket = taken(sockets.take_udp_socket(at))?;
                once(self.tftp.replace(socket).is_none())
            }
            "ftp" if cfg!(feature = "ftp") => {
                self.ftp.push(taken(sockets.take_tcp_listener(at))?);
                Ok(())
            }
            "http" => {
                let socket = taken(sockets.take_tcp_listener(at))?;
                once(self.http.replace(socket).is_none())
            }
            _ => Err("there is no such name (FileDescriptorName= is tftp, ftp or http)".to_owned()),
        }
    }
}

fn taken<T>(socket: std::io::Result<Option<T>>) -> Result<T, String> {
    let socket = socket.map_err(|error| error.to_string())?;
    socket.ok_or_else(|| "it is not there".to_owned())
}

fn once(first: bool) -> Result<(), String> {
    match first {
        true => Ok(()),
        false => Err("there is a second one of this name".to_owned()),
    }
}
