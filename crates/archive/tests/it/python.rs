//! The reader in `testing/archive-reader` was written from FORMAT.md alone; it verifies what this crate writes, and refuses what
//! this crate refuses.

use std::{
    env, fs,
    io::Write as _,
    path::Path,
    process::{Command, Output},
};

use crate::{
    chain::{Chain, Step, Vote},
    damage, objects,
};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/archive-reader/read.py");

/// Debian's python3-zstandard is installed for Debian's own Python, which need not be the first in the path.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// A Python that has the zstd module. There has to be one in continuous integration.
fn python() -> Option<&'static str> {
    let has_module = |python: &&str| {
        let run = Command::new(python).args(["-c", "import zstandard"]).output();
        run.is_ok_and(|run| run.status.success())
    };
    let python = PYTHONS.into_iter().find(has_module);
    if python.is_none() {
        assert!(env::var_os("CI").is_none(), "no python3 with the module zstandard: sh .ci/deps");
        // Not `println`: the runner would keep it to itself.
        let text = "skipped: no python3 with the module zstandard (Debian: python3-zstandard)";
        writeln!(std::io::stdout().lock(), "{text}").unwrap();
    }
    python
}

/// Writes the archive to a folder as it lies in a store.
fn write(chain: &Chain, folder: &Path) {
    for (name, bytes) in chain.objects().into_iter().chain(objects::tail_and_sidecar(chain)) {
        let path = folder.join(chain.network.id().to_string()).join(name.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn run(python: &str, folder: &Path, root: &str) -> Output {
    Command::new(python).args([READER, folder.to_str().unwrap(), root]).output().unwrap()
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
        let run = run(python, folder.path(), &head.root.to_string());
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
        let run = run(python, folder.path(), &root);
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
    let other = run(python, folder.path(), &chain.blocks[1].root.to_string());
    assert!(!other.status.success(), "no frontier of this root");
}
