//! The file against what lives in it, on a chain that prunes proofs of 190 KB as fast as they come.

use std::sync::Arc;

use lamella::import::Importer;
use lamella_benches::{BlockSource, Finality, LARGE, SHORT, anchor};
use lamella_chain::{Chain, Settings};
use lamella_testing_sizes::DiskBytes;
use lamella_xmss::scheme::{ProofScheme as _, Trust};

/// Slots of proofs kept: 190 KB each, so 48 MB, which the file's growth step of 4 MiB is small against.
const WINDOW_SLOTS: u64 = 256;

/// Blocks, each a durable commit of its own as a node makes them: enough to use every page several times.
const BLOCKS: usize = 1_000;

#[test]
fn the_file_is_hardly_larger_than_what_lives_in_it() {
    let bootstrap = anchor(LARGE, SHORT, Finality::Healthy);
    let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { signature_window_slots: WINDOW_SLOTS, ..Settings::default() };
    let created = Chain::create(directory.path(), bootstrap, Trust.name(), settings);
    let chain = Arc::new(created.unwrap().0);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    for _ in 0..BLOCKS {
        importer.import(source.next_signed()).unwrap();
    }
    let disk = DiskBytes::of(chain.database());
    let (file, live) = (disk.file, disk.live());
    println!(
        "file {file} B, tables {live} B, free pages {}",
        chain.database().stats().unwrap().free_pages
    );
    assert!(file * 100 <= live * 110, "a file of {file} B for {live} B that live in it");
}
