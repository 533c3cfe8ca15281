//! Reads a data directory: which block is meant, what is stored of it, how large it all is, whether it holds together.
//!
//! Everything here is read-only, works beside a running node, and gives values; whoever asks prints them and writes
//! them to files.
//!
//! The hard idea: a tool must never hold a snapshot for long, because a held snapshot keeps the writer from reusing
//! pages and the file grows. So each walk reads a bounded chunk, closes its transaction, and only then prints; a
//! walk that needs one chain throughout checks by parent links that it still walks the same one.
//!
//! | question | module |
//! |---|---|
//! | opening a data directory | `directory` |
//! | which chain, how far, how large | [`info`], [`stats`] |
//! | `head`, `0x12..`, `17`: which block is that, for a tool, a client and a peer | [`block_id`], [`which`] |
//! | head and checkpoints, where the chain begins and ends, what can be served | [`ends`], [`held`] |
//! | the blocks of a range, proven to be all of it | [`walk`] |
//! | what is stored of a block | [`stored`] |
//! | one block or state, proven under another | [`proof`] |
//! | a finalized segment, read in short transactions and encoded | [`seal`] |
//! | the objects of an archive, made when they are asked for | [`objects`] |
//! | every stored block of a stretch of slots, forks included | [`tree`] |
//! | who voted in which slot | [`participation`] |
//! | what a block changed in its parent's state | [`change`] |
//! | the chain of a running node, for its servers | [`served`] |
//! | one block, state or diff for a person; containers as JSON | [`get`], [`json`] |
//! | one digest over a stretch of the chain | [`checksum`] |
//! | the rows of a table, whatever they hold | [`rows`] |
//! | what no segment holds yet, as a writer's tail; told to whoever asks | [`tails`], [`served_tail`] |
//! | which rows two databases do not have in common | [`diff`] |
//! | what the invariants say | [`verify`] |
//!
//! Absent on purpose: anything that writes.

pub mod block_id;
pub mod change;
pub mod checksum;
pub mod diff;
mod directory;
pub mod ends;
mod error;
pub mod get;
pub mod held;
pub mod info;
pub mod json;
pub mod objects;
pub mod participation;
pub mod proof;
pub mod rows;
pub mod seal;
pub mod served;
pub mod served_tail;
pub mod stats;
pub mod stored;
pub mod tails;
pub mod tree;
pub mod verify;
pub mod walk;
pub mod which;

pub use directory::{database_path, open_chain, open_tables};
pub use error::{InspectError, LookupError, NotStored, PrunedPart, StoreError};
