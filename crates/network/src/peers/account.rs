//! Whose limits a peer draws on, and how much of them is left.

use core::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::{fading::Fading, limits::*};
use crate::bucket::{Bucket, Budget};

/// Whose limits a peer draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account<P> {
    /// Everybody's who calls from this address: an identity costs nothing. Of IPv6, the network of 64 bits, which is
    /// the least that anybody is given.
    Address(IpAddr),
    /// The peer's own: one that we dial, and one on this machine, where an address says nothing about who is
    /// behind it.
    Peer(P),
}

impl<P: Copy> Account<P> {
    /// The account of a peer that nobody vouches for.
    pub(super) fn of_stranger(peer: P, address: Option<IpAddr>) -> Self {
        let Some(address) = address.map(|address| address.to_canonical()) else {
            return Self::Peer(peer);
        };
        match address {
            local if local.is_loopback() => Self::Peer(peer),
            IpAddr::V4(_) => Self::Address(address),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self::Address(Ipv6Addr::from_bits(network).into())
            }
        }
    }
}

/// What an account may still have, and what is held against it.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) served: Arc<Budget>,
    pub(super) status: Bucket,
    pub(super) refusals: Bucket,
    gossip_messages: Bucket,
    gossip_bytes: Bucket,
    rubbish: Fading,
    pub(super) strikes: Fading,
    /// Until when no new identity is let in.
    pub(super) closed_until_ms: u64,
    pub(super) used_ms: u64,
}

impl Usage {
    pub(super) fn new(now_ms: u64) -> Self {
        let served = Bucket::new(SERVED_BYTES_BURST, SERVED_BYTES_PER_SECOND, now_ms);
        Self {
            served: Arc::new(Budget::new(served)),
            status: Bucket::new(STATUS_BURST, STATUS_PER_SECOND, now_ms),
            refusals: Bucket::new(REFUSALS_BURST, REFUSALS_PER_SECOND, now_ms),
            gossip_messages: Bucket::new(GOSSIP_BURST, GOSSIP_PER_SECOND, now_ms),
            gossip_bytes: Bucket::new(GOSSIP_BYTES_BURST, GOSSIP_BYTES_PER_SECOND, now_ms),
            rubbish: Fading::default(),
            strikes: Fading::default(),
            closed_until_ms: 0,
            used_ms: now_ms,
        }
    }

    /// Takes a gossiped message's share. Who brought rubbish lately pays up to four times as much for what it brings.
    pub(super) fn takes_gossip(&mut self, bytes: u64, now_ms: u64) -> bool {
        let price = u64::from(1 + self.rubbish.now(now_ms) / RUBBISH_POINTS_PER_PRICE);
        self.gossip_bytes.has(bytes.saturating_mul(price), now_ms)
            && self.gossip_messages.take(price, now_ms)
            && self.gossip_bytes.take(bytes.saturating_mul(price), now_ms)
    }

    /// It brought rubbish that somebody else may have made.
    pub(super) fn relayed(&mut self, now_ms: u64) {
        self.rubbish.add(RUBBISH_POINTS, RUBBISH_POINTS_MAX, now_ms);
    }

    /// When a new account would be no better than this one.
    pub(super) fn ends_ms(&self) -> u64 {
        let full_ms = self.used_ms.saturating_add(REFILL_MS);
        full_ms.max(self.rubbish.ends_ms()).max(self.strikes.ends_ms()).max(self.closed_until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_one_address_share_an_account_and_those_of_this_machine_do_not() {
        let account = |peer: u8, text: &str| Account::of_stranger(peer, text.parse().ok());
        assert_eq!(account(1, "203.0.113.9"), account(2, "203.0.113.9"));
        assert_eq!(account(1, "203.0.113.9"), account(2, "::ffff:203.0.113.9"));
        assert_ne!(account(1, "203.0.113.9"), account(1, "203.0.113.8"));
        assert_eq!(account(1, "2001:db8:1:2::1"), account(2, "2001:db8:1:2:ffff::"));
        assert_ne!(account(1, "2001:db8:1:2::1"), account(1, "2001:db8:1:3::1"));
        for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""] {
            assert_eq!(account(1, local), Account::Peer(1), "{local}");
        }
    }
}
