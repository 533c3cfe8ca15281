//! Who is connected, what they did wrong, and who is not wanted any more. Pure: time is an argument.
//!
//! A peer starts with no points against it. Each [`Offence`] adds its points, which fade with time; at
//! [`BAN_POINTS`] the peer is disconnected and refused for [`BAN_MS`]. A ban ends because a peer's identity costs
//! nothing: what a ban buys is time, and an honest peer with a bug that was repaired comes back by itself.

mod bucket;

use std::collections::BTreeMap;

pub use bucket::Bucket;

/// Points at which a peer is banned.
pub const BAN_POINTS: u32 = 100;

/// Length of a ban: 10 minutes.
pub const BAN_MS: u64 = 600_000;

/// Time in which one point fades: a peer may commit one 10-point offence every ten seconds.
const FADE_MS_PER_POINT: u64 = 1_000;

/// Peers remembered with points or a ban; the one whose memory ends first is forgotten first.
pub const REMEMBERED_MAX: usize = 4_096;

/// Requests for status that a peer may make at once, and per second.
const STATUS_BURST: u64 = 8;
const STATUS_PER_SECOND: u64 = 1;

/// Blocks that a peer may ask for at once, and per second: two whole ranges, and 64 slots of chain each second.
const BLOCKS_BURST: u64 = 2_048;
const BLOCKS_PER_SECOND: u64 = 256;

/// Gossiped messages that a peer may bring at once, and per second: the votes of all 4,096 validators in a slot of
/// 4 s, twice over.
const GOSSIP_BURST: u64 = 8_192;
const GOSSIP_PER_SECOND: u64 = 2_048;

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offence {
    /// Bytes that are no message at all.
    Garbage,
    /// A message or block that is invalid for everyone.
    Invalid,
    /// More requests or messages than a peer may send.
    Flood,
    /// No answer in time.
    Stalled,
    /// A chain that it claims to have and cannot show.
    Lied,
    /// An answer that does not fit its question.
    BrokeProtocol,
    /// It is on another network.
    WrongNetwork,
}

impl Offence {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Garbage,
        Self::Invalid,
        Self::Flood,
        Self::Stalled,
        Self::Lied,
        Self::BrokeProtocol,
        Self::WrongNetwork,
    ];

    /// Points that it costs.
    const fn points(self) -> u32 {
        match self {
            Self::Garbage | Self::Invalid | Self::BrokeProtocol => 25,
            Self::Flood => 5,
            Self::Stalled => 10,
            Self::Lied => 50,
            Self::WrongNetwork => BAN_POINTS,
        }
    }

    /// The name that logs and metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Invalid => "invalid",
            Self::Flood => "flood",
            Self::Stalled => "stalled",
            Self::Lied => "lied",
            Self::BrokeProtocol => "broke_protocol",
            Self::WrongNetwork => "wrong_network",
        }
    }
}

/// What a peer may still do.
#[derive(Debug)]
struct Allowance {
    status: Bucket,
    blocks: Bucket,
    gossip: Bucket,
}

/// Points against a peer.
#[derive(Debug, Clone, Copy)]
struct Record {
    points: u32,
    at_ms: u64,
    banned_until_ms: u64,
}

/// The book on all peers, whatever names them.
#[derive(Debug)]
pub struct Peers<P> {
    allowances: BTreeMap<P, Allowance>,
    records: BTreeMap<P, Record>,
    /// Forgotten for want of room since [`Peers::forget`].
    evicted: Vec<P>,
}

/// What a peer wants of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Our status.
    Status,
    /// That many blocks.
    Blocks(u64),
    /// That we look at a gossiped message.
    Gossip,
}

impl<P> Default for Peers<P> {
    fn default() -> Self {
        Self { allowances: BTreeMap::new(), records: BTreeMap::new(), evicted: Vec::new() }
    }
}

impl<P: Copy + Ord> Peers<P> {
    /// A peer connected.
    pub fn connected(&mut self, peer: P, now_ms: u64) {
        self.allowances.entry(peer).or_insert_with(|| Allowance {
            status: Bucket::new(STATUS_BURST, STATUS_PER_SECOND, now_ms),
            blocks: Bucket::new(BLOCKS_BURST, BLOCKS_PER_SECOND, now_ms),
            gossip: Bucket::new(GOSSIP_BURST, GOSSIP_PER_SECOND, now_ms),
        });
    }

    /// A peer is gone. What is held against it stays.
    pub fn gone(&mut self, peer: &P) {
        self.allowances.remove(peer);
    }

    /// Whether a peer may have this now.
    pub fn allows(&mut self, peer: &P, demand: Demand, now_ms: u64) -> bool {
        let Some(allowance) = self.allowances.get_mut(peer) else { return false };
        match demand {
            Demand::Status => allowance.status.take(1, now_ms),
            Demand::Blocks(count) => allowance.blocks.take(count, now_ms),
            Demand::Gossip => allowance.gossip.take(1, now_ms),
        }
    }

    /// Holds an offence against a peer; whether that makes it unwanted from now on.
    pub fn penalise(&mut self, peer: P, offence: Offence, now_ms: u64) -> bool {
        self.make_room(&peer);
        let record = self.records.entry(peer).or_insert(Record {
            points: 0,
            at_ms: now_ms,
            banned_until_ms: 0,
        });
        let faded = now_ms.saturating_sub(record.at_ms) / FADE_MS_PER_POINT;
        let faded = u32::try_from(faded).unwrap_or(u32::MAX);
        record.points = record.points.saturating_sub(faded).saturating_add(offence.points());
        record.at_ms = now_ms;
        let was_banned = record.banned_until_ms > now_ms;
        if record.points < BAN_POINTS || was_banned {
            return false;
        }
        record.points = 0;
        record.banned_until_ms = now_ms + BAN_MS;
        true
    }

    /// Forgets what no longer matters; the peers whose ban has ended, or is forgotten for want of room.
    pub fn forget(&mut self, now_ms: u64) -> Vec<P> {
        let is_over = |record: &Record| record.ends_ms() <= now_ms;
        let over = self.records.iter().filter(|(_, record)| is_over(record));
        let over: Vec<P> = over.map(|(peer, _)| *peer).collect();
        for peer in &over {
            self.records.remove(peer);
        }
        [std::mem::take(&mut self.evicted), over].concat()
    }

    fn make_room(&mut self, peer: &P) {
        if self.records.len() < REMEMBERED_MAX || self.records.contains_key(peer) {
            return;
        }
        let first = self.records.iter().min_by_key(|(_, record)| record.ends_ms());
        if let Some(first) = first.map(|(peer, _)| *peer) {
            self.records.remove(&first);
            self.evicted.push(first);
        }
    }
}

impl Record {
    fn ends_ms(&self) -> u64 {
        self.banned_until_ms.max(self.at_ms + u64::from(self.points) * FADE_MS_PER_POINT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_banned(peers: &Peers<usize>, peer: usize, now_ms: u64) -> bool {
        peers.records.get(&peer).is_some_and(|record| record.banned_until_ms > now_ms)
    }

    #[test]
    fn points_add_up_to_a_ban_fade_and_end() {
        let (mut peers, peer) = (Peers::default(), 7);
        for _ in 0..3 {
            assert!(!peers.penalise(peer, Offence::Garbage, 0));
        }
        assert!(!is_banned(&peers, peer, 0));
        assert!(!peers.penalise(peer, Offence::Garbage, 25_000), "25 points faded");
        assert!(peers.penalise(peer, Offence::Garbage, 25_000));
        assert!(!peers.penalise(peer, Offence::WrongNetwork, 25_001), "told once");
        assert!(is_banned(&peers, peer, 25_000 + BAN_MS - 1));
        assert!(!is_banned(&peers, peer, 25_000 + BAN_MS));
        assert_eq!(peers.forget(25_000 + BAN_MS - 1), []);
        assert_eq!(peers.forget(25_001 + BAN_MS), [peer]);
    }

    #[test]
    fn a_peer_that_asks_for_more_than_its_share_waits_and_costs_others_nothing() {
        let (mut peers, greedy, modest) = (Peers::default(), 7, 8);
        peers.connected(greedy, 0);
        peers.connected(modest, 0);
        assert!(peers.allows(&greedy, Demand::Blocks(1_024), 0));
        assert!(peers.allows(&greedy, Demand::Blocks(1_024), 0));
        assert!(!peers.allows(&greedy, Demand::Blocks(1), 0));
        assert!(peers.allows(&modest, Demand::Blocks(1_024), 0));
        assert!(peers.allows(&greedy, Demand::Blocks(256), 1_000));
        assert!(!peers.allows(&greedy, Demand::Blocks(1), 1_000));
        assert!(!peers.allows(&9, Demand::Status, 0), "not connected");
    }

    #[test]
    fn memory_of_peers_is_bounded_and_bans_outlive_points() {
        let mut peers = Peers::default();
        let banned = 0;
        assert!(peers.penalise(banned, Offence::WrongNetwork, 0));
        for peer in 1..=2 * REMEMBERED_MAX {
            peers.penalise(peer, Offence::Flood, 0);
        }
        assert_eq!(peers.records.len(), REMEMBERED_MAX);
        assert!(is_banned(&peers, banned, 1));
        // Whoever is forgotten is told, so that nobody stays blocked for ever.
        for peer in 1..=REMEMBERED_MAX {
            peers.penalise(peer, Offence::WrongNetwork, 1);
        }
        assert!(!is_banned(&peers, banned, 2));
        assert!(peers.forget(2).contains(&banned));
    }
}
