//! The rows of `Votes`: what fork choice counts, without the proofs.
//!
//! ```text
//! row  = format: u8 = 1 | data: 128 | pools: u8 (1 known, 2 pending, 3 both) | known? | pending?
//! pool = order: i64 BE | bits in bytes: u16 BE | SSZ bitlist
//! ```
//!
//! A later version may append to a row; this one reads what it knows.

use std::collections::HashSet;

use lamella_fork_choice::{PoolVotes, VoteChange, VoteRow};
use lamella_tables::{
    Bytes, Damage, EngineError, Key as _, Read, ReadError, SlotRoot, Votes, WriteTxn,
};
use lamella_types::{AggregationBits, AttestationData, Decode, hash_tree_root, to_ssz};

use crate::meta::content;

pub(crate) const FORMAT: u8 = 1;
const KNOWN: u8 = 1;
const PENDING: u8 = 2;

/// Writes what changed since the last commit.
pub(crate) fn put_changes(
    txn: &mut WriteTxn<'_>,
    changes: &[VoteChange],
) -> Result<(), EngineError> {
    for VoteChange { slot, data_root, row } in changes {
        let key = SlotRoot::new(*slot, *data_root);
        match row {
            Some(row) => txn.put::<Votes>(&key, &Bytes(encode(row)))?,
            None => {
                txn.delete::<Votes>(&key)?;
            }
        }
    }
    Ok(())
}

/// The stored votes.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredVotes {
    /// Those that can be counted.
    pub(crate) rows: Vec<VoteRow>,
    /// Keys of those that cannot, and why. Losing one costs that vote: votes come again by gossip.
    pub(crate) dropped: Vec<(SlotRoot, Damage)>,
}

/// Every stored vote.
///
/// # Errors
/// The engine, or a row whose key is none of the table.
pub(crate) fn read_all(txn: &impl Read) -> Result<StoredVotes, ReadError> {
    let mut votes = StoredVotes::default();
    let (mut known, mut pending) = (HashSet::new(), HashSet::new());
    for row in txn.scan::<Votes>(SlotRoot::first_of(0))? {
        let checked = row.and_then(|(key, Bytes(bytes))| {
            let row = check(&key, &bytes)?;
            let taken = |places: &mut HashSet<i64>, votes: &Option<PoolVotes>| {
                votes.as_ref().is_some_and(|votes| !places.insert(votes.order))
            };
            match taken(&mut known, &row.known) || taken(&mut pending, &row.pending) {
                true => Err(content::<Votes>(&key, "another vote holds its place in the pool")),
                false => Ok(row),
            }
        });
        match checked {
            Ok(row) => votes.rows.push(row),
            Err(ReadError::Damaged(damage)) => match SlotRoot::decode(&damage.key) {
                Some(key) => votes.dropped.push((key, damage)),
                None => return Err(damage.into()),
            },
            Err(error @ ReadError::Engine(_)) => return Err(error),
        }
    }
    Ok(votes)
}

pub(crate) fn check(key: &SlotRoot, bytes: &[u8]) -> Result<VoteRow, ReadError> {
    let row = decode(bytes).ok_or_else(|| content::<Votes>(key, "not a vote row"))?;
    if *key != SlotRoot::new(row.data.slot, hash_tree_root(&row.data)) {
        return Err(content::<Votes>(key, "the vote belongs under another key"));
    }
    match row.known.iter().chain(&row.pending).all(PoolVotes::has_place) {
        true => Ok(row),
        false => Err(content::<Votes>(key, "no pool hands out its place")),
    }
}

pub(crate) fn encode(row: &VoteRow) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend(to_ssz(&row.data));
    let known = if row.known.is_some() { KNOWN } else { 0 };
    let pending = if row.pending.is_some() { PENDING } else { 0 };
    bytes.push(known | pending);
    for PoolVotes { order, participants } in row.known.iter().chain(&row.pending) {
        let bits = to_ssz(participants);
        bytes.extend_from_slice(&order.to_be_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "at most 4,097 bits")]
        bytes.extend_from_slice(&(bits.len() as u16).to_be_bytes());
        bytes.extend(bits);
    }
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<VoteRow> {
    let (data, rest) =
        bytes.strip_prefix(&[FORMAT])?.split_at_checked(AttestationData::SSZ_BYTES)?;
    let data = AttestationData::from_ssz(data).ok()?;
    let (pools, mut rest) = rest.split_first()?;
    let mut pool = |present: bool| {
        if !present {
            return Some(None);
        }
        let (order, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (bits, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = after;
        let participants = AggregationBits::from_ssz(bits).ok()?;
        Some(Some(PoolVotes { order: i64::from_be_bytes(*order), participants }))
    };
    let known = pool(pools & KNOWN != 0)?;
    let pending = pool(pools & PENDING != 0)?;
    matches!(*pools, 1..=3).then_some(VoteRow { data, known, pending })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(known: bool, pending: bool) -> VoteRow {
        let votes = |order, index| PoolVotes {
            order,
            participants: AggregationBits::from_indices([0, index]).unwrap(),
        };
        let data = AttestationData { slot: 3, ..AttestationData::default() };
        VoteRow {
            data,
            known: known.then(|| votes(-7, 9)),
            pending: pending.then(|| votes(8, 4095)),
        }
    }

    #[test]
    fn rows_come_back_longer_ones_too_and_no_cut_row_does() {
        for (known, pending) in [(true, false), (false, true), (true, true)] {
            let row = row(known, pending);
            let bytes = encode(&row);
            assert_eq!(decode(&bytes).as_ref(), Some(&row));
            assert_eq!(decode(&[&bytes[..], &[7; 9]].concat()), Some(row), "a later version's");
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length]), None);
            }
        }
    }

    #[test]
    fn a_row_has_these_bytes() {
        let row = row(true, false);
        let expected = [
            vec![1],
            to_ssz(&row.data),
            vec![1],
            (-7_i64).to_be_bytes().to_vec(),
            vec![0, 2, 1, 6],
        ];
        assert_eq!(encode(&row), expected.concat());
    }
}
