//! Reading an anchor: its own row, its registry, its segments. Nothing else.

use std::sync::Arc;

use lamella_state_diff::Anchor;
use lamella_tables::{
    Anchors, Bytes, History, Read as _, ReadTxn, Registries, SegmentKey, SlotRoot,
};
use lamella_types::{Root, Segment, State, Validators};

use crate::{error::StateReadError, store::StateStore};

impl StateStore {
    /// The full state that an anchor row stands for. The caller compares its hash.
    pub(crate) fn anchor_state(
        &self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
    ) -> Result<State, StateReadError> {
        let missing = || StateReadError::NoState { root: key.root, slot: key.slot };
        let Bytes(bytes) = txn.get::<Anchors>(&key)?.ok_or_else(missing)?;
        let anchor = Anchor::decode(&bytes)
            .map_err(|error| StateReadError::content::<Anchors>(&key, error))?;
        let validators = self.registry(txn, &key, &anchor.registry_root)?;
        let segments = (0..).zip(&anchor.segment_roots);
        let segments = segments.map(|(index, root)| self.segment(txn, &key, index, *root));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        anchor
            .into_state(validators, segments)
            .map_err(|source| StateReadError::Anchor { root: key.root, source })
    }

    fn segment(
        &self,
        txn: &ReadTxn<'_>,
        anchor: &SlotRoot,
        index: u32,
        root: Root,
    ) -> Result<Arc<Segment>, StateReadError> {
        if let Some(segment) = self.caches.segment(&root) {
            return Ok(segment);
        }
        let Some(segment) = txn.get::<History>(&SegmentKey { index, root })? else {
            let what = format!("history segment {index} {root} is not stored");
            return Err(StateReadError::content::<Anchors>(anchor, what));
        };
        let segment = Arc::new(segment);
        self.caches.put_segment(&segment);
        Ok(segment)
    }

    /// The registry. Normally one for the whole chain, so the last state's is tried first.
    fn registry(
        &self,
        txn: &ReadTxn<'_>,
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
