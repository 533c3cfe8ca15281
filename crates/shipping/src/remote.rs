//! The archive of one network in a store: what is there, and objects fetched and held to their names.
//!
//! The hard idea: there is no manifest. What an archive holds is what the store lists, what an object is its name says,
//! and whether it is that its content proves. So nothing here believes a list: it only says where to look. The frontier is
//! the greatest one that verifies; under it everything before it has one root, and two names at one index are two chains.

use std::collections::BTreeMap;

use lamella_archive::{
    Frontier, Network, NetworkId, ObjectName, SegmentFile, TailFile, WriterId, decode_registry,
};
use lamella_types::{Checkpoint, Root};

use crate::{
    error::ShippingError,
    listed_tails::ListedTails,
    store::{Listed, Store},
};

pub(crate) use lamella_inspect::seal::{SEGMENT_SLOTS, first_slot};

/// Objects that are listed at most: one of each kind for each of 256 segments, a frontier for each time that each of some
/// hundred nodes sealed one, and a tail object for each slot that there can be.
pub const OBJECTS_MAX: usize = 400_000;

/// Networks below one prefix.
const NETWORKS_MAX: usize = 1_000;

/// What to do if an object that was put is not there.
pub(crate) const NOT_SHOWN: &str = "the store acknowledged it and does not show it; run it again";

/// How often an object is looked for before it counts as absent, where a store may show it late.
pub(crate) const READ_ATTEMPTS: usize = 4;

/// What the store lists of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every object whose name says what it is, with its size.
    pub objects: BTreeMap<ObjectName, Listed>,
    /// Names that say nothing.
    pub unknown: Vec<Listed>,
}

/// The archive of one network.
#[derive(Debug)]
pub struct Remote {
    store: Store,
    network: NetworkId,
}

impl Remote {
    /// The archive of this network, there or to be.
    #[must_use]
    pub const fn of(store: Store, network: NetworkId) -> Self {
        Self { store, network }
    }

    /// The archive of the only network in a store, or of the one that is named.
    ///
    /// # Errors
    /// None there, or several and none named.
    pub fn find(store: Store, named: Option<NetworkId>) -> Result<Self, ShippingError> {
        let folders = store.folders(NETWORKS_MAX)?;
        let networks = folders.iter().filter_map(|name| name.parse().ok());
        let found: Vec<NetworkId> =
            networks.filter(|found| named.is_none_or(|named| named == *found)).collect();
        let url = store.url().to_owned();
        match found[..] {
            [] => Err(ShippingError::Nothing { url }),
            [network] => Ok(Self { store, network }),
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

    /// What the store lists.
    ///
    /// # Errors
    /// The store does not answer, or lists more than an archive can have.
    pub fn inventory(&self) -> Result<Inventory, ShippingError> {
        let folder = self.network.to_string();
        let mut inventory = Inventory::default();
        for listed in self.store.list(&folder, OBJECTS_MAX)? {
            let own = listed.name.strip_prefix(&folder).and_then(|name| name.strip_prefix('/'));
            match own.and_then(|name| name.parse::<ObjectName>().ok()) {
                Some(name) => drop(inventory.objects.insert(name, listed)),
                None => inventory.unknown.push(listed),
            }
        }
        Ok(inventory)
    }

    /// An object's bytes; `None` if it is not there.
    pub(crate) fn get(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ShippingError> {
        Ok(self.store.get(&self.path(name), name.bytes_max())?)
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
        let missing = || ShippingError::Missing { url: self.url(), name: *name, hint: NOT_SHOWN };
        self.get_late(name)?.ok_or_else(missing)
    }

    /// The tails that the store lists.
    pub(crate) fn tails(&self) -> Result<ListedTails, ShippingError> {
        let (folder, mut tails) = (self.network.to_string(), ListedTails::default());
        for listed in self.store.list(&format!("{folder}/tail"), OBJECTS_MAX)? {
            let own = listed.name.strip_prefix(&folder).and_then(|name| name.strip_prefix('/'));
            if let Some(Ok(ObjectName::Tail { writer, sequence })) = own.map(str::parse) {
                tails.add(writer, sequence, listed.age_s);
            }
        }
        Ok(tails)
    }

    /// An object's bytes.
    pub(crate) fn fetch(
        &self,
        name: &ObjectName,
        hint: &'static str,
    ) -> Result<Vec<u8>, ShippingError> {
        let missing = || ShippingError::Missing { url: self.url(), name: *name, hint };
        self.get(name)?.ok_or_else(missing)
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
        let bytes = self.fetch(&name, "without the registry no state can be rebuilt")?;
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
        let bytes = self.fetch(
            &name,
            "the archive has a gap; export again from a directory that has this history",
        )?;
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
        let bytes = self.fetch(&name, "it was listed a moment ago")?;
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

    /// A writer's newest tail object.
    #[must_use]
    pub fn newest_tail(&self, writer: WriterId) -> Option<&ObjectName> {
        let first = ObjectName::Tail { writer, sequence: 0 };
        let last = ObjectName::Tail { writer, sequence: u64::MAX };
        self.objects.range(first..=last).next_back().map(|(name, _)| name)
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
