//! A writer and a follower over a store that fails, by a seed: both killed at any operation, the writer partitioned from the
//! store, put back from an older copy, come back on another branch, or shipped by a second process that runs on a copy of its
//! directory; and objects of its tail that somebody deletes, or that rot and stay.
//!
//! What must hold: nothing that a follower has finalized is on neither chain, and nothing is served that its own rules do not
//! give. In the end, when the store does what it says: where the writer kept its chain and nothing was deleted, the follower
//! has it, head and all; where the writer came back on another one, or objects are gone or rotten that no segment makes up for,
//! the follower has that chain, or says by name that it cannot. Where nothing was ever proven, it does not begin, and says so.

use std::{collections::BTreeMap, ops::Range, sync::Arc, thread};

use lamella_archive::WriterId;
use lamella_benches::Random;
use lamella_chain::Chain;
use lamella_shipping::{ShippingError, cleaner::clean, remote::Remote, store::Store};
use object_store::{ObjectStoreExt as _, path::Path};

use crate::{
    faulty::{Backing, Faults, Faulty},
    grown::{Grown, OTHER_CHAIN, SMALL_CHAIN, go_on},
    world::{Met, Outcome, Reader, Writer, assert_equal},
};

/// Things that happen in a run.
const EVENTS: u64 = 14;

/// Most blocks that are imported between two events. A run of these seals the first segment in about half of the seeds.
const BLOCKS_MAX: u64 = 24;

/// Parts of a thousand of a tail's objects that rot, where some do.
const ROTTEN_PER_MILLE: u64 = 150;

/// Most operations of a store until its process is killed.
const OPERATIONS_MAX: u64 = 60;

fn faults(random: &mut Random) -> Faults {
    let mut parts = |most: u64| if random.per_mille(400) { random.number() % most } else { 0 };
    Faults {
        refused: parts(200),
        acknowledgement_lost: parts(300),
        torn: parts(60),
        lagging: parts(400),
        flipped: parts(100),
        cut: parts(100),
    }
}

fn store(backing: &Backing, faults: Faults, seed: u64, operations: u64) -> Store {
    let objects = Faulty::new(backing, faults, seed, operations);
    Store::of_objects(Arc::new(objects), "faulty://").unwrap()
}

fn honest(backing: &Backing) -> Store {
    store(&backing.shown_to_all(), Faults::default(), 0, u64::MAX)
}

/// What seeds came to, by name.
#[derive(Debug, Default, Clone)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub fn add_all(&mut self, other: Self) {
        other.0.into_iter().for_each(|(what, count)| self.add(what, count));
    }
}

struct Run<'a> {
    seed: u64,
    random: Random,
    backing: Backing,
    writer: Writer,
    /// Another process, on a copy of the writer's directory, of the chain that the writer is on.
    second: Option<Writer>,
    reader: Reader,
    /// The chain that the writer is on.
    chain: &'a Grown,
    /// The writer's directory before its first block, which both chains share.
    new: (Vec<u8>, usize),
    /// An older copy of the writer's directory, of the chain that it is on.
    copy: Option<(Vec<u8>, usize)>,
    /// Most blocks that it ever had: its peers have as many.
    most: usize,
    is_forked: bool,
    writers: u8,
    counts: Counts,
}

impl Run<'_> {
    fn failing(&mut self) -> Store {
        let (faults, seed) = (faults(&mut self.random), self.random.number());
        let operations = self.random.number() % OPERATIONS_MAX;
        store(&self.backing, faults, seed, operations)
    }

    fn event(&mut self) {
        match self.random.number() % 11 {
            0..=3 => {
                let blocks = 1 + self.random.number() % BLOCKS_MAX;
                self.writer.import(self.chain, blocks as usize);
                self.ship();
                self.ship_second();
            }
            4..=6 => self.follow(),
            // Partitioned from the store: it imports, and ships nothing.
            7 => self.writer.import(self.chain, (self.random.number() % BLOCKS_MAX) as usize),
            8 => self.writer.start(),
            9 => self.lose(),
            _ => self.disaster(),
        }
    }

    /// A writer that is fenced goes on under another id, as its operator would make it.
    fn ship(&mut self) {
        let stores: Vec<Store> = (0..4).map(|_| self.failing()).collect();
        let stores = std::cell::RefCell::new(stores);
        let backing = self.backing.clone();
        let open = || stores.borrow_mut().pop().unwrap_or_else(|| honest(&backing));
        match self.writer.ship(&open) {
            Err(ShippingError::Fenced { .. }) => {
                self.counts.add("fenced", 1);
                self.new_writer();
                drop(self.writer.ship_tail(&open, true));
            }
            Err(ShippingError::Damaged { .. }) if self.random.per_mille(500) => self.clean(),
            // It is named, and tried again.
            _ => {}
        }
        // A store of its own is kept by the shipper; a new process opens another.
        if self.random.per_mille(500) {
            self.writer.start();
        }
    }

    /// The second process imports at another pace, and stops for good when it is fenced off.
    fn ship_second(&mut self) {
        let Some(mut second) = self.second.take() else { return };
        second.import(self.chain, (self.random.number() % BLOCKS_MAX) as usize);
        self.most = self.most.max(second.imported);
        let stores = std::cell::RefCell::new(vec![self.failing(), self.failing()]);
        let backing = self.backing.clone();
        let open = || stores.borrow_mut().pop().unwrap_or_else(|| honest(&backing));
        match second.ship(&open) {
            Err(ShippingError::Fenced { .. }) => self.counts.add("second_fenced", 1),
            _ => self.second = Some(second),
        }
    }

    fn lose(&mut self) {
        let is_lost =
            self.random.per_mille(400) && self.backing.lose_one("/tail/", &mut self.random);
        self.counts.add("lost", is_lost.into());
    }

    /// Objects of tails rot, and nobody cleans any more. Each writer's newest does not: what it tells shows what is missing, and a
    /// follower that took it does not remember.
    fn rot(&mut self) {
        if !self.random.per_mille(400) {
            return;
        }
        let objects = self.backing.contents();
        let mut tails = objects.iter().filter(|(name, _)| name.contains("/tail/")).peekable();
        while let Some((name, bytes)) = tails.next() {
            let folder = |name: &str| name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            let is_newest = tails.peek().is_none_or(|(next, _)| folder(next) != folder(name));
            if is_newest || bytes.is_empty() || !self.random.per_mille(ROTTEN_PER_MILLE) {
                continue;
            }
            let mut bytes = bytes.clone();
            let at = self.random.number() as usize % bytes.len();
            bytes[at] ^= 1;
            let path = Path::from(name.as_str());
            let put = self.backing.objects.put(&path, bytes.into());
            futures::executor::block_on(put).unwrap();
            self.counts.add("rotten", 1);
        }
    }

    fn new_writer(&mut self) {
        self.writers += 1;
        self.writer.id = WriterId([self.writers; 8]);
    }

    fn clean(&self) {
        if let Ok(remote) = Remote::find(honest(&self.backing), None) {
            drop(clean(&remote, true, &mut go_on));
        }
    }

    fn follow(&mut self) {
        let faulty = std::cell::RefCell::new(vec![self.failing(), self.failing()]);
        let backing = self.backing.clone();
        let open = || faulty.borrow_mut().pop().unwrap_or_else(|| honest(&backing));
        if self.reader.start(&open).is_ok() {
            for _ in 0..self.random.number() % 40 {
                if self.reader.step(self.random.per_mille(200)).is_err() {
                    break;
                }
            }
        }
        self.reader.kill();
    }

    fn disaster(&mut self) {
        match self.random.number() % 5 {
            0 => self.copy = Some(self.writer.copy()),
            1 if let Some(copy) = self.copy.take() => self.put_back(&copy),
            // It comes back without a block, and goes on with those of another branch.
            2 if !self.is_forked => {
                let new = std::mem::take(&mut self.new);
                self.put_back(&new);
                self.second = None;
                (self.chain, self.is_forked, self.copy) = (&OTHER_CHAIN, true, None);
            }
            3 => {
                let mut second = self.writer.clone_directory(self.chain);
                self.writers += 1;
                second.id = WriterId([self.writers; 8]);
                self.second = Some(second);
                self.counts.add("second", 1);
            }
            _ => self.clean(),
        }
    }

    fn put_back(&mut self, copy: &(Vec<u8>, usize)) {
        self.most = self.most.max(self.writer.imported);
        self.writer.put_back(copy);
        // Of use only where it has shipped nothing: a node draws an id at random then.
        self.new_writer();
    }

    fn end(mut self) -> Counts {
        self.clean();
        let backing = self.backing.clone();
        let open = || honest(&backing);
        self.writer.start();
        // What it lost it has again from its peers.
        self.writer.import(self.chain, self.most.saturating_sub(self.writer.imported) + 4);
        let shipped = self.writer.ship(&open).or_else(|error| match error {
            ShippingError::Fenced { .. } => {
                self.counts.add("fenced", 1);
                self.new_writer();
                self.writer.ship_tail(&open, true)
            }
            error => Err(error),
        });
        self.second = None;
        let seed = self.seed;
        let has_told = match shipped {
            Ok(_) => true,
            // The archive is the other chain's, and the writer says so instead of shipping.
            Err(ShippingError::TwoChains { .. }) if self.is_forked => false,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let segments = self.writer.chain().fork_choice().latest_finalized().slot / 1_024;
        self.counts.add("segments", segments);
        self.rot();
        let is_rotten = self.counts.of("rotten") > 0;
        self.reader.kill();
        let outcome = self.reader.follow(&open);
        match &outcome {
            // Late, by its clock.
            Outcome::Tail if !has_told => self.counts.add("stale", 1),
            Outcome::Tail => {
                let at = self.reader.position();
                let what = format!("seed {seed}: {:?}, read up to {at:?}", self.counts);
                assert_equal(&self.reader, &self.writer, &what);
                self.counts.add("tail", 1);
                self.counts.add("past_rotten", is_rotten.into());
            }
            Outcome::Stale(reason) => {
                let may_be = self.is_forked || is_rotten || self.counts.of("lost") > 0;
                assert!(may_be, "seed {seed}: {reason}");
                self.counts.add("stale", 1);
            }
            Outcome::Diverged => {
                assert!(self.is_forked, "seed {seed}");
                self.counts.add("diverged", 1);
            }
            // A writer that was killed before its first frontier, and came back on the other chain, proves nothing there any more.
            Outcome::Empty(reason) => {
                assert!(!has_told && reason.contains("nothing is proven"), "seed {seed}: {reason}");
                self.counts.add("unproven", 1);
                return self.counts;
            }
        }
        let is_of = |grown: &Grown, chain: &Chain| {
            let finalized = chain.fork_choice().latest_finalized();
            grown.root_at(finalized.slot) == Some(finalized.root)
        };
        let chain = self.reader.chain();
        assert!(is_of(&SMALL_CHAIN, chain) || is_of(&OTHER_CHAIN, chain), "seed {seed}");
        let Met { gaps, holes, filled } = self.reader.met;
        for (what, count) in [("gaps", gaps), ("holes", holes), ("filled", filled)] {
            self.counts.add(what, count);
        }
        self.counts
    }
}

/// Says the seed, whatever panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("seed {}", self.0);
        }
    }
}

fn simulate(seed: u64) -> Counts {
    let _told = Told(seed);
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    let mut run = Run {
        seed,
        random: Random::new(seed),
        backing: Backing::default(),
        new: writer.copy(),
        writer,
        second: None,
        reader: Reader::new(),
        chain: &SMALL_CHAIN,
        copy: None,
        most: 0,
        is_forked: false,
        writers: 1,
        counts: Counts::default(),
    };
    for _ in 0..EVENTS {
        run.event();
    }
    run.end()
}

/// Runs these seeds; says what they came to.
pub fn seeds(seeds: Range<u64>) -> Counts {
    let mut sum = Counts::default();
    for seed in seeds {
        sum.add_all(simulate(seed));
    }
    sum
}

/// The law once held the follower to a chain of which there was one segment and no frontier, in an archive that the writer had
/// left for another chain.
#[test]
fn a_follower_of_an_archive_that_its_writer_left_unproven_does_not_begin() {
    assert_eq!(simulate(12_000_029).of("unproven"), 1);
}

/// 200 seeds; `FOLLOW_SEEDS=10000` for the long run, `FOLLOW_SEED=17` for one.
#[test]
fn a_follower_ends_with_its_writers_chain_or_in_a_named_state_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("FOLLOW_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("FOLLOW_SEEDS").unwrap_or(200)),
    };
    let sum = seeds(first..first + count);
    println!("{count} seeds: {sum:?}");
    if count >= 200 {
        let met = ["tail", "stale", "diverged", "fenced", "segments", "lost", "gaps", "holes"];
        let met = met.into_iter().chain(["filled", "second", "second_fenced", "past_rotten"]);
        assert_eq!(met.filter(|what| sum.of(what) == 0).collect::<Vec<_>>(), [""; 0], "{sum:?}");
    }
}
