//! Proofs that were stored as they came, and that nobody has checked yet.
//!
//! A run of old blocks is proven by what two thirds of the registry signed in its last ones, and a block's root does not
//! cover its proof. So the proofs before the last ones may be anything. They are kept, since a peer will want them, but
//! not served before they were checked one by one. This row says which they are: every proof of a block in a range of
//! slots, and some below it that were checked and found bad.
//!
//! ```text
//! unchecked_proofs = format: u8 = 1 | first slot u64 BE | end u64 BE | bad: key 40 each
//! ```
//!
//! Without the row there are none. A range says more than it must: blocks between two runs count as unchecked until the
//! checking has passed them.

use std::ops::Range;

use lamella_tables::{
    Bytes, EngineError, Key as _, Meta, MetaName, Read, ReadError, SlotRoot, WriteTxn,
};
use lamella_types::Slot;

use crate::contradiction;

const FORMAT: u8 = 1;

/// Bytes of a key.
const KEY_BYTES: usize = 40;

/// Bad proofs remembered by key: a row of under 3 KB. Where there are more, nothing above is checked and served.
pub const BAD_PROOFS_MAX: usize = 64;

/// Which proofs are not to be relied on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UncheckedProofs {
    slots: Range<Slot>,
    bad: Vec<SlotRoot>,
}

impl UncheckedProofs {
    /// Name of its row of `Meta`.
    pub const NAME: &str = "unchecked_proofs";

    /// One proof is not there, or bad, and no other.
    #[must_use]
    pub fn of(bad: SlotRoot) -> Self {
        Self { slots: 0..0, bad: vec![bad] }
    }

    /// Reads which proofs are unchecked.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Self, ReadError> {
        let name = MetaName::new(Self::NAME);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(Self::default()) };
        let bad = || contradiction::<Meta>(&name, "not a range of slots and keys".to_owned());
        Self::decode(&bytes).ok_or_else(bad)
    }

    /// Writes the row, or deletes it if every proof is good.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), EngineError> {
        let name = MetaName::new(Self::NAME);
        if *self == Self::default() {
            return txn.delete::<Meta>(&name).map(|_| ());
        }
        txn.put::<Meta>(&name, &Bytes(self.encode()))
    }

    /// Slots whose proofs wait to be checked; empty if none does.
    #[must_use]
    pub const fn slots(&self) -> &Range<Slot> {
        &self.slots
    }

    /// Whether the proof of this block may be bad.
    #[must_use]
    pub fn contains(&self, key: &SlotRoot) -> bool {
        self.slots.contains(&key.slot) || self.bad.contains(key)
    }

    /// Whether any proof may be bad.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slots.start >= self.slots.end && self.bad.is_empty()
    }

    /// Proofs at these slots were stored as they came.
    pub fn add(&mut self, slots: Range<Slot>) {
        self.slots = if self.slots.is_empty() {
            slots
        } else {
            self.slots.start.min(slots.start)..self.slots.end.max(slots.end)
        };
    }

    /// Every proof below `next` was checked; these are bad. `false`, and nothing changes, if too many are.
    #[must_use]
    pub fn checked_below(&mut self, next: Slot, bad: &[SlotRoot]) -> bool {
        // A range that grew downwards is checked again, and what is bad in it is known already.
        let new: Vec<SlotRoot> =
            bad.iter().filter(|key| !self.bad.contains(key)).copied().collect();
        if self.bad.len() + new.len() > BAD_PROOFS_MAX {
            return false;
        }
        self.bad.extend(new);
        self.slots = if next < self.slots.end { next..self.slots.end } else { 0..0 };
        true
    }

    /// A proof is missing or cannot be read. `false`, and nothing changes, if too many are.
    #[must_use]
    pub fn mark_bad(&mut self, key: SlotRoot) -> bool {
        if self.contains(&key) {
            return true;
        }
        let has_room = self.bad.len() < BAD_PROOFS_MAX;
        if has_room {
            self.bad.push(key);
        }
        has_room
    }

    /// Proofs that are known to be bad or missing.
    #[must_use]
    pub fn bad(&self) -> &[SlotRoot] {
        &self.bad
    }

    /// A bad or missing proof has been replaced by a good one. `false` if this was not one.
    #[must_use]
    pub fn replaced(&mut self, key: &SlotRoot) -> bool {
        let before = self.bad.len();
        self.bad.retain(|bad| bad != key);
        self.bad.len() < before
    }

    /// Proofs before this key are pruned, bad ones and those that wait too.
    pub fn pruned_below(&mut self, floor: &SlotRoot) {
        self.bad.retain(|bad| bad >= floor);
        let start = self.slots.start.max(floor.slot);
        self.slots = if start < self.slots.end { start..self.slots.end } else { 0..0 };
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.slots.start.to_be_bytes());
        bytes.extend_from_slice(&self.slots.end.to_be_bytes());
        bytes.extend(self.bad.iter().flat_map(SlotRoot::encode));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[FORMAT])?;
        let slots = Slot::decode(rest.split_off(..8)?)?..Slot::decode(rest.split_off(..8)?)?;
        let keys = rest.chunks(KEY_BYTES);
        let bad: Vec<SlotRoot> = keys.map(SlotRoot::decode).collect::<Option<_>>()?;
        (bad.len() <= BAD_PROOFS_MAX).then_some(Self { slots, bad })
    }
}

#[cfg(test)]
mod tests {
    use lamella_types::Root;

    use super::*;

    fn key(slot: Slot) -> SlotRoot {
        SlotRoot::new(slot, Root::new([7; 32]))
    }

    /// Golden bytes: who changes them changes what directories say, and bumps the schema.
    #[test]
    fn a_row_comes_back_and_no_cut_one_does() {
        let mut unchecked = UncheckedProofs::default();
        unchecked.add(5..9);
        unchecked.add(20..30);
        assert!(unchecked.checked_below(7, &[key(6)]));
        let bytes = unchecked.encode();
        let expected = [&[1][..], &[0; 7], &[7], &[0; 7], &[30], &[0; 7], &[6], &[7; 32]].concat();
        assert_eq!(bytes, expected);
        assert_eq!(UncheckedProofs::decode(&bytes), Some(unchecked));
        for length in (0..bytes.len()).filter(|length| *length != 17) {
            assert_eq!(UncheckedProofs::decode(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_bad_proof_is_one_until_it_is_replaced_or_pruned() {
        let mut unchecked = UncheckedProofs::default();
        assert!(unchecked.checked_below(0, &[key(6), key(8), key(9)]));
        assert!(unchecked.replaced(&key(8)) && !unchecked.replaced(&key(8)));
        assert_eq!(unchecked.bad(), [key(6), key(9)]);
        unchecked.add(5..20);
        unchecked.pruned_below(&key(9));
        assert_eq!((unchecked.bad(), unchecked.slots()), (&[key(9)][..], &(9..20)));
        unchecked.pruned_below(&key(20));
        assert!(unchecked.is_empty());
        assert!(unchecked.checked_below(0, &[key(9)]));
        assert!(unchecked.replaced(&key(9)) && unchecked.is_empty());
    }

    #[test]
    fn what_was_checked_leaves_the_range_and_what_is_bad_stays() {
        let mut unchecked = UncheckedProofs::default();
        assert!(unchecked.is_empty());
        unchecked.add(10..20);
        assert!(unchecked.checked_below(15, &[key(12)]));
        let is_in = |unchecked: &UncheckedProofs| {
            [9, 12, 14, 15, 19, 20].map(|slot| unchecked.contains(&key(slot)))
        };
        assert_eq!(is_in(&unchecked), [false, true, false, true, true, false]);
        assert!(unchecked.checked_below(20, &[]));
        assert_eq!(is_in(&unchecked), [false, true, false, false, false, false]);
        assert!(!unchecked.is_empty());
        let many: Vec<SlotRoot> = (100..164).map(key).collect();
        assert!(!unchecked.checked_below(64, &many));
        assert!(unchecked.checked_below(64, &many[..63]));
    }
}
