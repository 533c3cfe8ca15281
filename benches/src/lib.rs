//! What the benchmarks measure on: chains of any length without importing them, and the blocks that follow.
//!
//! The hard idea: a long history costs nothing to make up. A [`State`](lamella_types::State) with random block
//! roots is as good an anchor as a grown one, since a chain may begin at any block that commits to its state. From
//! there on everything is real: [`BlockSource`] builds blocks that the state transition accepts, with the votes
//! that a healthy or a stalled network puts into them, and [`BenchChain`] imports them as the node does.
//!
//! | question | module |
//! |---|---|
//! | a registry, a history, an anchor state | [`synthetic`] |
//! | blocks with votes and proofs | [`blocks`] |
//! | a chain in a directory of its own | [`directory`] |
//! | the state as plain `ssz_rs` containers | [`plain`] |
//! | a store of full snapshots and diffs that are walked one by one | [`linear`] |
//! | the bytes of a commit, written and flushed by nothing but the system | [`bare`] |
//! | figures that are not times | [`figures`] |
//! | the points of the report's plots | [`sweep`] |
//! | a segment of the archive | [`archived`] |
//! | blocks with real signatures | [`signed`] |
//! | a full state decoded on as many threads as our own reads have | [`threads`] |
//! | timing one step and checking its result | [`timing`] |
//!
//! Everything is drawn from a fixed seed. Proofs are random bytes of a realistic size under the scheme `trust`, but for
//! the blocks of [`signed`], which show what verifying adds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "figures far below 2^52")]

pub mod archived;
pub mod bare;
pub mod blocks;
pub mod directory;
pub mod figures;
pub mod linear;
pub mod linear_diff;
pub mod parts;
pub mod plain;
pub mod random;
pub mod signed;
pub mod sweep;
pub mod synthetic;
pub mod threads;
pub mod timing;

pub use archived::Archived;
pub use blocks::BlockSource;
pub use directory::BenchChain;
pub use linear::LinearStore;
pub use plain::PlainState;
pub use random::Random;
pub use synthetic::{Finality, anchor, registry};
pub use timing::{Stopwatch, Times};

/// Validators of a large network: the registry's limit.
pub const LARGE: u64 = 4096;

/// Validators of a middling network.
pub const MIDDLING: u64 = 400;

/// Validators of a devnet.
pub const SMALL: u64 = 8;

/// First slot of the last anchor interval that fits the slot limit and leaves one more: 1,023 blocks later the chain
/// stands at slot 261,119, as far from an anchor as it can be.
pub const LONG: u64 = 254 * 1024;

/// The same at the beginning of a chain: 1,023 blocks later it stands at slot 2,047.
pub const SHORT: u64 = 1024;
