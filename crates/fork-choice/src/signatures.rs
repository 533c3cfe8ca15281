//! Raw signatures that an aggregator holds until they are bundled. Memory only: after a restart they come again
//! by gossip or not at all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use lamella_types::{AggregationBits, AttestationData, ValidatorIndex};

use crate::{
    limits::{SIGNATURE_DATA_MAX, SIGNATURES_MAX, SIGNATURES_PER_DATA_MAX},
    pool::Recorded,
};

/// Signatures of one vote, by validator.
pub type Signatures = BTreeMap<ValidatorIndex, Arc<[u8]>>;

/// Raw signatures by attestation data, in order of arrival. leanSpec `attestation_signatures`.
#[derive(Debug, Clone, Default)]
pub struct SignaturePool {
    by_order: BTreeMap<u64, (AttestationData, Arc<Signatures>)>,
    order_of: HashMap<AttestationData, u64>,
    next_order: u64,
    count: usize,
}

impl SignaturePool {
    /// Distinct data with signatures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_order.len()
    }

    /// Whether there are no signatures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    /// Signatures for all data.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Data in order of arrival, with its signatures by validator.
    pub fn iter(&self) -> impl Iterator<Item = (&AttestationData, &Signatures)> {
        self.by_order.values().map(|(data, signatures)| (data, signatures.as_ref()))
    }

    /// The signatures for this data.
    #[must_use]
    pub fn get(&self, data: &AttestationData) -> Option<&Signatures> {
        self.by_order.get(self.order_of.get(data)?).map(|(_, signatures)| signatures.as_ref())
    }

    /// Keeps a validator's first signature of this data. At a limit, the data of the oldest slot makes room for
    /// newer; a proof that can no longer be built must not keep out one that can.
    pub(crate) fn record(
        &mut self,
        data: &AttestationData,
        validator_index: ValidatorIndex,
        signature: Arc<[u8]>,
    ) -> Recorded {
        let existing = self.get(data);
        if existing.is_some_and(|signatures| signatures.contains_key(&validator_index)) {
            return Recorded::Known;
        }
        let full_data = existing.is_some_and(|kept| kept.len() >= SIGNATURES_PER_DATA_MAX);
        let full = self.count >= SIGNATURES_MAX
            || (existing.is_none() && self.len() >= SIGNATURE_DATA_MAX);
        if full_data || (full && !self.remove_older_than(data)) {
            return Recorded::Full;
        }
        let order = *self.order_of.entry(*data).or_insert_with(|| {
            self.next_order += 1;
            self.next_order
        });
        let (_, signatures) = self.by_order.entry(order).or_insert_with(|| (*data, Arc::default()));
        Arc::make_mut(signatures).insert(validator_index, signature);
        self.count += 1;
        Recorded::New
    }

    /// Removes the data of the lowest slot if that is below `data`'s.
    fn remove_older_than(&mut self, data: &AttestationData) -> bool {
        let oldest = self.iter().map(|(data, _)| *data).min();
        match oldest.filter(|oldest| oldest.slot < data.slot) {
            Some(oldest) => {
                self.remove(&oldest);
                true
            }
            None => false,
        }
    }

    pub(crate) fn remove(&mut self, data: &AttestationData) {
        let removed = self.order_of.remove(data).and_then(|order| self.by_order.remove(&order));
        if let Some((_, signatures)) = removed {
            self.count -= signatures.len();
        }
    }

    /// Drops the signatures of validators that a proof of this data covers.
    pub(crate) fn remove_covered(&mut self, data: &AttestationData, covered: &AggregationBits) {
        let entry = self.order_of.get(data).and_then(|order| self.by_order.get_mut(order));
        let Some((_, signatures)) = entry else { return };
        let before = signatures.len();
        let is_covered = |validator: &ValidatorIndex| {
            usize::try_from(*validator).ok().and_then(|index| covered.get(index)) == Some(true)
        };
        Arc::make_mut(signatures).retain(|validator, _| !is_covered(validator));
        self.count -= before - signatures.len();
        if signatures.is_empty() {
            self.remove(data);
        }
    }

    pub(crate) fn retain(&mut self, kept: impl Fn(&AttestationData) -> bool) {
        let dropped: Vec<_> =
            self.iter().map(|(data, _)| *data).filter(|data| !kept(data)).collect();
        for data in &dropped {
            self.remove(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(slot: u64) -> AttestationData {
        AttestationData { slot, ..AttestationData::default() }
    }

    #[test]
    fn the_first_signature_of_a_validator_stays() {
        let mut pool = SignaturePool::default();
        assert_eq!(pool.record(&data(1), 3, Arc::from([1])), Recorded::New);
        assert_eq!(pool.record(&data(1), 3, Arc::from([2])), Recorded::Known);
        assert_eq!(pool.get(&data(1)).unwrap()[&3], Arc::from([1]));
    }

    #[test]
    fn at_the_limit_only_older_data_makes_room() {
        let mut pool = SignaturePool::default();
        for slot in 0..SIGNATURE_DATA_MAX as u64 {
            assert_eq!(pool.record(&data(10 + slot), 0, Arc::from([1])), Recorded::New);
        }
        assert_eq!(pool.record(&data(10), 1, Arc::from([1])), Recorded::New);
        assert_eq!(pool.record(&data(9), 0, Arc::from([1])), Recorded::Full);
        assert_eq!(pool.record(&data(5_000), 0, Arc::from([1])), Recorded::New);
        assert_eq!(pool.get(&data(10)), None);
        assert_eq!((pool.len(), pool.count()), (SIGNATURE_DATA_MAX, SIGNATURE_DATA_MAX));
    }
}
