//! What lean consensus nodes say to each other: bytes, connections, and who owes whom an answer.
//!
//! | question | module |
//! |---|---|
//! | bytes on the wire | [`wire`] |
//! | what can be asked, and why nothing came | [`requests`] |
//! | libp2p: gossip, requests, answers | [`service`] |
//! | what a peer may do, and what is held against it | [`peers`] |
//! | in words: how far a node is, who is connected | [`standing`] |
//! | whom to ask for which blocks, and when to import them | [`sync`] |
//!
//! `wire`, `requests` and `peers` know none of the others; `sync` is pure and knows `requests` and `peers` alone, so that
//! libp2p stays in `service`.
//!
//! Knows nothing of tables or of consensus: blocks to serve come through [`service::BlockSource`], what arrives goes
//! to a [`service::Listener`], and whether it is any good is for the node to say.

mod bucket;
#[cfg(test)]
mod dice;
pub mod peers;
pub mod requests;
pub mod service;
pub mod standing;
pub mod sync;
pub mod wire;

pub use libp2p::PeerId;
