//! Clients by address, so that one of them takes a part of what all share and no more.
//!
//! Who owns an address of IPv6 owns 2^64 of them, so its first 64 bits count. On the loopback address are programs of this
//! machine, often all that there are, or all clients of a proxy: together they may take half.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// What one client takes.
#[derive(Debug)]
pub(super) struct Share {
    /// Its address, or the network that it is in.
    address: IpAddr,
    connections: Arc<Semaphore>,
    /// In KiB, rounded up.
    answers: Arc<Semaphore>,
    event_streams: Arc<Semaphore>,
    /// Segments of the archive that it waits for: one.
    seals: Arc<Semaphore>,
}

/// A client, for the handlers of its requests.
#[derive(Debug, Clone)]
pub(super) struct Client(Arc<Share>);

impl Client {
    /// Its address, or that of its network of 64 bits.
    pub(super) fn address(&self) -> IpAddr {
        self.0.address
    }

    /// Room for an answer.
    pub(super) fn answer(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.answers).try_acquire_many_owned(kib).ok()
    }

    /// Its turn to have a segment made.
    pub(super) async fn seal(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.seals).acquire_owned().await.ok()
    }

    /// A place for a stream of events.
    pub(super) fn event_stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.event_streams).try_acquire_owned().ok()
    }
}

/// Everyone who has a connection, or an answer under way.
#[derive(Debug)]
pub(super) struct Clients {
    limits: Limits,
    shares: Mutex<HashMap<IpAddr, Weak<Share>>>,
}

impl Clients {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, shares: Mutex::default() }
    }

    /// The client at this address, and its place for one more connection; `None` if it has taken its part of them.
    pub(super) fn connect(&self, address: IpAddr) -> Option<(Client, OwnedSemaphorePermit)> {
        let key = owner(address);
        let mut shares = self.shares.lock();
        // Bounded: each that stays has a connection, or an answer that takes room.
        shares.retain(|_, share| share.strong_count() > 0);
        let known = shares.get(&key).and_then(Weak::upgrade);
        let share = known.unwrap_or_else(|| {
            let share = Arc::new(self.share(key));
            shares.insert(key, Arc::downgrade(&share));
            share
        });
        drop(shares);
        let place = Arc::clone(&share.connections).try_acquire_owned().ok()?;
        Some((Client(share), place))
    }

    fn share(&self, address: IpAddr) -> Share {
        let limits = &self.limits;
        let part = if address.is_loopback() { limits.loopback_part } else { limits.address_part };
        let of = |all: usize| Arc::new(Semaphore::new((all / part.max(1)).max(1)));
        Share {
            address,
            connections: of(limits.connections),
            answers: of(limits.answer_bytes / 1024),
            event_streams: of(limits.event_streams),
            seals: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Who has this address: itself, or the network of 64 bits that it is in.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(clients: &Clients, address: &str) -> Option<(Client, OwnedSemaphorePermit)> {
        clients.connect(address.parse().unwrap())
    }

    /// Symptom: one address held all 256 connections, or all 128 MiB of answers that it did not read, and nobody else got
    /// any. Mechanism: only the sums were bounded. Fix: each address has a part.
    #[test]
    fn an_address_has_a_part_and_what_it_takes_is_nobody_elses_loss() {
        let limits = Limits {
            connections: 8,
            answer_bytes: 64 << 10,
            event_streams: 4,
            ..Limits::default()
        };
        let clients = Clients::new(limits);
        let held: Vec<_> = (0..2).map(|_| connect(&clients, "9.9.9.9").unwrap()).collect();
        assert!(connect(&clients, "9.9.9.9").is_none(), "a quarter of eight");
        assert!(connect(&clients, "::ffff:9.9.9.9").is_none(), "the same, written otherwise");
        let (client, _) = &held[0];
        let room = client.answer(16).unwrap();
        assert!(held[1].0.answer(1).is_none(), "its connections share a quarter of 64 KiB");
        let stream = client.event_stream().unwrap();
        assert!(client.event_stream().is_none());

        // Another address, and programs of this machine, have theirs.
        let (other, _place) = connect(&clients, "9.9.9.8").unwrap();
        assert!(other.answer(16).is_some() && other.event_stream().is_some());
        let local: Vec<_> = (0..4).map(|_| connect(&clients, "127.0.0.1").unwrap()).collect();
        assert!(connect(&clients, "127.0.0.1").is_none(), "a half of eight");
        assert!(local[0].0.answer(32).is_some());

        // What is given back can be had again, and who has nothing is forgotten.
        drop((room, stream, held));
        assert!(connect(&clients, "9.9.9.9").is_some());
        drop(connect(&clients, "1.1.1.1"));
        assert_eq!(clients.shares.lock().len(), 3);
        drop((local, other, connect(&clients, "2.2.2.2")));
    }

    #[test]
    fn who_has_a_network_of_64_bits_is_one_client() {
        let of = |text: &str| owner(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert!(of("::1").is_loopback() && of("::ffff:127.0.0.1").is_loopback());
        assert_ne!(of("9.9.9.9"), of("9.9.9.8"));
    }
}
