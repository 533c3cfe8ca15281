//! Rows that are no single block's: segments, registries, the canonical index, Meta, the guard.

use std::collections::{BTreeMap, BTreeSet};

use lamella_block_store::{self as block_store, Extent, SignatureFloor, UncheckedProofs};
use lamella_state_store as state_store;
use lamella_tables::{
    Anchors, Canonical, Damage, DutyKey, EngineError, Headers, History, KeyKind, Meta, MetaName,
    Read as _, ReadError, Registries, SegmentKey, SignGuard, Signatures, SlotRoot, Slots, Table,
};
use lamella_types::{Root, Segment, Slot, limits::SEGMENT_ROOTS, root::ROOT_BYTES};

use super::{Look, Repair, To, Work, look};
use crate::{
    archived::Archived,
    kept::Pruning,
    mark::{self, BackupMark},
    meta::{ForkChoiceRow, META_NAMES},
    tail_rows::{FOLLOWED, SHIPPED, ShippedTail, TailPosition},
};

const SEGMENT_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// Keys that are looked at between two commits.
const UNOWNED_LOOKED_AT: usize = 4_096;

impl Work<'_, '_> {
    /// Segments that anchors name, and the others that are there.
    pub(super) fn segments(&mut self) -> Result<(), EngineError> {
        let mut named: BTreeMap<SegmentKey, SlotRoot> = BTreeMap::new();
        for anchor in self.keys::<Anchors>(SlotRoot::first_of(0))? {
            let links = look(state_store::anchor_links(&self.txn, &anchor))?.sound();
            for key in links.into_iter().flat_map(|links| links.segments) {
                named.entry(key).or_insert(anchor);
            }
        }
        let first = SegmentKey { index: 0, root: Root::ZERO };
        let stored: BTreeSet<_> = self.keys::<History>(first)?.into_iter().collect();
        for &key in stored.iter().chain(named.keys().filter(|key| !stored.contains(key))) {
            let Look::Bad(from) = look(self.txn.get::<History>(&key))? else { continue };
            match self.segment(key, named.get(&key).copied())? {
                Some(segment) => self.put::<History>(&key, &segment, from, "it hashes to its key")?,
                None => self.cannot::<History>(
                    &key,
                    format!("{from}; the blocks here do not give it: name an archive of this chain with --from"),
                ),
            }
        }
        self.loose_segments(stored.iter().filter(|key| !named.contains_key(key)), &named)
    }

    /// Sound segments that no anchor names: of branches whose anchors were pruned, or their indices rotted.
    fn loose_segments<'a>(
        &mut self,
        loose: impl Iterator<Item = &'a SegmentKey>,
        named: &BTreeMap<SegmentKey, SlotRoot>,
    ) -> Result<(), EngineError> {
        // As `verify` does: segments of pruned branches lie below the floor of states.
        let Some(extent) = look(Extent::find(&self.txn))?.sound() else { return Ok(()) };
        let kept = extent.states_floor() / SEGMENT_SLOTS;
        for key in loose.filter(|key| u64::from(key.index) >= kept) {
            let Some(segment) = look(self.txn.get::<History>(key))?.sound() else { continue };
            let why = "no readable anchor names it".to_owned();
            // Segments of nothing but empty slots have one root, whatever their indices.
            let is_empty = segment.as_bytes().iter().all(|byte| *byte == 0);
            match named.keys().find(|other| other.root == key.root && !is_empty) {
                Some(other) if look(self.txn.get::<History>(other))?.sound().is_some() => {
                    self.txn.delete::<History>(key)?;
                    self.told::<History>(
                        key,
                        why,
                        To::Nothing,
                        "the index that is named has the same segment",
                    );
                }
                _ => self.cannot::<History>(key, why),
            }
        }
        Ok(())
    }

    /// The segment of this root: of the canonical chain, of the branch of an anchor that names it, or of the source.
    fn segment(
        &mut self,
        key: SegmentKey,
        anchor: Option<SlotRoot>,
    ) -> Result<Option<Segment>, EngineError> {
        let is_it = |segment: &Segment| segment.root() == key.root;
        let start = u64::from(key.index) * SEGMENT_SLOTS;
        let slots = start..start + SEGMENT_SLOTS;
        let canonical = self.txn.scan::<Canonical>(start)?.map_while(Result::ok);
        let of_chain = segment_of(start, canonical.take_while(|(slot, _)| slots.contains(slot)));
        if let Some(segment) = of_chain.filter(is_it) {
            return Ok(Some(segment));
        }
        let mut branch = Vec::new();
        let mut at = anchor;
        while let Some(block) = at.filter(|block| block.slot >= start) {
            if slots.contains(&block.slot) {
                branch.push((block.slot, block.root));
            }
            at = self.parent(block)?;
        }
        let found = segment_of(start, branch.into_iter()).filter(is_it);
        let found = match found {
            Some(found) => Some(found),
            None => self.segment_elsewhere(&key)?,
        };
        Ok(found.or_else(|| self.shared.source.segment(&key).filter(is_it)))
    }

    /// The segment under another index: its own rotted.
    fn segment_elsewhere(&self, key: &SegmentKey) -> Result<Option<Segment>, EngineError> {
        let mut others = self.keys::<History>(SegmentKey { index: 0, root: Root::ZERO })?;
        others.retain(|other| other.root == key.root && other != key);
        for other in others {
            if let Some(segment) = look(self.txn.get::<History>(&other))?.sound() {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }

    /// The parent of a block, if header and index can be read.
    fn parent(&self, block: SlotRoot) -> Result<Option<SlotRoot>, EngineError> {
        let Some(header) = look(self.txn.get::<Headers>(&block))?.sound() else { return Ok(None) };
        let slot = look(block_store::slot(&self.txn, &header.parent_root))?.sound();
        let slot = slot.filter(|slot| *slot < block.slot);
        Ok(slot.map(|slot| SlotRoot::new(slot, header.parent_root)))
    }

    /// The registry of the chain, and the others that are there.
    pub(super) fn registries(&mut self) -> Result<(), EngineError> {
        let mut roots: BTreeSet<_> = self.keys::<Registries>(Root::ZERO)?.into_iter().collect();
        roots.insert(self.shared.identity.registry_root);
        for root in roots {
            let Look::Bad(from) = look(self.txn.get::<Registries>(&root))? else { continue };
            let found = self.shared.source.registry(&root);
            match found.filter(|validators| validators.root() == root) {
                Some(found) => {
                    self.put::<Registries>(&root, &found, from, "it hashes to its key")?;
                }
                None => self.cannot::<Registries>(
                    &root,
                    format!(
                        "{from}; no other row holds it: name an archive of this network with --from"
                    ),
                ),
            }
        }
        Ok(())
    }

    /// Rows of Slots that cannot be read, of blocks that no other row knows: their keys rotted.
    pub(super) fn loose_slots(&mut self, keys: &BTreeSet<SlotRoot>) -> Result<(), EngineError> {
        let known: BTreeSet<Root> = keys.iter().map(|key| key.root).collect();
        for root in self.keys::<Slots>(Root::ZERO)? {
            if known.contains(&root) {
                continue;
            }
            if let Look::Bad(from) = look(self.txn.get::<Slots>(&root))? {
                self.txn.delete::<Slots>(&root)?;
                self.told::<Slots>(&root, from, To::Nothing, "no other row knows such a block");
            }
        }
        Ok(())
    }

    /// A row of Canonical: the parent that the next canonical block names.
    pub(super) fn canonical_row(&mut self, slot: Slot) -> Result<(), EngineError> {
        let Look::Bad(from) = look(self.txn.get::<Canonical>(&slot))? else { return Ok(()) };
        let above = self.txn.scan::<Canonical>(slot + 1)?.next().and_then(Result::ok);
        let parent = match above {
            Some((slot, root)) => self.parent(SlotRoot::new(slot, root))?,
            None => None,
        };
        match parent.filter(|parent| parent.slot == slot) {
            Some(parent) => {
                self.put::<Canonical>(&slot, &parent.root, from, "the next block's header names it")
            }
            None => {
                self.cannot::<Canonical>(&slot, format!("{from}; a start derives it"));
                Ok(())
            }
        }
    }

    /// Rows of Meta that follow from others, or that nothing is lost by dropping.
    pub(super) fn meta(&mut self) -> Result<(), EngineError> {
        self.extent()?;
        self.unchecked()?;
        // Its absence says that nothing is pruned.
        let extent = look(Extent::find(&self.txn))?.sound();
        let is_pruned = extent.is_some_and(|extent| extent.states_floor() > 0);
        let name = MetaName::new(Pruning::NAME);
        let pruning = match look(Pruning::read(&self.txn).map(Some))? {
            Look::Sound(_) if is_pruned && !self.txn.has::<Meta>(&name)? => {
                Look::Bad("lost, though states are pruned".to_owned())
            }
            pruning => pruning,
        };
        if let Look::Bad(from) = pruning {
            let why = format!("{from}; `lamella db prune --mode` with --apply says the mode anew");
            self.cannot::<Meta>(&name, why);
        }
        // Upholds G1: until when the keys of a backup are silent is in no other row.
        if let Look::Bad(from) = look(BackupMark::read(&self.txn).map(Some))? {
            let why = format!(
                "{from}; whether its keys may sign is not guessed: they do not. Restore the backup again"
            );
            self.cannot::<Meta>(&MetaName::new(mark::NAME), why);
        }
        // Claims about other places, which are found out again.
        let archived = look(Archived::read(&self.txn).map(|_| Some(())))?;
        self.forget(Archived::NAME, archived, "the archive is compared again")?;
        let shipped = look(ShippedTail::read(&self.txn).map(|_| Some(())))?;
        self.forget(SHIPPED, shipped, "a tail of another writer's name begins")?;
        let followed = look(TailPosition::followed(&self.txn).map(|_| Some(())))?;
        self.forget(FOLLOWED, followed, "the place in the tail is looked for again")
    }

    /// Deletes a row that cannot be read, of which nothing is lost.
    fn forget(
        &mut self,
        name: &'static str,
        row: Look<()>,
        proof: &'static str,
    ) -> Result<(), EngineError> {
        let Look::Bad(from) = row else { return Ok(()) };
        let name = MetaName::new(name);
        self.txn.delete::<Meta>(&name)?;
        self.told::<Meta>(&name, from, To::Nothing, proof);
        Ok(())
    }

    /// What the directory holds, if that is one run of blocks: from the oldest on, and proofs from the oldest one on.
    fn extent(&mut self) -> Result<(), EngineError> {
        let Look::Bad(from) = look(Extent::find(&self.txn))? else { return Ok(()) };
        let name = MetaName::new(Extent::NAME);
        let oldest = self.txn.scan_keys::<Headers>(SlotRoot::first_of(0))?.next();
        let canonical = self.txn.scan::<Canonical>(0)?.next().and_then(Result::ok);
        let oldest = oldest.and_then(Result::ok);
        let oldest = oldest.filter(|key| canonical == Some((key.slot, key.root)));
        let header = match oldest {
            Some(oldest) => look(self.txn.get::<Headers>(&oldest))?.sound(),
            None => None,
        };
        let (Some(oldest), Some(header), true) = (oldest, header, self.is_one_run()?) else {
            let why =
                format!("{from}; the blocks here are not one run from the oldest to the head");
            self.cannot::<Meta>(&name, why);
            return Ok(());
        };
        if look(Pruning::read(&self.txn).map(Some))?.sound() != Some(Pruning::default()) {
            self.cannot::<Meta>(&name, format!("{from}; how far states were pruned does not show"));
            return Ok(());
        }
        let mut extent = Extent::begin(oldest, header.parent_root);
        let proof = self.txn.scan_keys::<Signatures>(SlotRoot::first_of(0))?.next();
        let proof = proof.and_then(Result::ok);
        let finalized = look(ForkChoiceRow::read(&self.txn))?.sound().map(|row| row.finalized.slot);
        match (proof, finalized) {
            (Some(key), _) if key == oldest => {}
            (Some(key), Some(finalized_slot)) if key.slot <= finalized_slot => {
                extent.set_floor(SignatureFloor { key, finalized_slot });
            }
            _ => {
                let why = format!("{from}; how far proofs were pruned does not show");
                self.cannot::<Meta>(&name, why);
                return Ok(());
            }
        }
        extent.put(&mut self.txn)?;
        self.told::<Meta>(&name, from, To::Row, "blocks and proofs bear it out");
        Ok(())
    }

    /// Whether each canonical block is the child of the one before.
    fn is_one_run(&self) -> Result<bool, EngineError> {
        let mut before = None;
        for row in self.txn.scan::<Canonical>(0)? {
            let Some((slot, root)) = look(row.map(Some))?.sound() else { return Ok(false) };
            let header = look(self.txn.get::<Headers>(&SlotRoot::new(slot, root)))?.sound();
            let Some(header) = header else { return Ok(false) };
            if before.is_some_and(|before| before != header.parent_root) {
                return Ok(false);
            }
            before = Some(root);
        }
        Ok(true)
    }

    /// Upholds P2: where it cannot be read which proofs are unchecked, all are.
    fn unchecked(&mut self) -> Result<(), EngineError> {
        let Look::Bad(from) = look(UncheckedProofs::read(&self.txn).map(Some))? else {
            return Ok(());
        };
        let last = self.keys::<Signatures>(SlotRoot::first_of(0))?.pop();
        let end = last.map_or(0, |key| key.slot + 1);
        let mut all = UncheckedProofs::default();
        all.add(0..end);
        all.put(&mut self.txn)?;
        let name = MetaName::new(UncheckedProofs::NAME);
        self.told::<Meta>(
            &name,
            from,
            To::Mark,
            "every proof is checked again before it is served",
        );
        Ok(())
    }

    /// G1: what a key has signed is in no other row. Never touched.
    pub(super) fn sign_guard(&mut self) -> Result<(), EngineError> {
        let first = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
        for key in self.keys::<SignGuard>(first)? {
            if let Look::Bad(from) = look(self.txn.get::<SignGuard>(&key))? {
                let why = format!(
                    "{from}; what this key has signed is not guessed: it signs no more here. The way back is a new data directory beside the same keys' folder, whose guard knows"
                );
                self.cannot::<SignGuard>(&key, why);
            }
        }
        self.nameless::<SignGuard>(first)
    }

    /// Rows among those of blocks whose keys end in no table's number. Once every row is as it must be, they are of no use;
    /// before, one may be what is missing, so it stays.
    pub(super) fn unowned(mut self, is_derived: bool) -> Result<Self, EngineError> {
        let mut after = Vec::new();
        loop {
            let chunk = match self.txn.unowned(&after, UNOWNED_LOOKED_AT) {
                Ok(chunk) => chunk,
                Err(ReadError::Engine(error)) => return Err(error),
                Err(ReadError::Damaged(damage)) => {
                    self.report.cannot(damage.table, damage.key, damage.fault.to_string());
                    return Ok(self);
                }
            };
            for Damage { table, key, fault, .. } in chunk.rows {
                if self.report.unrepaired_count > 0 || !is_derived {
                    let why = format!("{fault}; it stays until nothing else is missing");
                    self.report.cannot(table, key, why);
                    continue;
                }
                self.txn.delete_unowned(&key)?;
                self.pending += 1;
                self.report.repaired(Repair {
                    table,
                    key,
                    from: fault.to_string(),
                    to: To::Nothing,
                    proof: "every row of every block is there",
                });
            }
            self = self.kept()?;
            let Some(next) = chunk.next else { return Ok(self) };
            after = next;
        }
    }

    /// Rows of Meta under names that are none, or that no row which is known here has: damaged, they stay.
    pub(super) fn unknown_meta(&mut self) -> Result<(), EngineError> {
        let first = MetaName::new("\0");
        for name in self.keys::<Meta>(first.clone())? {
            if !META_NAMES.contains(&&*name.to_string())
                && let Look::Bad(from) = look(self.txn.get::<Meta>(&name))?
            {
                self.cannot::<Meta>(&name, format!("{from}; whose row it was nobody can tell"));
            }
        }
        self.nameless::<Meta>(first)
    }

    /// Rows whose keys are none of the table's: whose they were nobody can tell, so they stay.
    pub(super) fn nameless<T: Table>(&mut self, first: T::Key) -> Result<(), EngineError> {
        let mut nameless = Vec::new();
        for key in self.txn.scan_keys::<T>(first)? {
            match key {
                Ok(_) => {}
                Err(ReadError::Damaged(damage)) => nameless.push(damage),
                Err(ReadError::Engine(error)) => return Err(error),
            }
        }
        for Damage { key, fault, .. } in nameless {
            self.report.cannot(T::NAME, key, format!("{fault}; whose row it was nobody can tell"));
        }
        Ok(())
    }
}

/// The segment with these blocks, which lie in it.
fn segment_of(start: Slot, blocks: impl Iterator<Item = (Slot, Root)>) -> Option<Segment> {
    let mut bytes = vec![0; SEGMENT_ROOTS * ROOT_BYTES];
    for (slot, root) in blocks {
        let at = usize::try_from(slot.checked_sub(start)?).ok()? * ROOT_BYTES;
        bytes.get_mut(at..at + ROOT_BYTES)?.copy_from_slice(root.as_bytes());
    }
    Segment::new(bytes)
}
