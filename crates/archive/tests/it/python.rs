//! The reader in `testing/archive-reader` was written from FORMAT.md alone; it verifies what this crate writes, and refuses what
//! this crate refuses.

#[path = "../../../../testing/archive-reader/run.rs"]
mod reader;

use std::{fs, path::Path};

use reader::{python, read};

use crate::{
    chain::{Chain, Step, Vote},
    damage, objects,
};

/// Writes the archive to a folder as it lies in a store.
fn write(chain: &Chain, folder: &Path) {
    for (name, bytes) in chain.objects().into_iter().chain(objects::tail_and_sidecar(chain)) {
        let path = folder.join(chain.network.id().to_string()).join(name.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A chain with everything in it: stalls, absentees, foreign votes, empty slots, an empty segment.
fn chain() -> Chain {
    let step = |skipped, votes| Step { skipped, votes };
    let mut steps: Vec<_> = (0..80_u64)
        .map(|slot| {
            let absent = if slot < 40 { u64::MAX << 20 } else { 1 << (slot % 40) };
            let votes = vec![
                Vote::InTime { absent },
                Vote::Late { voters: 1 << (slot % 40) },
                Vote::Old { back: slot % 9, bits: 30 },
            ];
            step(slot % 3, votes)
        })
        .collect();
    steps.push(step(1100, vec![Vote::Foreign { seed: 3, voters: 6 }]));
    steps.push(step(2000, vec![Vote::InTime { absent: 0 }]));
    steps.extend((0..20).map(|_| step(0, vec![Vote::InTime { absent: 0 }])));
    steps.push(step(1023, vec![]));
    Chain::of(50, &steps)
}

#[test]
fn the_python_reader_verifies_the_whole_archive_from_one_root() {
    let Some(python) = python() else { return };
    for chain in [damage::small(), chain(), Chain::out_of_turn()] {
        let folder = tempfile::tempdir().unwrap();
        write(&chain, folder.path());
        let head = chain.head();
        let run = read(python, folder.path(), &head.root.to_string());
        let (text, error) =
            (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{text}{error}");
        let segments = chain.complete_segments();
        let end = u64::from(segments) * 1024;
        let blocks = chain.blocks.iter().filter(|block| block.header.slot < end).count();
        let proofs = chain.positions(0).1.len() - 1;
        let expected = format!(
            "verified: {segments} segments, {end} slots, {blocks} blocks, {blocks} states; root {}; not proven: proofs of {proofs} blocks\n",
            head.root
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn the_python_reader_refuses_what_is_damaged_missing_or_not_trusted() {
    let Some(python) = python() else { return };
    let chain = damage::small();
    let folder = tempfile::tempdir().unwrap();
    write(&chain, folder.path());
    let root = chain.head().root.to_string();
    let refused = |what: &str| {
        let run = read(python, folder.path(), &root);
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && run.stdout.is_empty(), "{what}: {error}");
        assert!(error.starts_with("refused: "), "{what}: {error}");
        error
    };
    let at = |name: &str| folder.path().join(chain.network.id().to_string()).join(name);
    for (name, bytes) in chain.objects() {
        let name = name.to_string();
        if name == "FORMAT.md" {
            continue;
        }
        let path = at(&name);
        for position in (0..bytes.len()).step_by(bytes.len() / 5) {
            let mut altered = bytes.clone();
            altered[position] ^= 0x10;
            fs::write(&path, altered).unwrap();
            let error = refused(&format!("{name} byte {position}"));
            assert!(error.contains(&name), "{name}: {error}");
        }
        fs::remove_file(&path).unwrap();
        refused(&format!("{name} missing"));
        fs::write(&path, bytes).unwrap();
    }
    let other = read(python, folder.path(), &chain.blocks[1].root.to_string());
    assert!(!other.status.success(), "no frontier of this root");
}

/// Symptom: an archive that two chains were shipped into was verified, without a word about the other one.
/// Mechanism: the reader opened the names that the frontier gives, and never listed what else lies there.
/// Fix: a second name at one place is refused, and both are named.
#[test]
fn the_python_reader_refuses_a_second_name_at_one_place() {
    let Some(python) = python() else { return };
    let chain = damage::small();
    let folder = tempfile::tempdir().unwrap();
    write(&chain, folder.path());
    let root = chain.head().root.to_string();
    let network = folder.path().join(chain.network.id().to_string());
    let other = "07".repeat(32);
    for kind in ["segments", "proofs", "frontier"] {
        let ours = fs::read_dir(network.join(kind)).unwrap().next().unwrap().unwrap().path();
        let name = ours.file_name().unwrap().to_str().unwrap();
        let (place, extension) = (name.split_once('-').unwrap().0, ours.extension().unwrap());
        let theirs = format!("{place}-{other}.{}", extension.to_str().unwrap());
        fs::copy(&ours, network.join(kind).join(&theirs)).unwrap();
        let run = read(python, folder.path(), &root);
        let error = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(!run.status.success() && run.stdout.is_empty(), "{kind}: {error}");
        let stem = |name: &str| name.split('.').next().unwrap().to_owned();
        assert!(error.contains("are of two chains"), "{kind}: {error}");
        assert!(error.contains(&stem(name)) && error.contains(&stem(&theirs)), "{kind}: {error}");
        fs::remove_file(network.join(kind).join(&theirs)).unwrap();
    }
    // What says nothing is no name.
    fs::write(network.join("segments/00000-notes.txt"), "").unwrap();
    assert!(read(python, folder.path(), &root).status.success());
}
