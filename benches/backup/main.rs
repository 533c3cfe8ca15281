//! What a node feels of a backup beside it: durable imports of a block each, alone and while another process backs the
//! directory up again and again, in turn, so that a disk's moods fall on both. And by how much the file grows for it.
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
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, figures::record, registry};
use lamella_chain::{Bootstrap, Progress, copy::SNAPSHOT_STAGE};
use lamella_tables::Durability;
use lamella_types::genesis_state;

/// Blocks before the first that is timed: 780 MB, nearly all of it proofs.
const BLOCKS_BEFORE: usize = 4_096;

/// Rounds, one part alone and one beside a backup each.
const ROUNDS: usize = 8;

/// Imports of a part.
const PART_BLOCKS: usize = 250;

/// From one import to the next. A node has 4 s; so many come to a disk that is as busy by them as by the backup.
const IMPORT_EVERY: Duration = Duration::from_millis(25);

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
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut grown_alone, mut grown_beside) = (0, 0);
    for _ in 0..ROUNDS {
        grown_alone += part(&chain, &mut source, &mut alone, None);
        let folder = tempfile::tempdir().unwrap();
        grown_beside += part(&chain, &mut source, &mut beside, Some(folder.path()));
    }
    for (name, times) in [("alone", &mut alone), ("beside_a_backup", &mut beside)] {
        times.sort_unstable();
        for per_cent in [50, 99] {
            let at = times[times.len() * per_cent / 100].as_secs_f64() * 1e6;
            record(&format!("backup/import_{name}/p{per_cent}_us"), at);
        }
    }
    let file_bytes = chain.chain.database().stats().unwrap().file_bytes as f64;
    let more = (grown_beside as f64 - grown_alone as f64) / file_bytes;
    record("backup/file_growth_per_cent", 100.0 * more);
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

/// Imports blocks at a pace, alone or beside backups into this folder; says by how many bytes in use the file grew.
fn part(
    chain: &BenchChain,
    source: &mut BlockSource,
    times: &mut Vec<Duration>,
    backups: Option<&Path>,
) -> u64 {
    let used = || chain.chain.database().stats().unwrap().used_bytes;
    let blocks = source.take(PART_BLOCKS);
    let (before, mut count, mut child) = (used(), 0, None);
    for block in blocks {
        if let Some(folder) = backups {
            go_on_backing_up(&mut child, chain.chain.database().path(), folder, &mut count);
        }
        let began = Instant::now();
        chain.import_all(vec![block]);
        let spent = began.elapsed();
        times.push(spent);
        thread::sleep(IMPORT_EVERY.saturating_sub(spent));
    }
    if let Some(mut child) = child {
        assert!(child.wait().unwrap().success());
    }
    used() - before
}

/// Begins the next backup where the one before it has ended.
fn go_on_backing_up(child: &mut Option<Child>, path: &Path, folder: &Path, count: &mut u32) {
    let is_over = child.as_mut().is_none_or(|child| {
        child.try_wait().unwrap().is_some_and(|status| {
            assert!(status.success(), "{status}");
            true
        })
    });
    if is_over {
        *count += 1;
        let to = folder.join(count.to_string()).join("db");
        let mut command = Command::new(env::current_exe().unwrap());
        *child = Some(command.env(CHILD[0], path).env(CHILD[1], to).spawn().unwrap());
    }
}
