//! Bytes of a slot in an archive.

use lamella_benches::{Archived, LARGE, MIDDLING, SMALL, archived::SEGMENT_SLOTS, figures::record};

/// For each size of registry: ours, and what holds the same without proof, and with as many proofs as an era file.
pub fn bytes_a_slot() {
    for validators in [SMALL, MIDDLING, LARGE] {
        let archived = Archived::new(validators);
        let a_slot = |bytes: usize| bytes as f64 / SEGMENT_SLOTS as f64;
        let blocks = archived.baseline_blocks();
        record(&format!("archive/bytes_a_slot/{validators}"), a_slot(archived.bytes()));
        record(&format!("archive/baseline_blocks/{validators}"), a_slot(blocks));
        let with_state = blocks + archived.baseline_state();
        record(&format!("archive/baseline_blocks_and_state/{validators}"), a_slot(with_state));
    }
}
