//! A network that was made, read back; damaged, missing and mixed-up files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod damage;
mod genesis;

use std::path::Path;

use lamella_network_dir::genesis::{GENESIS_LEAD_S, GenesisOptions, GenesisSummary, create};

/// A network of 2 nodes and 3 validators whose keys sign slots 0 to 3.
fn small_network(out: &Path) -> GenesisSummary {
    create(&options(out), &|_| {}).unwrap()
}

fn options(out: &Path) -> GenesisOptions {
    GenesisOptions {
        nodes: 2,
        validators: 3,
        out: out.into(),
        genesis_time: None,
        lead_s: GENESIS_LEAD_S,
        ports: None,
        key_slots: 4,
        slot_ms: 4_000,
    }
}
