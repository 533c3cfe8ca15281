//! How many states and bodies a directory keeps, and the bounded steps that delete the others.
//!
//! The hard idea: every branch stores a state whole at its first block from a multiple of 1,024 slots on, and a diff rests on
//! that anchor and on what is between. So no state at or above such a multiple rests on one below it, of whatever branch, and
//! a floor that moves in whole anchors never breaks a kept chain. It never passes the root of the live tree, so fork choice
//! and everything that can still be imported have their states.
//!
//! The floor stands in the extent and moves first, in the transaction of the first rows that go: from then on every state
//! below it is *pruned*, whether its row has gone or not. The rows follow in steps; `swept` says how far they are, in the
//! transaction of each step, so a kill between any two leaves what can be gone on from.
//!
//! The row `pruning` of `Meta`, only where states are pruned or were:
//!
//! ```text
//! format: u8 = 1 | mode: u8 (0 archive, 1 states, 2 light) | slots kept below the finalized one: u64 BE | swept: key 40
//! ```
//!
//! Headers, indexes, segments and registries stay, so every root remains provable. *Light* keeps of all before the last whole
//! anchor below what fork choice needs only these: bodies and proofs have the floor of states there. Where bodies are to go that
//! a sweep of states has passed, the sweep begins again at their floor.

mod step;

use std::{fmt, str::FromStr};

use lamella_block_store::Extent;
use lamella_fork_choice::ForkChoice;
use lamella_state_store::ANCHOR_INTERVAL_SLOTS;
use lamella_tables::{
    Bytes, EngineError, Key as _, Meta, MetaName, Read, ReadError, SlotRoot, WriteTxn,
};
use lamella_types::Slot;

use crate::identity::bad_row;

pub(crate) use step::{Floor, left_before, step};
pub use step::{PRUNED_STATES_MAX, StatesStep};

const FORMAT: u8 = 1;

/// What is kept of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PruneMode {
    /// All, for ever.
    #[default]
    Archive,
    /// At least those of this many slots below the finalized one.
    States(u64),
    /// Those that fork choice needs, and bodies and proofs of the same slots alone.
    Light,
}

impl PruneMode {
    /// The floor that it wants: a whole anchor, never above the root of the live tree. Upholds P3.
    pub(crate) fn floor(self, view: &ForkChoice) -> Slot {
        self.floor_at(view.tree_root().slot, view.latest_finalized().slot)
    }

    pub(crate) fn floor_at(self, tree_root: Slot, finalized: Slot) -> Slot {
        match self {
            Self::Archive => 0,
            Self::States(slots) => whole_anchor(finalized.saturating_sub(slots).min(tree_root)),
            Self::Light => whole_anchor(finalized.min(tree_root)),
        }
    }
}

/// The last slot up to this one from which on no state rests on an earlier one.
pub(crate) const fn whole_anchor(slot: Slot) -> Slot {
    slot - slot % ANCHOR_INTERVAL_SLOTS
}

impl fmt::Display for PruneMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive => f.write_str("archive"),
            Self::States(slots) => write!(f, "states:{slots}"),
            Self::Light => f.write_str("light"),
        }
    }
}

/// Not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither archive nor light, nor states:N with a number of slots N")]
pub struct NoMode(String);

impl FromStr for PruneMode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        let slots = || text.strip_prefix("states:")?.parse().ok();
        match text {
            "archive" => Ok(Self::Archive),
            "light" => Ok(Self::Light),
            _ => slots().map(Self::States).ok_or_else(|| NoMode(text.to_owned())),
        }
    }
}

/// The row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruning {
    /// What is kept.
    pub mode: PruneMode,
    /// Before this key nothing is left below the floors of states and of bodies.
    pub swept: SlotRoot,
}

impl Default for Pruning {
    fn default() -> Self {
        Self { mode: PruneMode::Archive, swept: SlotRoot::first_of(0) }
    }
}

impl Pruning {
    /// Name of the row.
    pub(crate) const NAME: &str = "pruning";

    /// What is kept; without a row, all.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Self, ReadError> {
        let name = MetaName::new(Self::NAME);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(Self::default()) };
        Self::decode(&bytes).ok_or_else(|| bad_row(&name))
    }

    /// One step of an import. A directory that never pruned is not looked at.
    pub(crate) fn step(
        &mut self,
        txn: &mut WriteTxn<'_>,
        floor: Floor,
    ) -> Result<StatesStep, ReadError> {
        if *self == Self::default() {
            return Ok(StatesStep::default());
        }
        step(txn, self, floor, PRUNED_STATES_MAX)
    }

    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), EngineError> {
        txn.put::<Meta>(&MetaName::new(Self::NAME), &Bytes(self.encode()))
    }

    fn encode(&self) -> Vec<u8> {
        let (mode, slots) = match self.mode {
            PruneMode::Archive => (0, 0),
            PruneMode::States(slots) => (1, slots),
            PruneMode::Light => (2, 0),
        };
        [&[FORMAT, mode][..], &u64::to_be_bytes(slots), &self.swept.encode()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mode, mut rest) = bytes.strip_prefix(&[FORMAT])?.split_first()?;
        let slots = Slot::decode(rest.split_off(..8)?)?;
        let mode = match mode {
            0 => PruneMode::Archive,
            1 => PruneMode::States(slots),
            2 => PruneMode::Light,
            _ => return None,
        };
        Some(Self { mode, swept: SlotRoot::decode(rest.split_off(..40)?)? })
    }
}

/// The slot below which states are pruned; 0 where none is.
///
/// # Errors
/// A damaged row, or the engine.
pub fn states_floor(txn: &impl Read) -> Result<Slot, ReadError> {
    Ok(Extent::read(txn)?.states_floor())
}

/// Whether the state of a block of this slot was pruned, where the directory can say so.
pub(crate) fn is_pruned(txn: &impl Read, slot: Slot) -> Result<bool, ReadError> {
    Ok(slot < states_floor(txn)?)
}

#[cfg(test)]
mod tests {
    use lamella_types::Root;

    use super::*;

    #[test]
    fn a_row_has_these_bytes_and_comes_back_longer_too_and_cut_never() {
        let swept = SlotRoot::new(2_048, Root::new([9; 32]));
        let pruning = Pruning { mode: PruneMode::States(258), swept };
        let bytes = pruning.encode();
        let expected = [&[1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 8, 0][..], &[9; 32]];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Pruning::decode(&[&bytes[..], &[8; 3]].concat()), Some(pruning));
        for length in 0..bytes.len() {
            assert_eq!(Pruning::decode(&bytes[..length]), None);
        }
        for mode in [PruneMode::Archive, PruneMode::Light] {
            let other = Pruning { mode, swept };
            assert_eq!(Pruning::decode(&other.encode()), Some(other));
        }
        assert_eq!(Pruning::decode(&[&[1, 9], &bytes[2..]].concat()), None, "a later mode");
    }

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        let states = [0, u64::MAX].map(PruneMode::States);
        for mode in [PruneMode::Archive, PruneMode::Light].into_iter().chain(states) {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for text in ["", "states", "states:", "states:-1", "states:x", "lite", "Archive"] {
            assert_eq!(text.parse::<PruneMode>(), Err(NoMode(text.to_owned())));
        }
    }
}
