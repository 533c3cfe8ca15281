//! The files that describe a network, in the layout of lean-quickstart: read, and made.
//!
//! | file | type |
//! |---|---|
//! | `config.yaml` | [`GenesisConfig`] |
//! | `annotated_validators.yaml`, `validators.yaml` | [`Assignments`] |
//! | `validator-config.yaml` | [`ValidatorConfig`], [`NodeEntry`] |
//! | `nodes.yaml` | [`Bootnode`] |
//! | `<node>.key` | [`NodeKey`] |
//! | `hash-sig-keys/*_sk.ssz`, and `.prepared` beside them | [`ValidatorKeys`] |
//! | all of them, new | [`genesis::create`] |
//!
//! What is read is judged as input: a damaged file is an error that names the file, the place and the remedy.
//! `genesis.json` and `genesis.ssz` are ignored: their format is stale, so genesis is always built from `config.yaml`.
//! [`whole_file`] writes files that appear whole, secrets readable by their owner only.

mod assignment;
mod bootnodes;
mod config;
mod error;
pub mod genesis;
mod node_entry;
mod node_key;
mod paths;
mod prepared;
mod read;
mod role;
mod validator_keys;
pub mod whole_file;

pub use assignment::{AssignedValidator, Assignments};
pub use bootnodes::Bootnode;
pub use config::{GenesisConfig, SLOT_MS_RANGE};
pub use error::{NetworkFileError, NodeKeyError, ValidatorKeyError};
pub use node_entry::{EnrFields, NodeEntry, ValidatorConfig};
pub use node_key::NodeKey;
pub use paths::NetworkDir;
pub use role::Role;
pub use validator_keys::{ValidatorKey, ValidatorKeys};
