//! A UDP relay: one direction in which connections are begun, both directions of their datagrams.
//!
//! Each address that sends to the relay gets a socket of its own towards the target, so that answers find back. A cut
//! relay reads datagrams and drops them.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Bytes of the largest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Addresses that one relay serves: a node dials from one or two sockets, and gets new ones when it starts again.
const SOURCES_MAX: usize = 64;

/// How soon a relay that is dropped notices.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// A running relay. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    is_over: AtomicBool,
    forwarded: AtomicU64,
    dropped: AtomicU64,
}

impl Relay {
    /// A relay to this UDP port of the loopback address.
    ///
    /// # Errors
    /// The system gives no socket or thread.
    pub fn to(target_port: u16) -> io::Result<Self> {
        let socket = socket()?;
        let port = socket.local_addr()?.port();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target_port));
        let forward = move || forward(&socket, target, &shared);
        let thread = thread::Builder::new().name("relay".into()).spawn(forward)?;
        Ok(Self { port, state, thread: Some(thread) })
    }

    /// Where it listens on the loopback address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Loses every datagram of both directions from now on, or no longer.
    pub fn set_cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::SeqCst);
    }

    /// Datagrams let through and lost.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let State { forwarded, dropped, .. } = &*self.state;
        (forwarded.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A relay that panicked has already failed its test.
            let _ = thread.join();
        }
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Whether a datagram may pass, counted.
    fn passes(&self) -> bool {
        let is_cut = self.is_cut.load(Ordering::SeqCst);
        let counter = if is_cut { &self.dropped } else { &self.forwarded };
        counter.fetch_add(1, Ordering::SeqCst);
        !is_cut
    }
}

/// Datagrams from whoever begins a connection to the target.
fn forward(socket: &UdpSocket, target: SocketAddr, state: &Arc<State>) {
    let mut sources: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut threads = Vec::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !state.is_over() {
        let Ok((length, source)) = socket.recv_from(&mut buffer) else { continue };
        if !sources.contains_key(&source) && sources.len() < SOURCES_MAX {
            let Ok((out, thread)) = answer(socket, source, target, state) else { continue };
            sources.insert(source, out);
            threads.push(thread);
        }
        // An error is a datagram lost: the target may be down.
        if let Some(out) = sources.get(&source).filter(|_| state.passes()) {
            let _ = out.send(&buffer[..length]);
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// A socket towards the target, and a thread that sends what comes back to `source`.
fn answer(
    socket: &UdpSocket,
    source: SocketAddr,
    target: SocketAddr,
    state: &Arc<State>,
) -> io::Result<(Arc<UdpSocket>, JoinHandle<()>)> {
    let out = Arc::new(self::socket()?);
    out.connect(target)?;
    let (back, from, state) = (socket.try_clone()?, Arc::clone(&out), Arc::clone(state));
    let run = move || {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !state.is_over() {
            let Ok(length) = from.recv(&mut buffer) else { continue };
            if state.passes() {
                let _ = back.send_to(&buffer[..length], source);
            }
        }
    };
    let thread = thread::Builder::new().name("relay back".into()).spawn(run)?;
    Ok((out, thread))
}

/// A socket whose reads end now and then, so that the end is noticed.
fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(STOP_LOOK))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until;

    fn send_and_receive(client: &UdpSocket, relay: &Relay) -> Option<Vec<u8>> {
        client.send_to(b"ping", (Ipv4Addr::LOCALHOST, relay.port())).unwrap();
        let mut buffer = [0; 16];
        client.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
    }

    #[test]
    fn datagrams_pass_both_ways_are_lost_while_cut_and_pass_again() {
        // Given a target that answers, and two clients.
        let target = socket().unwrap();
        let relay = Relay::to(target.local_addr().unwrap().port()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let echo = thread::spawn(move || {
            let mut buffer = [0; 16];
            while !over.load(Ordering::SeqCst) {
                let Ok((length, from)) = target.recv_from(&mut buffer) else { continue };
                target.send_to(&buffer[..length], from).unwrap();
            }
        });
        let clients = [socket().unwrap(), socket().unwrap()];

        // Then each gets its own answers.
        for client in &clients {
            until("an answer", || send_and_receive(client, &relay));
        }
        // And none while the link is cut.
        relay.set_cut(true);
        until("the datagrams on their way are over", || {
            clients[0].recv(&mut [0; 16]).is_err().then_some(())
        });
        assert_eq!(send_and_receive(&clients[0], &relay), None);
        until("it is counted", || (relay.counts().1 > 0).then_some(()));
        // And again once it is healed.
        relay.set_cut(false);
        assert_eq!(until("an answer", || send_and_receive(&clients[0], &relay)), b"ping");
        is_over.store(true, Ordering::SeqCst);
        echo.join().unwrap();
    }
}
