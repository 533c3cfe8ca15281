//! Gossip that waits for the node's verdict: how much of it, by forwarder, in messages and in bytes of memory.
//!
//! What a busy node misses does not come again, so some room is kept for blocks. A peer that goes leaves its share
//! behind until the verdicts are there: coming again does not make room.

use std::collections::HashMap;

use libp2p::PeerId;

use super::limits::{
    GOSSIP_PENDING_BYTES_MAX, GOSSIP_PENDING_BYTES_PER_PEER, GOSSIP_PENDING_MAX,
    GOSSIP_PENDING_PER_PEER,
};

/// Of what may wait, of one peer and in all, what only blocks may fill: 256 of them, or eight of the largest.
const KEPT_FOR_BLOCKS: Load = Load { messages: 256, bytes: 4 << 20 };

/// What may wait, and of one peer.
const LOAD_MAX: Load = Load { messages: GOSSIP_PENDING_MAX, bytes: GOSSIP_PENDING_BYTES_MAX };
const LOAD_PER_PEER: Load =
    Load { messages: GOSSIP_PENDING_PER_PEER, bytes: GOSSIP_PENDING_BYTES_PER_PEER };

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    all: Load,
    of_peers: HashMap<PeerId, Load>,
}

impl Pending {
    /// Whether a message of this size may join.
    pub(super) fn has_room(&self, peer: &PeerId, bytes: usize, is_block: bool) -> bool {
        let kept = if is_block { Load::default() } else { KEPT_FOR_BLOCKS };
        let of_peer = self.of_peers.get(peer).copied().unwrap_or_default();
        let fits = |load: Load, max: Load| {
            load.messages + kept.messages < max.messages
                && load.bytes + kept.bytes + bytes <= max.bytes
        };
        fits(of_peer, LOAD_PER_PEER) && fits(self.all, LOAD_MAX)
    }

    pub(super) fn add(&mut self, peer: PeerId, bytes: usize) {
        let of_peer = self.of_peers.entry(peer).or_default();
        for load in [of_peer, &mut self.all] {
            load.messages += 1;
            load.bytes += bytes;
        }
    }

    pub(super) fn remove(&mut self, peer: &PeerId, bytes: usize) {
        let Some(of_peer) = self.of_peers.get_mut(peer) else { return };
        for load in [&mut *of_peer, &mut self.all] {
            load.messages = load.messages.saturating_sub(1);
            load.bytes = load.bytes.saturating_sub(bytes);
        }
        if of_peer.messages == 0 {
            self.of_peers.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a peer send until there is no room; how many messages there were.
    fn fill(pending: &mut Pending, peer: PeerId, bytes: usize, is_block: bool) -> usize {
        let mut count = 0;
        while pending.has_room(&peer, bytes, is_block) {
            pending.add(peer, bytes);
            count += 1;
        }
        count
    }

    #[test]
    fn bytes_bound_large_messages_and_numbers_small_ones_and_blocks_still_fit() {
        let (mut pending, peer) = (Pending::default(), PeerId::random());
        assert_eq!(fill(&mut pending, peer, 1 << 20, false), 12, "large aggregates");
        assert_eq!(fill(&mut pending, peer, 1 << 20, true), 4, "the room for blocks");
        let mut pending = Pending::default();
        assert_eq!(fill(&mut pending, peer, 100, false), GOSSIP_PENDING_PER_PEER - 256);
        assert_eq!(fill(&mut pending, peer, 100, true), 256);
    }

    #[test]
    fn all_peers_together_are_bounded_and_a_verdict_makes_room() {
        let mut pending = Pending::default();
        let peers: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        let taken: usize = peers.iter().map(|peer| fill(&mut pending, *peer, 1 << 20, true)).sum();
        assert_eq!(taken << 20, GOSSIP_PENDING_BYTES_MAX);
        pending.remove(&peers[0], 1 << 20);
        assert_eq!(fill(&mut pending, peers[7], 1 << 20, true), 1);
        for peer in peers {
            (0..17).for_each(|_| pending.remove(&peer, 1 << 20));
        }
        assert_eq!((pending.all, pending.of_peers.len()), (Load::default(), 0));
    }
}
