//! When to dial whom: for ever, at once when a connection is lost, and then less and less often.

use std::collections::BTreeMap;

/// Wait before a first attempt after a connection was lost; it doubles with each attempt.
pub const REDIAL_MS: u64 = 250;

#[derive(Debug, Clone, Copy)]
struct Target {
    wait_ms: u64,
    due_ms: u64,
    connected_ms: Option<u64>,
}

/// The nodes that we dial.
#[derive(Debug)]
pub struct Dialler<P> {
    targets: BTreeMap<P, Target>,
    wait_ms_max: u64,
}

impl<P: Copy + Ord> Dialler<P> {
    /// All of them are due at once. Nobody waits longer than `wait_ms_max` for an attempt.
    pub fn new(targets: impl IntoIterator<Item = P>, wait_ms_max: u64) -> Self {
        let wait_ms = REDIAL_MS.min(wait_ms_max);
        let target = Target { wait_ms, due_ms: 0, connected_ms: None };
        let targets = targets.into_iter().map(|peer| (peer, target)).collect();
        Self { targets, wait_ms_max }
    }

    /// Whom to dial now. An attempt that leads to no connection is followed by another.
    pub fn due(&mut self, now_ms: u64) -> Vec<P> {
        let is_due = |target: &Target| target.connected_ms.is_none() && target.due_ms <= now_ms;
        let due = self.targets.iter_mut().filter(|(_, target)| is_due(target));
        let due = due.map(|(peer, target)| {
            target.due_ms = now_ms + target.wait_ms;
            target.wait_ms = (2 * target.wait_ms).min(self.wait_ms_max);
            *peer
        });
        due.collect()
    }

    /// A node is connected, whoever began it.
    pub fn connected(&mut self, peer: &P, now_ms: u64) {
        if let Some(target) = self.targets.get_mut(peer) {
            target.connected_ms.get_or_insert(now_ms);
        }
    }

    /// A node is not connected any more. One that stayed for a while is tried again soon, one that did not waits on.
    pub fn gone(&mut self, peer: &P, now_ms: u64) {
        let Some(target) = self.targets.get_mut(peer) else { return };
        let Some(since_ms) = target.connected_ms.take() else { return };
        if since_ms + self.wait_ms_max <= now_ms {
            target.wait_ms = REDIAL_MS.min(self.wait_ms_max);
        }
        target.due_ms = now_ms + target.wait_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_dialled_for_ever_less_and_less_often_and_soon_after_it_was_here() {
        let mut dialler = Dialler::new([7], 12_000);
        let mut now_ms = 0;
        for wait_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 12_000, 12_000] {
            assert_eq!(dialler.due(now_ms), [7]);
            assert_eq!(dialler.due(now_ms + wait_ms - 1), []);
            now_ms += wait_ms;
        }
        dialler.connected(&7, now_ms);
        assert_eq!(dialler.due(now_ms + 1_000_000), []);
        now_ms += 1_000_000;
        dialler.gone(&7, now_ms);
        assert_eq!(dialler.due(now_ms + REDIAL_MS - 1), []);
        assert_eq!(dialler.due(now_ms + REDIAL_MS), [7]);
        // Who ends each connection at once is not dialled four times a second.
        let mut attempts = 0;
        for at_ms in now_ms..now_ms + 120_000 {
            if !dialler.due(at_ms).is_empty() {
                attempts += 1;
                dialler.connected(&7, at_ms);
                dialler.gone(&7, at_ms);
            }
        }
        assert!((10..=16).contains(&attempts), "{attempts}");
    }
}
