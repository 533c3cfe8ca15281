//! What a node feels of a backup beside it: durable imports of a block each, alone and while another process backs the
//! directory up, in turn, so that a disk's moods fall on both. And by how much the file grows for it.
//! `cargo bench -p lamella-benches --bench backup`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "figures far below 2^52")]

use std::{
    env,
    ops::ControlFlow,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, figures::record, registry};
use lamella_chain::{Bootstrap, Progress, copy::SNAPSHOT_STAGE};
use lamella_tables::Durability;
use lamella_types::genesis_state;

/// Blocks before the first that is timed: 390 MB, nearly all of it proofs.
const BLOCKS_BEFORE: usize = 2_048;

/// Backups, and parts without one before each.
const ROUNDS: usize = 3;

/// Imports of a part without one.
const PART_BLOCKS: usize = 400;

/// From one import to the next. A node has 4 s.
const IMPORT_EVERY: Duration = Duration::from_millis(100);

/// Tells the child process what to back up, and where.
const CHILD: [&str; 2] = ["LAMELLA_BENCH_BACKUP", "LAMELLA_BENCH_BACKUP_TO"];

fn main() {
    if let [Some(path), Some(to)] = CHILD.map(env::var_os) {
        back_up(Path::new(&path), Path::new(&to));
        return;
    }
    // Cargo hands every bench its arguments: a test run, or the filter of another bench.
    if env::args().skip(1).any(|argument| argument == "--test" || !argument.starts_with('-')) {
        return;
    }
    let genesis = genesis_state(1_700_000_000, registry(LARGE));
    let mut source = BlockSource::new(&genesis, Finality::Healthy);
    let chain = BenchChain::begin(Bootstrap::genesis(genesis), Durability::Durable);
    chain.import_all(source.take(BLOCKS_BEFORE));
    let (mut alone, mut beside) = (Part::default(), Part::default());
    for _ in 0..ROUNDS {
        let mut count = 0;
        alone.import(&chain, &mut source, || {
            count += 1;
            count <= PART_BLOCKS
        });
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .env(CHILD[0], chain.chain.database().path())
            .env(CHILD[1], folder.path().join("db"));
        let mut child = command.spawn().unwrap();
        beside.import(&chain, &mut source, || child.try_wait().unwrap().is_none());
        assert!(child.wait().unwrap().success());
    }
    let grown = [&alone, &beside].map(|part| part.grown as f64 / part.times.len() as f64);
    let file_bytes = chain.chain.database().stats().unwrap().file_bytes as f64;
    let more = (grown[1] - grown[0]) * beside.times.len() as f64 / ROUNDS as f64;
    record("backup/file_growth_per_cent", 100.0 * more / file_bytes);
    for (name, mut part) in [("alone", alone), ("beside_a_backup", beside)] {
        part.times.sort_unstable();
        record(&format!("backup/imports_{name}"), part.times.len() as f64);
        for per_cent in [50, 99] {
            let at = part.times[part.times.len() * per_cent / 100].as_secs_f64() * 1e6;
            record(&format!("backup/import_{name}/p{per_cent}_us"), at);
        }
    }
}

/// One backup, in a process of its own.
fn back_up(path: &Path, to: &Path) {
    let began = Instant::now();
    let (mut before, mut snapshot) = (began, Duration::ZERO);
    let tell = &mut |at: Progress| {
        match at.stage {
            SNAPSHOT_STAGE => snapshot = before.elapsed(),
            _ => before = Instant::now(),
        }
        ControlFlow::Continue(())
    };
    let done = lamella::backup::run(path, to, 0, true, tell).unwrap();
    let (bytes, took) = (done.copy.file_bytes, began.elapsed());
    eprintln!("{bytes} bytes, {} blocks in {took:?}, the one snapshot {snapshot:?}", done.blocks);
}

/// Imports, and by how many bytes in use the file grew for them.
#[derive(Default)]
struct Part {
    times: Vec<Duration>,
    grown: u64,
}

impl Part {
    /// Imports blocks at a pace, as long as this says.
    fn import(
        &mut self,
        chain: &BenchChain,
        source: &mut BlockSource,
        mut goes_on: impl FnMut() -> bool,
    ) {
        let used = || chain.chain.database().stats().unwrap().used_bytes;
        let before = used();
        while goes_on() {
            let blocks = source.take(1);
            let began = Instant::now();
            chain.import_all(blocks);
            let spent = began.elapsed();
            self.times.push(spent);
            thread::sleep(IMPORT_EVERY.saturating_sub(spent));
        }
        self.grown += used() - before;
    }
}
