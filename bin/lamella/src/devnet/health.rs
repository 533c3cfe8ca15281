//! What the nodes say at one moment, and whether that is well.

use std::collections::HashSet;

use lamella_types::Slot;
use serde_json::{Value, json};

use super::client::NodeView;

/// Slots between head and finalized block that are healthy: 3 with every vote on time, and as many again and more for
/// votes that a busy machine sends late.
pub const FINALITY_DISTANCE_MAX: u64 = 8;

/// Slots between wall clock and head that are healthy: a block or two that came too late.
pub const HEAD_DISTANCE_MAX: u64 = 4;

/// A node at one moment.
#[derive(Debug, Clone)]
pub struct NodePicture {
    /// Its name.
    pub node_id: String,
    /// Its process id.
    pub pid: u32,
    /// Where its API is.
    pub url: String,
    /// Where it is, or why it does not say.
    pub view: Result<NodeView, String>,
}

/// All nodes at one moment.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Slot of the wall clock.
    pub slot: Slot,
    /// Seconds until slot 0, if it has not come.
    pub until_genesis_s: u64,
    /// The nodes.
    pub nodes: Vec<NodePicture>,
}

/// What a picture says of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Nodes that answered, and all.
    pub answered: usize,
    /// All nodes.
    pub nodes: usize,
    /// Different heads.
    pub heads: usize,
    /// Highest head.
    pub head_slot: Slot,
    /// Lowest finalized slot.
    pub finalized_slot: Slot,
    /// Slots from the highest head to the wall clock.
    pub head_distance: u64,
}

impl Picture {
    /// The nodes that answered.
    pub fn views(&self) -> impl Iterator<Item = &NodeView> {
        self.nodes.iter().filter_map(|node| node.view.as_ref().ok())
    }

    /// What it says of the network.
    #[must_use]
    pub fn health(&self) -> Health {
        let head_slot = self.views().map(|view| view.head_slot).max().unwrap_or(0);
        Health {
            answered: self.views().count(),
            nodes: self.nodes.len(),
            heads: self.views().map(|view| view.head).collect::<HashSet<_>>().len(),
            head_slot,
            finalized_slot: self.views().map(|view| view.finalized_slot).min().unwrap_or(0),
            head_distance: self.slot.saturating_sub(head_slot),
        }
    }

    /// The picture for a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let nodes = self.nodes.iter().map(|node| match &node.view {
            Ok(view) => json!({
                "node_id": node.node_id,
                "pid": node.pid,
                "url": node.url,
                "head_slot": view.head_slot,
                "head": view.head.to_string(),
                "justified_slot": view.justified_slot,
                "finalized_slot": view.finalized_slot,
                "finalized": view.finalized.to_string(),
                "peers": view.peers,
                "reorgs": view.reorgs,
                "imports": view.imports,
                "commit_ms": view.commit_ms,
                "database_bytes": view.database_bytes,
                "sync_status": view.sync_status,
            }),
            Err(error) => json!({
                "node_id": node.node_id,
                "pid": node.pid,
                "url": node.url,
                "error": error,
            }),
        });
        let health = self.health();
        json!({
            "slot": self.slot,
            "healthy": health.is_good(),
            "heads": health.heads,
            "finality_distance": health.finality_distance(),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }
}

impl Health {
    /// Slots from the highest head back to the lowest finalized block.
    #[must_use]
    pub const fn finality_distance(&self) -> u64 {
        self.head_slot.saturating_sub(self.finalized_slot)
    }

    /// Whether every node answers, all on one head, near the wall clock, and finality is close.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.answered == self.nodes
            && self.heads == 1
            && self.head_distance <= HEAD_DISTANCE_MAX
            && self.finality_distance() <= FINALITY_DISTANCE_MAX
    }

    /// The network in a few words.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { answered, nodes, heads, .. } = self;
        let mut parts = Vec::new();
        match (answered == nodes, heads) {
            (false, _) => parts.push(format!("{answered} of {nodes} nodes answer")),
            (true, 1) => parts.push("all agree".to_owned()),
            (true, _) => parts.push(format!("{heads} different heads")),
        }
        if self.head_distance > HEAD_DISTANCE_MAX {
            parts.push(format!("no block for {} slots", self.head_distance));
        }
        parts.push(format!("finality {} behind the head", self.finality_distance()));
        let verdict = if self.is_good() { "healthy" } else { "not healthy" };
        format!("{verdict}: {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use lamella_types::Root;

    use super::*;

    fn node(head: u8, head_slot: Slot, finalized_slot: Slot) -> NodePicture {
        let view = NodeView {
            head_slot,
            head: Root::new([head; 32]),
            justified_slot: 0,
            finalized_slot,
            finalized: Root::ZERO,
            peers: 3,
            reorgs: 0,
            imports: 1,
            commit_ms: 1.0,
            database_bytes: 1,
            sync_status: "synced".into(),
        };
        NodePicture { node_id: "n".into(), pid: 1, url: "u".into(), view: Ok(view) }
    }

    fn health(slot: Slot, nodes: Vec<NodePicture>) -> Health {
        Picture { slot, until_genesis_s: 0, nodes }.health()
    }

    #[test]
    fn each_trouble_alone_makes_a_network_unhealthy() {
        let silent = NodePicture { view: Err("gone".into()), ..node(1, 9, 6) };
        for (slot, nodes, text) in [
            (10, vec![node(1, 10, 7), node(1, 10, 2)], "healthy: all agree, finality 8"),
            (10, vec![node(1, 10, 7), node(1, 10, 1)], "not healthy: all agree, finality 9"),
            (10, vec![node(1, 10, 7), node(2, 10, 7)], "not healthy: 2 different heads"),
            (10, vec![node(1, 10, 7), silent], "not healthy: 1 of 2 nodes answer"),
            (15, vec![node(1, 10, 7)], "not healthy: all agree, no block for 5 slots"),
        ] {
            let said = health(slot, nodes).text();
            assert!(said.starts_with(text), "{said:?}, not {text:?}");
        }
    }
}
