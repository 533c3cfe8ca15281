//! S1, S2, S3 for every block: its rows, its one state row, its state.
//!
//! The hard idea: a block's state is its parent's and a diff, so a walk in slot order has the parent's in memory, and an
//! anchor begins anew. So blocks are checked 1,024 slots at a time, each in a lane of its own. What such a walk does not see,
//! the reading of a history from the canonical index and of tallies from earlier diffs, the last block before each anchor and
//! the ends of the longest chains of deltas are read once more for, past every state in memory.

use std::{
    ops::Range,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use lamella_block_store::{self as block_store, Extent};
use lamella_state_store::{
    self as state_store, DiffLinks, StateReadError, StateStore, TALLY_DELTAS_MAX,
};
use lamella_tables::{
    Anchors, Bodies, DatabaseView, Diffs, EngineError, Headers, Read as _, ReadError, ReadTxn,
    SlotRoot, Slots,
};
use lamella_types::{BlockHeader, Slot};

use super::{CHUNK_ROWS, DERIVABLE, LANE_CACHE_BYTES, Report};
use crate::identity::Identity;

/// Checks shards, one after the other.
pub(super) struct Lane<'a> {
    database: &'a DatabaseView,
    /// What the directory says it holds.
    identity: Option<Identity>,
    chunk_time_max: Duration,
    states: StateStore,
    /// Keeps segments, and no state.
    cold: StateStore,
    report: Report,
}

/// Rows that were looked at, and what was found.
type Checked = Result<(u64, Report), EngineError>;

/// Checks a shard in each lane: in threads of their own, but for a lane that is alone.
pub(super) fn check_all(lanes: &mut [Lane<'_>], shards: Vec<Range<Slot>>) -> Vec<Checked> {
    let work = lanes.iter_mut().zip(shards);
    if work.len() == 1 {
        return work.map(|(lane, slots)| lane.check(slots)).collect();
    }
    thread::scope(|scope| {
        let threads = work.map(|(lane, slots)| scope.spawn(move || lane.check(slots)));
        let threads: Vec<_> = threads.collect();
        let join = |thread: ScopedJoinHandle<'_, Checked>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// The slot of a header's row, whether or not it can be read.
pub(super) fn slot_of(row: &Result<(SlotRoot, BlockHeader), ReadError>) -> Slot {
    match row {
        Ok((key, _)) => key.slot,
        Err(ReadError::Damaged(damage)) => {
            damage.key.first_chunk().map_or(0, |slot| Slot::from_be_bytes(*slot))
        }
        Err(ReadError::Engine(_)) => 0,
    }
}

impl<'a> Lane<'a> {
    pub(super) fn new(
        database: &'a DatabaseView,
        identity: Option<Identity>,
        chunk_time_max: Duration,
    ) -> Self {
        let states = StateStore::with_cache_bytes(LANE_CACHE_BYTES);
        let (cold, report) = (StateStore::with_cache_bytes(0), Report::default());
        Self { database, identity, chunk_time_max, states, cold, report }
    }

    /// Checks the blocks at these slots, in chunks.
    pub(super) fn check(&mut self, slots: Range<Slot>) -> Checked {
        self.states.clear_states();
        let (mut next, mut done, mut last) = (Some(SlotRoot::first_of(slots.start)), 0, None);
        while let Some(start) = next {
            let (txn, began) = (self.database.read()?, Instant::now());
            // Of the rows' own snapshot: a node beside us prunes. A damaged extent is a finding of `check_meta` already.
            let floors = Extent::read(&txn)
                .map_or((0, 0), |extent| (extent.states_floor(), extent.bodies_floor()));
            let rows = txn.scan::<Headers>(start)?;
            let rows = rows.take_while(|row| slot_of(row) < slots.end);
            let rows: Vec<_> = rows.take(CHUNK_ROWS + 1).collect();
            next = None;
            for (index, row) in rows.into_iter().enumerate() {
                let is_out_of_time = index > 0 && began.elapsed() > self.chunk_time_max;
                if index >= CHUNK_ROWS || is_out_of_time {
                    next = Self::chunk_end(&txn, start, index, row)?;
                    break;
                }
                done += 1;
                if let Some((key, header)) = self.report.check_read("S1", row)? {
                    last = self.check_block(&txn, key, &header, floors)?.then_some(key);
                }
            }
            if let Some(last) = last.filter(|_| next.is_none()) {
                self.check_state(&txn, last, true)?;
            }
        }
        Ok((done, std::mem::take(&mut self.report)))
    }

    /// Where the next chunk starts: at this row, whether or not it can be read, or where its key is none at the next.
    fn chunk_end(
        txn: &ReadTxn<'_>,
        start: SlotRoot,
        index: usize,
        row: Result<(SlotRoot, BlockHeader), ReadError>,
    ) -> Result<Option<SlotRoot>, EngineError> {
        let next = match row {
            Ok((key, _)) => Some(key),
            Err(_) => txn.scan_keys::<Headers>(start)?.skip(index).find_map(Result::ok),
        };
        // On a page that is out of order it may be one of those before.
        Ok(next.filter(|next| *next > start))
    }

    /// Whether its state can be read. States and bodies below their floors are pruned.
    fn check_block(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
        (states_floor, bodies_floor): (Slot, Slot),
    ) -> Result<bool, EngineError> {
        let indexed = self.report.check_read("S1", txn.get::<Slots>(&key.root))?;
        if let Some(slot) = indexed {
            self.report.check("S1", slot == Some(key.slot), || {
                format!("Slots says {slot:?} for block {key}{DERIVABLE}")
            });
        }
        if key.slot >= bodies_floor {
            self.report.check_read("S1", block_store::body(txn, &key, header))?;
        }
        if !block_store::has_body_row(header) {
            let loose = txn.has::<Bodies>(&key)?;
            self.report
                .check("S1", !loose, || format!("Bodies has a row of {key}, whose body is empty"));
        }
        if key.slot < states_floor {
            return Ok(false);
        }
        let tally_deltas = self.check_state_row(txn, key, header)?;
        let is_read = self.check_state(txn, key, false)?;
        // The warm read began at its parent's state. The longest chains of deltas are read again from their full
        // tally; that shorter ones lead there too, `check_diff` has shown, so one read in 32 is enough.
        if tally_deltas == TALLY_DELTAS_MAX {
            self.check_state(txn, key, true)?;
        }
        Ok(is_read)
    }

    fn check_state(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        is_cold: bool,
    ) -> Result<bool, EngineError> {
        let states = if is_cold { &self.cold } else { &self.states };
        let found = match states.state(txn, &key.root) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(format!("no state for {key}")),
            Err(StateReadError::Read(ReadError::Engine(error))) => return Err(error),
            Err(error) => {
                if let StateReadError::Read(ReadError::Damaged(damage)) = &error {
                    self.report.damaged(damage);
                }
                Err(format!("block {key}: {error}"))
            }
        };
        let is_read = found.is_ok();
        self.report.check("S3", is_read, || found.err().unwrap_or_default());
        Ok(is_read)
    }

    /// The block's one state row; the number of its tally delta.
    fn check_state_row(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
    ) -> Result<u8, EngineError> {
        let (anchor, diff) = (txn.has::<Anchors>(&key)?, txn.has::<Diffs>(&key)?);
        self.report.check("S2", anchor != diff, || {
            let which = if anchor { "both anchor and diff" } else { "neither anchor nor diff" };
            format!("block {key} has {which}")
        });
        if anchor {
            self.check_anchor(txn, key)?;
        } else if let Some(Some(links)) =
            self.report.check_read("S2", state_store::diff_links(txn, &key))?
        {
            self.check_diff(txn, key, header, links)?;
            return Ok(links.tally_deltas);
        }
        Ok(0)
    }

    /// I1: the anchor is of the chain that the directory says it holds. A diff shares its anchor's configuration.
    fn check_anchor(&mut self, txn: &ReadTxn<'_>, key: SlotRoot) -> Result<(), EngineError> {
        let links = self.report.check_read("S2", state_store::anchor_links(txn, &key))?;
        if let (Some(Some(links)), Some(identity)) = (links, &self.identity) {
            let same = links.genesis_time == identity.genesis_time
                && links.registry_root == identity.registry_root;
            self.report.check("I1", same, || {
                format!(
                    "the state of block {key} has genesis time {} and registry {}, the identity row {} and {}",
                    links.genesis_time, links.registry_root, identity.genesis_time, identity.registry_root
                )
            });
        }
        Ok(())
    }

    /// S2 of a diff: its base is its parent and has a state under the same anchor, and its tally follows the base's.
    /// So by induction every chain of deltas ends in a full tally, whatever a cache would say.
    fn check_diff(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
        links: DiffLinks,
    ) -> Result<(), EngineError> {
        let DiffLinks { base_slot, anchor_slot, tally_deltas } = links;
        let base_key = SlotRoot::new(base_slot, header.parent_root);
        let whole = txn.has::<Anchors>(&base_key)?;
        let stored = whole || txn.has::<Diffs>(&base_key)?;
        self.report.check("S2", stored, || {
            format!(
                "diff of block {key}: its parent is not at slot {base_slot} or has no state there"
            )
        });
        let near = key.slot - anchor_slot <= state_store::ANCHOR_INTERVAL_SLOTS;
        self.report.check("S2", near, || {
            format!("diff of block {key}: its anchor is at slot {anchor_slot}")
        });
        let before = match whole {
            true => Some((base_slot, 0)),
            // A damaged base is a finding of its own.
            false => match state_store::diff_links(txn, &base_key) {
                Ok(links) => links.map(|links| (links.anchor_slot, links.tally_deltas)),
                Err(ReadError::Damaged(_)) => None,
                Err(ReadError::Engine(error)) => return Err(error),
            },
        };
        if let Some((base_anchor, deltas)) = before {
            self.report.check("S2", anchor_slot == base_anchor, || {
                format!(
                    "diff of block {key}: its anchor is at slot {anchor_slot}, its base's at {base_anchor}"
                )
            });
            self.report.check("S2", tally_deltas == 0 || tally_deltas == deltas + 1, || {
                format!("diff of block {key}: its tally delta is number {tally_deltas}, its base's {deltas}")
            });
        }
        Ok(())
    }
}
