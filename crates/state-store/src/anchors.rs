//! Reading an anchor: its own row, its registry, its segments. Nothing else.

use std::sync::Arc;

use lamella_state_diff::Anchor;
use lamella_tables::{Anchors, Bytes, History, Read, Registries, SegmentKey, SlotRoot};
use lamella_types::{BlockHeader, Root, Segment, State, Validators};

use crate::{error::StateReadError, store::StateStore};

impl StateStore {
    /// The full state that an anchor row stands for. The caller compares its hash.
    pub(crate) fn anchor_state(
        &self,
        txn: &impl Read,
        key: SlotRoot,
    ) -> Result<State, StateReadError> {
        let missing = || StateReadError::NoState { root: key.root, slot: key.slot };
        let Bytes(bytes) = txn.get::<Anchors>(&key)?.ok_or_else(missing)?;
        let anchor = Anchor::decode(&bytes)
            .map_err(|error| StateReadError::content::<Anchors>(&key, error))?;
        let validators = self.registry(txn, &key, &anchor.registry_root)?;
        let segments = self.segments(txn, &key, &anchor.segment_roots)?;
        anchor
            .into_state(validators, segments)
            .map_err(|source| StateReadError::Anchor { root: key.root, source })
    }

    /// The header of a block whose state is stored whole, as that state says it: its state root is the state's own. `None` if
    /// there is no such row. Whether it is the block's, its hash says.
    ///
    /// # Errors
    /// [`StateReadError`].
    pub fn header_of_anchor(
        &self,
        txn: &impl Read,
        key: SlotRoot,
    ) -> Result<Option<BlockHeader>, StateReadError> {
        if !txn.has::<Anchors>(&key)? {
            return Ok(None);
        }
        let state = self.anchor_state(txn, key)?;
        Ok(Some(BlockHeader { state_root: state.root(), ..state.latest_block_header }))
    }

    /// The segments of these roots, in order. Those that are not cached are read together: at the first read after a
    /// start these are all of them.
    fn segments(
        &self,
        txn: &impl Read,
        anchor: &SlotRoot,
        roots: &[Root],
    ) -> Result<Vec<Arc<Segment>>, StateReadError> {
        let mut segments: Vec<_> = roots.iter().map(|root| self.caches.segment(root)).collect();
        let keys = (0..).zip(roots).map(|(index, root)| SegmentKey { index, root: *root });
        let missing = keys.zip(&segments).filter(|(_, cached)| cached.is_none());
        let missing: Vec<SegmentKey> = missing.map(|(key, _)| key).collect();
        let read = txn.get_many::<History>(&missing)?;
        let places = segments.iter_mut().filter(|cached| cached.is_none());
        for ((key, read), place) in missing.iter().zip(read).zip(places) {
            let segment = read.ok_or_else(|| {
                let what = format!("history segment {} {} is not stored", key.index, key.root);
                StateReadError::content::<Anchors>(anchor, what)
            })?;
            let segment = Arc::new(segment);
            self.caches.put_segment(&segment);
            *place = Some(segment);
        }
        Ok(segments.into_iter().flatten().collect())
    }

    /// The registry. Normally one for the whole chain, so the last state's is tried first.
    fn registry(
        &self,
        txn: &impl Read,
        anchor: &SlotRoot,
        root: &Root,
    ) -> Result<Validators, StateReadError> {
        if let Some(validators) = self.caches.registry(root) {
            return Ok(validators);
        }
        let Some(validators) = txn.get::<Registries>(root)? else {
            let what = format!("registry {root} is not stored");
            return Err(StateReadError::content::<Anchors>(anchor, what));
        };
        self.caches.put_registry(&validators);
        Ok(validators)
    }
}
