//! The read transactions of this process: how many are open, and for how long the oldest has been.
//!
//! An open reader keeps every page that it can see from being reused, so the file grows while it lasts. The
//! engine's safe interface tells neither number: its reader count is that of slots ever used at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Begin of each open read, by number: the first is the oldest.
type Begins = BTreeMap<u64, Instant>;

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
    /// Counts a read.
    ///
    /// # Cost
    /// A lock and a small map, under 0.1 µs, here and when it is dropped.
    pub(crate) fn begin(&self) -> Reader {
        let mut open = self.lock();
        let number = open.0;
        open.0 += 1;
        open.1.insert(number, Instant::now());
        Reader { readers: self.clone(), number }
    }

    /// How many are open, and the age of the oldest.
    pub(crate) fn open(&self) -> (u64, Duration) {
        let open = self.lock();
        let oldest = open.1.first_key_value().map(|(_, begun)| begun.elapsed());
        (open.1.len() as u64, oldest.unwrap_or_default())
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
