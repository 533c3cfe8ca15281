//! The read transactions of this process: how many are open, since when the oldest is, and who began it.
//!
//! An open reader keeps every page that it can see from being reused, so the file grows while it lasts. The
//! engine's safe interface tells none of that: its reader count is that of slots ever used at once.

use std::{
    collections::BTreeMap,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When and where each open read began, by number: the first is the oldest.
type Begins = BTreeMap<u64, (Instant, &'static Location<'static>)>;

/// The read of this process that has been open for longest.
#[derive(Debug, Clone, Copy)]
pub struct OldestRead {
    /// For how long.
    pub age: Duration,
    /// The line that began it.
    pub begun_at: &'static Location<'static>,
}

/// The open reads of a database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<(u64, Begins)>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    readers: Readers,
    number: u64,
}

impl Readers {
    /// Counts a read of the caller.
    ///
    /// # Cost
    /// A lock and a small map, under 0.1 µs, here and when it is dropped.
    #[track_caller]
    pub(crate) fn begin(&self) -> Reader {
        let mut open = self.lock();
        let number = open.0;
        open.0 += 1;
        open.1.insert(number, (Instant::now(), Location::caller()));
        Reader { readers: self.clone(), number }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> u64 {
        self.lock().1.len() as u64
    }

    pub(crate) fn oldest(&self) -> Option<OldestRead> {
        let open = self.lock();
        let (_, (begun, begun_at)) = open.1.first_key_value()?;
        Some(OldestRead { age: begun.elapsed(), begun_at })
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Begins)> {
        // Nothing panics while it is held, and a wrong count would harm nobody.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.lock().1.remove(&self.number);
    }
}
