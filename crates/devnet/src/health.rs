//! What the nodes say at one moment, and whether that is well.

use std::collections::HashSet;

use lamella_types::slot::{Slot, is_justifiable_after};
use serde_json::{Value, json};

use super::client::NodeView;

/// Slots between head and finalized block that are healthy: 3 with every vote on time, and as many again and more for
/// votes that a busy machine sends late.
pub const FINALITY_DISTANCE_MAX: u64 = 8;

/// Slots between head and finalized block in most slots of a healthy run: 3, and one for a picture taken while a block is
/// on its way.
pub const TYPICAL_DISTANCE_MAX: u64 = 4;

/// Slots between wall clock and head that are healthy: a block or two that came too late.
pub const HEAD_DISTANCE_MAX: u64 = 4;

/// Slots from a target to the block that justifies it with every vote on time.
const VOTE_SLOTS: u64 = 3;

/// Slots in which finality comes close again at most, the wall clock being so far from the finalized slot; 0 if it is
/// close.
///
/// After a pause only slots at certain distances from the finalized one can be justified, about as far apart as the
/// square root of the pause. One of these is finalized when the next one is justified: up to two gaps, and the time for
/// votes. From there on the gaps are those of the much smaller new distance, and so on until it is healthy.
#[must_use]
pub fn catch_up_slots(distance: u64) -> u64 {
    // One that is just close is not when the next slots have passed.
    if distance < FINALITY_DISTANCE_MAX {
        return 0;
    }
    let (mut distance, mut slots) = (distance, 0);
    loop {
        let mut justifiable =
            (distance + 1..).filter(|slot| is_justifiable_after(*slot, 0)).skip(1);
        // Gaps grow with the distance, so this one is as wide as the one now and the next.
        let gap = match (justifiable.next(), justifiable.next()) {
            (Some(slot), Some(next)) => next - slot,
            _ => return slots,
        };
        slots += 2 * gap + FINALITY_DISTANCE_MAX;
        distance = gap + VOTE_SLOTS;
        if distance <= FINALITY_DISTANCE_MAX {
            return slots;
        }
    }
}

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
    /// Up to this slot finality may be far from the head, since the network had paused; 0 if it had not.
    pub catch_up_until: Slot,
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
    /// Slots from now on in which finality may be far from the head, see [`catch_up_slots`].
    pub catch_up_slots: u64,
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
            catch_up_slots: self.catch_up_until.saturating_sub(self.slot),
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

    /// Whether finality is close to the head, or still has time to catch up.
    #[must_use]
    pub const fn is_finality_good(&self) -> bool {
        self.finality_distance() <= FINALITY_DISTANCE_MAX || self.catch_up_slots > 0
    }

    /// What finality still has time for; nothing if it is close.
    #[must_use]
    pub fn catching_up(&self) -> String {
        match (self.finality_distance() > FINALITY_DISTANCE_MAX, self.catch_up_slots) {
            (true, slots @ 1..) => format!(", needs up to {slots} slots to catch up"),
            _ => String::new(),
        }
    }

    /// Whether every node answers, all on one head, near the wall clock, and finality is close or catches up.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.answered == self.nodes
            && self.heads == 1
            && self.head_distance <= HEAD_DISTANCE_MAX
            && self.is_finality_good()
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
        parts.push(format!(
            "finality {} behind the head{}",
            self.finality_distance(),
            self.catching_up()
        ));
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
        Picture { slot, until_genesis_s: 0, catch_up_until: 0, nodes }.health()
    }

    #[test]
    fn finality_has_time_to_catch_up_after_a_pause_and_no_longer() {
        let paused = |slot| Picture {
            slot,
            until_genesis_s: 0,
            catch_up_until: 150 + catch_up_slots(143),
            nodes: vec![node(1, slot, 7)],
        };
        // 144, 156, 169: a gap of 13, then of 5 (16 to 20, 25).
        assert_eq!(catch_up_slots(143), (26 + 8) + (10 + 8));
        let said = paused(150).health().text();
        assert_eq!(
            said,
            "healthy: all agree, finality 143 behind the head, needs up to 52 slots to catch up"
        );
        assert!(paused(201).health().is_good());
        let said = paused(202).health().text();
        assert_eq!(said, "not healthy: all agree, finality 195 behind the head");
    }

    #[test]
    fn every_pause_can_be_caught_up_with() {
        assert_eq!(catch_up_slots(FINALITY_DISTANCE_MAX - 1), 0);
        for distance in FINALITY_DISTANCE_MAX..=lamella_network_dir::genesis::KEY_SLOTS_MAX {
            let slots = catch_up_slots(distance);
            assert!((16..=16 * distance.isqrt()).contains(&slots), "{distance}: {slots}");
        }
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
