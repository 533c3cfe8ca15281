//! A place in a writer's chain of tail objects.

use lamella_types::Root;

/// Which object of a writer, and which content: what the next one has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TailLink {
    /// Sequence number of an object.
    pub sequence: u64,
    /// Its digest.
    pub digest: Root,
}
