//! Between the node and its network: blocks of the chain for peers, and the network's news for the node.

use std::sync::Arc;

use lamella_block_store::{self as block_store, Extent, SignedBlockRead};
use lamella_chain::Chain;
use lamella_metrics::{Metrics, float};
use lamella_network::{
    service::{
        BlockSource, Listener, NetworkEvent, Observation, SourceBlock, SourceFailure, SourceRange,
    },
    wire::topic::TopicKind,
};
use lamella_tables::{Consequence, ReadError};
use lamella_types::{Root, Slot, Status, to_ssz};
use tracing::error;

use super::inbox::Sender;

/// Serves peers from the chain. Each call is one short transaction.
pub(super) struct ChainSource {
    pub(super) chain: Arc<Chain>,
    pub(super) node: Sender,
}

impl ChainSource {
    fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&lamella_tables::ReadTxn<'_>) -> Result<T, ReadError>,
    ) -> Result<T, SourceFailure> {
        let outcome = self.chain.read().map_err(ReadError::from).and_then(|txn| read(&txn));
        outcome.map_err(|error| {
            error!(%error, what, "Cannot serve a peer");
            match error {
                // Whatever else fails is this peer's loss, and a peer may not pause us.
                ReadError::Engine(error) if error.consequence == Consequence::Unusable => {
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
            Ok(match block_store::signed_block(txn, root)? {
                SignedBlockRead::Unknown => SourceBlock::Unknown,
                SignedBlockRead::Found(block) => SourceBlock::Found(to_ssz(&*block)),
                SignedBlockRead::Pruned(_) => {
                    let floor = block_store::signature_floor(txn)?.key.slot;
                    SourceBlock::Pruned(format!("proofs below slot {floor} are pruned"))
                }
            })
        })
    }

    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure> {
        self.read("range", |txn| {
            let first = Extent::read(txn)?.oldest().slot;
            if start_slot < first {
                let text = format!("blocks below slot {first} are not stored");
                return Ok(SourceRange::Unavailable(text));
            }
            let roots = block_store::canonical_roots(txn, start_slot, count)?;
            Ok(SourceRange::Roots(roots))
        })
    }
}

/// Hears the network.
pub(super) struct Ear {
    pub(super) node: Sender,
    pub(super) metrics: Arc<Metrics>,
}

impl Listener for Ear {
    fn event(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        self.node.network(event)
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
            Observation::Gossip { kind, ssz_bytes, .. } => {
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
            Observation::Busy => metrics.gossip_dropped.with_label_values(&["busy"]).inc(),
            Observation::Received { blocks, .. } => metrics.blocks_received.inc_by(blocks as u64),
            Observation::Asked { blocks } => metrics.blocks_asked.inc_by(blocks as u64),
            Observation::Offence(offence) => {
                metrics.offences.with_label_values(&[offence.name()]).inc();
            }
        }
    }
}
