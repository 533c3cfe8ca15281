//! The node `lamella`: what its binary is made of.
//!
//! | question | module |
//! |---|---|
//! | flags, messages, exit codes | [`cli`] |
//! | making a network for development | [`genesis`] |
//! | reading a network's files | [`network_dir`] |

pub mod cli;
pub mod genesis;
pub mod import;
pub mod network_dir;
pub mod node;
pub mod proofs;
