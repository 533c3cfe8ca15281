//! The node `lamella`: what its binary is made of.
//!
//! | question | module |
//! |---|---|
//! | flags, messages, exit codes | [`cli`], [`config`] |
//! | importing a block | [`import`], [`proofs`] |
//! | running; beginning elsewhere than at genesis | [`node`]; [`checkpoint`] |

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod import;
pub mod node;
pub mod proofs;
#[cfg(test)]
mod signed_chain;
