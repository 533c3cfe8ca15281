//! Ways to hash a history of 2^18 roots: the one in use, two threads of it, and many lanes at once.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use lamella_benches::Random;
use lamella_types::{Root, SEGMENT_ROOTS, limits::SEGMENT_DEPTH, merkle::merkleize};

/// Bytes of a segment of the history, which is hashed by itself.
const SEGMENT_BYTES: usize = SEGMENT_ROOTS * 32;

/// Segments of a full history.
const SEGMENTS: usize = 256;

/// Repetitions.
const ROUNDS: usize = 25;

type Hash = fn(&[u8]) -> Vec<Root>;

/// Measures and says so.
pub fn report(report: &mut String) {
    hashtree_rs::init();
    let history = Random::new(1).bytes(SEGMENTS * SEGMENT_BYTES);
    let ways: [(&str, Hash); 3] = [
        ("`sha2`, one stream (in use)", one_stream),
        ("`sha2`, two threads", two_threads),
        ("`hashtree-rs`, many lanes in one thread", many_lanes),
    ];
    let expected = one_stream(&history);
    let heading = "\n## Hashing a history of 262,144 roots\n\n| way | least | median | processor time of the first thread |\n|---|---|---|---|\n";
    report.push_str(heading);
    for (name, hash) in ways {
        let processor_before = processor_time();
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let started = Instant::now();
                let roots = hash(&history);
                let time = started.elapsed();
                assert_eq!(roots, expected);
                time
            })
            .collect();
        let processor = (processor_time() - processor_before) / ROUNDS as u32;
        times.sort_unstable();
        let row =
            format!("| {name} | {:.1?} | {:.1?} | {processor:.1?} |", times[0], times[ROUNDS / 2]);
        println!("{row}");
        let _ = writeln!(report, "{row}");
    }
}

fn one_stream(history: &[u8]) -> Vec<Root> {
    history.chunks_exact(SEGMENT_BYTES).map(|segment| merkleize(segment, SEGMENT_DEPTH)).collect()
}

fn two_threads(history: &[u8]) -> Vec<Root> {
    let (left, right) = history.split_at(history.len() / 2);
    std::thread::scope(|scope| {
        let left = scope.spawn(|| one_stream(left));
        let right = one_stream(right);
        let mut roots = left.join().unwrap();
        roots.extend(right);
        roots
    })
}

fn many_lanes(history: &[u8]) -> Vec<Root> {
    let mut layer = vec![0; SEGMENT_BYTES / 2];
    let mut next = vec![0; SEGMENT_BYTES / 4];
    let hash = |segment: &[u8]| {
        hashtree_rs::hash(&mut layer, segment, segment.len() / 64);
        let mut length = layer.len();
        while length > 32 {
            hashtree_rs::hash(&mut next, &layer[..length], length / 64);
            length /= 2;
            layer[..length].copy_from_slice(&next[..length]);
        }
        Root::from_slice(&layer[..32]).unwrap()
    };
    history.chunks_exact(SEGMENT_BYTES).map(hash).collect()
}

/// Processor time of this thread: a wall clock says what other programs take, too.
fn processor_time() -> Duration {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}
