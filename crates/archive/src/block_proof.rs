//! The proof of one block or state under a root that somebody trusts: a header and 23 hashes.
//!
//! The branch is the standard one of SSZ: from the leaf `historical_block_hashes[slot]` of the trusted block's state up to its
//! `state_root`, generalized index `42 * 2^18 + slot`. 18 siblings in the list, its length, 4 in the state.

use lamella_types::{BlockHeader, Root, Slot, limits::HISTORICAL_ROOTS_DEPTH, merkle::hash_pair};

use crate::body_root::number_root;

/// Hashes of a branch.
pub const BRANCH_HASHES: usize = HISTORICAL_ROOTS_DEPTH + 1 + 4;

/// Generalized index of the data of field 5 (of 16) of a state, a list.
const LIST_DATA: u64 = (16 + 5) * 2;

/// That a root, or none, is the canonical one of a slot as seen from a later block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockProof {
    /// Header of the trusted block.
    pub trusted: BlockHeader,
    /// The slot asked for.
    pub slot: Slot,
    /// Root of its block; zero if the slot is empty.
    pub root: Root,
    /// The siblings from the leaf to the trusted block's `state_root`; none for the trusted block itself.
    pub branch: Vec<Root>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Made under another block.
    #[error("the proof is one under block {given}, trusted is {trusted}")]
    OtherTrusted {
        /// Root of the proof's header.
        given: Root,
        /// The root trusted.
        trusted: Root,
    },
    /// The trusted block cannot know of this slot.
    #[error("slot {slot} is after the trusted block's {trusted}")]
    SlotAfter {
        /// The slot asked for.
        slot: Slot,
        /// The trusted block's.
        trusted: Slot,
    },
    /// Another number of hashes than such a branch has.
    #[error("{got} hashes, {expected} are due")]
    BranchLength {
        /// Hashes given.
        got: usize,
        /// Hashes due.
        expected: usize,
    },
    /// The branch leads elsewhere.
    #[error("the branch leads to {computed}, the trusted state is {expected}")]
    OtherState {
        /// Where it leads.
        computed: Root,
        /// The trusted block's `state_root`.
        expected: Root,
    },
    /// A header of another block than the proven one.
    #[error("the header has root {given}, proven is {proven}")]
    OtherHeader {
        /// Root of the header.
        given: Root,
        /// The proven root.
        proven: Root,
    },
}

impl BlockProof {
    /// The leaf's generalized index in the trusted state, for checkers of standard branches.
    #[must_use]
    pub const fn generalized_index(&self) -> u64 {
        (LIST_DATA << HISTORICAL_ROOTS_DEPTH) | self.slot
    }

    /// Whether it proves, to whoever trusts this block root, that `root` is canonical at `slot`.
    ///
    /// # Errors
    /// [`ProofError`] if it does not.
    ///
    /// # Cost
    /// 31 hashes.
    pub fn check(&self, trusted: &Root) -> Result<(), ProofError> {
        let (given, trusted) = (self.trusted.root(), *trusted);
        if given != trusted {
            return Err(ProofError::OtherTrusted { given, trusted });
        }
        let (slot, last) = (self.slot, self.trusted.slot);
        if slot > last {
            return Err(ProofError::SlotAfter { slot, trusted: last });
        }
        let (got, expected) = (self.branch.len(), if slot == last { 0 } else { BRANCH_HASHES });
        if got != expected {
            return Err(ProofError::BranchLength { got, expected });
        }
        if slot == last {
            return self.check_root(given);
        }
        let (computed, expected) = (self.climb(), self.trusted.state_root);
        let length = self.branch[HISTORICAL_ROOTS_DEPTH];
        if computed == expected && length == number_root(last) {
            return Ok(());
        }
        Err(ProofError::OtherState { computed, expected })
    }

    /// As [`BlockProof::check`], and that this is the slot's header: so its body has `body_root` and its post-state
    /// `state_root`.
    ///
    /// # Errors
    /// [`ProofError`] if it does not.
    pub fn check_header(&self, trusted: &Root, header: &BlockHeader) -> Result<(), ProofError> {
        self.check(trusted)?;
        self.check_root(header.root())
    }

    fn check_root(&self, given: Root) -> Result<(), ProofError> {
        let proven = self.root;
        if given == proven { Ok(()) } else { Err(ProofError::OtherHeader { given, proven }) }
    }

    /// The root at the branch's upper end.
    fn climb(&self) -> Root {
        let mut index = self.generalized_index();
        let mut node = self.root;
        for sibling in &self.branch {
            node =
                if index & 1 == 1 { hash_pair(sibling, &node) } else { hash_pair(&node, sibling) };
            index >>= 1;
        }
        node
    }
}
