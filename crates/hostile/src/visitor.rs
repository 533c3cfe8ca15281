//! A page in somebody's browser, and a client that takes connections and leaves them: what reaches the API of a node.
//!
//! It comes from another loopback address than the tools of this machine where the system has one, so that what it takes is
//! not taken from theirs.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use tokio::{net::TcpSocket, runtime::Runtime, time::timeout};

/// Where it comes from, if the system lets it.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Longest wait for a connection, and for the system to take a request.
const PATIENCE: Duration = Duration::from_millis(50);

/// Connections that it holds at one API: more than one address may have.
const HELD_MAX: usize = 160;

/// Connections made in one round.
const VISITS: usize = 4;

/// Switches the aggregator role off, as a page of another origin would, and as one whose name was rebound would.
const REQUESTS: [&str; 4] = [
    "POST /lean/v0/admin/aggregator HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n\
     Content-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"enabled\":false}",
    "POST /lean/v0/admin/aggregator HTTP/1.1\r\nHost: evil.example\r\nContent-Type: text/plain\r\n\
     Content-Length: 17\r\n\r\n{\"enabled\":false}",
    // Answers that are never read.
    "GET /lean/v0/states/finalized HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    // A request that never ends.
    "GET /lean/v0/events HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
];

/// A visitor of one API.
#[derive(Debug)]
pub(crate) struct Visitor {
    api: SocketAddr,
    held: Vec<TcpStream>,
    runtime: Runtime,
}

impl Visitor {
    pub(crate) fn new(api: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { api, held: Vec::new(), runtime })
    }

    /// Some more requests, each on a connection that stays; how many were sent.
    pub(crate) fn visit(&mut self, number: u64) -> u64 {
        let room = self.held.len().saturating_add(VISITS).saturating_sub(HELD_MAX);
        self.held.drain(..room.min(self.held.len()));
        let mut sent = 0;
        for request in REQUESTS.iter().cycle().skip((number % 4) as usize).take(VISITS) {
            let Ok(mut stream) = self.connect() else { continue };
            if stream.write_all(request.as_bytes()).is_ok() {
                sent += 1;
                self.held.push(stream);
            }
        }
        sent
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            // The tools' address does, too.
            let _ = socket.bind(SocketAddr::new(ADDRESS, 0));
            timeout(PATIENCE, socket.connect(self.api)).await?
        })?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}
