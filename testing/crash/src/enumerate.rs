//! Which images a crash at one instant may leave.

use std::sync::Arc;

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::{
    contents::Contents,
    disk::{Change, Disk, Effect, is_lock_file},
    image::Image,
};

/// Bytes that a disk writes whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// Pending changes up to which every pair is dropped; of more, a sample.
const PAIRS_OF_MAX: usize = 32;

/// Pairs of that sample.
const PAIRS_SAMPLED: usize = 64;

/// Pending changes that are tried one by one: the newest, and of older ones a sample. A run that flushes has fewer.
const TRIED_MAX: usize = 40;

/// How many of these are the newest.
const NEWEST: usize = 32;

/// Boundaries at which a write is torn that had returned before the crash's instant. One under way is torn at all of its.
const BOUNDARIES_SAMPLED: usize = 8;

/// Bytes of a lock file of garbage: the size that the engine gives its own.
const LOCK_FILE_BYTES: usize = 20_480;

/// What the part of a torn write holds that was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// What was there before.
    Old,
    /// Zeros.
    Zeros,
    /// Anything.
    Garbage,
}

/// What the lock files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// There are none.
    Absent,
    /// What the run left in them at its end.
    Old,
    /// Anything.
    Garbage,
}

/// Which of the pending changes, by their calls, a crash kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// All of them.
    All,
    /// None.
    None,
    /// All but one.
    Drop(usize),
    /// One alone.
    Alone(usize),
    /// All but two.
    DropPair(usize, usize),
    /// All, and of one only the sectors before or behind a boundary.
    Torn {
        /// The write.
        operation: usize,
        /// The boundary, a multiple of [`SECTOR_BYTES`] in the file.
        boundary: u64,
        /// Whether the part before it was written, else the one behind.
        is_front: bool,
        /// The other part.
        fill: Fill,
    },
    /// All, but of one that makes the file longer only the length, with zeros.
    LengthOnly(usize),
    /// All, but of one that makes the file longer only what lies within the old length.
    DataOnly(usize),
    /// All, and these lock files.
    Locks(Locks),
}

impl Choice {
    /// Whether it tears a write: there are many of these.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        matches!(self, Self::Torn { .. })
    }
}

/// Every choice that a crash has now.
#[must_use]
pub fn choices(disk: &Disk, seed: u64) -> Vec<Choice> {
    let mut choices = vec![Choice::All, Choice::None];
    choices.extend([Locks::Absent, Locks::Old, Locks::Garbage].map(Choice::Locks));
    let pending: Vec<&Change> = disk.pending().filter(|change| !change.is_of_lock).collect();
    let newest = pending.last().map_or(0, |change| change.operation);
    let pending = tried(pending, seed);
    for change in &pending {
        let operation = change.operation;
        choices.extend([Choice::Drop(operation), Choice::Alone(operation)]);
        if let Effect::Write { offset, bytes } = &change.effect {
            let end = offset + bytes.len() as u64;
            if end > disk.length_without(change) {
                choices.extend([Choice::LengthOnly(operation), Choice::DataOnly(operation)]);
            }
            let mut boundaries = boundaries(*offset, end);
            if !disk.is_under_way(operation) && boundaries.len() > BOUNDARIES_SAMPLED {
                let mut random = random(seed, (operation as u64) << 32 | newest as u64);
                let mut drawn = || boundaries[random.next_u64() as usize % boundaries.len()];
                boundaries = (0..BOUNDARIES_SAMPLED).map(|_| drawn()).collect();
            }
            choices.extend(boundaries.into_iter().flat_map(|at| torn(operation, at)));
        }
    }
    choices.extend(pairs(&pending, seed));
    choices
}

fn tried(pending: Vec<&Change>, seed: u64) -> Vec<&Change> {
    if pending.len() <= TRIED_MAX {
        return pending;
    }
    let (older, newest) = pending.split_at(pending.len() - NEWEST);
    let mut random = random(seed, pending.len() as u64);
    let mut drawn = || older[random.next_u64() as usize % older.len()];
    let mut tried: Vec<&Change> = (NEWEST..TRIED_MAX).map(|_| drawn()).collect();
    tried.extend(newest);
    tried
}

/// Where sectors meet within a write.
fn boundaries(start: u64, end: u64) -> Vec<u64> {
    let first = start / SECTOR_BYTES + 1;
    (first..).map(|at| at * SECTOR_BYTES).take_while(|at| *at < end).collect()
}

fn torn(operation: usize, boundary: u64) -> impl Iterator<Item = Choice> {
    [Fill::Old, Fill::Zeros, Fill::Garbage].into_iter().flat_map(move |fill| {
        [true, false].map(|is_front| Choice::Torn { operation, boundary, is_front, fill })
    })
}

fn pairs(pending: &[&Change], seed: u64) -> Vec<Choice> {
    let count = pending.len();
    let pair = |a: usize, b: usize| Choice::DropPair(pending[a].operation, pending[b].operation);
    if count <= PAIRS_OF_MAX {
        return (0..count).flat_map(|a| (a + 1..count).map(move |b| pair(a, b))).collect();
    }
    let mut random = random(seed, pending[count - 1].operation as u64);
    let mut below = |bound: usize| random.next_u64() as usize % bound;
    (0..PAIRS_SAMPLED)
        .map(|_| {
            let b = 1 + below(count - 1);
            pair(below(b), b)
        })
        .collect()
}

/// The image of a choice. `last` is what the run left at its end.
#[must_use]
pub fn image(disk: &Disk, choice: Choice, last: &Image, seed: u64) -> Image {
    let all = |change: &Change| vec![change.effect.clone()];
    let kept = |change: &Change, is_kept: bool| if is_kept { all(change) } else { Vec::new() };
    match choice {
        Choice::All => disk.image(all),
        Choice::None => disk.image(|_| Vec::new()),
        Choice::Drop(one) => disk.image(|change| kept(change, change.operation != one)),
        Choice::Alone(one) => disk.image(|change| kept(change, change.operation == one)),
        Choice::DropPair(one, other) => {
            disk.image(|change| kept(change, change.operation != one && change.operation != other))
        }
        Choice::Torn { operation, boundary, is_front, fill } => {
            disk.image(|change| match &change.effect {
                Effect::Write { offset, bytes } if change.operation == operation => {
                    tear(*offset, bytes, boundary, is_front, fill, seed)
                }
                _ => all(change),
            })
        }
        Choice::LengthOnly(operation) => disk.image(|change| match &change.effect {
            Effect::Write { offset, bytes } if change.operation == operation => {
                vec![Effect::Grow(offset + bytes.len() as u64)]
            }
            _ => all(change),
        }),
        Choice::DataOnly(operation) => {
            let change = disk.pending().find(|change| change.operation == operation);
            let length = change.map_or(0, |change| disk.length_without(change));
            disk.image(|change| match &change.effect {
                Effect::Write { offset, bytes } if change.operation == operation => {
                    let kept = length.saturating_sub(*offset).min(bytes.len() as u64);
                    let bytes: Arc<[u8]> = bytes[..kept as usize].into();
                    if kept == 0 {
                        return Vec::new();
                    }
                    vec![Effect::Write { offset: *offset, bytes }]
                }
                _ => all(change),
            })
        }
        Choice::Locks(locks) => with_locks(disk.image(all), locks, last, seed),
    }
}

fn tear(
    offset: u64,
    bytes: &[u8],
    boundary: u64,
    is_front: bool,
    fill: Fill,
    seed: u64,
) -> Vec<Effect> {
    let (front, back) = bytes.split_at((boundary - offset) as usize);
    let write = |offset, bytes: &[u8]| Effect::Write { offset, bytes: bytes.into() };
    let (written, missing) = if is_front {
        (write(offset, front), (boundary, back.len()))
    } else {
        (write(boundary, back), (offset, front.len()))
    };
    let (missing_offset, missing_bytes) = missing;
    match fill {
        Fill::Old => vec![written],
        Fill::Zeros => vec![written, write(missing_offset, &vec![0; missing_bytes])],
        Fill::Garbage => {
            let garbage = garbage(missing_bytes, seed ^ missing_offset);
            vec![written, write(missing_offset, &garbage)]
        }
    }
}

fn with_locks(mut image: Image, locks: Locks, last: &Image, seed: u64) -> Image {
    let is_lock = |path: &str| is_lock_file(path.rsplit('/').next().unwrap_or_default());
    let paths: Vec<String> = image.files.keys().filter(|path| is_lock(path)).cloned().collect();
    for path in paths {
        let contents = match locks {
            Locks::Absent => None,
            Locks::Old => last.files.get(&path).cloned(),
            Locks::Garbage => Some(Arc::new(Contents::of(&garbage(LOCK_FILE_BYTES, seed)))),
        };
        match contents {
            Some(contents) => image.files.insert(path, contents),
            None => image.files.remove(&path),
        };
    }
    image
}

fn garbage(bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = random(seed, bytes as u64);
    let mut garbage = vec![0; bytes];
    random.fill_bytes(&mut garbage);
    garbage
}

/// Numbers that follow from the seed and what they are for.
#[must_use]
pub fn random(seed: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
