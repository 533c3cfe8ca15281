//! Why a store did not do what it was asked for. Each says where, what, and how often it was tried.

/// Why an object was not put, read, listed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no store.
    #[error(
        "{url}: {reason}; an archive is at a folder (/mnt/archive or file:///mnt/archive), in a bucket (s3://bucket/prefix) or, to be read, at a node (http://host:port)"
    )]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store was asked, and failed as often as it may.
    #[error("{url}, {name}: cannot {operation} it, tried {attempts} times: {reason}")]
    Failed {
        /// The store.
        url: String,
        /// The object, or the folder.
        name: String,
        /// What was asked.
        operation: &'static str,
        /// How often.
        attempts: u32,
        /// What it said last.
        reason: String,
    },
    /// The object is longer than any of its kind.
    #[error("{url}, {name}: {bytes} bytes, an object of this kind has at most {bytes_max}")]
    TooLong {
        /// The store.
        url: String,
        /// The object.
        name: String,
        /// Its bytes, or how many had come when it was enough.
        bytes: u64,
        /// The most that are read.
        bytes_max: u64,
    },
    /// A node has not got the object, and will not have it by itself.
    #[error("{url}, {name}: {reason}")]
    NotHeld {
        /// The node.
        url: String,
        /// The object.
        name: String,
        /// What it says.
        reason: String,
    },
    /// A folder holds more than an archive can.
    #[error(
        "{url}, {name}: more than {objects_max} objects, which no archive has there; `lamella archive clean` deletes what has expired of tails, anything else is not an archive's"
    )]
    TooMany {
        /// The store.
        url: String,
        /// The folder.
        name: String,
        /// The most that are listed.
        objects_max: usize,
    },
}

impl StoreError {
    /// Whether the store could not be asked or did not answer: another time it may.
    #[must_use]
    pub const fn is_transport(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}
