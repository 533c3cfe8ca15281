//! Every decoder of bytes that somebody else wrote, as a function from bytes to laws that must hold.
//!
//! | target | decoders |
//! |---|---|
//! | `wire` | varint, topic, message id |
//! | `snappy`, `chunk` | snappy block and frames, request payload, response chunk |
//! | `requests`, `block`, `votes`, `state` | SSZ containers, as peers and checkpoint sync send them |
//! | `record` | ENR of a boot node |
//! | `proof` | the raw proof of a block: public key, signature |
//! | `stored` | state diff and anchor, as the disk has them |
//!
//! `testing/fuzz/run` runs them under libFuzzer. Without it, `cargo test` replays the seeds, each of them cut short and
//! with each byte altered, and the inputs in `findings/`, each of which once broke a law.

mod network;
mod proof;
mod stored;
#[cfg(test)]
mod tests;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also its folder of findings.
    pub name: &'static str,
    /// Panics if the bytes break a law.
    pub run: fn(&[u8]),
    /// Valid inputs, made by the program itself.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("wire", network::wire, network::wire_seeds),
    target("snappy", network::snappy, network::snappy_seeds),
    target("chunk", network::chunk, network::chunk_seeds),
    target("requests", network::requests, network::requests_seeds),
    target("block", network::block, network::block_seeds),
    target("votes", network::votes, network::votes_seeds),
    target("record", network::record, network::record_seeds),
    target("state", stored::state, stored::state_seeds),
    target("stored", stored::stored, stored::stored_seeds),
    target("proof", proof::proof, proof::proof_seeds),
];
