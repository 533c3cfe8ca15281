//! Two caches: states by block root, bounded by the bytes they do not share, and history segments by root.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lamella_types::{Root, Segment, State, Validators};
use lru::LruCache;
use parking_lot::Mutex;

use crate::stored_state::StoredState;

/// Bytes of states kept, beyond what they share: over a thousand states with full history tails.
const STATE_BYTES_MAX: usize = 64 << 20;

/// Segments kept: twice a full history (256 segments of 32 KiB), 16 MiB.
const SEGMENTS_MAX: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// What a state costs besides its history tail, justified slots and tally: fields, frontier, entry.
const STATE_FIXED_BYTES: usize = 1536;

/// What the cache holds and how it has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// States.
    pub states: usize,
    /// Bytes of them that are not shared.
    pub state_bytes: usize,
    /// History segments of 32 KiB.
    pub segments: usize,
    /// Reads answered from the cache.
    pub hits: u64,
    /// Reads that went to the tables.
    pub misses: u64,
    /// States put together from a diff.
    pub replays: u64,
    /// Rows read for that beyond the state's own: earlier diffs for the tally or a side branch, canonical roots.
    pub replayed_rows: u64,
}

/// The states and segments last used.
pub(crate) struct Caches {
    states: Mutex<States>,
    segments: Mutex<LruCache<Root, Arc<Segment>>>,
    /// The registry last used; a chain has one.
    registry: Mutex<Option<Validators>>,
    /// For statistics only.
    replays: AtomicU64,
    replayed_rows: AtomicU64,
}

struct States {
    entries: LruCache<Root, StoredState>,
    bytes: usize,
    bytes_max: usize,
    hits: u64,
    misses: u64,
}

impl Default for Caches {
    fn default() -> Self {
        Self::new(STATE_BYTES_MAX)
    }
}

impl Caches {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let entries = LruCache::unbounded();
        let states = States { entries, bytes: 0, bytes_max, hits: 0, misses: 0 };
        Self {
            states: Mutex::new(states),
            segments: Mutex::new(LruCache::new(SEGMENTS_MAX)),
            registry: Mutex::new(None),
            replays: AtomicU64::new(0),
            replayed_rows: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self, root: &Root) -> Option<StoredState> {
        let mut states = self.states.lock();
        let found = states.entries.get(root).cloned();
        if found.is_some() {
            states.hits += 1;
        } else {
            states.misses += 1;
        }
        found
    }

    /// A look that neither counts nor refreshes.
    pub(crate) fn peek(&self, root: &Root) -> Option<StoredState> {
        self.states.lock().entries.peek(root).cloned()
    }

    pub(crate) fn put_state(&self, root: Root, stored: StoredState) {
        let mut states = self.states.lock();
        states.bytes += own_bytes(&stored.state);
        if let Some((_, replaced)) = states.entries.push(root, stored) {
            states.bytes -= own_bytes(&replaced.state);
        }
        while states.bytes > states.bytes_max {
            let Some((_, evicted)) = states.entries.pop_lru() else {
                break;
            };
            states.bytes -= own_bytes(&evicted.state);
        }
    }

    pub(crate) fn segment(&self, root: &Root) -> Option<Arc<Segment>> {
        self.segments.lock().get(root).cloned()
    }

    pub(crate) fn put_segment(&self, segment: &Arc<Segment>) {
        self.segments.lock().put(segment.root(), Arc::clone(segment));
    }

    pub(crate) fn registry(&self, root: &Root) -> Option<Validators> {
        self.registry.lock().as_ref().filter(|registry| registry.root() == *root).cloned()
    }

    pub(crate) fn put_registry(&self, validators: &Validators) {
        *self.registry.lock() = Some(validators.clone());
    }

    /// Counts a state put together from a diff, and the rows that took.
    pub(crate) fn count_replay(&self, rows: usize) {
        self.replays.fetch_add(1, Ordering::Relaxed);
        self.replayed_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        *self.registry.lock() = None;
        let mut states = self.states.lock();
        states.entries.clear();
        states.bytes = 0;
        self.segments.lock().clear();
    }

    pub(crate) fn clear_states(&self) {
        let mut states = self.states.lock();
        states.entries.clear();
        states.bytes = 0;
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let states = self.states.lock();
        CacheStats {
            states: states.entries.len(),
            state_bytes: states.bytes,
            segments: self.segments.lock().len(),
            hits: states.hits,
            misses: states.misses,
            replays: self.replays.load(Ordering::Relaxed),
            replayed_rows: self.replayed_rows.load(Ordering::Relaxed),
        }
    }
}

/// Bytes that this state does not share with others of its branch (its tally counts in full; often it is shared).
fn own_bytes(state: &State) -> usize {
    let tally =
        state.justifications.votes().as_bytes().len() + 32 * state.justifications.roots().len();
    let history = state.historical_block_hashes.tail().len();
    STATE_FIXED_BYTES + history + state.justified_slots.as_bytes().len() + tally
}
