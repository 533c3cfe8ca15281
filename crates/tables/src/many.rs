//! Many rows at once, verified side by side.
//!
//! A value that hashes to its key is as expensive to trust as it is long: the 256 segments of a full history are
//! 262,000 hashes, 20 ms on one core, and the first read after a start needs them all. The rows are found one after
//! another (the engine serves one call of a transaction at a time) and stay where they are in its map; what runs on
//! several threads is copying and hashing.

use std::{borrow::Cow, num::NonZeroUsize, panic::resume_unwind, thread};

use libmdbx::RO;

use crate::{
    error::{Damage, EngineError, Operation, ReadError},
    key::Key,
    schema::{Table, unseal},
    stored::ReadableValue,
    transaction::ReadTxn,
};

/// Threads that verify the rows of one call, the caller's own among them.
const THREADS_MAX: usize = 4;

/// Rows for which a thread more is worth its start: 16 segments take 1.3 ms to hash, a thread 0.05 ms to start.
const ROWS_PER_THREAD_MIN: usize = 16;

impl ReadTxn<'_> {
    /// The values at these keys, in their order, verified.
    ///
    /// # Errors
    /// As [`Read::get`](crate::Read::get), for the first key that has one.
    ///
    /// # Cost
    /// Up to four threads for the length of the call, one for each 16 keys.
    pub fn get_many<T>(&self, keys: &[T::Key]) -> Result<Vec<Option<T::Value>>, ReadError>
    where
        T: Table<Key: Sync, Value: Send>,
    {
        let failed = |error| EngineError::new(Operation::Get, T::NAME, error);
        let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            let encoded = key.encode();
            let engine = |error| failed(error).at(key);
            let readable: Option<ReadableValue<RO>> =
                self.0.get(&table, &encoded).map_err(engine)?;
            let stored = match readable.map(ReadableValue::check) {
                None => None,
                Some(Err(fault)) => return Err(Damage::new::<T>(encoded, fault).into()),
                Some(Ok(())) => self.0.get(&table, &encoded).map_err(engine)?,
            };
            rows.push(FoundRow { encoded, stored });
        }
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = cores.min(THREADS_MAX).min(keys.len() / ROWS_PER_THREAD_MIN).max(1);
        let mut shares = rows.chunks(keys.len().div_ceil(threads).max(1));
        let own = shares.next().unwrap_or_default();
        thread::scope(|scope| {
            let others: Vec<_> = shares.map(|share| scope.spawn(|| verify::<T>(share))).collect();
            let mut values = verify::<T>(own)?;
            for other in others {
                values.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok(values)
        })
    }
}

/// A row as it lies in the map; nothing if there is none.
struct FoundRow<'a> {
    encoded: Vec<u8>,
    stored: Option<Cow<'a, [u8]>>,
}

fn verify<T: Table>(rows: &[FoundRow<'_>]) -> Result<Vec<Option<T::Value>>, ReadError> {
    let verified = rows.iter().map(|FoundRow { encoded, stored }| {
        let Some(stored) = stored else { return Ok(None) };
        let damaged = |fault| Damage::new::<T>(&encoded[..], fault).into();
        unseal::<T>(encoded, stored.to_vec()).map(Some).map_err(damaged)
    });
    verified.collect()
}
