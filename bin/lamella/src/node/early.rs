//! Votes that came before the blocks they name: kept, and judged again when a block is imported. leanSpec
//! `SyncService` keeps as many.

use std::collections::VecDeque;

use lamella_network::{PeerId, service::GossipMessage};
use lamella_types::limits::INTERVALS_PER_SLOT;

use super::Node;

/// Votes and aggregates kept; the oldest goes. Their signatures were checked, so only validators can fill it.
const EARLY_MAX: usize = 2_048;

/// Slots after which a vote is not waited with any more: its block comes by gossip, by root or with a range.
const EARLY_SLOTS_MAX: u64 = 32;

/// Votes whose blocks are not here.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    message: GossipMessage,
    /// When it came, by our clock.
    interval: u64,
}

impl Node {
    /// Keeps a vote, whose signature is good, for when its blocks are here.
    pub(super) fn keep_early(&mut self, peer: PeerId, message: GossipMessage) {
        if self.early.0.len() >= EARLY_MAX {
            self.early.0.pop_front();
        }
        let interval = self.chain.fork_choice().time();
        self.early.0.push_back(Waiting { peer, message, interval });
    }

    /// Blocks were imported: judges what waited for them.
    pub(super) fn judge_early(&mut self) {
        for waiting in std::mem::take(&mut self.early.0) {
            let is_known = waiting.message.data().is_some_and(|data| {
                let view = self.chain.fork_choice();
                [data.source, data.target, data.head].iter().all(|c| view.contains(&c.root))
            });
            if is_known {
                self.judge_kept(waiting.peer, waiting.message);
            } else {
                self.early.0.push_back(waiting);
            }
        }
    }

    /// An interval began: looks for heads that votes have named for a whole interval, and forgets what is too old.
    pub(super) fn look_for_early(&mut self, interval: u64) {
        let age = |waiting: &Waiting| interval.saturating_sub(waiting.interval);
        self.early.0.retain(|waiting| age(waiting) <= EARLY_SLOTS_MAX * INTERVALS_PER_SLOT);
        for waiting in self.early.0.iter().filter(|waiting| age(waiting) > 1) {
            let Some(data) = waiting.message.data() else { continue };
            self.catch_up.sync.heard_of(waiting.peer, data.head);
        }
    }
}
