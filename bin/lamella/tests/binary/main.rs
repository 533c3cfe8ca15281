//! The binary as a user meets it, and its import and API from within.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod checkpoint;
mod checksum;
mod clock;
mod command;
mod contrib;
mod copies;
mod damage;
mod db;
mod devnet;
mod disk;
mod dying;
mod explorer;
mod flags;
mod flood;
mod follow;
mod full;
#[path = "../../../../crates/chain/tests/golden/unpack.rs"]
mod golden_directory;
mod guard;
mod log;
mod migrate;
mod node;
mod opening;
mod pages;
mod repair;
mod unusable;
mod wait;
mod which;

use std::path::Path;

use lamella_network_dir::genesis::{GENESIS_LEAD_S, GenesisOptions, GenesisSummary, create};

/// A network of 2 nodes and 3 validators whose keys sign slots 0 to 3.
fn small_network(out: &Path) -> GenesisSummary {
    let options = GenesisOptions {
        nodes: 2,
        validators: 3,
        out: out.into(),
        genesis_time: None,
        lead_s: GENESIS_LEAD_S,
        ports: None,
        key_slots: 4,
        slot_ms: 4_000,
    };
    create(&options, &|_| {}).unwrap()
}
