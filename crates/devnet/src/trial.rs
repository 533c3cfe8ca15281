//! What strangers and absences must not cost the nodes that are always here: a duty, their memory, each other.

use std::fs;

use lamella_hostile::attack::Done;
use lamella_types::{Slot, slot::proposer_for_slot};

use super::{
    Check,
    client::{Client, ClientError, Metrics},
};

/// Memory that a node may have for itself, without the pages of files, which are the system's cache.
pub const MEMORY_BYTES_MAX: u64 = 300_000_000;

/// What a node has signed since its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed {
    votes: u64,
    blocks: u64,
}

impl Signed {
    fn of(metrics: &Metrics) -> Self {
        Self {
            votes: metrics.count("lean_pq_sig_attestation_signatures_total"),
            blocks: metrics.count("lean_block_building_success_total"),
        }
    }
}

/// A node whose duties are counted.
#[derive(Debug, Clone)]
pub(super) struct OnDuty {
    node_id: String,
    client: Client,
    /// Position in the network: validators are dealt in turn.
    position: u64,
    validators: u64,
    /// What it had signed when counting began.
    before: Signed,
}

/// Duties are counted from the end of a slot on.
#[derive(Debug, Clone, Default)]
pub(super) struct Duties {
    nodes: Vec<OnDuty>,
    from: Slot,
    node_count: u64,
    validator_count: u64,
}

impl Duties {
    /// Begins to count, at the end of this slot, what these nodes of so many with so many validators sign.
    pub(super) fn begin(
        nodes: impl Iterator<Item = (u64, String, Client)>,
        from: Slot,
        node_count: u64,
        validator_count: u64,
    ) -> Result<Self, ClientError> {
        let begin = |(position, node_id, client): (u64, String, Client)| {
            let before = Signed::of(&client.metrics()?);
            let validators = validator_count.saturating_sub(position).div_ceil(node_count.max(1));
            Ok(OnDuty { node_id, client, position, validators, before })
        };
        let nodes = nodes.map(begin).collect::<Result<_, _>>()?;
        Ok(Self { nodes, from, node_count, validator_count })
    }

    /// Whether nobody's are counted.
    pub(super) const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether every validator of these nodes voted in every slot up to this one, and proposed when it was its turn.
    pub(super) fn check(&self, to: Slot) -> Check {
        Check::of("duties", self.count(to))
    }

    fn count(&self, to: Slot) -> Result<String, String> {
        if to <= self.from || self.nodes.is_empty() {
            return Err("the run was too short to count duties".to_owned());
        }
        let (mut votes, mut blocks, mut lost) = (0, 0, Vec::new());
        for node in &self.nodes {
            let now = node.client.metrics().map_err(|error| error.to_string())?;
            let now = Signed::of(&now);
            let due_votes = node.validators * (to - self.from);
            let due_blocks = (self.from + 1..=to).filter(|slot| self.proposes(node, *slot)).count();
            for (what, due, before, now) in [
                ("votes", due_votes, node.before.votes, now.votes),
                ("blocks", due_blocks as u64, node.before.blocks, now.blocks),
            ] {
                // One more slot may have passed.
                let done = now.saturating_sub(before);
                if done < due {
                    lost.push(format!("{} signed {done} of {due} {what}", node.node_id));
                }
            }
            votes += due_votes;
            blocks += due_blocks;
        }
        if !lost.is_empty() {
            return Err(lost.join(", "));
        }
        let (nodes, from) = (self.nodes.len(), self.from + 1);
        Ok(format!(
            "{votes} votes and {blocks} blocks were due of {nodes} nodes in slots {from} to {to}, none lost"
        ))
    }

    fn proposes(&self, node: &OnDuty, slot: Slot) -> bool {
        let proposer = proposer_for_slot(slot, self.validator_count);
        proposer.is_some_and(|proposer| proposer % self.node_count == node.position)
    }
}

/// Bytes of memory that a process has for itself. `None` where the system does not say.
#[must_use]
pub fn memory_bytes(process_id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().ok()?;
    Some(kib << 10)
}

/// No node had more than [`MEMORY_BYTES_MAX`] at any look.
pub(super) fn memory(peaks: &[(String, u64)]) -> Check {
    let limit = MEMORY_BYTES_MAX / 1_000_000;
    let outcome = match peaks.iter().max_by_key(|(_, bytes)| *bytes) {
        None | Some((_, 0)) => Ok("the system does not say how much a process has".to_owned()),
        Some((node_id, bytes)) => {
            let megabytes = bytes / 1_000_000;
            let text = format!("{node_id} had {megabytes} MB at most (limit {limit})");
            if *bytes <= MEMORY_BYTES_MAX { Ok(text) } else { Err(text) }
        }
    };
    Check::of("memory", outcome)
}

/// No node of the network banned another one.
pub(super) fn bans(honest: &[String], logs: &[(String, String)]) -> Check {
    let mut banned = 0;
    let mut wrong = Vec::new();
    for (node_id, log) in logs {
        for line in log.lines().filter(|line| line.contains(" Peer banned ")) {
            let name = line.split(" peer=").nth(1).and_then(|rest| rest.split(' ').next());
            if name.is_some_and(|name| honest.iter().any(|honest| honest == name)) {
                wrong.push(format!("{node_id}: {line}"));
            }
            banned += 1;
        }
    }
    let text = format!("{banned} strangers banned, no node of the network");
    Check::of("bans", if wrong.is_empty() { Ok(text) } else { Err(wrong.join("; ")) })
}

/// Everything was tried.
pub(super) fn attack(done: &Done) -> Check {
    let text: Vec<_> = done.iter().map(|(what, times)| format!("{times} {what}")).collect();
    let is_whole = !done.is_empty() && done.values().all(|times| *times > 0);
    let text = text.join(", ");
    Check::of("attack", if is_whole { Ok(text) } else { Err(format!("not all was done: {text}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ban_of_a_node_of_the_network_is_wrong() {
        let log = |peer| {
            let line = format!(
                "x WARN lamella: Peer banned peer={peer} because_of={peer} detail=\"a b\"\n"
            );
            vec![("lamella_0".to_owned(), line)]
        };
        let honest = ["one".to_owned(), "two".to_owned()];
        assert!(bans(&honest, &log("three")).passed);
        let wrong = bans(&honest, &log("two"));
        assert!(!wrong.passed && wrong.what.contains("lamella_0"), "{}", wrong.what);
    }

    #[test]
    fn memory_beyond_the_limit_and_an_attack_that_was_not_made_are_failures() {
        let peaks = |bytes| [("a".to_owned(), 5), ("b".to_owned(), bytes)];
        assert!(memory(&peaks(MEMORY_BYTES_MAX)).passed);
        assert!(!memory(&peaks(MEMORY_BYTES_MAX + 1)).passed);
        assert!(!attack(&Done::new()).passed);
        assert!(!attack(&Done::from([("replays", 1), ("claims", 0)])).passed);
        assert!(attack(&Done::from([("replays", 1), ("claims", 3)])).passed);
    }
}
