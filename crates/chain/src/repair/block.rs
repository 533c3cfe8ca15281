//! The rows of one block: header, index, body, state, proof, in the order in which one proves the next.

use std::sync::Arc;

use lamella_block_store::{self as block_store, Extent, UncheckedProofs};
use lamella_state_store::{self as state_store, DiffBase, PreparedState, StateReadError};
use lamella_tables::{
    Anchors, Bodies, Bytes, Diffs, EngineError, Headers, Read as _, ReadError, Registries,
    Signatures, SlotRoot, Slots,
};
use lamella_types::{
    Block, BlockBody, BlockHeader, Root, State, genesis_state, hash_tree_root,
    slot::proposer_for_slot,
};

use super::{Look, To, Work, look};

/// Blocks that are tried as the parent of one whose header and diff are gone.
const PARENTS_TRIED_MAX: usize = 32;

/// Slots in which they are looked for: two anchor intervals.
const PARENT_SLOTS_MAX: u64 = 2 * state_store::ANCHOR_INTERVAL_SLOTS;

const BY_KEY: &str = "it hashes to its key";
const BY_HEADER: &str = "it hashes to what its header says";
const BY_TRANSITION: &str = "the transition gives it, and its state hashes to its header";

impl Work<'_, '_> {
    /// Makes the rows of a block again that are lost or damaged.
    pub(super) fn block(&mut self, key: SlotRoot) -> Result<(), EngineError> {
        let Some(header) = self.header(key)? else { return Ok(()) };
        if let Look::Bad(from) = look(self.txn.get::<Slots>(&key.root))? {
            self.put::<Slots>(&key.root, &key.slot, from, "its header's key says it")?;
        }
        self.body(key, &header)?;
        self.state_row(key, &header)?;
        self.proof(key, &header)
    }

    fn header(&mut self, key: SlotRoot) -> Result<Option<BlockHeader>, EngineError> {
        let from = match look(self.txn.get::<Headers>(&key))? {
            Look::Sound(header) => return Ok(Some(header)),
            Look::Bad(from) => from,
        };
        let is_it = |header: &BlockHeader| header.slot == key.slot && header.root() == key.root;
        let mut found = self.header_of_own_rows(key)?.filter(is_it);
        if found.is_none() {
            found = self.shared.source.block(&key).map(|(header, _)| header).filter(is_it);
        }
        match found {
            Some(header) => self.put::<Headers>(&key, &header, from, BY_KEY)?,
            None => self.cannot::<Headers>(
                &key,
                format!("{from}; body, states and parents do not give it: name an archive that has the block with --from"),
            ),
        }
        Ok(found)
    }

    /// A header that the block's other rows give, not yet compared with its key.
    fn header_of_own_rows(&mut self, key: SlotRoot) -> Result<Option<BlockHeader>, EngineError> {
        if key.slot == 0 {
            let genesis = self.genesis()?;
            return Ok(genesis.map(|state| lamella_types::genesis_block(&state).header()));
        }
        let of_anchor = self.shared.states.header_of_anchor(&self.txn, key);
        if let Some(header) = readable(of_anchor)?.flatten() {
            return Ok(Some(header));
        }
        let body = match self.txn.get::<Bodies>(&key) {
            Ok(body) => body.unwrap_or_default(),
            Err(ReadError::Damaged(_)) => return Ok(None),
            Err(ReadError::Engine(error)) => return Err(error),
        };
        for parent in self.possible_parents(key)? {
            let Some(base) = self.base(&parent)? else { continue };
            let header = self.child_of(&base, key, &body);
            if let Some(header) = header.filter(|header| header.root() == key.root) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The header of the child with this body.
    fn child_of(&self, base: &DiffBase, key: SlotRoot, body: &BlockBody) -> Option<BlockHeader> {
        let block = Block {
            slot: key.slot,
            proposer_index: proposer_for_slot(key.slot, base.state().validators.len() as u64)?,
            parent_root: base.block().root,
            state_root: Root::ZERO,
            body: body.clone(),
        };
        let post = self.shared.source.transition(base.state(), &block)?;
        Some(BlockHeader { state_root: post.root(), ..block.header() })
    }

    /// Blocks that may be the parent: those at the slot that the diff names, else the nearest below.
    fn possible_parents(&self, key: SlotRoot) -> Result<Vec<Root>, EngineError> {
        let links = look(state_store::diff_links(&self.txn, &key))?.sound();
        let (from, end) = match links {
            Some(links) => (links.base_slot, links.base_slot + 1),
            None => (key.slot.saturating_sub(PARENT_SLOTS_MAX), key.slot),
        };
        let keys = self.txn.scan_keys::<Headers>(SlotRoot::first_of(from))?;
        let keys = keys.map_while(Result::ok).take_while(|key| key.slot < end);
        Ok(keys
            .collect::<Vec<_>>()
            .iter()
            .rev()
            .take(PARENTS_TRIED_MAX)
            .map(|key| key.root)
            .collect())
    }

    fn body(&mut self, key: SlotRoot, header: &BlockHeader) -> Result<(), EngineError> {
        if !block_store::has_body_row(header) {
            if self.txn.delete::<Bodies>(&key)? {
                let from = "a row of an empty body".to_owned();
                self.told::<Bodies>(&key, from, To::Nothing, "its header says that it is empty");
            }
            return Ok(());
        }
        let extent = look(Extent::find(&self.txn))?.sound();
        if extent.is_some_and(|extent| key.slot < extent.bodies_floor()) {
            // Upholds P3: what was pruned is not lost.
            return Ok(());
        }
        let Look::Bad(from) = look(block_store::body(&self.txn, &key, header).map(Some))? else {
            return Ok(());
        };
        let is_it = |body: &BlockBody| hash_tree_root(body) == header.body_root;
        match self.shared.source.block(&key).map(|(_, body)| body).filter(is_it) {
            Some(body) => self.put::<Bodies>(&key, &body, from, BY_HEADER),
            None => {
                let why = format!(
                    "{from}; no other row holds its votes: name an archive that has the block with --from"
                );
                self.cannot::<Bodies>(&key, why);
                Ok(())
            }
        }
    }

    fn state_row(&mut self, key: SlotRoot, header: &BlockHeader) -> Result<(), EngineError> {
        let extent = look(Extent::find(&self.txn))?.sound();
        if extent.is_some_and(|extent| key.slot < extent.states_floor()) {
            // Upholds P3: what was pruned is not lost.
            return Ok(());
        }
        let one = self.txn.has::<Anchors>(&key)? != self.txn.has::<Diffs>(&key)?;
        let state = readable(self.shared.states.state(&self.txn, &key.root))?.flatten();
        if one && state.is_some() {
            return Ok(());
        }
        let before = self.state_rows(key)?;
        let Some(prepared) = self.prepared(key, header)? else {
            // A sound row of its own: what it rests on is damaged, and told there.
            if !matches!(before, (Look::Sound(_), Look::Bad(_)) | (Look::Bad(_), Look::Sound(_))) {
                let why = "its body and its parent's state are needed, or a node that has it: name one with --from".to_owned();
                self.cannot::<Diffs>(&key, why);
            }
            return Ok(());
        };
        prepared.put(&mut self.txn)?;
        // Upholds S2: exactly one of both.
        let (anchor, diff) = before;
        if prepared.stored().anchor.root == key.root {
            self.only::<Anchors, Diffs>(key, anchor)?;
        } else {
            self.only::<Diffs, Anchors>(key, diff)?;
        }
        self.shared.states.publish(key.root, prepared.stored().clone());
        Ok(())
    }

    fn state_rows(&self, key: SlotRoot) -> Result<(Look<Bytes>, Look<Bytes>), EngineError> {
        Ok((look(self.txn.get::<Anchors>(&key))?, look(self.txn.get::<Diffs>(&key))?))
    }

    /// The row of `T` has just been put; there is none of `U`.
    fn only<T, U>(&mut self, key: SlotRoot, before: Look<Bytes>) -> Result<(), EngineError>
    where
        T: lamella_tables::Table<Key = SlotRoot, Value = Bytes>,
        U: lamella_tables::Table<Key = SlotRoot, Value = Bytes>,
    {
        let now = look(self.txn.get::<T>(&key))?.sound();
        match before {
            Look::Sound(before) if Some(&before) == now.as_ref() => {}
            Look::Sound(_) => {
                let from = "not what the transition gives".to_owned();
                self.told::<T>(&key, from, To::Row, BY_TRANSITION);
            }
            Look::Bad(from) => self.told::<T>(&key, from, To::Row, BY_TRANSITION),
        }
        if self.txn.delete::<U>(&key)? {
            let from = "a second state row".to_owned();
            self.told::<U>(&key, from, To::Nothing, "the other one is the block's");
        }
        Ok(())
    }

    /// The post-state as an import would store it: from the parent's state, or of the block that the directory begins with.
    fn prepared(
        &mut self,
        key: SlotRoot,
        header: &BlockHeader,
    ) -> Result<Option<PreparedState>, EngineError> {
        if let Some(base) = self.base(&header.parent_root)? {
            let body = look(block_store::body(&self.txn, &key, header).map(Some))?.sound();
            let block = body.map(|body| Block::from_parts(header, body));
            let post = block.and_then(|block| self.shared.source.transition(base.state(), &block));
            let prepared =
                post.map(|post| PreparedState::child(&base, key.root, header, Arc::new(post)));
            return Ok(prepared.and_then(Result::ok));
        }
        // Where it rests on no state: the first block, one after a hole, and the first after the floor below which states
        // were pruned.
        let parent_slot = look(block_store::slot(&self.txn, &header.parent_root))?.sound();
        let is_first = look(Extent::find(&self.txn))?.sound().is_some_and(|extent| {
            let is_pruned = |slot| slot < extent.states_floor();
            let is_oldest = extent.ranges().iter().any(|range| range.oldest == key);
            is_oldest || parent_slot.is_some_and(is_pruned)
        });
        if !is_first {
            return Ok(None);
        }
        let state = match key.slot {
            0 => self.genesis()?,
            _ => self.shared.source.state(&key),
        };
        let prepared =
            state.map(|state| PreparedState::bootstrap(key.root, header, Arc::new(state)));
        Ok(prepared.and_then(Result::ok))
    }

    fn base(&self, root: &Root) -> Result<Option<DiffBase>, EngineError> {
        Ok(readable(self.shared.states.base(&self.txn, root))?.flatten())
    }

    /// The state of slot 0: what the identity says, and nothing else.
    fn genesis(&self) -> Result<Option<State>, EngineError> {
        let identity = &self.shared.identity;
        let validators = look(self.txn.get::<Registries>(&identity.registry_root))?.sound();
        Ok(validators.map(|validators| genesis_state(identity.genesis_time, validators)))
    }

    /// Upholds P1 and P2: a proof that is gone is marked, and nobody is served anything in its place.
    fn proof(&mut self, key: SlotRoot, header: &BlockHeader) -> Result<(), EngineError> {
        let Some(extent) = look(Extent::find(&self.txn))?.sound() else { return Ok(()) };
        let Look::Bad(from) = look(self.txn.get::<Signatures>(&key))? else { return Ok(()) };
        if key < extent.newest().proofs.key {
            if self.txn.delete::<Signatures>(&key)? {
                self.told::<Signatures>(
                    &key,
                    from,
                    To::Nothing,
                    "it lies below the floor of proofs",
                );
            }
            return Ok(());
        }
        let Some(mut unchecked) = look(UncheckedProofs::read(&self.txn).map(Some))?.sound() else {
            return Ok(());
        };
        let body = look(block_store::body(&self.txn, &key, header).map(Some))?.sound();
        let block = body.map(|body| Block::from_parts(header, body));
        let proof = block.and_then(|block| {
            self.shared.source.proof(&key, &block, &self.shared.identity.proof_scheme)
        });
        if let Some(proof) = proof {
            if unchecked.replaced(&key) {
                unchecked.put(&mut self.txn)?;
            }
            block_store::put_signature(&mut self.txn, &key, &proof)?;
            self.told::<Signatures>(&key, from, To::Row, "it was checked");
            return Ok(());
        }
        // Genesis needs none.
        if key.slot > 0 && !unchecked.mark_bad(key) {
            let why = format!(
                "{from}; so many proofs wait to be fetched that no more can be marked: let a node run until it has them, and repair again"
            );
            self.cannot::<Signatures>(&key, why);
            return Ok(());
        }
        unchecked.put(&mut self.txn)?;
        block_store::put_signature(&mut self.txn, &key, &Default::default())?;
        let (to, proof) = match key.slot {
            0 => (To::Row, "genesis has none"),
            _ => (To::Mark, "not served; a running node asks its peers for it"),
        };
        self.told::<Signatures>(&key, from, to, proof);
        Ok(())
    }
}

/// What could be read of a state.
fn readable<T>(read: Result<T, StateReadError>) -> Result<Option<T>, EngineError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StateReadError::Read(ReadError::Engine(error))) => Err(error),
        Err(_) => Ok(None),
    }
}
