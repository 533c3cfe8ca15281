//! A writer and a follower of one archive, each a directory that can be killed, copied and put back.

use std::{fs, path::PathBuf, sync::Arc};

use lamella::{follow::ImportingReplica, import::Importer};
use lamella_archive::{NetworkId, WriterId};
use lamella_chain::{Archived, Bootstrap, Chain, Settings, TailPosition};
use lamella_inspect::checksum;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    follower::{Begun, FollowError, Follower, Replica as _, Step, Trouble, begin, beginning},
    remote::Remote,
    seal::Shipped,
    store::Store,
    tails::TailShipper,
};
use lamella_types::{
    SignedBlock, Slot, genesis_state,
    limits::{INTERVALS_PER_SLOT, SLOT_MS},
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use tempfile::TempDir;

use crate::grown::{Grown, go_on, import};

/// Steps without anything new after which a follower has read all there is.
const QUIET_STEPS: u32 = 64;

/// Steps that a follower never needs here.
const STEPS_MAX: u32 = 4_000;

/// A folder in memory where there is one: thousands of databases are made, none of which has to outlive the test.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Durable, since such a file grows by 4 MiB at a time and a lazy one by 32, and all of it is written and copied here.
fn settings() -> Settings {
    Settings::default()
}

/// A directory whose chain is shipped.
pub struct Writer {
    directory: TempDir,
    importer: Option<Importer>,
    tail: Option<TailShipper>,
    network: NetworkId,
    genesis: lamella_types::State,
    /// Under which the tail begins where there is none.
    pub id: WriterId,
    /// Blocks of the chain that were imported.
    pub imported: usize,
}

impl Writer {
    pub fn new(grown: &Grown, id: u8) -> Self {
        let mut writer = Self {
            directory: folder(),
            importer: None,
            tail: None,
            network: grown.network(),
            genesis: grown.genesis.clone(),
            id: WriterId([id; 8]),
            imported: 0,
        };
        writer.start();
        writer
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    pub fn chain(&self) -> &Arc<Chain> {
        self.importer.as_ref().unwrap().chain()
    }

    /// Ends the process, and starts it again.
    pub fn start(&mut self) {
        (self.tail, self.importer) = (None, None);
        let bootstrap = Bootstrap::genesis(self.genesis.clone());
        let (chain, _) =
            Chain::open(&self.database(), bootstrap, Trust.name(), settings()).unwrap();
        self.importer = Some(Importer::new(Arc::new(chain), Arc::new(Trust)));
    }

    /// Imports the next blocks of a chain.
    pub fn import(&mut self, grown: &Grown, blocks: usize) {
        let end = (self.imported + blocks).min(grown.blocks.len());
        let new = &grown.blocks[self.imported..end];
        live_until(self.chain(), new);
        import(self.importer.as_ref().unwrap(), new);
        self.imported = end;
    }

    /// What is on its disk, while it is not running.
    pub fn copy(&mut self) -> (Vec<u8>, usize) {
        (self.tail, self.importer) = (None, None);
        let bytes = fs::read(self.database().join("mdbx.dat")).unwrap();
        self.start();
        (bytes, self.imported)
    }

    /// An older copy is put in its place.
    pub fn put_back(&mut self, (bytes, imported): &(Vec<u8>, usize)) {
        (self.tail, self.importer) = (None, None);
        fs::remove_dir_all(self.database()).unwrap();
        fs::create_dir_all(self.database()).unwrap();
        fs::write(self.database().join("mdbx.dat"), bytes).unwrap();
        self.imported = *imported;
        self.start();
    }

    /// Another directory with the same rows.
    pub fn clone_directory(&mut self, grown: &Grown) -> Self {
        let copy = self.copy();
        let mut other = Self::new(grown, self.id.0[0]);
        other.put_back(&copy);
        other
    }

    /// Ships what there is, as a node does: segments, then the tail until all is told.
    pub fn ship(&mut self, open: &dyn Fn() -> Store) -> Result<u64, ShippingError> {
        let chain = Arc::clone(self.chain());
        let confirmed = Archived::read(&chain.read()?)?.map_or(0, |archived| archived.segments);
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let confirm = &mut |segments| {
            let archived = Archived { address: "here".to_owned(), segments, ..Archived::default() };
            chain.put_archived(&archived).unwrap();
            Ok(())
        };
        archiver::ship(
            shipped,
            open(),
            Known { confirmed, ..Known::default() },
            &mut go_on,
            confirm,
        )?;
        self.ship_tail(open, false)
    }

    /// Ships the tail until all is told; says how many objects that were.
    pub fn ship_tail(
        &mut self,
        open: &dyn Fn() -> Store,
        as_new_writer: bool,
    ) -> Result<u64, ShippingError> {
        let chain = Arc::clone(self.chain());
        let tail = match &mut self.tail {
            Some(tail) if !as_new_writer => tail,
            none => {
                let remote = Remote::of(open(), self.network);
                none.insert(match as_new_writer {
                    true => TailShipper::begin(remote, &chain, self.id),
                    false => TailShipper::resume(remote, &chain, self.id)?,
                })
            }
        };
        let mut objects = 0;
        while tail.ship_next(&chain)?.is_some() {
            objects += 1;
        }
        Ok(objects)
    }
}

/// As a clock would: what comes is not of the future.
pub fn live_until(chain: &Chain, blocks: &[SignedBlock]) {
    let newest = blocks.iter().map(|signed| signed.block.slot).max().unwrap_or_default();
    let time = newest * INTERVALS_PER_SLOT;
    if chain.fork_choice().time() < time {
        chain.set_time(time);
    }
}

/// A directory that follows.
pub struct Reader {
    directory: TempDir,
    running: Option<(ImportingReplica, Follower)>,
    pub met: Met,
}

/// What a follower met on its way.
#[derive(Debug, Default, Clone, Copy)]
pub struct Met {
    /// Steps that found an object missing between others.
    pub gaps: u64,
    /// Steps that found blocks in no object.
    pub holes: u64,
    /// Times that segments led past something.
    pub filled: u64,
}

/// What a follower came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has read all there is.
    Tail,
    /// It waits, and says why.
    Stale(String),
    /// Its chain has parted from the source's.
    Diverged,
    /// It has no directory yet, and says why.
    Empty(String),
}

impl Reader {
    pub fn new() -> Self {
        Self { directory: folder(), running: None, met: Met::default() }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("db")
    }

    pub fn chain(&self) -> &Chain {
        self.running.as_ref().unwrap().0.chain()
    }

    pub fn position(&self) -> Option<TailPosition> {
        self.running.as_ref().unwrap().1.position()
    }

    pub fn troubles(&self) -> u64 {
        self.running.as_ref().unwrap().1.troubles()
    }

    /// Ends the process.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it: its directory is begun if there is none.
    pub fn start(&mut self, open: &dyn Fn() -> Store) -> Result<(), ShippingError> {
        if self.running.is_some() {
            return Ok(());
        }
        let (database, scheme) = (self.database(), Trust.name());
        if !database.exists() {
            let remote = Remote::find(open(), None)?;
            let restore = beginning(&database, None, SLOT_MS, scheme);
            if let Begun::Genesis(network) = begin(&remote, &restore, Slot::MAX, &mut go_on)? {
                let state = genesis_state(network.genesis_time(), network.validators().clone());
                Chain::create(&database, Bootstrap::genesis(state), scheme, settings()).unwrap();
            }
        }
        let lamella_chain::Found::Chain(identity) = Chain::find(&database).unwrap() else {
            panic!("a directory without a chain")
        };
        let (chain, _) = Chain::resume(&database, &identity, settings()).unwrap();
        let network = NetworkId::of(identity.genesis_time, &identity.registry_root);
        let follower = Follower::resume(Remote::of(open(), network), &chain)?;
        let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
        self.running = Some((ImportingReplica::new(importer, Box::new(|_| ())), follower));
        Ok(())
    }

    /// The same follower over another store.
    pub fn step(&mut self, is_late: bool) -> Result<Step, ShippingError> {
        let (replica, follower) = self.running.as_mut().unwrap();
        let step = follower.step(replica, is_late).map_err(|error| match error {
            FollowError::Source(error) => error,
            FollowError::Replica(error) => panic!("{error}"),
        })?;
        match &step {
            Step::Waiting(Trouble::Gap { .. }) => self.met.gaps += 1,
            Step::Waiting(Trouble::Hole { .. }) => self.met.holes += 1,
            Step::Filled { .. } => self.met.filled += 1,
            _ => {}
        }
        Ok(step)
    }

    /// Follows until nothing new comes.
    pub fn follow(&mut self, open: &dyn Fn() -> Store) -> Outcome {
        self.follow_until(open, QUIET_STEPS)
    }

    /// The same of a source that is asked over a network: after one look at its lists all there is was read.
    pub fn follow_quickly(&mut self, open: &dyn Fn() -> Store) -> Outcome {
        self.follow_until(open, QUIET_STEPS / 4)
    }

    fn follow_until(&mut self, open: &dyn Fn() -> Store, quiet_max: u32) -> Outcome {
        if let Err(error) = self.start(open) {
            return Outcome::Empty(error.to_string());
        }
        let (mut quiet, mut outcome) = (0, Outcome::Tail);
        for _ in 0..STEPS_MAX {
            match self.step(true).unwrap() {
                Step::Took { .. } | Step::Filled { .. } => {
                    (quiet, outcome) = (0, Outcome::Tail);
                }
                Step::Nothing => quiet += 1,
                Step::Waiting(trouble) => {
                    outcome = Outcome::Stale(trouble.to_string());
                    quiet += 1;
                }
                Step::Diverged(_) => return Outcome::Diverged,
            }
            if quiet > quiet_max {
                return outcome;
            }
        }
        panic!("it comes to no end");
    }
}

/// The digest of a chain up to a slot.
pub fn digest(chain: &Chain, end: Slot) -> String {
    checksum::of(chain.database(), Some(0), Some(end)).unwrap().digest
}

/// That every invariant holds in a directory.
pub fn assert_sound(chain: &Chain, what: &str) {
    let report = lamella_chain::verify(chain.database(), &mut go_on).unwrap();
    assert!(report.findings.is_empty(), "{what}: {:?}", report.findings);
}

/// That a follower has the writer's chain: its head and all before it.
pub fn assert_equal(reader: &Reader, writer: &Writer, what: &str) {
    let (ours, theirs) = (reader.chain().fork_choice(), writer.chain().fork_choice());
    assert_eq!(ours.head_summary(), theirs.head_summary(), "{what}");
    assert_eq!(ours.latest_finalized(), theirs.latest_finalized(), "{what}");
    let end = ours.head_summary().slot;
    assert_eq!(digest(reader.chain(), end), digest(writer.chain(), end), "{what}");
}
