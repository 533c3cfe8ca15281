//! The node `lamella`: what its binary is made of.
//!
//! | question | module |
//! |---|---|
//! | flags, messages, exit codes | [`cli`], [`config`] |
//! | looking into a database | [`db`], [`json`] |
//! | making a network for development | [`genesis`] |
//! | running a whole network on one machine | [`devnet`] |
//! | reading a network's files | [`network_dir`] |
//! | importing a block | [`import`], [`proofs`] |
//! | running; beginning elsewhere than at genesis | [`node`]; [`checkpoint`] |
//! | the HTTP API, the metrics | [`api`], [`metrics`] |
//! | files that appear whole | `whole_file` |

pub mod api;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod db;
pub mod devnet;
pub mod genesis;
pub mod import;
pub mod json;
pub mod metrics;
pub mod network_dir;
pub mod node;
pub mod proofs;
mod whole_file;
