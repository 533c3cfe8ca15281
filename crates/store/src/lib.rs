//! A lean-consensus client's storage as a library: blocks, the state after each of them for ever, proofs of both, in one
//! directory. Bytes in, bytes out: SSZ of leanSpec's containers, as they come from the network. No runtime, no
//! network, no signature scheme.
//!
//! ```
//! use lamella_store::{Answer, BlockId, Options, PostState, Start, Store};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let directory = folder.path().join("data");
//! # let genesis = {
//! #     let key = lamella_types::PublicKeyBytes([7; 52]);
//! #     let validator = lamella_types::Validator { attestation_public_key: key, proposal_public_key: key, index: 0 };
//! #     let validators = lamella_types::Validators::new(&[validator])?;
//! #     lamella_types::genesis_state(1_700_000_000, validators)
//! # };
//! # let request = lamella_state_transition::BlockRequest {
//! #     slot: 1, proposer_index: 0, parent_root: lamella_types::genesis_block(&genesis).header().root(),
//! #     known_block: &|_| true, participants_max: 1,
//! # };
//! # let built = lamella_state_transition::build_block(&genesis, &request, &[], &mut |_, _, _| None).map_err(|r| r.to_string())?;
//! # let proof = lamella_types::MultiMessageAggregate::default();
//! # let signed_block = lamella_types::to_ssz(&lamella_types::SignedBlock { block: built.block, proof });
//! # let genesis_state = genesis.to_ssz();
//! // Once: begin with the state that your network's genesis gives, or with a checkpoint.
//! let store = Store::create(&directory, Start::Genesis { state: &genesis_state }, &Options::default())?;
//!
//! // For each block whose signatures your client has checked: one durable transaction.
//! let imported = store.import(&signed_block, PostState::Execute)?;
//! assert_eq!(imported.heads.head.slot, 1);
//!
//! // Readers are cheap to clone and may be sent to any thread.
//! let reader = store.reader();
//! match reader.state(BlockId::Slot(1))? {
//!     Answer::Found(state) => assert_eq!(state.block.root, imported.root),
//!     absent => panic!("{absent:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! ## What holds
//!
//! - [`Store::import`] is one transaction. When it returns, block, proof and post-state, the head and the checkpoints are on disk
//!   together ([`Durability::Durable`]), or nothing is.
//! - A state is stored only if it hashes to its block's `state_root`, and it is hashed again, from what is on disk, before it
//!   is given to anybody.
//! - Absent things are [`Answer`]s that say why; a damaged row is an error that names table and key. Nothing is deleted
//!   because of it.
//! - Blocks of all branches and their states are kept for ever, unless an operator had `lamella db prune` drop some: those are
//!   [`Answer::Pruned`]. Of proofs a window below the tip is kept, and those that are not final.
//! - One process writes. Others may read beside it, as `lamella db` does; the directory is an ordinary one of the node's.
//!
//! ## What it does not do
//!
//! It checks no signature: import what your client has verified. It keeps the block tree and its head by the votes *in
//! blocks*; a client that follows gossiped votes has a fork choice of its own, and asks for blocks by root.
//!
//! ## Stability
//!
//! The API follows semantic versioning from 1.0 on; `api.txt` in the crate's folder is all of it, and a test compares.
//! Directories have a schema number of their own: a newer version reads older ones, or says which command brings them
//! there. Rust: the workspace's `rust-version`, raised only with a minor version.
#![deny(missing_docs)]

mod answer;
mod error;
mod reader;
mod store;

pub use answer::{Answer, Block, BlockId, Checkpoint, Heads, Proof, Root};
pub use error::{BackupError, ImportError, OpenError, ReadError};
pub use reader::Reader;
pub use store::{
    BackedUp, Checked, Durability, Imported, Network, Options, PostState, Start, Store,
};
