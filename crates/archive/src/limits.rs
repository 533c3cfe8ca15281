//! Bounds of every length in an archive. A reader compares with them before it allocates.

use lamella_types::{
    SEGMENT_ROOTS, VALIDATOR_REGISTRY_LIMIT,
    limits::{
        HISTORICAL_ROOTS_LIMIT, MAX_ATTESTATIONS_DATA, PROOF_BYTES_MAX, SIGNED_BLOCK_BYTES_MAX,
    },
};

/// Slots of a segment.
pub const SEGMENT_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// Segments that a chain can have: 256.
pub const SEGMENTS_MAX: u32 = 256;
const _: () = assert!(SEGMENTS_MAX as usize * SEGMENT_ROOTS == HISTORICAL_ROOTS_LIMIT);

/// Votes of a body: a valid block has eight at most, no two of the same data.
pub const BODY_VOTES_MAX: usize = MAX_ATTESTATIONS_DATA;

/// Votes of a segment.
const VOTES_MAX: usize = SEGMENT_ROOTS * BODY_VOTES_MAX;

/// Bytes of a varint of a slot or an index here, and of any number.
const VARINT_SMALL_MAX: usize = 3;
const VARINT_MAX: usize = 10;

/// Checkpoints that are not canonical blocks of the segment: three to a vote, two to a state, entry state included.
pub const FOREIGN_MAX: usize = 3 * VOTES_MAX + 2 * (SEGMENT_ROOTS + 1);

/// Bytes of the column of foreign checkpoints, 40 each: 1 MB.
pub const FOREIGN_BYTES_MAX: usize = 40 * FOREIGN_MAX;

/// Bytes of the column of state roots.
pub const STATE_ROOTS_BYTES_MAX: usize = 32 * SEGMENT_ROOTS;

/// Bytes of what votes are for: a count for each block, a slot and three checkpoints for each vote.
pub const VOTE_SHAPES_BYTES_MAX: usize =
    SEGMENT_ROOTS + VOTES_MAX * (VARINT_MAX + 3 * (1 + VARINT_SMALL_MAX));

/// Bytes of how voters are listed: bits, kind and count of each vote.
pub const VOTER_SHAPES_BYTES_MAX: usize = VOTES_MAX * (2 + 1 + 2);

/// Bytes of the voters themselves, at most a bit for each validator: 4 MiB.
pub const VOTERS_BYTES_MAX: usize = VOTES_MAX * VALIDATOR_REGISTRY_LIMIT / 8;

/// Bytes of what blocks change in states: at most eight votes of all validators for new targets and eight for old ones, and
/// a thousand targets dropped, 13 KB a block.
pub const CHANGES_BYTES_MAX: usize = 16 << 20;

/// Bytes of the entry state: 1,030 targets (the justifiable slots of 2^18) with votes of 4,096 validators are 0.56 MB.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// Bytes of proposers out of turn.
pub const PROPOSERS_BYTES_MAX: usize = SEGMENT_ROOTS * (2 + VARINT_MAX);

/// Bytes of a segment's object: each column as it is, and records' headers.
pub const SEGMENT_BYTES_MAX: usize = FOREIGN_BYTES_MAX
    + STATE_ROOTS_BYTES_MAX
    + VOTE_SHAPES_BYTES_MAX
    + VOTER_SHAPES_BYTES_MAX
    + VOTERS_BYTES_MAX
    + CHANGES_BYTES_MAX
    + ENTRY_BYTES_MAX
    + PROPOSERS_BYTES_MAX
    + SMALL_PARTS_BYTES_MAX;

/// Bytes of heads, records' headers and digest of any object, and of a frontier: 41 KB.
pub const SMALL_PARTS_BYTES_MAX: usize = 64 << 10;

/// Blocks of a tail object: as many as one import takes together.
pub const TAIL_BLOCKS_MAX: usize = 64;

/// Bytes of a tail object.
pub const TAIL_BYTES_MAX: usize = TAIL_BLOCKS_MAX * SIGNED_BLOCK_BYTES_MAX + SMALL_PARTS_BYTES_MAX;

/// Bytes of a sidecar of block proofs.
pub const SIDECAR_BYTES_MAX: usize = SEGMENT_ROOTS * PROOF_BYTES_MAX + SMALL_PARTS_BYTES_MAX;

/// Greatest sequence number of a tail object: 12 digits.
pub const TAIL_SEQUENCE_MAX: u64 = 999_999_999_999;

/// Binary logarithm of the largest window that a compressed column may ask a reader to keep: 8 MiB.
pub const WINDOW_LOG_MAX: u8 = 23;
