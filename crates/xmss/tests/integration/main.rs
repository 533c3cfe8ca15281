//! Integration tests of lamella-xmss, one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod decoding;
mod development_key;
mod proof_schemes;
mod signing;
mod vectors;

use lamella_xmss::{KeyPair, TEST, generate};

/// A whole key with test parameters, active for all 256 slots.
fn test_key(seed: u8) -> KeyPair {
    generate(&TEST, &[seed; 32], 0, 256, &|_| ()).unwrap()
}
