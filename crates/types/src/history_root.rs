//! The root of a history that grows, without its entries: a Merkle frontier.

use crate::{
    limits::{HISTORICAL_ROOTS_DEPTH, HISTORICAL_ROOTS_LIMIT, SEGMENT_DEPTH, SEGMENT_ROOTS},
    merkle::{hash_pair, mix_in_length, zero_hash},
    root::Root,
};

/// The list is full: the chain has reached the slot limit of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "historical_block_hashes is limited to {HISTORICAL_ROOTS_LIMIT} slots and would hold {wanted}"
)]
pub struct HistoryFull {
    /// Entries that the list would have had.
    pub wanted: u64,
}

/// What the root of a history of up to 2^18 block roots depends on: 640 bytes at any length.
#[derive(Debug, Clone)]
pub struct HistoryRoot {
    length: usize,
    /// `frontier[level]` is the left sibling at `level` on the path of the next leaf, where its bit is set.
    frontier: [Root; HISTORICAL_ROOTS_DEPTH + 1],
}

impl HistoryRoot {
    /// Of a history of complete segments with these roots.
    ///
    /// # Errors
    /// [`HistoryFull`] beyond 256 of them.
    pub fn of_segments(roots: impl IntoIterator<Item = Root>) -> Result<Self, HistoryFull> {
        let mut history = Self::default();
        for root in roots {
            history.check_room(SEGMENT_ROOTS as u64)?;
            history.carry(root, SEGMENT_DEPTH);
            history.length += SEGMENT_ROOTS;
        }
        Ok(history)
    }

    /// Entries in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends one root. Returns the root of the segment that this completes, if it does.
    ///
    /// # Errors
    /// [`HistoryFull`] at 2^18 entries; the list is unchanged.
    pub fn push(&mut self, root: Root) -> Result<Option<Root>, HistoryFull> {
        self.check_room(1)?;
        Ok(self.append(root))
    }

    /// Appends one root; the caller has checked the limit.
    pub(crate) fn append(&mut self, root: Root) -> Option<Root> {
        let segment = self.carry(root, 0);
        self.length += 1;
        segment
    }

    /// Whether `count` more entries fit.
    ///
    /// # Errors
    /// [`HistoryFull`] if they do not.
    pub fn check_room(&self, count: u64) -> Result<(), HistoryFull> {
        let wanted = count.saturating_add(self.length as u64);
        if wanted > HISTORICAL_ROOTS_LIMIT as u64 { Err(HistoryFull { wanted }) } else { Ok(()) }
    }

    /// `hash_tree_root` of the list.
    ///
    /// # Cost
    /// 19 hashes.
    #[must_use]
    pub fn root(&self) -> Root {
        let mut node = Root::ZERO;
        for level in 0..HISTORICAL_ROOTS_DEPTH {
            node = if self.length >> level & 1 == 1 {
                hash_pair(&self.frontier[level], &node)
            } else {
                hash_pair(&node, &zero_hash(level))
            };
        }
        if self.length == HISTORICAL_ROOTS_LIMIT {
            node = self.frontier[HISTORICAL_ROOTS_DEPTH];
        }
        mix_in_length(&node, self.length)
    }

    /// Adds the subtree `node` of `level`, whose first leaf is the next, to the frontier. Returns the root of the
    /// segment that this completes, if it does.
    fn carry(&mut self, mut node: Root, mut level: usize) -> Option<Root> {
        let mut segment = None;
        while self.length >> level & 1 == 1 {
            node = hash_pair(&self.frontier[level], &node);
            level += 1;
            if level == SEGMENT_DEPTH {
                segment = Some(node);
            }
        }
        self.frontier[level] = node;
        segment
    }
}

impl Default for HistoryRoot {
    fn default() -> Self {
        Self { length: 0, frontier: [Root::ZERO; HISTORICAL_ROOTS_DEPTH + 1] }
    }
}
