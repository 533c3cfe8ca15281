//! The archive of one network in a store: what is there, and objects fetched and held to their names.
//!
//! The hard idea: there is no manifest. What an archive holds is what the store lists, what an object is its name says,
//! and whether it is that its content proves. So nothing here believes a list: it only says where to look. The frontier is
//! the greatest one that verifies; under it everything before it has one root, and two names at one index are two chains.

use std::collections::BTreeMap;

use lamella_archive::{
    ArchiveError, Fault, Frontier, Network, NetworkId, ObjectName, SegmentFile, TailFile, WriterId,
    decode_registry,
};
use lamella_types::{Checkpoint, Root};

use crate::{
    error::ShippingError,
    listed_tails::ListedTails,
    store::{Listed, Store, StoreError},
};

pub(crate) use lamella_inspect::seal::{SEGMENT_SLOTS, first_slot};

/// How much of each kind is listed at most. A kind that is over its limit stops who lists it, and nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What lies beside the folders, and registries: a network has one of each.
    pub entries: usize,
    /// Segments, and sidecars: 256 of a chain. More names at an index are other chains', and listed to be told apart.
    pub segments: usize,
    /// Frontiers: 256 of a chain, and as often as two of some hundred nodes sealed a segment at once.
    pub frontiers: usize,
    /// Writers: some hundred nodes, each as often as it was given another id.
    pub writers: usize,
    /// Objects of one writer's tail: one for each of 2^18 slots, and more for starts and for whole objects in one slot.
    pub tail: usize,
    /// Tail objects of all writers, where all are wanted at once: 300 MB of names.
    pub tails: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000,
            segments: 4_096,
            frontiers: 65_536,
            writers: 4_096,
            tail: 400_000,
            tails: 2_000_000,
        }
    }
}

/// Networks below one prefix.
const NETWORKS_MAX: usize = 1_000;

/// Folder of the tails, with one of each writer in it.
const TAIL: &str = "tail";

/// What to do if an object that was put is not there.
pub(crate) const NOT_SHOWN: &str = "the store acknowledged it and does not show it; run it again";

/// How often an object is looked for before it counts as absent, where a store may show it late.
pub(crate) const READ_ATTEMPTS: usize = 4;

/// What the store lists of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every object whose name says what it is, with its size. Tails are listed by themselves: see [`Remote::tail`].
    pub objects: BTreeMap<ObjectName, Listed>,
    /// Names that say nothing.
    pub unknown: Vec<Listed>,
}

/// The archive of one network.
#[derive(Debug)]
pub struct Remote {
    store: Store,
    network: NetworkId,
    limits: Limits,
}

impl Remote {
    /// The archive of this network, there or to be.
    #[must_use]
    pub fn of(store: Store, network: NetworkId) -> Self {
        Self { store, network, limits: Limits::default() }
    }

    /// With other limits, for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The archive of the only network in a store, or of the one that is named.
    ///
    /// # Errors
    /// None there, or several and none named.
    pub fn find(store: Store, named: Option<NetworkId>) -> Result<Self, ShippingError> {
        let folders = store.entries("", NETWORKS_MAX)?.folders;
        let networks = folders.iter().filter_map(|name| name.parse().ok());
        let found: Vec<NetworkId> =
            networks.filter(|found| named.is_none_or(|named| named == *found)).collect();
        let url = store.url().to_owned();
        match found[..] {
            [] => Err(ShippingError::Nothing { url }),
            [network] => Ok(Self::of(store, network)),
            _ => {
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                Err(ShippingError::WhichNetwork { url, found: found.join(", ") })
            }
        }
    }

    /// Which network.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The address, for messages.
    #[must_use]
    pub fn url(&self) -> String {
        self.store.url().to_owned()
    }

    /// The path of an object in the store.
    #[must_use]
    pub fn path(&self, name: &ObjectName) -> String {
        format!("{}/{name}", self.network)
    }

    /// Makes an object that is there durable. See [`Store::settle`].
    ///
    /// # Errors
    /// [`ShippingError::Store`].
    pub fn settle(&self, name: &ObjectName) -> Result<(), ShippingError> {
        Ok(self.store.settle(&self.path(name))?)
    }

    /// What the store lists, but for tails: they are a thousand times as many, and whoever asks what is proven needs none.
    ///
    /// # Errors
    /// The store does not answer, or lists more than an archive can have.
    pub fn inventory(&self) -> Result<Inventory, ShippingError> {
        let folder = self.network.to_string();
        let Limits { entries, segments, frontiers, .. } = self.limits;
        let kinds = [
            ("registry", entries),
            ("segments", segments),
            ("frontier", frontiers),
            ("proofs", segments),
        ];
        let mut inventory = Inventory::default();
        let beside = self.store.entries(&folder, entries)?;
        let is_known = |name: &String| name == TAIL || kinds.iter().any(|(kind, _)| kind == name);
        let strange = beside.folders.iter().filter(|name| !is_known(name));
        inventory.unknown.extend(strange.map(|name| Listed {
            name: format!("{folder}/{name}/"),
            bytes: 0,
            age_s: 0,
        }));
        self.sort_into(&mut inventory, beside.objects);
        for (kind, objects_max) in kinds {
            let listed = self.store.list(&format!("{folder}/{kind}"), objects_max)?;
            self.sort_into(&mut inventory, listed);
        }
        Ok(inventory)
    }

    fn sort_into(&self, inventory: &mut Inventory, listed: Vec<Listed>) {
        for listed in listed {
            match self.name_of(&listed) {
                Some(name) => drop(inventory.objects.insert(name, listed)),
                None => inventory.unknown.push(listed),
            }
        }
    }

    fn name_of(&self, listed: &Listed) -> Option<ObjectName> {
        let own = listed.name.strip_prefix(&self.network.to_string())?.strip_prefix('/')?;
        own.parse().ok()
    }

    /// Whose tails are there; what else lies beside them goes into `unknown`.
    pub(crate) fn writers_and(
        &self,
        unknown: &mut Vec<Listed>,
    ) -> Result<Vec<WriterId>, ShippingError> {
        let folder = format!("{}/{TAIL}", self.network);
        let beside = self.store.entries(&folder, self.limits.writers)?;
        unknown.extend(beside.objects);
        let mut writers = Vec::new();
        for name in beside.folders {
            match name.parse() {
                Ok(writer) => writers.push(writer),
                Err(_) => {
                    let name = format!("{folder}/{name}/");
                    unknown.push(Listed { name, bytes: 0, age_s: 0 });
                }
            }
        }
        Ok(writers)
    }

    /// Whose tails are there.
    ///
    /// # Errors
    /// As [`Remote::inventory`].
    pub fn writers(&self) -> Result<Vec<WriterId>, ShippingError> {
        self.writers_and(&mut Vec::new())
    }

    /// A writer's tail, as the store lists it.
    ///
    /// # Errors
    /// As [`Remote::inventory`].
    pub fn tail(&self, writer: WriterId) -> Result<Inventory, ShippingError> {
        let mut inventory = Inventory::default();
        let folder = format!("{}/{TAIL}/{writer}", self.network);
        self.sort_into(&mut inventory, self.store.list(&folder, self.limits.tail)?);
        Ok(inventory)
    }

    /// What the store lists, all tails too.
    ///
    /// # Errors
    /// As [`Remote::inventory`]; also where all tails together are more than a list should hold.
    pub fn inventory_with_tails(&self) -> Result<Inventory, ShippingError> {
        let mut inventory = self.inventory()?;
        let mut count = 0;
        for writer in self.writers_and(&mut inventory.unknown)? {
            let tail = self.tail(writer)?;
            count += tail.objects.len();
            if count > self.limits.tails {
                let (url, name) = (self.url(), format!("{}/{TAIL}/", self.network));
                let objects_max = self.limits.tails;
                return Err(StoreError::TooMany { url, name, objects_max }.into());
            }
            inventory.objects.extend(tail.objects);
            inventory.unknown.extend(tail.unknown);
        }
        Ok(inventory)
    }

    /// An object's bytes; `None` if it is not there.
    pub(crate) fn get(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ShippingError> {
        Ok(self.store.get(&self.path(name), name.bytes_max())?)
    }

    /// As [`Self::get`], for whoever can do without it: one that is too long is a damaged one, whose bytes are not even fetched, and
    /// no failure of the store.
    pub(crate) fn get_or_damaged(
        &self,
        name: &ObjectName,
    ) -> Result<Option<Vec<u8>>, ShippingError> {
        match self.store.get(&self.path(name), name.bytes_max()) {
            Err(StoreError::TooLong { name: file, bytes, bytes_max, .. }) => {
                let fault = Box::new(Fault::TooLong { length: bytes, limit: bytes_max });
                Err(self.damaged(ArchiveError { file, section: "file", offset: 0, fault }))
            }
            found => Ok(found?),
        }
    }

    /// An object's bytes, also where the store shows it late: it is asked for more than once.
    pub(crate) fn get_late(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ShippingError> {
        for _ in 1..READ_ATTEMPTS {
            if let Some(found) = self.get(name)? {
                return Ok(Some(found));
            }
            self.store.pause();
        }
        self.get(name)
    }

    /// An object that was put.
    pub(crate) fn read_back(&self, name: &ObjectName) -> Result<Vec<u8>, ShippingError> {
        self.get_late(name)?.ok_or_else(|| self.missing(name, NOT_SHOWN))
    }

    /// The tails of these writers, of each from a number on.
    pub(crate) fn tails(
        &self,
        writers: impl IntoIterator<Item = (WriterId, u64)>,
    ) -> Result<ListedTails, ShippingError> {
        let mut tails = ListedTails::default();
        for (writer, from) in writers {
            let folder = format!("{}/{TAIL}/{writer}", self.network);
            let before = from.checked_sub(1);
            let before = before.map(|sequence| self.path(&ObjectName::Tail { writer, sequence }));
            for listed in self.store.list_after(&folder, before.as_deref(), self.limits.tail)? {
                if let Some(ObjectName::Tail { sequence, .. }) = self.name_of(&listed) {
                    tails.add(writer, sequence, listed.age_s);
                }
            }
        }
        Ok(tails)
    }

    fn missing(&self, name: &ObjectName, hint: &'static str) -> ShippingError {
        ShippingError::Missing { url: self.url(), name: *name, hint }
    }

    pub(crate) fn damaged(&self, source: lamella_archive::ArchiveError) -> ShippingError {
        ShippingError::Damaged { url: self.url(), source: Box::new(source) }
    }

    /// The network as its registry says it.
    pub(crate) fn read_network(
        &self,
        genesis_time: u64,
        registry_root: Root,
    ) -> Result<Network, ShippingError> {
        let name = ObjectName::Registry { root: registry_root };
        let missing = || self.missing(&name, "without the registry no state can be rebuilt");
        let bytes = self.get_or_damaged(&name)?.ok_or_else(missing)?;
        let validators = decode_registry(&self.path(&name), &bytes, &registry_root);
        let validators = validators.map_err(|error| self.damaged(error))?;
        Ok(Network::new(genesis_time, validators))
    }

    /// A segment, whose content hashes to its name.
    pub(crate) fn read_segment(
        &self,
        network: &Network,
        index: u32,
        root: Root,
    ) -> Result<SegmentFile, ShippingError> {
        let name = ObjectName::Segment { index, root };
        let hint = "the archive has a gap; export again from a directory that has this history";
        let bytes = self.get(&name)?.ok_or_else(|| self.missing(&name, hint))?;
        self.decode_segment(network, &name, &bytes).map_err(|error| self.damaged(error))
    }

    /// The segment that these bytes say, held to its name.
    pub(crate) fn decode_segment(
        &self,
        network: &Network,
        name: &ObjectName,
        bytes: &[u8],
    ) -> Result<SegmentFile, lamella_archive::ArchiveError> {
        let segment = SegmentFile::decode(&self.path(name), bytes, network)?;
        segment.check_name(name)?;
        Ok(segment)
    }

    /// The tail object that these bytes say, held to its name.
    pub(crate) fn decode_tail(
        &self,
        name: &ObjectName,
        bytes: &[u8],
    ) -> Result<TailFile, lamella_archive::ArchiveError> {
        let file = TailFile::decode(&self.path(name), bytes, self.network)?;
        file.check_name(name)?;
        Ok(file)
    }

    /// A frontier, which hashes to its name and is of this network.
    pub(crate) fn read_frontier(&self, block: Checkpoint) -> Result<Frontier, ShippingError> {
        let name = ObjectName::Frontier { slot: block.slot, root: block.root };
        let missing = || self.missing(&name, "it was listed a moment ago");
        let bytes = self.get_or_damaged(&name)?.ok_or_else(missing)?;
        let verified = Frontier::verify(&self.path(&name), &bytes, &block.root);
        let frontier = verified.map_err(|error| self.damaged(error))?;
        if frontier.block() != block || frontier.network_id() != self.network {
            let (one, other) = (self.path(&name), frontier.network_id().to_string());
            return Err(ShippingError::TwoChains { url: self.url(), one, other });
        }
        Ok(frontier)
    }
}

impl Inventory {
    /// Blocks that frontiers are of, the greatest first.
    #[must_use]
    pub fn frontiers(&self) -> Vec<Checkpoint> {
        let names = self.objects.keys().rev().filter_map(|name| match *name {
            ObjectName::Frontier { slot, root } => Some(Checkpoint { slot, root }),
            _ => None,
        });
        let mut frontiers: Vec<Checkpoint> = names.collect();
        frontiers.sort_unstable_by_key(|block| std::cmp::Reverse((block.slot, block.root)));
        frontiers
    }

    /// Segments by index.
    pub fn segments(&self) -> impl Iterator<Item = (u32, Root)> {
        self.objects.keys().filter_map(|name| match *name {
            ObjectName::Segment { index, root } => Some((index, root)),
            _ => None,
        })
    }

    /// Sidecars of block proofs, by the segment that they are beside.
    pub fn sidecars(&self) -> impl Iterator<Item = (u32, Root)> {
        self.objects.keys().filter_map(|name| match *name {
            ObjectName::Proofs { index, root } => Some((index, root)),
            _ => None,
        })
    }

    /// Refuses two names at one index, and two frontiers at one slot: only one can be of the chain.
    ///
    /// # Errors
    /// [`ShippingError::TwoChains`], which names both.
    pub(crate) fn check_one_chain(&self, remote: &Remote) -> Result<(), ShippingError> {
        let place = |name: &ObjectName| match *name {
            ObjectName::Segment { index, .. } => Some((0, u64::from(index))),
            ObjectName::Frontier { slot, .. } => Some((1, slot)),
            ObjectName::Proofs { index, .. } => Some((2, u64::from(index))),
            _ => None,
        };
        let mut seen: BTreeMap<(u8, u64), &ObjectName> = BTreeMap::new();
        for name in self.objects.keys() {
            let Some(place) = place(name) else { continue };
            if let Some(one) = seen.insert(place, name) {
                let (one, other) = (remote.path(one), remote.path(name));
                return Err(ShippingError::TwoChains { url: remote.url(), one, other });
            }
        }
        Ok(())
    }

    /// Refuses a segment that is not the one that the frontier names at its index, and proofs of such a one.
    ///
    /// # Errors
    /// [`ShippingError::TwoChains`], which names both.
    pub(crate) fn check_under(
        &self,
        remote: &Remote,
        frontier: &Frontier,
    ) -> Result<(), ShippingError> {
        let segments = self.segments().map(|(index, root)| ObjectName::Segment { index, root });
        let sidecars = self.sidecars().map(|(index, root)| ObjectName::Proofs { index, root });
        for name in segments.chain(sidecars) {
            let (ObjectName::Segment { index, root } | ObjectName::Proofs { index, root }) = name
            else {
                continue;
            };
            let proven = frontier.segment_roots().get(index as usize);
            if let Some(proven) = proven.filter(|proven| **proven != root) {
                let one = remote.path(&name);
                let Checkpoint { slot, root } = frontier.block();
                let other = remote.path(&ObjectName::Frontier { slot, root });
                let other = format!("{other}, whose segment {index} is {proven},");
                return Err(ShippingError::TwoChains { url: remote.url(), one, other });
            }
        }
        Ok(())
    }
}
