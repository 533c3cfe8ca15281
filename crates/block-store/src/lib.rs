//! Blocks by root and slot, the canonical index, and the pruning of signatures.
//!
//! A block is stored in three parts with different lives: its header and body are kept for ever, its proof
//! (kilobytes to hundreds of them) only while peers may ask for it. Where an operator chose that, old bodies go too. Asking for a signed block therefore has
//! five outcomes: found, unknown, pruned, not checked yet, and damaged, which is an error.
//!
//! Functions take a transaction and never open or commit one.

mod blocks;
mod canonical;
mod extent;
mod signatures;
mod unchecked;

pub use blocks::{
    block, body, delete_contents, has_body_row, header, header_at, put_block, put_unindexed,
    roots_at, slot,
};
pub use canonical::{canonical_root, put_canonical, remove_canonical};
pub use extent::{Extent, Hole, RANGES_MAX, Range, SignatureFloor};
pub use signatures::{
    PRUNE_ROWS_MAX, PruneStep, SIGNATURE_PRUNING_RANGE_SLOTS, SignedBlockRead, block_as_stored,
    checked_proof, prune_signatures, put_signature, signature_floor, signed_block,
    signed_blocks_in,
};
pub use unchecked::{BAD_PROOFS_MAX, UncheckedProofs};

use lamella_tables::{Damage, Fault, Key, ReadError, Table};

/// A row that proves itself but contradicts another one.
fn contradiction<T: Table>(key: &T::Key, what: String) -> ReadError {
    Damage::new::<T>(Key::encode(key), Fault::Content(what)).into()
}
