//! What the node says of itself, for readiness to judge.

use std::time::Instant;

use lamella_types::Slot;

/// Bytes that readers of other processes may hold back: some dozen slots' worth.
pub const HELD_BYTES_MAX: u64 = 1 << 20;

/// What the node says of itself, interval by interval.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The last interval that it lived through, and when.
    pub ticked: Option<(u64, Instant)>,
    /// Whether it dials nobody, and so is alone by choice.
    pub dials_nobody: bool,
    /// Peers whose head is after the slot of our clock.
    pub peers_ahead: usize,
    /// The process that holds most of the database back, and how many bytes.
    pub held: Option<(u32, u64)>,
    /// Whether other processes' readers cannot be seen: the engine's table of them has a layout that is not known.
    pub readers_unseen: bool,
    /// Why the guard beside the keys cannot be written, so that nothing is signed.
    pub guard_failure: Option<String>,
    /// Keys that sign nothing, since what they have signed cannot be read.
    pub silenced_keys: usize,
    /// What the keys of the node's validators can sign; `None` without keys.
    pub keys: Option<KeysStanding>,
    /// What a follower is at; `None` for a node, which follows nobody.
    pub following: Option<FollowStanding>,
    /// Slots of block proofs that are kept beyond their window since a required archive lacks them, and those that are
    /// pruned although it does; `None` if none is required.
    pub archive_lacks: Option<(u64, u64)>,
}

/// How a follower of another's archive stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowStanding {
    /// What it is at, in one word.
    pub state: &'static str,
    /// Whether its chain has parted from the one it followed.
    pub is_diverged: bool,
    /// Why nothing comes; empty while all is well.
    pub reason: String,
    /// Slots that the head may be behind the clock before it is unhealthy.
    pub lag_slots_max: u64,
}

impl FollowStanding {
    /// Why a follower whose head is so many slots behind the clock should not be asked; `None` if it may be.
    pub(super) fn is_unfit(&self, behind: u64) -> Option<String> {
        if self.is_diverged {
            return Some(self.reason.clone());
        }
        let reason = if self.reason.is_empty() { self.state } else { &self.reason };
        let most = self.lag_slots_max;
        (behind > most).then(|| {
            format!("the head is {behind} slots behind the clock, {most} allowed: {reason}")
        })
    }
}

/// What a node's keys can sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysStanding {
    /// Keys that cannot sign at the clock's slot, since it is not prepared.
    pub unprepared: usize,
    /// The first slot that not all of them can sign as prepared now.
    pub prepared_end: Slot,
    /// The first slot that not all of them can ever sign.
    pub active_end: Slot,
}
