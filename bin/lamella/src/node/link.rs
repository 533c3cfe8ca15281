//! Between the node and its network: blocks of the chain for peers, and the network's news for the node.

use std::sync::Arc;

use lamella_chain::Chain;
use lamella_inspect::{LookupError, NotStored, block_id::BlockId, stored, walk, which::locate};
use lamella_metrics::{Metrics, float};
use lamella_network::{
    service::{
        BlockSource, Glance, Listener, NetworkEvent, Observation, SourceBlock, SourceFailure,
        SourceRange, Worth,
    },
    wire::topic::TopicKind,
};
use lamella_tables::{Consequence, ReadError};
use lamella_types::{Root, Slot, SlotClock, Status, to_ssz};
use tracing::error;

use super::{gate::Gate, inbox::Sender, unix_ms};

/// Serves peers from the chain. Each call is one short transaction.
pub(super) struct ChainSource {
    pub(super) chain: Arc<Chain>,
    pub(super) node: Sender,
}

impl ChainSource {
    fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&lamella_tables::ReadTxn<'_>) -> Result<T, LookupError>,
    ) -> Result<T, SourceFailure> {
        let outcome = self.chain.read().map_err(LookupError::from).and_then(|txn| read(&txn));
        outcome.map_err(|error| {
            error!(%error, what, "Cannot serve a peer");
            match error {
                // Whatever else fails is this peer's loss, and a peer may not pause us.
                LookupError::Read(ReadError::Engine(error))
                    if error.consequence == Consequence::Unusable =>
                {
                    self.node.store_failed(error.into());
                }
                _ => {}
            }
            SourceFailure
        })
    }
}

impl BlockSource for ChainSource {
    fn status(&self) -> Status {
        let view = self.chain.fork_choice();
        Status { finalized: view.latest_finalized(), head: view.head_summary().checkpoint() }
    }

    fn block(&self, root: &Root) -> Result<SourceBlock, SourceFailure> {
        self.read("block", |txn| {
            let block = locate(txn, BlockId::Root(*root));
            match block.and_then(|located| stored::signed_block(txn, &located)) {
                Ok(block) => Ok(SourceBlock::Found(to_ssz(&block))),
                Err(LookupError::NotStored(_)) => Ok(SourceBlock::Unknown),
                Err(LookupError::Pruned { floor, .. }) => {
                    Ok(SourceBlock::Pruned(format!("proofs below slot {floor} are pruned")))
                }
                Err(LookupError::PartPruned { part, floor, .. }) => {
                    let parts = part.all();
                    Ok(SourceBlock::Pruned(format!("{parts} below slot {floor} are pruned")))
                }
                Err(LookupError::Unchecked { slot, .. }) => {
                    Ok(SourceBlock::Pruned(format!("the proof at slot {slot} was not checked yet")))
                }
                Err(error) => Err(error),
            }
        })
    }

    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure> {
        self.read("range", |txn| match walk::canonical_roots(txn, start_slot, count) {
            Ok(roots) => Ok(SourceRange::Roots(roots)),
            Err(LookupError::NotStored(NotStored::BeforeOldest { oldest, .. })) => {
                let text = format!("blocks below slot {oldest} are not stored");
                Ok(SourceRange::Unavailable(text))
            }
            Err(error) => Err(error),
        })
    }
}

/// Hears the network.
pub(super) struct Ear {
    pub(super) node: Sender,
    pub(super) chain: Arc<Chain>,
    pub(super) clock: SlotClock,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Arc<Metrics>,
}

impl Listener for Ear {
    fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        self.node.network(event)
    }

    fn ended(&self) {
        self.node.ended("network");
    }

    fn worth(&self, glance: &Glance) -> Worth {
        let current = self.clock.current_slot(unix_ms());
        self.gate.worth(glance, current, || self.chain.fork_choice())
    }

    fn observe(&self, observation: Observation) {
        let metrics = &self.metrics.network;
        match observation {
            Observation::Connected(direction) => {
                metrics.connections.with_label_values(&[direction.name(), "success"]).inc();
            }
            Observation::ConnectFailed { direction, is_timeout } => {
                let result = if is_timeout { "timeout" } else { "error" };
                metrics.connections.with_label_values(&[direction.name(), result]).inc();
            }
            Observation::Disconnected { direction, reason } => {
                metrics.disconnections.with_label_values(&[direction.name(), reason]).inc();
            }
            Observation::Gossip { kind, ssz_bytes } => {
                let histogram = match kind {
                    TopicKind::Block => &metrics.block_bytes,
                    TopicKind::Attestation { .. } => &metrics.attestation_bytes,
                    TopicKind::Aggregation => &metrics.aggregation_bytes,
                };
                histogram.observe(float(ssz_bytes));
            }
            Observation::GossipDropped(offence) => {
                metrics.gossip_dropped.with_label_values(&[offence.name()]).inc();
            }
            Observation::NotWorthReading => {
                metrics.gossip_dropped.with_label_values(&["not_worth_reading"]).inc();
            }
            Observation::Busy => metrics.gossip_dropped.with_label_values(&["busy"]).inc(),
            Observation::Received { blocks, .. } => metrics.blocks_received.inc_by(blocks as u64),
            Observation::Asked { blocks } => metrics.blocks_asked.inc_by(blocks as u64),
            Observation::Offence(offence) => {
                metrics.offences.with_label_values(&[offence.name()]).inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lamella_block_store::Extent;
    use lamella_chain::{Bootstrap, Settings};
    use lamella_state_transition::compute_post_state;
    use lamella_tables::{Canonical, Key as _, Slots, Table as _};
    use lamella_types::{
        Block, SignedBlock, Validator, Validators, genesis_state, slot::proposer_for_slot,
    };
    use lamella_xmss::scheme::Trust;

    use super::*;
    use crate::{import::Importer, node::inbox::Inbox};

    /// A chain at slots 0, 1, 2, 5 and 6, and its roots.
    fn source(data: &std::path::Path) -> (ChainSource, Vec<Root>) {
        let validators: Vec<_> =
            (0..4).map(|index| Validator { index, ..Validator::default() }).collect();
        let mut state = genesis_state(7, Validators::new(&validators).unwrap());
        let genesis = Bootstrap::genesis(state.clone());
        let mut roots = vec![genesis.block.block.header().root()];
        let (chain, _) = Chain::create(data, genesis, "trust", Settings::default()).unwrap();
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
        for slot in [1, 2, 5, 6] {
            let proposer_index = proposer_for_slot(slot, 4).unwrap();
            let parent_root = *roots.last().unwrap();
            let mut block = Block { slot, proposer_index, parent_root, ..Block::default() };
            (state, block.state_root) = compute_post_state(&state, &block).unwrap();
            roots.push(block.header().root());
            importer.import(SignedBlock { block, ..SignedBlock::default() }).unwrap();
        }
        (ChainSource { chain, node: Inbox::default().sender() }, roots)
    }

    #[test]
    fn a_peer_is_told_that_a_block_was_pruned_and_not_that_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (source, roots) = source(directory.path());
        let mut txn = source.chain.database().write_raw().unwrap();
        let mut extent = Extent::read(&txn).unwrap();
        assert!(extent.raise_bodies_floor(5, 5));
        extent.put(&mut txn).unwrap();
        txn.commit().unwrap();
        // The bodies here are empty, and are no rows; the proofs went with them.
        let said = SourceBlock::Pruned("proofs below slot 5 are pruned".to_owned());
        assert_eq!(source.block(&roots[2]), Ok(said));
        assert!(matches!(source.block(&roots[3]), Ok(SourceBlock::Found(_))));
    }

    /// Symptom: a node that had lost a row of an index gave its peers a range with a hole in it, as if it were whole.
    /// Mechanism: the answer took every slot without a row for a skipped one.
    /// Fix: the links of the blocks say what was skipped; whatever else is missing fails the answer.
    #[test]
    fn a_lost_row_fails_the_answer_to_a_peer_and_a_skipped_slot_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let (source, roots) = source(directory.path());
        let range = |from, count| source.canonical_roots(from, count);
        let is = |range: &[Root]| Ok(SourceRange::Roots(range.to_vec()));
        let all = [(0, 7, 0..5), (0, 1024, 0..5), (2, 2, 2..3), (3, 2, 3..3), (3, 3, 3..4)];
        for (from, count, expected) in all.clone() {
            assert_eq!(range(from, count), is(&roots[expected]), "{count} slots from {from} on");
        }
        assert_eq!(
            (range(0, 0), range(7, 9), range(u64::MAX, u64::MAX)),
            (is(&[]), is(&[]), is(&[]))
        );

        let change = |table: &str, key: &[u8], stored: Option<&[u8]>| {
            let mut txn = source.chain.database().write_raw().unwrap();
            match stored {
                Some(stored) => txn.put_raw(table, key, stored).unwrap(),
                None => assert!(txn.delete_raw(table, key).unwrap()),
            }
            txn.commit().unwrap();
        };
        for slot in [0_u64, 1, 2, 5, 6] {
            let key = slot.encode();
            let row = {
                let txn = source.chain.read().unwrap();
                let mut rows = txn.raw_rows(Canonical::NAME).unwrap().unwrap();
                rows.find_map(|row| row.ok().filter(|row| row.key == key)).unwrap()
            };
            change(Canonical::NAME, &key, None);
            for (from, count, _) in all.clone() {
                if from <= slot && slot < from + count {
                    assert_eq!(range(from, count), Err(SourceFailure), "{slot} of {count}");
                }
            }
            change(Canonical::NAME, &key, Some(&row.stored));
        }
        change(Slots::NAME, &roots[1].encode(), None);
        assert_eq!(
            source.block(&roots[1]),
            Ok(SourceBlock::Unknown),
            "a root alone proves nothing"
        );
    }
}
