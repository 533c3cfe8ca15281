//! A pool of aggregates: distinct attestation data in insertion order, each with its participants and proofs.
//!
//! Order is part of consensus: of two votes for one slot the first counts. An entry's `order` says its place, so
//! that it can be put in front without renumbering, survives a restart, and settles ties without a scan.
//! `participants` is the union over all proofs ever counted, and may exceed what `proofs` cover: proofs are not
//! persisted and are dropped first when memory runs short.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lamella_types::{AggregationBits, AttestationData, SingleMessageAggregate};

use crate::limits::{POOL_PROOF_BYTES_MAX, PROOFS_PER_DATA_MAX};

/// What became of something offered to a pool. None of them is the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was not there before and is now.
    New,
    /// It was there already.
    Known,
    /// A limit is reached. If the pool has an entry for the data, the participants count and only the proof is
    /// not kept; otherwise nothing was recorded.
    Full,
}

/// The votes for one attestation data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolEntry {
    /// The vote.
    pub data: AttestationData,
    /// Place in the pool, lowest first.
    pub order: i64,
    /// Everyone who counts as having cast it.
    pub participants: AggregationBits,
    /// Proofs to build blocks and larger aggregates from, distinct, in order of arrival.
    pub proofs: Vec<Arc<SingleMessageAggregate>>,
}

/// Distinct attestation data in insertion order. Cloning shares the entries.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    by_order: BTreeMap<i64, Arc<PoolEntry>>,
    order_of: HashMap<AttestationData, i64>,
    proof_bytes: usize,
}

impl Pool {
    /// Distinct data in the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Whether the pool has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    /// Bytes of all proofs kept.
    #[must_use]
    pub const fn proof_bytes(&self) -> usize {
        self.proof_bytes
    }

    /// The entries in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = &PoolEntry> {
        self.by_order.values().map(Arc::as_ref)
    }

    /// The entry for this data.
    #[must_use]
    pub fn get(&self, data: &AttestationData) -> Option<&PoolEntry> {
        self.at(*self.order_of.get(data)?)
    }

    /// Whether all of these count for this data.
    #[must_use]
    pub fn has_all(&self, data: &AttestationData, participants: &AggregationBits) -> bool {
        self.get(data).is_some_and(|entry| {
            participants.ones().all(|index| entry.participants.get(index) == Some(true))
        })
    }

    pub(crate) fn at(&self, order: i64) -> Option<&PoolEntry> {
        self.by_order.get(&order).map(Arc::as_ref)
    }

    /// The proofs for this data, none if it has no entry.
    pub(crate) fn proofs(&self, data: &AttestationData) -> &[Arc<SingleMessageAggregate>] {
        self.get(data).map_or(&[], |entry| &entry.proofs)
    }

    /// Puts data at `order`: a new entry, or an existing one moved there.
    pub(crate) fn place(&mut self, data: &AttestationData, order: i64) -> &PoolEntry {
        let entry = match self.order_of.insert(*data, order) {
            Some(old) => self.by_order.remove(&old),
            None => None,
        };
        let mut entry = entry.unwrap_or_else(|| {
            let participants = AggregationBits::default();
            Arc::new(PoolEntry { data: *data, order, participants, proofs: Vec::new() })
        });
        Arc::make_mut(&mut entry).order = order;
        self.by_order.entry(order).or_insert(entry)
    }

    /// Counts participants for data that has an entry.
    pub(crate) fn count(&mut self, data: &AttestationData, participants: &AggregationBits) {
        if let Some(entry) = self.entry_mut(data) {
            entry.participants.add_all(participants);
        }
    }

    /// Adds a proof to data that has an entry; at a limit only its participants.
    pub(crate) fn add_proof(
        &mut self,
        data: &AttestationData,
        proof: &Arc<SingleMessageAggregate>,
    ) -> Recorded {
        let proof_bytes = proof.proof.as_bytes().len();
        let room = self.proof_bytes.saturating_add(proof_bytes) <= POOL_PROOF_BYTES_MAX;
        let Some(entry) = self.entry_mut(data) else { return Recorded::Full };
        if entry.proofs.contains(proof) {
            return Recorded::Known;
        }
        entry.participants.add_all(&proof.participants);
        if !room || entry.proofs.len() >= PROOFS_PER_DATA_MAX {
            return Recorded::Full;
        }
        entry.proofs.push(Arc::clone(proof));
        self.proof_bytes += proof_bytes;
        Recorded::New
    }

    /// Takes over another pool's entry for data that has none here.
    pub(crate) fn adopt(&mut self, entry: &PoolEntry, order: i64) {
        self.place(&entry.data, order);
        self.count(&entry.data, &entry.participants);
        for proof in &entry.proofs {
            self.add_proof(&entry.data, proof);
        }
    }

    fn entry_mut(&mut self, data: &AttestationData) -> Option<&mut PoolEntry> {
        let order = self.order_of.get(data)?;
        self.by_order.get_mut(order).map(Arc::make_mut)
    }

    /// Drops the entries that `kept` refuses and returns their data.
    pub(crate) fn retain(&mut self, kept: impl Fn(&PoolEntry) -> bool) -> Vec<AttestationData> {
        let dropped: Vec<_> = self.iter().filter(|entry| !kept(entry)).map(|e| e.data).collect();
        for data in &dropped {
            self.remove(data);
        }
        dropped
    }

    pub(crate) fn remove(&mut self, data: &AttestationData) {
        let entry = self.order_of.remove(data).and_then(|order| self.by_order.remove(&order));
        if let Some(entry) = entry {
            self.proof_bytes -= proof_bytes(&entry);
        }
    }

    /// Drops proofs of the oldest slots until at most `bytes_max` remain. Participants stay.
    pub(crate) fn shed_proofs(&mut self, bytes_max: usize) {
        if self.proof_bytes <= bytes_max {
            return;
        }
        let mut oldest: Vec<_> = self.iter().map(|entry| (entry.data.slot, entry.order)).collect();
        oldest.sort_unstable();
        for (_, order) in oldest {
            if self.proof_bytes <= bytes_max {
                break;
            }
            if let Some(entry) = self.by_order.get_mut(&order) {
                self.proof_bytes -= proof_bytes(entry);
                Arc::make_mut(entry).proofs.clear();
            }
        }
    }
}

fn proof_bytes(entry: &PoolEntry) -> usize {
    entry.proofs.iter().map(|proof| proof.proof.as_bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use lamella_types::ProofBytes;

    use super::*;

    fn bits(indices: &[u64]) -> AggregationBits {
        AggregationBits::from_indices(indices.iter().copied()).unwrap()
    }

    fn proof(indices: &[u64], bytes: Vec<u8>) -> Arc<SingleMessageAggregate> {
        let proof = ProofBytes::new(bytes).unwrap();
        Arc::new(SingleMessageAggregate { participants: bits(indices), proof })
    }

    fn data(slot: u64) -> AttestationData {
        AttestationData { slot, ..AttestationData::default() }
    }

    #[test]
    fn moving_an_entry_to_the_front_keeps_its_proofs() {
        let mut pool = Pool::default();
        pool.place(&data(1), 0);
        pool.place(&data(2), 1);
        assert_eq!(pool.add_proof(&data(2), &proof(&[3], vec![7])), Recorded::New);
        pool.place(&data(2), -1);
        let order: Vec<_> = pool.iter().map(|entry| entry.data.slot).collect();
        assert_eq!(order, [2, 1]);
        assert_eq!(pool.proofs(&data(2)), [proof(&[3], vec![7])]);
        assert_eq!(pool.len(), 2);
    }

    #[test]
    fn a_proof_past_the_limit_still_counts_its_participants() {
        let mut pool = Pool::default();
        pool.place(&data(1), 0);
        for index in 0..PROOFS_PER_DATA_MAX as u64 {
            assert_eq!(pool.add_proof(&data(1), &proof(&[index], vec![])), Recorded::New);
        }
        assert_eq!(pool.add_proof(&data(1), &proof(&[0], vec![])), Recorded::Known);
        assert_eq!(pool.add_proof(&data(1), &proof(&[77], vec![])), Recorded::Full);
        let entry = pool.get(&data(1)).unwrap();
        assert_eq!(entry.participants.get(77), Some(true));
        assert_eq!(entry.proofs.len(), PROOFS_PER_DATA_MAX);
    }

    #[test]
    fn shedding_takes_the_proofs_of_the_oldest_slots_and_leaves_their_votes() {
        let mut pool = Pool::default();
        for slot in [5, 3, 4] {
            pool.place(&data(slot), slot.cast_signed());
            pool.add_proof(&data(slot), &proof(&[slot], vec![0; 10]));
        }
        pool.shed_proofs(10);
        assert_eq!(pool.proof_bytes(), 10);
        assert_eq!(pool.proofs(&data(5)).len(), 1);
        assert!(pool.iter().all(|entry| entry.participants.count_ones() == 1));
        pool.remove(&data(5));
        assert_eq!((pool.proof_bytes(), pool.len()), (0, 2));
    }
}
