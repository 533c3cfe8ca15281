//! Who is connected to whom, and what becomes of what is sent.

use std::collections::BTreeMap;

use crate::dice::Dice;

/// Silence after which a connection is dead: QUIC's.
const SILENCE_MS: u64 = 10_000;

/// The network's weather.
pub(crate) struct Wires {
    dice: Dice,
    links: BTreeMap<(usize, usize), Link>,
    /// Sides of the partitions that are on, as bits, by fault.
    pub(crate) partitions: BTreeMap<usize, u64>,
    pub(crate) lost_per_mille: u64,
    pub(crate) twice_per_mille: u64,
    sent: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    is_up: bool,
    /// How often it was made.
    number: u64,
    silent_since_ms: Option<u64>,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Up,
    Down,
}

impl Wires {
    pub(crate) fn new(dice: Dice, nodes: usize, lost_per_mille: u64) -> Self {
        let pairs = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
        Self {
            dice,
            links: pairs.map(|pair| (pair, Link::default())).collect(),
            partitions: BTreeMap::new(),
            lost_per_mille,
            twice_per_mille: 0,
            sent: 0,
        }
    }

    /// Whether a cable connects them.
    pub(crate) fn is_whole(&self, a: usize, b: usize) -> bool {
        self.partitions.values().all(|side| side >> a & 1 == side >> b & 1)
    }

    fn link(&self, a: usize, b: usize) -> Link {
        self.links.get(&(a.min(b), a.max(b))).copied().unwrap_or_default()
    }

    pub(crate) fn is_up(&self, a: usize, b: usize) -> bool {
        self.link(a, b).is_up
    }

    /// Which connection this is: what was sent on an earlier one does not come.
    pub(crate) fn number(&self, a: usize, b: usize) -> u64 {
        self.link(a, b).number
    }

    /// When what is sent now arrives, once or twice. Nothing if it is lost. `what` numbers it for the dice.
    pub(crate) fn arrivals(&self, from: usize, to: usize, what: u64, now_ms: u64) -> Vec<u64> {
        let throw = [from as u64, to as u64, what];
        if !self.is_up(from, to)
            || !self.is_whole(from, to)
            || self.dice.happens("lost", &throw, self.lost_per_mille)
        {
            return Vec::new();
        }
        let delay_ms = |copy: u64| {
            let throw = [from as u64, to as u64, what, copy];
            let usual = self.dice.between("delay", &throw, 5, 160);
            let is_slow = self.dice.happens("is slow", &throw, 20);
            if is_slow { usual + self.dice.between("slow", &throw, 0, 3_000) } else { usual }
        };
        let mut arrivals = vec![now_ms + delay_ms(0)];
        if self.dice.happens("twice", &throw, self.twice_per_mille) {
            arrivals.push(now_ms + 10 * delay_ms(1));
        }
        arrivals
    }

    /// A number for something that has no name.
    pub(crate) fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// A process is no more: its connections are, once the others notice.
    pub(crate) fn look(
        &mut self,
        now_ms: u64,
        is_reachable: impl Fn(usize) -> bool,
    ) -> Vec<(usize, usize, Change)> {
        let mut changes = Vec::new();
        let whole: Vec<bool> = self.links.keys().map(|(a, b)| self.is_whole(*a, *b)).collect();
        for (((a, b), link), is_whole) in self.links.iter_mut().zip(whole) {
            let is_reached = is_whole && is_reachable(*a) && is_reachable(*b);
            if is_reached {
                link.silent_since_ms = None;
                if !link.is_up {
                    (link.is_up, link.number) = (true, link.number + 1);
                    changes.push((*a, *b, Change::Up));
                }
                continue;
            }
            let since = *link.silent_since_ms.get_or_insert(now_ms);
            if link.is_up && now_ms >= since + SILENCE_MS {
                link.is_up = false;
                changes.push((*a, *b, Change::Down));
            }
        }
        changes
    }

    /// A process that begins again is known to none of its old connections.
    pub(crate) fn begins_again(&mut self, node: usize) -> Vec<(usize, usize)> {
        let its =
            self.links.iter_mut().filter(|((a, b), link)| (*a == node || *b == node) && link.is_up);
        its.map(|(pair, link)| {
            link.is_up = false;
            *pair
        })
        .collect()
    }
}
