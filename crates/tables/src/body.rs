//! The stored form of a block body: its votes, without what repeats.
//!
//! At 4,096 validators two votes have 1,290 bytes of SSZ, and bodies are kept for ever: they were 71% of what a
//! healthy slot takes. But nearly everybody votes in time and few vote late, so absentees or voters are listed where
//! that is shorter than a bit each; and source, target and head of a block's votes are two or three checkpoints over
//! and over, so each is written once.
//!
//! ```text
//! body       = format: u8 = 1 | votes: varint | vote each
//! vote       = slot: varint | head, target, source: checkpoint each | voters
//! checkpoint = n: varint, the n-th one written in this body, counted back from the last | or 0 | slot: varint | root: 32
//! voters     = bits: varint | 0 | bitmap of ceil(bits / 8) bytes
//!                           | 1 | count: varint | gap list of those who vote
//!                           | 2 | count: varint | gap list of those who do not, whichever is shortest
//! ```
//!
//! A body has exactly one such form, and no other bytes are accepted.

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, BlockBody, Checkpoint,
    bits::{count_ones, ones},
    limits::MAX_ATTESTATIONS_DATA,
    packed::{FormatError, Reader, put_positions, put_varint, read_positions},
    root::ROOT_BYTES,
};

/// Format byte of a body.
const FORMAT: u8 = 1;

/// Least bytes of a vote: slot, three checkpoints written before, and no voters as an empty bitmap.
const VOTE_BYTES_MIN: usize = 6;

/// Most bytes of a body. A block carries at most 8 votes, no two of the same data; each is its slot, three checkpoints
/// that were not written before, and its voters as a bitmap of 4,096, for a list is only written where it is shorter.
pub(crate) const BYTES_MAX: usize = 1
    + 1
    + MAX_ATTESTATIONS_DATA * (VARINT_BYTES_MAX + 3 * CHECKPOINT_BYTES_MAX + VOTERS_BYTES_MAX);

/// A varint of 64 bits.
const VARINT_BYTES_MAX: usize = 10;

/// `0 | slot | root`.
const CHECKPOINT_BYTES_MAX: usize = 1 + VARINT_BYTES_MAX + ROOT_BYTES;

/// `bits | 0 | bitmap`: 4,096 takes a varint of two bytes.
const VOTERS_BYTES_MAX: usize = 2 + 1 + AggregationBits::LIMIT / 8;

/// The stored form.
pub(crate) fn encode(body: &BlockBody) -> Vec<u8> {
    let mut buffer = vec![FORMAT];
    let mut written = Vec::new();
    put_varint(&mut buffer, body.attestations.len() as u64);
    for AggregatedAttestation { aggregation_bits, data } in body.attestations.iter() {
        put_varint(&mut buffer, data.slot);
        for checkpoint in [data.head, data.target, data.source] {
            put_checkpoint(&mut buffer, &mut written, checkpoint);
        }
        put_voters(&mut buffer, aggregation_bits);
    }
    buffer
}

/// The body of a stored form.
pub(crate) fn decode(bytes: &[u8]) -> Result<BlockBody, FormatError> {
    let mut reader = Reader::new(bytes);
    let error = reader.error("format of a body");
    if reader.byte("format of a body")? != FORMAT {
        return Err(error);
    }
    let error = reader.error("votes");
    let count = reader.count("votes", VOTE_BYTES_MIN)?;
    let mut votes = Vec::with_capacity(count);
    let mut written = Vec::new();
    for _ in 0..count {
        let slot = reader.varint("slot of a vote")?;
        let mut checkpoint = || read_checkpoint(&mut reader, &mut written);
        let (head, target, source) = (checkpoint()?, checkpoint()?, checkpoint()?);
        let data = AttestationData { slot, head, target, source };
        votes.push(AggregatedAttestation { aggregation_bits: read_voters(&mut reader)?, data });
    }
    reader.end()?;
    let body = BlockBody::new(votes).ok_or(error)?;
    // A longer spelling of the same votes is not what was written.
    if encode(&body) == bytes { Ok(body) } else { Err(error) }
}

/// Looks through what was written: 24 checkpoints at most, for a valid block has eight votes.
fn put_checkpoint(buffer: &mut Vec<u8>, written: &mut Vec<Checkpoint>, checkpoint: Checkpoint) {
    match written.iter().rev().position(|before| *before == checkpoint) {
        Some(back) => put_varint(buffer, back as u64 + 1),
        None => {
            put_varint(buffer, 0);
            put_varint(buffer, checkpoint.slot);
            buffer.extend_from_slice(checkpoint.root.as_bytes());
            written.push(checkpoint);
        }
    }
}

fn read_checkpoint(
    reader: &mut Reader<'_>,
    written: &mut Vec<Checkpoint>,
) -> Result<Checkpoint, FormatError> {
    let error = reader.error("checkpoint");
    let back = usize::try_from(reader.varint("checkpoint")?).map_err(|_| error)?;
    if let Some(back) = back.checked_sub(1) {
        return written.iter().rev().nth(back).copied().ok_or(error);
    }
    let slot = reader.varint("checkpoint slot")?;
    let checkpoint = Checkpoint { slot, root: reader.root("checkpoint root")? };
    written.push(checkpoint);
    Ok(checkpoint)
}

fn put_voters(buffer: &mut Vec<u8>, voters: &AggregationBits) {
    put_varint(buffer, voters.len() as u64);
    let packed = voters.as_bytes();
    let absentees = complement(packed, voters.len());
    let lists = [(1, packed), (2, &absentees[..])].map(|(kind, listed)| {
        // A position takes a byte at least: a crowd need not be written out to see that it is longer.
        (count_ones(listed) < packed.len()).then(|| {
            let mut list = vec![kind];
            put_varint(&mut list, count_ones(listed) as u64);
            put_positions(&mut list, ones(listed));
            list
        })
    });
    let shortest = lists.into_iter().flatten().min_by_key(Vec::len);
    match shortest.filter(|list| list.len() < 1 + packed.len()) {
        Some(list) => buffer.extend(list),
        None => {
            buffer.push(0);
            buffer.extend_from_slice(packed);
        }
    }
}

fn read_voters(reader: &mut Reader<'_>) -> Result<AggregationBits, FormatError> {
    let error = reader.error("voters");
    let length = usize::try_from(reader.varint("voters")?).map_err(|_| error)?;
    if length > AggregationBits::LIMIT {
        return Err(error);
    }
    let bitmap_bytes = length.div_ceil(8);
    let packed = match reader.byte("voters")? {
        0 => reader.take("voters", bitmap_bytes)?.to_vec(),
        kind @ (1 | 2) => {
            let mut listed = vec![0; bitmap_bytes];
            let count = reader.count("voters", 1)?;
            for position in read_positions(reader, "voters", count, length)? {
                listed[position / 8] |= 1 << (position % 8);
            }
            if kind == 1 { listed } else { complement(&listed, length) }
        }
        _ => return Err(error),
    };
    AggregationBits::from_packed(packed, length).ok_or(error)
}

/// The other bits of the first `length`.
fn complement(packed: &[u8], length: usize) -> Vec<u8> {
    let mut other: Vec<u8> = packed.iter().map(|byte| !byte).collect();
    if !length.is_multiple_of(8)
        && let Some(last) = other.last_mut()
    {
        *last &= (1 << (length % 8)) - 1;
    }
    other
}

#[cfg(test)]
mod tests {
    use lamella_types::{Root, to_ssz};

    use super::*;

    fn checkpoint(slot: u64) -> Checkpoint {
        Checkpoint { slot, root: Root::new([u8::try_from(slot % 256).unwrap(); 32]) }
    }

    fn vote(
        slot: u64,
        voters: impl IntoIterator<Item = u64>,
        length: usize,
    ) -> AggregatedAttestation {
        let mut aggregation_bits = AggregationBits::from_indices(voters).unwrap();
        aggregation_bits.resize(length);
        let (head, target, source) = (checkpoint(slot), checkpoint(slot), checkpoint(slot - 1));
        AggregatedAttestation {
            aggregation_bits,
            data: AttestationData { slot, head, target, source },
        }
    }

    fn body(votes: Vec<AggregatedAttestation>) -> BlockBody {
        BlockBody::new(votes).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_are_these() {
        // All but one of 12, then two of 100, then every other one of 12; the second vote's source is new.
        let votes = vec![
            vote(300, (0..12).filter(|index| *index != 4), 12),
            vote(299, [5, 90], 100),
            vote(299, (0..12).step_by(2), 12),
        ];
        let (c300, c299, c298) = ("2c".repeat(32), "2b".repeat(32), "2a".repeat(32));
        let expected = [
            "0103",
            &format!("ac02 00ac02{c300} 01 00ab02{c299} 0c 00ef0f"),
            &format!("ab02 01 01 00aa02{c298} 64 01 02 05 54"),
            "ab02 02 02 01 0c 005505",
        ];
        let expected = expected.concat().replace(' ', "");
        assert_eq!(hex(&encode(&body(votes))), expected);
        assert_eq!(hex(&encode(&BlockBody::default())), "0100");
    }

    #[test]
    fn what_is_written_is_read() {
        let everyone = |absentee: u64| (0..4096).filter(move |index| index % absentee != 0);
        let bodies = [
            body(vec![]),
            body(vec![vote(9, [], 0), vote(9, [], 8), vote(u64::MAX, [0], 1)]),
            body(vec![vote(9, everyone(33), 4096), vote(8, (0..4096).step_by(33), 4096)]),
            body(vec![vote(9, everyone(2), 4096), vote(9, everyone(4097), 4096)]),
            body((1..20).map(|slot| vote(slot, [slot], 64)).collect()),
        ];
        for body in bodies {
            let bytes = encode(&body);
            assert_eq!(decode(&bytes).as_ref(), Ok(&body));
            assert!(bytes.len() <= to_ssz(&body).len());
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
            }
            assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "extended");
        }
    }

    /// Nothing panics, and whatever is accepted is what that body is written as.
    #[test]
    fn other_bytes_are_refused_or_canonical() {
        let body = body(vec![vote(9, 1..60, 64), vote(8, [3, 61], 64), vote(8, [3], 40)]);
        let bytes = encode(&body);
        let mut refused = 0;
        for position in 0..bytes.len() {
            for flip in 1..=255 {
                let mut other = bytes.clone();
                other[position] ^= flip;
                match decode(&other) {
                    Ok(read) => assert_eq!(encode(&read), other),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 1_000, "{refused}");
    }

    #[test]
    fn the_longest_body_of_a_valid_block_has_the_bytes_that_its_table_takes() {
        // Every checkpoint is new, every number as long as can be, and half of the validators vote.
        let far = |slot: u64| Checkpoint { slot, root: checkpoint(slot).root };
        let longest = |index: u64| {
            let mut vote = vote(u64::MAX - index, (0..4096).step_by(2), 4096);
            let slot = u64::MAX - 3 * index;
            vote.data.head = far(slot);
            (vote.data.target, vote.data.source) = (far(slot - 1), far(slot - 2));
            vote
        };
        let body = body((0..MAX_ATTESTATIONS_DATA as u64).map(longest).collect());
        assert_eq!(encode(&body).len(), BYTES_MAX);
    }

    #[test]
    fn a_longer_spelling_of_the_same_votes_is_refused() {
        // One vote with three times the same checkpoint: `0 | slot | root` where `1` was due; a list where a bitmap is as short.
        let root = "00".repeat(32);
        let spelled = |rest: &str| {
            let hex = rest.replace(' ', "").replace("root", &root);
            let bytes =
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
            decode(&bytes.map(Result::unwrap).collect::<Vec<_>>())
        };
        assert!(spelled("01 01 00 0000root 01 01 08 00 01").is_ok());
        assert!(spelled("01 01 00 0000root 0000root 01 08 00 01").is_err());
        assert!(spelled("01 01 00 0000root 01 01 08 01 01 00").is_err());
        assert!(spelled("01 01 00 0000root 02 01 08 00 01").is_err(), "no second checkpoint");
        assert!(spelled("01 01 00 0000root 01 01 07 00 80").is_err(), "a bit past the end");
        assert!(spelled("02 00").is_err(), "another format");
        assert!(spelled("01 ffffffffffffffffff01").is_err(), "more votes than bytes");
    }
}
