//! The node `lamella`: what its binary is made of.
//!
//! | question | module |
//! |---|---|
//! | flags, messages, exit codes | [`cli`], [`config`] |
//! | importing a block | [`import`], [`proofs`] |
//! | what the consensus thread must not do | `heavy` |
//! | following another's archive, and serving it | `follow` |
//! | the pace of a backup beside a node | [`backup`] |
//! | whom a repair asks | `source` |
//! | running; beginning elsewhere than at genesis | [`node`]; [`checkpoint`] |

pub mod backup;
pub mod checkpoint;
pub mod cli;
pub mod config;
#[cfg(feature = "archive")]
pub mod follow;
mod heavy;
pub mod import;
pub mod node;
pub mod proofs;
#[cfg(test)]
mod signed_chain;
mod source;
