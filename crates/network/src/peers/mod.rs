//! Who is connected, what they may have, and what is held against whom. Pure: time is an argument.
//!
//! | a peer | costs it |
//! |---|---|
//! | answers what cannot be an answer | points; at [`BAN_POINTS`] it is refused for [`limits::BAN_MS`] |
//! | brings rubbish that anybody may have made | a dearer share of gossip, for a while ([`Weight::Relayed`]) |
//! | says nothing | its claims, in [`crate::sync`]; nothing here |
//! | wants more than its share | waiting; nothing while it waits |
//!
//! An identity costs nothing, so limits belong to an [`Account`]: all identities of an address share one, and each node that
//! we dial has its own, out of reach of whoever lives beside it. Accounts outlive connections until a new one would be
//! no better. An address whose identities gather [`limits::ADDRESS_POINTS`] gets no new one in for as long as a ban lasts;
//! of those that are connected, only who has points goes. Bans end, because an honest peer with a bug that was repaired comes
//! back by itself, and nodes that we dial are dialled for ever ([`Dialler`]).

mod account;
mod dialler;
mod fading;
pub mod limits;
mod offence;
#[cfg(test)]
mod tests;

use core::net::IpAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use account::Account;
pub use dialler::Dialler;
pub use offence::{BAN_POINTS, Offence, Weight};

use account::Usage;
use fading::Fading;
use limits::*;

use crate::bucket::{Bucket, Budget};

/// What a peer wants of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Our status.
    Status,
    /// Blocks; the bytes are what asking costs, whatever the answer.
    Blocks {
        /// See [`BlocksRequest::asking_bytes`](crate::requests::BlocksRequest::asking_bytes).
        bytes: u64,
    },
    /// That we look at a gossiped message.
    Gossip {
        /// Its bytes.
        bytes: u64,
    },
    /// That we refuse it something once more.
    Refusal,
}

/// Points against a peer.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    points: Fading,
    banned_until_ms: u64,
}

/// Where a peer is, or was until lately.
#[derive(Debug, Clone, Copy)]
struct Home<P> {
    account: Account<P>,
    gone_ms: Option<u64>,
}

/// The book on all peers, whatever names them.
#[derive(Debug)]
pub struct Peers<P> {
    /// Nodes that we dial.
    dialled: BTreeSet<P>,
    homes: BTreeMap<P, Home<P>>,
    accounts: BTreeMap<Account<P>, Usage>,
    records: BTreeMap<P, Record>,
    strangers: Arc<Budget>,
    /// Bans forgotten for want of room since [`Peers::forget`].
    evicted: Vec<P>,
}

impl<P: Copy + Ord> Peers<P> {
    /// A book in which the nodes that we dial have accounts of their own.
    pub fn new(dialled: impl IntoIterator<Item = P>) -> Self {
        let strangers = Bucket::new(STRANGERS_BYTES_BURST, STRANGERS_BYTES_PER_SECOND, 0);
        Self {
            dialled: dialled.into_iter().collect(),
            homes: BTreeMap::new(),
            accounts: BTreeMap::new(),
            records: BTreeMap::new(),
            strangers: Arc::new(Budget::new(strangers)),
            evicted: Vec::new(),
        }
    }

    /// A peer connected from an address; whether it may stay.
    pub fn connected(&mut self, peer: P, address: Option<IpAddr>, now_ms: u64) -> bool {
        if self.homes.get(&peer).is_some_and(|home| home.gone_ms.is_none()) {
            return true;
        }
        let account = if self.dialled.contains(&peer) {
            Account::Peer(peer)
        } else {
            Account::of_stranger(peer, address)
        };
        if matches!(account, Account::Address(_)) {
            let is_closed = self.accounts.get(&account).is_some_and(|u| u.closed_until_ms > now_ms);
            if is_closed || self.connected_of(account).count() >= IDENTITIES_PER_ADDRESS {
                return false;
            }
        }
        self.make_room_for(account);
        self.accounts.entry(account).or_insert_with(|| Usage::new(now_ms));
        self.homes.insert(peer, Home { account, gone_ms: None });
        true
    }

    /// A peer is gone. What it used up and what is held against it stay.
    pub fn gone(&mut self, peer: &P, now_ms: u64) {
        let Some(home) = self.homes.get_mut(peer) else { return };
        home.gone_ms = Some(now_ms);
        let account = home.account;
        if let Some(usage) = self.accounts.get_mut(&account) {
            usage.used_ms = now_ms;
        }
        let gone = self.homes.iter().filter_map(|(peer, home)| Some((home.gone_ms?, *peer)));
        let gone: Vec<(u64, P)> = gone.collect();
        if gone.len() > REMEMBERED_MAX
            && let Some((_, first)) = gone.into_iter().min()
        {
            self.homes.remove(&first);
        }
    }

    /// Whether a peer may have this now; then it has had it. Who is not connected may have nothing, and is refused that
    /// without consequence.
    pub fn allows(&mut self, peer: &P, demand: Demand, now_ms: u64) -> bool {
        let Some(usage) = self.usage(peer) else { return demand == Demand::Refusal };
        match demand {
            Demand::Status => usage.status.take(1, now_ms),
            Demand::Blocks { bytes } => usage.served.take(bytes, now_ms),
            Demand::Gossip { bytes } => usage.takes_gossip(bytes, now_ms),
            Demand::Refusal => usage.refusals.take(1, now_ms),
        }
    }

    /// What the bytes of an answer are drawn from, each of these in full.
    pub fn served(&mut self, peer: &P) -> Vec<Arc<Budget>> {
        let is_stranger = !self.dialled.contains(peer);
        let strangers = is_stranger.then(|| Arc::clone(&self.strangers));
        let own = self.usage(peer).map(|usage| Arc::clone(&usage.served));
        own.into_iter().chain(strangers).collect()
    }

    /// Holds an offence against a peer; who is unwanted from now on because of it.
    pub fn penalise(&mut self, peer: P, offence: Offence, now_ms: u64) -> Vec<P> {
        match offence.weight() {
            Weight::Silent => Vec::new(),
            Weight::Relayed => {
                // What is dropped for want of a share has had its consequence.
                if let Some(usage) = self.usage(&peer).filter(|_| offence != Offence::Flood) {
                    usage.relayed(now_ms);
                }
                Vec::new()
            }
            Weight::Certain(points) => self.strike(peer, points, now_ms),
        }
    }

    fn strike(&mut self, peer: P, points: u32, now_ms: u64) -> Vec<P> {
        self.make_room(&peer);
        let record = self.records.entry(peer).or_default();
        let is_banned = record.banned_until_ms > now_ms;
        let mut banned = Vec::new();
        if record.points.add(points, BAN_POINTS, now_ms) >= BAN_POINTS && !is_banned {
            banned.push(peer);
        }
        if let Some(account @ Account::Address(_)) = self.homes.get(&peer).map(|home| home.account)
            && let Some(usage) = self.accounts.get_mut(&account)
            && usage.strikes.add(points, ADDRESS_POINTS, now_ms) >= ADDRESS_POINTS
        {
            usage.strikes = Fading::default();
            usage.closed_until_ms = now_ms + BAN_MS;
            let has_points = |peer: &P| {
                let record = self.records.get(peer);
                record.is_some_and(|r| r.points.now(now_ms) > 0 && r.banned_until_ms <= now_ms)
            };
            banned.extend(self.connected_of(account).filter(has_points));
            banned.sort_unstable();
            banned.dedup();
        }
        for peer in &banned {
            let record = self.records.entry(*peer).or_default();
            *record = Record { points: Fading::default(), banned_until_ms: now_ms + BAN_MS };
        }
        banned
    }

    /// Forgets what no longer matters; the peers whose ban has ended, or is forgotten for want of room.
    pub fn forget(&mut self, now_ms: u64) -> Vec<P> {
        let is_over = |record: &Record| record.ends_ms() <= now_ms;
        let over = self.records.iter().filter(|(_, record)| is_over(record));
        let over: Vec<P> = over.map(|(peer, _)| *peer).collect();
        for peer in &over {
            self.records.remove(peer);
        }
        let is_lately = |home: &Home<P>| home.gone_ms.is_none_or(|at_ms| at_ms + GONE_MS > now_ms);
        self.homes.retain(|_, home| is_lately(home));
        let used = self.used();
        self.accounts.retain(|account, usage| used.contains(account) || usage.ends_ms() > now_ms);
        [std::mem::take(&mut self.evicted), over].concat()
    }

    fn usage(&mut self, peer: &P) -> Option<&mut Usage> {
        let home = self.homes.get(peer).filter(|home| home.gone_ms.is_none())?;
        self.accounts.get_mut(&home.account)
    }

    fn connected_of(&self, account: Account<P>) -> impl Iterator<Item = P> {
        let is_it = move |home: &Home<P>| home.account == account && home.gone_ms.is_none();
        self.homes.iter().filter(move |(_, home)| is_it(home)).map(|(peer, _)| *peer)
    }

    /// Accounts of who is connected.
    fn used(&self) -> BTreeSet<Account<P>> {
        let connected = self.homes.values().filter(|home| home.gone_ms.is_none());
        connected.map(|home| home.account).collect()
    }

    fn make_room_for(&mut self, account: Account<P>) {
        if self.accounts.len() < REMEMBERED_MAX || self.accounts.contains_key(&account) {
            return;
        }
        let used = self.used();
        let idle = self.accounts.iter().filter(|(account, _)| !used.contains(account));
        let first = idle.min_by_key(|(_, usage)| usage.ends_ms()).map(|(account, _)| *account);
        first.map(|first| self.accounts.remove(&first));
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
        self.banned_until_ms.max(self.points.ends_ms())
    }
}
