//! Many rows at once, verified side by side.
//!
//! A value that hashes to its key is as expensive to trust as it is long: the 256 segments of a full history are
//! 262,000 hashes, 20 ms on one core, and the first read after a start needs them all. The rows are found one after
//! another (the engine serves one call of a transaction at a time) and stay where they are in its map; what runs on
//! several threads is copying and hashing.

use std::{borrow::Cow, num::NonZeroUsize, sync::LazyLock, thread};

use libmdbx::RO;
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

use crate::{
    error::{Damage, EngineError, Operation, ReadError},
    fault::Fault,
    key::Key,
    schema::{Table, unseal},
    stored::check,
    transaction::{ReadTxn, open_tree},
};

/// Threads that verify the rows of all calls together.
const THREADS_MAX: usize = 4;

/// Rows for which a thread more is worth waking: 16 segments take 1.3 ms to hash.
const ROWS_PER_THREAD_MIN: usize = 16;

/// Started by the first call with enough rows. Nothing where the system has no threads to give: then each caller
/// verifies its own.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pool = ThreadPoolBuilder::new().num_threads(cores.min(THREADS_MAX));
    pool.thread_name(|_| "verify-rows".to_owned()).build().ok()
});

impl ReadTxn<'_> {
    /// [`Read::get_many`](crate::Read::get_many) of a snapshot.
    ///
    /// # Cost
    /// Up to four threads, one for each 16 keys, shared with the other calls of the process.
    pub(crate) fn get_side_by_side<T>(
        &self,
        keys: &[T::Key],
    ) -> Result<Vec<Option<T::Value>>, ReadError>
    where
        T: Table<Value: Send>,
    {
        self.limit().check()?;
        let failed = |error| EngineError::new(Operation::Get, T::NAME, error);
        let tree = open_tree(&self.0, T::PLACE).map_err(failed)?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            let encoded = key.encode();
            let engine = |error| failed(error).at(key);
            // Borrowed from the map: no byte of it is touched before its place is judged.
            let found: Option<Cow<'_, [u8]>> = match &tree {
                Some(tree) => self.0.get(tree, T::PLACE.key(encoded.clone())).map_err(engine)?,
                None => None,
            };
            let stored =
                found.map(|found| check::<RO>(&found, T::STORED_BYTES_MAX).map(|()| found));
            rows.push(FoundRow { encoded, stored });
        }
        let is_worth_it = rows.len() >= 2 * ROWS_PER_THREAD_MIN;
        let verified: Vec<_> = match is_worth_it.then(|| POOL.as_ref()).flatten() {
            Some(pool) => pool.install(|| {
                let rows = rows.par_iter().with_min_len(ROWS_PER_THREAD_MIN);
                rows.map(verify::<T>).collect()
            }),
            None => rows.iter().map(verify::<T>).collect(),
        };
        // Not collected in parallel: that gives any one of several errors.
        verified.into_iter().collect()
    }
}

/// A row as it lies in the map; nothing if there is none, a fault if its bytes are not to be touched.
struct FoundRow<'a> {
    encoded: Vec<u8>,
    stored: Option<Result<Cow<'a, [u8]>, Fault>>,
}

fn verify<T: Table>(row: &FoundRow<'_>) -> Result<Option<T::Value>, ReadError> {
    let Some(stored) = &row.stored else { return Ok(None) };
    let damaged = |fault| Damage::new::<T>(&row.encoded[..], fault).into();
    let value = match stored {
        Ok(stored) => unseal::<T>(&row.encoded, stored.to_vec()),
        Err(fault) => Err(fault.clone()),
    };
    value.map(Some).map_err(damaged)
}
