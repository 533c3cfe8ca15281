//! Limits of the tree and the pools. leanSpec has none; where one bites, docs/spec-deviations.md says so.

use lamella_types::VALIDATOR_REGISTRY_LIMIT;

/// Slots by which the tree's root trails the finalized block. `latest_finalized` follows the head and may move
/// back with it; a reorg that takes back fewer slots of finality than this finds its blocks in the tree.
pub const TREE_LAG_SLOTS: u64 = 1_024;

/// Distinct data in the known pool. It must exceed the registry limit: then some entry is nobody's latest vote,
/// so making room never moves the head. One entry a slot lasts 9 h without finality; 8,192 x ~0.8 KB = 6.5 MB.
pub const KNOWN_DATA_MAX: usize = 2 * VALIDATOR_REGISTRY_LIMIT;

/// Distinct data left in the known pool after making room: an eighth less, so that a pool at its limit is
/// searched once in about a thousand insertions.
pub const KNOWN_DATA_KEPT: usize = KNOWN_DATA_MAX / 8 * 7;

const _: () = assert!(KNOWN_DATA_KEPT > VALIDATOR_REGISTRY_LIMIT, "eviction spares latest votes");

/// Distinct data in the pending pool, which empties once a slot. Honest validators of one slot produce one datum
/// for each view of the chain, a handful.
pub const PENDING_DATA_MAX: usize = 1_024;

/// Proofs kept for one datum in one pool: a few aggregators on each subnet, and their unions. Participants of a
/// further proof still count as votes.
pub const PROOFS_PER_DATA_MAX: usize = 16;

/// Proof bytes kept in one pool: 64 MiB, 350 of today's 190 KB aggregates or 128 of the largest. Beyond it the oldest
/// slots lose their proofs, never their votes; a block has room for the newest alone.
pub const POOL_PROOF_BYTES_MAX: usize = 64 << 20;

/// Raw signatures kept for one datum: one for each validator.
pub const SIGNATURES_PER_DATA_MAX: usize = VALIDATOR_REGISTRY_LIMIT;

/// Distinct data that raw signatures are kept for.
pub const SIGNATURE_DATA_MAX: usize = PENDING_DATA_MAX;

/// Raw signatures kept in all: eight full registries, 83 MB at 2,536 bytes each.
pub const SIGNATURES_MAX: usize = 8 * VALIDATOR_REGISTRY_LIMIT;
