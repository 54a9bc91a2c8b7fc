//! A link that delays datagrams and loses some, in front of a TFTP server on this machine.
//!
//! It stands for one client: that sends its request to one port of the link and hears the server from another, as the
//! server answers from another than it listens on.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time;
use tokio::time::Instant;

/// What happens to datagrams, each way.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) delay: Duration,
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

/// A link to one server.
pub(crate) struct Link {
    /// Where the client sends its request.
    request: UdpSocket,
    /// Where it sends all that follows.
    transfer: UdpSocket,
    /// What the server takes for the client.
    far: UdpSocket,
    server: SocketAddr,
    weather: Weather,
    random: u64,
    client: Option<SocketAddr>,
    transfer_id: Option<SocketAddr>,
    under_way: VecDeque<(Instant, Way, Vec<u8>)>,
}

#[derive(Clone, Copy)]
enum Way {
    Request,
    ToClient,
    ToServer,
}

impl Link {
    pub(crate) async fn new(server: SocketAddr, weather: Weather) -> io::Result<Self> {
        let socket = || UdpSocket::bind("127.0.0.1:0");
        Ok(Self {
            request: socket().await?,
            transfer: socket().await?,
            far: socket().await?,
            server,
            weather,
            random: weather.seed.wrapping_mul(2) + 0x9e37_79b9,
            client: None,
            transfer_id: None,
            under_way: VecDeque::new(),
        })
    }

    /// What the client takes for the server.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.request.local_addr()
    }

    /// Until it is dropped.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let [mut first, mut second, mut third] = [[0; 2048]; 3];
        loop {
            let due = self.under_way.front().map(|(at, ..)| *at);
            let pause = time::sleep_until(due.unwrap_or_else(|| Instant::now() + LONG));
            tokio::select! {
                got = self.request.recv_from(&mut first) => {
                    let (length, from) = got?;
                    self.client = Some(from);
                    self.take(Way::Request, &first[..length]);
                }
                got = self.transfer.recv_from(&mut second) => {
                    let (length, _) = got?;
                    self.take(Way::ToServer, &second[..length]);
                }
                got = self.far.recv_from(&mut third) => {
                    let (length, from) = got?;
                    self.transfer_id = Some(from);
                    self.take(Way::ToClient, &third[..length]);
                }
                () = pause => self.deliver().await?,
            }
        }
    }

    fn take(&mut self, way: Way, datagram: &[u8]) {
        // Xorshift (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        if unit >= self.weather.loss {
            let at = Instant::now() + self.weather.delay;
            self.under_way.push_back((at, way, datagram.to_vec()));
        }
    }

    async fn deliver(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while self.under_way.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, way, datagram)) = self.under_way.pop_front() else {
                break;
            };
            let (socket, to) = match way {
                Way::Request => (&self.far, Some(self.server)),
                Way::ToClient => (&self.transfer, self.client),
                Way::ToServer => (&self.far, self.transfer_id),
            };
            if let Some(to) = to {
                socket.send_to(&datagram, to).await?;
            }
        }
        Ok(())
    }
}

const LONG: Duration = Duration::from_secs(3600);
