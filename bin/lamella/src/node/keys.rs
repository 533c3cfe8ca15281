//! The validators' keys, ahead of the clock: the next part of each is built before its slots come.
//!
//! A whole key can sign for 131,072 slots at once, two trees of it, and there are up to 2^18 slots. When the second of its
//! trees is begun the next is due, three days of 4 s slots before it is needed; building it takes 13 s of one
//! core. So one thread of the lowest priority builds one tree at a time, first those that the slot itself waits for, while
//! the node signs with what is there. Each is kept beside its key, so that a restart does not build it again.

use std::{io, sync::Arc, thread, time::Instant};

use lamella_http_api::KeysStanding;
use lamella_network_dir::{Role, ValidatorKey, ValidatorKeys};
use lamella_types::Slot;
use lamella_xmss::SecretKey;
use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// What the node tells its thread.
#[derive(Debug, Default)]
struct Told {
    slot: Option<Slot>,
    is_over: bool,
}

/// The thread that prepares keys, until it is dropped: then it ends after the tree that it is at.
pub(super) struct Preparer {
    keys: Arc<ValidatorKeys>,
    told: Arc<(Mutex<Told>, Condvar)>,
}

impl Preparer {
    /// Starts it, if any of the keys is one that must be prepared as time goes on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(keys: Arc<ValidatorKeys>) -> io::Result<Self> {
        let told = Arc::<(Mutex<Told>, Condvar)>::default();
        let is_needed =
            all(&keys).any(|(.., key)| key.prepared_slots().end < key.active_slots().end);
        if is_needed {
            let (keys, told) = (Arc::clone(&keys), Arc::clone(&told));
            thread::Builder::new().name("keys".to_owned()).spawn(move || run(&keys, &told))?;
        }
        Ok(Self { keys, told })
    }

    /// Without a thread: whoever has it calls [`Self::prepare`].
    #[cfg(feature = "simulation")]
    pub(super) fn by_hand(keys: Arc<ValidatorKeys>) -> Self {
        Self { keys, told: Arc::default() }
    }

    /// Prepares all that is due at the newest slot that it was told.
    #[cfg(feature = "simulation")]
    pub(super) fn prepare(&self) {
        let slot = self.told.0.lock().slot;
        while slot.is_some_and(|slot| prepare_next(&self.keys, slot)) {}
    }

    /// The clock is at this slot.
    pub(super) fn at(&self, slot: Slot) {
        let (told, changed) = &*self.told;
        told.lock().slot = Some(slot);
        changed.notify_one();
    }

    /// What the keys can sign at this slot and from it on; `None` without keys.
    pub(super) fn standing(&self, slot: Slot) -> Option<KeysStanding> {
        standing(&self.keys, slot)
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        let (told, changed) = &*self.told;
        told.lock().is_over = true;
        changed.notify_one();
    }
}

/// What keys can sign at this slot and from it on; `None` without keys.
pub(super) fn standing(keys: &ValidatorKeys, slot: Slot) -> Option<KeysStanding> {
    let end = |key: &SecretKey| key.prepared_slots().end.min(key.active_slots().end);
    let is_unprepared = |key: &SecretKey| {
        key.active_slots().contains(&slot) && !key.prepared_slots().contains(&slot)
    };
    Some(KeysStanding {
        unprepared: all(keys).filter(|(.., key)| is_unprepared(key)).count(),
        prepared_end: all(keys).map(|(.., key)| end(key)).min()?,
        active_end: keys.last_slot_end()?,
    })
}

fn all(keys: &ValidatorKeys) -> impl Iterator<Item = (&ValidatorKey, Role, &SecretKey)> {
    keys.validators.iter().flat_map(|validator| {
        [Role::Attester, Role::Proposer].map(|role| (validator, role, validator.key(role)))
    })
}

/// Prepares keys for the newest slot that it was told, one tree after the other.
fn run(keys: &ValidatorKeys, told: &(Mutex<Told>, Condvar)) {
    if let Err(error) = rustix::process::nice(NICE) {
        warn!(%error, "Keys are prepared at the priority of the rest");
    }
    let mut prepared_at = None;
    loop {
        let slot = {
            let (told, changed) = told;
            let mut told = told.lock();
            while !told.is_over && told.slot == prepared_at {
                changed.wait(&mut told);
            }
            if told.is_over {
                return;
            }
            told.slot
        };
        let Some(now) = slot else { continue };
        // Not waited for: a newer slot may make another tree more due.
        if !prepare_next(keys, now) {
            prepared_at = slot;
        }
    }
}

/// Prepares the tree that is most due at this slot. `false` if none is.
fn prepare_next(keys: &ValidatorKeys, now: Slot) -> bool {
    let due = || all(keys).filter(|(.., key)| key.needs_preparation(now));
    let silent = due().find(|(.., key)| !key.prepared_slots().contains(&now));
    let next = silent.or_else(|| due().next());
    next.inspect(|(validator, role, key)| prepare(validator, *role, key, now)).is_some()
}

fn prepare(validator: &ValidatorKey, role: Role, key: &SecretKey, slot: Slot) {
    let started = Instant::now();
    key.prepare(slot, &|_| ());
    let took_ms = started.elapsed().as_millis();
    if let Err(error) = validator.keep_prepared(role) {
        warn!(validator = validator.index, ?role, %error, "What was prepared of a key is lost with this process");
    }
    info!(
        validator = validator.index,
        ?role,
        prepared_end = key.prepared_slots().end,
        key_end = key.active_slots().end,
        took_ms,
        "Key prepared: it signs the slots before prepared_end"
    );
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use lamella_xmss::{SignError, TEST, generate};

    use super::*;

    /// Two validators' whole keys, prepared for slots 0 to 31 of 256.
    fn keys(folder: &Path) -> Arc<ValidatorKeys> {
        let key = |seed: u8| generate(&TEST, &[seed; 32], 0, 256, &|_| ()).unwrap().secret_key;
        let validator = |index: u8| ValidatorKey {
            index: index.into(),
            attester: key(2 * index),
            proposer: key(2 * index + 1),
            files: ["attester", "proposer"].map(|role| folder.join(format!("{index}_{role}"))),
        };
        Arc::new(ValidatorKeys { validators: (0..2).map(validator).collect() })
    }

    fn wait_for(preparer: &Preparer, slot: Slot, prepared_end: Slot) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while preparer.standing(slot).unwrap().prepared_end < prepared_end {
            assert!(Instant::now() < deadline, "{:?}", preparer.standing(slot));
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn keys_are_prepared_as_the_clock_goes_on_and_what_they_can_sign_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path());
        let preparer = Preparer::start(Arc::clone(&keys)).unwrap();
        let told = |unprepared, prepared_end| {
            Some(KeysStanding { unprepared, prepared_end, active_end: 256 })
        };
        preparer.at(3);
        assert_eq!(preparer.standing(3), told(0, 32));
        preparer.at(16);
        wait_for(&preparer, 16, 48);
        assert_eq!(preparer.standing(47), told(0, 48));
        assert_eq!(preparer.standing(48), told(4, 48));
        // A leap: none can sign, until each has the tree of now, and then the one after it.
        assert!(matches!(
            keys.validators[1].proposer.sign(200, &[0; 32]),
            Err(SignError::NotPrepared { .. })
        ));
        preparer.at(200);
        wait_for(&preparer, 200, 224);
        assert_eq!(preparer.standing(200), told(0, 224));
        assert!(all(&keys).all(|(.., key)| key.sign(200, &[0; 32]).is_ok()));
    }
}
