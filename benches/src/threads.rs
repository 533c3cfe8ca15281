//! A full state decoded on several threads: the chances that our own reads take.
//!
//! A store that reads history segments hashes them on up to four threads. Whoever keeps full states can do the same:
//! the history of a decoded state is cut into the same segments. What is left for one thread is the same on both sides:
//! copying, and hashing the registry.

use std::{num::NonZeroUsize, sync::Arc, thread};

use lamella_types::{
    BlockHashes, Decode as _, Segment, State, limits::SEGMENT_ROOTS, root::ROOT_BYTES,
};

/// Threads that our own store hashes segments on, the caller's among them.
pub const THREADS_MAX: usize = 4;

/// Bytes of a history segment.
const SEGMENT_BYTES: usize = SEGMENT_ROOTS * ROOT_BYTES;

/// Bytes of the fixed part, and where in it the offset of the history stands; four more follow.
const FIXED_BYTES: usize = 228;
const OFFSETS_AT: usize = 208;
const OFFSET_BYTES: usize = 4;

/// Threads that a read may take on this machine.
#[must_use]
pub fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX)
}

/// Decodes a state, its history hashed on this many threads.
#[must_use]
pub fn decode_state(bytes: &[u8], threads: usize) -> State {
    if threads == 1 {
        return State::from_ssz(bytes).unwrap();
    }
    let history_bytes = offset(bytes, 1) - FIXED_BYTES;
    let (fixed, rest) = bytes.split_at(FIXED_BYTES);
    let (history, others) = rest.split_at(history_bytes);
    // The same state without its history: every offset but the first moves forward.
    let mut without = fixed.to_vec();
    for index in 1..5 {
        let moved = u32::try_from(offset(bytes, index) - history_bytes).unwrap();
        let at = OFFSETS_AT + index * OFFSET_BYTES;
        without[at..at + OFFSET_BYTES].copy_from_slice(&moved.to_le_bytes());
    }
    without.extend_from_slice(others);
    let state = State::from_ssz(&without).unwrap();
    State { historical_block_hashes: hash(history, threads), ..state }
}

/// The history of these bytes.
fn hash(history: &[u8], threads: usize) -> BlockHashes {
    let (complete, tail) = history.split_at(history.len() / SEGMENT_BYTES * SEGMENT_BYTES);
    let segments = |share: &[u8]| -> Vec<Arc<Segment>> {
        let segments = share.chunks_exact(SEGMENT_BYTES);
        segments.map(|bytes| Arc::new(Segment::new(bytes.to_vec()).unwrap())).collect()
    };
    let share_segments = (complete.len() / SEGMENT_BYTES).div_ceil(threads).max(1);
    let mut shares = complete.chunks(share_segments * SEGMENT_BYTES);
    let own = shares.next().unwrap_or_default();
    let segments = thread::scope(|scope| {
        let others: Vec<_> = shares.map(|share| scope.spawn(move || segments(share))).collect();
        let mut all = segments(own);
        for other in others {
            all.extend(other.join().unwrap());
        }
        all
    });
    BlockHashes::from_parts(segments, tail).unwrap()
}

fn offset(bytes: &[u8], index: usize) -> usize {
    let at = OFFSETS_AT + index * OFFSET_BYTES;
    u32::from_le_bytes(bytes[at..at + OFFSET_BYTES].try_into().unwrap()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finality, anchor};

    #[test]
    fn several_threads_decode_the_same_state() {
        for slot in [5, 1_024, 3_000] {
            let state = anchor(8, slot, Finality::Healthy).state;
            let bytes = state.to_ssz();
            for threads in 1..=THREADS_MAX {
                let decoded = decode_state(&bytes, threads);
                assert_eq!(decoded, *state, "{threads} threads, slot {slot}");
                assert_eq!(decoded.root(), state.root());
            }
        }
    }
}
