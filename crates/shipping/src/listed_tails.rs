//! Which tail objects a store lists, by writer.

use std::{cmp::Reverse, collections::BTreeMap};

use lamella_archive::WriterId;

/// The numbers that a writer's tail has in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedTail {
    /// Ascending.
    sequences: Vec<u64>,
    /// Seconds since the newest was put; below zero if our clock is behind the store's.
    age_s: i64,
}

impl ListedTail {
    /// The first number that is not before this one.
    pub(crate) fn first_from(&self, sequence: u64) -> Option<u64> {
        let at = self.sequences.partition_point(|found| *found < sequence);
        self.sequences.get(at).copied()
    }
}

/// The tails of a store, by writer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedTails(BTreeMap<WriterId, ListedTail>);

impl ListedTails {
    /// Adds an object of a list.
    pub(crate) fn add(&mut self, writer: WriterId, sequence: u64, age_s: i64) {
        let tail = self.0.entry(writer).or_default();
        if tail.sequences.last().is_none_or(|last| *last < sequence) {
            tail.age_s = age_s;
        }
        tail.sequences.push(sequence);
    }

    pub(crate) fn get(&self, writer: &WriterId) -> Option<&ListedTail> {
        self.0.get(writer)
    }

    /// The writer that shipped last.
    pub(crate) fn newest(&self) -> Option<WriterId> {
        let last = |tail: &ListedTail| tail.sequences.last().copied().unwrap_or_default();
        let newest =
            self.0.iter().min_by_key(|(writer, tail)| (tail.age_s, Reverse(last(tail)), **writer));
        newest.map(|(writer, _)| *writer)
    }
}
