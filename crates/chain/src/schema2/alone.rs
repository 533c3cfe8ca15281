//! The trees of schema 2: one for each table, under the table's name, keys as they are. Key, value and seal are today's.

use std::marker::PhantomData;

use lamella_tables::{Place, Seal, SlotRoot, Table};
use lamella_types::Root;

/// A table of today as schema 2 had it: in a tree of its own.
#[derive(Debug, Clone, Copy)]
pub struct Alone<T>(PhantomData<T>);

impl<T: Table> Table for Alone<T> {
    const NAME: &'static str = T::NAME;
    type Key = T::Key;
    type Value = T::Value;
    const SEAL: Seal = T::SEAL;
    const PLACE: Place = Place { tree: T::NAME, part: None };
    const VALUE_BYTES_MAX: usize = T::VALUE_BYTES_MAX;

    fn hashes(value: &T::Value, key: &T::Key) -> Option<(Root, Root)> {
        T::hashes(value, key)
    }
}

/// Slot and root of each block of the live tree, to the root of its parent.
#[derive(Debug, Clone, Copy)]
pub struct LiveChain;

impl Table for LiveChain {
    const NAME: &'static str = "LiveChain";
    type Key = SlotRoot;
    type Value = Root;
    const SEAL: Seal = Seal::Checksum;
    const PLACE: Place = Place { tree: "LiveChain", part: None };
    const VALUE_BYTES_MAX: usize = size_of::<Root>();
}
