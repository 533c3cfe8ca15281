//! The decoders of bytes that somebody else wrote, as functions from bytes to laws that must hold.
//!
//! | target | decoders |
//! |---|---|
//! | `wire` | varint, topic, message id |
//! | `snappy`, `chunk` | snappy block and frames, request payload, response chunk, as whole buffers |
//! | `stream` | request payload and response chunk, read as they arrive |
//! | `requests`, `block`, `votes`, `state` | SSZ containers, as peers and checkpoint sync send them |
//! | `record` | ENR of a boot node |
//! | `proof` | the raw proof of a block: public key, signature of the test and the production parameters |
//! | `stored` | state diff and anchor, as the disk has them |
//! | `body` | packed block body, as the disk has it |
//! | `rows` | vote, fork choice, identity and schema rows of the chain |
//! | `segment` | 1,024 slots of an archive, and its states |
//! | `archive` | frontier, tail and proof sidecar of an archive, names of its objects |
//!
//! Not here: keys of rows and values of fixed size, the node's files in YAML, and secret keys, which only their owner
//! writes.
//!
//! `testing/fuzz/run` runs them under libFuzzer. Without it, `cargo test` replays the seeds, each of them cut short and
//! with each byte altered, and the inputs in `findings/`, each of which once broke a law.

mod archive;
mod network;
mod proof;
mod rows;
mod stored;
mod stream;
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
    target("stream", stream::stream, stream::stream_seeds),
    target("requests", network::requests, network::requests_seeds),
    target("block", network::block, network::block_seeds),
    target("votes", network::votes, network::votes_seeds),
    target("record", network::record, network::record_seeds),
    target("state", stored::state, stored::state_seeds),
    target("stored", stored::stored, stored::stored_seeds),
    target("body", stored::body, stored::body_seeds),
    target("rows", rows::rows, rows::rows_seeds),
    target("proof", proof::proof, proof::proof_seeds),
    target("segment", archive::segment, archive::segment_seeds),
    target("archive", archive::archive, archive::archive_seeds),
];
