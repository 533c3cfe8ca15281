//! The node `lamella`: what its binary is made of.
//!
//! | question | module |
//! |---|---|
//! | flags, messages, exit codes | [`cli`], [`config`] |
//! | running a whole network on one machine | [`devnet`] |
//! | importing a block | [`import`], [`proofs`] |
//! | running; beginning elsewhere than at genesis | [`node`]; [`checkpoint`] |
//! | the HTTP API | [`api`] |

pub mod api;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod devnet;
pub mod import;
pub mod node;
pub mod proofs;
