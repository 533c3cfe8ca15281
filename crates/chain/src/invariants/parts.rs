//! Rows that hang loose, and rows named by their hash: S1, S2, S4, P1, G1.

use std::{collections::HashSet, ops::ControlFlow, time::Instant};

use lamella_block_store as block_store;
use lamella_state_store as state_store;
use lamella_tables::{
    Anchors, Bodies, Diffs, DutyKey, EngineError, Headers, History, KeyKind, Read as _, ReadError,
    ReadTxn, Registries, SegmentKey, SignGuard, Signatures, SlotRoot, Slots, Table,
};
use lamella_types::{Root, SEGMENT_ROOTS};

use super::{CHUNK_ROWS, Check, Progress, Stage};

/// Segments and registries that some anchor names.
#[derive(Default)]
struct Named {
    segments: HashSet<SegmentKey>,
    registries: HashSet<Root>,
}

impl Named {
    /// # Cost
    /// One pass over the anchors: 256 rows on the longest chain without forks.
    fn by_anchors(txn: &ReadTxn<'_>) -> Result<Self, EngineError> {
        let mut named = Self::default();
        for key in txn.scan_keys::<Anchors>(SlotRoot::first_of(0))? {
            let links = match key.and_then(|key| state_store::anchor_links(txn, &key)) {
                Ok(links) => links,
                Err(ReadError::Damaged(_)) => None,
                Err(ReadError::Engine(error)) => return Err(error),
            };
            if let Some(links) = links {
                named.registries.insert(links.registry_root);
                named.segments.extend(links.segments);
            }
        }
        Ok(named)
    }
}

impl Check<'_> {
    /// S1 the other way: every indexed block has its header where the index says.
    pub(super) fn check_slots_index(&mut self) -> Stage {
        self.walk::<Slots>("slot index", "S1", Root::ZERO, |check, txn, root, slot| {
            let key = SlotRoot::new(slot, root);
            let stored = txn.has::<Headers>(&key)?;
            check
                .report
                .check("S1", stored, || format!("Slots names block {key}, which has no header"));
            Ok(())
        })
    }

    /// S1 for rows that no walk over a table comes to: their keys end in no table's number.
    pub(super) fn check_unowned(&mut self) -> Stage {
        let total = self.rows_of(Headers::NAME)?;
        let (mut after, mut done) = (Vec::new(), 0);
        loop {
            let txn = self.database.read()?;
            let Some(chunk) = self.report.check_read("S1", txn.unowned(&after, CHUNK_ROWS))? else {
                return Ok(ControlFlow::Continue(()));
            };
            drop(txn);
            for damage in chunk.rows {
                self.report.check("S1", false, || damage.to_string());
            }
            done += chunk.looked_at;
            let progress = Progress { stage: "rows of blocks", done, total: total.max(done) };
            if (self.progress)(progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match chunk.next {
                Some(next) => after = next,
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    /// No row of a block without the block.
    pub(super) fn check_loose<T: Table<Key = SlotRoot>>(&mut self) -> Stage {
        self.walk::<T>(T::NAME, "S1", SlotRoot::first_of(0), |check, txn, key, _| {
            let stored = txn.has::<Headers>(&key)?;
            check.report.check("S1", stored, || {
                format!("{} holds a row of {key}, which is no block", T::NAME)
            });
            let swept = match T::NAME {
                Anchors::NAME | Diffs::NAME => Some(check.floors.swept),
                Bodies::NAME => Some(check.floors.bodies_swept),
                _ => None,
            };
            if let Some(swept) = swept {
                check.report.check("P3", key >= swept, || {
                    format!("{} holds a row of {key}, which was deleted up to {swept}", T::NAME)
                });
            }
            Ok(())
        })
    }

    /// S4: reading a segment or registry hashes it against its key, and some anchor names it. That anchors find
    /// theirs, S3 has shown.
    pub(super) fn check_content_addressed(&mut self) -> Stage {
        let first = SegmentKey { index: 0, root: Root::ZERO };
        // Of branches whose anchors were pruned, segments stay: they prove roots. Up to where they were deleted may go back,
        // where bodies are to follow states; the floor does not.
        let kept = self.floors.states / SEGMENT_ROOTS as u64;
        let mut named = Named::default();
        let history = self.walk::<History>("history", "S4", first, |check, txn, key, _| {
            if !named.segments.contains(&key) && u64::from(key.index) >= kept {
                named = Named::by_anchors(txn)?;
            }
            let is_below = u64::from(key.index) < kept;
            check.report.check("S4", is_below || named.segments.contains(&key), || {
                format!("History holds segment {key}, which no readable anchor names")
            });
            Ok(())
        })?;
        if history.is_break() {
            return Ok(history);
        }
        self.walk::<Registries>("registries", "S4", Root::ZERO, |check, txn, root, _| {
            if !named.registries.contains(&root) {
                named = Named::by_anchors(txn)?;
            }
            check.report.check("S4", named.registries.contains(&root), || {
                format!("Registries holds {root}, which no readable anchor names")
            });
            Ok(())
        })
    }

    /// P1: a block without proof lies below the floor; the floor was finalized; every proof has its block.
    pub(super) fn check_signatures(&mut self) -> Stage {
        let floor = block_store::signature_floor(&self.database.read()?);
        // A damaged floor is a finding of `check_meta` already.
        if let Ok(floor) = floor {
            self.report.check("P1", floor.key.slot <= floor.finalized_slot, || {
                format!(
                    "the signature floor {} is above finalized slot {}",
                    floor.key, floor.finalized_slot
                )
            });
            let proofless = self.walk_keys::<Headers>("proofs", floor.key, |check, txn, key| {
                // The floor of the rows' own snapshot: a node beside us prunes between two chunks.
                let stored = txn.has::<Signatures>(&key)?;
                let floor = if stored { Ok(floor) } else { block_store::signature_floor(txn) };
                let Ok(floor) = floor else { return Ok(()) };
                check.report.check("P1", stored || key < floor.key, || {
                    format!("block {key} has no proof, the floor is {}", floor.key)
                });
                Ok(())
            })?;
            if proofless.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.check_loose::<Signatures>()
    }

    /// G1, as far as a directory can show it: every guard can be read, and is of a validator that there is.
    pub(super) fn check_sign_guard(&mut self) -> Stage {
        let first = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
        let registry = self.identity.as_ref().map(|identity| identity.registry_root);
        let registry = registry.map(|root| self.database.read()?.get::<Registries>(&root));
        // A damaged or lost registry is a finding of its own.
        let validators = match registry {
            Some(Ok(Some(validators))) => Some(validators.len() as u64),
            _ => None,
        };
        self.walk::<SignGuard>("sign guard", "G1", first, |check, _, key, _| {
            let known = validators.is_none_or(|count| key.validator_index < count);
            check.report.check("G1", known, || {
                format!("SignGuard holds a row of the {key}, which the registry lacks")
            });
            Ok(())
        })
    }

    /// Reads every row of a table, in chunks of one transaction each.
    fn walk<T: Table>(
        &mut self,
        stage: &'static str,
        invariant: &'static str,
        first: T::Key,
        mut visit: impl FnMut(
            &mut Self,
            &lamella_tables::ReadTxn<'_>,
            T::Key,
            T::Value,
        ) -> Result<(), EngineError>,
    ) -> Stage {
        self.walk_keys::<T>(stage, first, |check, txn, key| {
            match check.report.check_read(invariant, txn.get::<T>(&key))? {
                Some(Some(value)) => visit(check, txn, key, value),
                Some(None) | None => Ok(()),
            }
        })
    }

    /// Visits every key of a table from `first` on, in chunks of one transaction each.
    pub(super) fn walk_keys<T: Table>(
        &mut self,
        stage: &'static str,
        first: T::Key,
        mut visit: impl FnMut(
            &mut Self,
            &lamella_tables::ReadTxn<'_>,
            T::Key,
        ) -> Result<(), EngineError>,
    ) -> Stage {
        let total = self.rows_of(T::NAME)?;
        let (mut next, mut done) = (Some(first), 0);
        let mut bad_keys = HashSet::new();
        while let Some(start) = next.take() {
            let (txn, began) = (self.database.read()?, Instant::now());
            for (index, key) in txn.scan_keys::<T>(start)?.enumerate() {
                match key {
                    Ok(key) if self.is_chunk_over(began, index) => {
                        next = Some(key);
                        break;
                    }
                    Ok(key) => visit(self, &txn, key)?,
                    // A chunk that starts over would count it again.
                    Err(lamella_tables::ReadError::Damaged(damage)) => {
                        if bad_keys.insert(damage.key.clone()) {
                            self.report.check("S1", false, || damage.to_string());
                        }
                    }
                    Err(lamella_tables::ReadError::Engine(error)) => return Err(error),
                }
                done += 1;
            }
            drop(txn);
            if (self.progress)(Progress { stage, done, total }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
