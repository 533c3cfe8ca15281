//! Limits and timing of the lstar fork, named as leanSpec names them (`forks/lstar/config.py`).

/// Entries a state's `historical_block_hashes` and `justified_slots` may hold: 2^18 slots, 12.1 days at 4 s.
/// The chain cannot pass the slot of this number.
pub const HISTORICAL_ROOTS_LIMIT: usize = 1 << 18;

/// Last slot that a block can have: the history of its state is then full.
pub const CHAIN_LAST_SLOT: u64 = HISTORICAL_ROOTS_LIMIT as u64;

/// Binary logarithm of [`HISTORICAL_ROOTS_LIMIT`]: the depth of the history's Merkle tree.
pub const HISTORICAL_ROOTS_DEPTH: usize = 18;

/// Validators a registry may hold.
pub const VALIDATOR_REGISTRY_LIMIT: usize = 1 << 12;

/// Bits of `justifications_validators`: one for each pair of tracked root and validator.
pub const JUSTIFICATION_VALIDATORS_LIMIT: usize = HISTORICAL_ROOTS_LIMIT * VALIDATOR_REGISTRY_LIMIT;

/// Distinct `AttestationData` a block may carry.
pub const MAX_ATTESTATIONS_DATA: usize = 8;

/// Bytes of a block proof or an aggregate proof: 512 KiB.
pub const PROOF_BYTES_MAX: usize = 512 * 1024;

/// Bytes of a body's vote with its offset: its data, the offset of its bits, and the bits of a full registry.
const BODY_VOTE_BYTES_MAX: usize = 4 + 4 + 128 + VALIDATOR_REGISTRY_LIMIT / 8 + 1;

/// SSZ bytes of the largest signed block that can be valid: eight votes of all validators, and the largest proof.
pub const SIGNED_BLOCK_BYTES_MAX: usize =
    8 + 84 + 4 + MAX_ATTESTATIONS_DATA * BODY_VOTE_BYTES_MAX + 4 + PROOF_BYTES_MAX;

/// SSZ bytes of the largest gossiped aggregate: its data, the bits of a full registry, and the largest proof.
pub const SIGNED_AGGREGATE_BYTES_MAX: usize =
    132 + 8 + VALIDATOR_REGISTRY_LIMIT / 8 + 1 + PROOF_BYTES_MAX;

/// Roots of one `blocks_by_root` request and slots of one `blocks_by_range` request.
pub const MAX_REQUEST_BLOCKS: usize = 1024;

/// Intervals of a slot: propose, attest, aggregate, safe target, accept.
pub const INTERVALS_PER_SLOT: u64 = 5;

/// Wall-clock length of a slot on a real network.
pub const SLOT_MS: u64 = 4_000;

/// Intervals by which a vote's slot may run ahead of the local clock.
pub const GOSSIP_DISPARITY_INTERVALS: u64 = 1;

/// Steps that the attestation target walks back from the head towards the safe target.
pub const JUSTIFICATION_LOOKBACK_SLOTS: u64 = 3;

/// Slots after finality that are always justifiable.
pub const IMMEDIATE_JUSTIFICATION_WINDOW: u64 = 5;

/// Attestation subnets of the network unless configured otherwise.
pub const ATTESTATION_COMMITTEE_COUNT: u64 = 1;

/// Roots of one history segment: 32 KiB of hashes under one Merkle subtree.
/// Also the distance in slots between two anchors of a chain without skipped boundaries.
pub const SEGMENT_ROOTS: usize = 1 << SEGMENT_DEPTH;

/// Depth of a segment's Merkle subtree.
pub const SEGMENT_DEPTH: usize = 10;
