//! History as files: an archive written from a chain, verified, and made into a directory again.
//!
//! What the files are is `lamella-archive`'s; where they lie is a folder, a bucket or another node, which only this crate knows; what a
//! directory holds and how one is made is `lamella-chain`'s. Here the three meet, in jobs that can be killed at any instant:
//! each leaves confirmed objects, or whole segments beside a directory's place, and goes on from there.
//!
//! | question | module |
//! |---|---|
//! | put if absent, read whole, list; what a failed put means | [`store`] |
//! | what lies where; names held to contents; two chains | [`remote`] |
//! | shipping, and when an upload counts | [`archiver`] |
//! | shipping what is not sealed yet; who is fenced off | [`tails`] |
//! | block proofs beside the segments | [`proofs`], `sidecar` |
//! | the frontier, and what it proves | [`proven`] |
//! | two chains, told apart by a trusted root | `two_chains` |
//! | another's chain, taken over and kept up with | [`follower`] |
//! | verifying all of it | [`verifier`] |
//! | a directory made of it | [`restorer`] |
//! | what a directory lacks before its checkpoint | [`backfill`] |
//! | parts of it, for a repair | [`parts`] |
//! | objects that nobody can use | [`cleaner`] |
//!
//! Absent on purpose: a manifest, a cursor beside the database, an overwrite, a thread or a runtime that a caller sees.

mod ahead;
pub mod archiver;
pub mod backfill;
pub mod cleaner;
mod error;
pub mod follower;
mod listed_tails;
pub mod parts;
pub mod proofs;
pub mod proven;
pub mod remote;
pub mod restorer;
mod sidecar;
pub mod store;
pub mod tails;
mod two_chains;
pub mod verifier;

pub use error::ShippingError;
pub use lamella_inspect::seal;
