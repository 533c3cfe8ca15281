//! Being told to stop, at any moment: waits and work that an operator's Ctrl-C ends at once.
//!
//! The hard idea: asking a peer that hangs, making keys and verifying a database take long and cannot be broken off, but
//! each can be abandoned: nothing on disk depends on its end. So such work has a thread of its own, and whoever waits
//! for it waits for the order to stop too. A thread left behind ends with the process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// A switch that is thrown once, and can be waited for.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<(Mutex<bool>, Condvar)>);

impl Interrupt {
    /// Throws it.
    pub fn trigger(&self) {
        let (triggered, changed) = &*self.0;
        *triggered.lock() = true;
        changed.notify_all();
    }

    /// Whether it was thrown.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits this long. `true`: it was thrown before that.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        let (triggered, changed) = &*self.0;
        let deadline = Instant::now() + time;
        let mut triggered = triggered.lock();
        while !*triggered && Instant::now() < deadline {
            changed.wait_until(&mut triggered, deadline);
        }
        *triggered
    }

    /// Does the work on another thread; `None` if the switch is thrown first. The thread is then left behind: it may
    /// hang in a read, and what it still does must not matter.
    pub fn race<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.race_within(Duration::ZERO, work)
    }

    /// As [`Interrupt::race`], of work that hears of the switch itself: it has so long to come to its end then.
    pub fn race_within<T: Send + 'static>(
        &self,
        grace: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let result = Arc::new(Mutex::new(None));
        let (place, done) = (Arc::clone(&result), Arc::clone(&self.0));
        thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            let _triggered = done.0.lock();
            *place.lock() = Some(outcome);
            done.1.notify_all();
        });
        let (triggered, changed) = &*self.0;
        let (mut triggered, mut deadline) = (triggered.lock(), None);
        loop {
            match result.lock().take() {
                Some(Ok(value)) => return Some(value),
                // A bug of ours, reported by the thread: it is no less one here.
                Some(Err(panic)) => resume_unwind(panic),
                None => {}
            }
            if !*triggered {
                changed.wait(&mut triggered);
                continue;
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + grace);
            if Instant::now() >= deadline {
                return None;
            }
            changed.wait_until(&mut triggered, deadline);
        }
    }
}

/// A bell: whoever waits is woken by the next ring, or at once by one that came while it did something else. Ringing never
/// waits.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    /// Rings it. However often that happens before somebody waits, it is one ring.
    pub fn ring(&self) {
        let (rung, changed) = &*self.0;
        *rung.lock() = true;
        changed.notify_all();
    }

    /// Waits for a ring, this long at most. Whether there was one; it is over then.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> bool {
        let (rung, changed) = &*self.0;
        let deadline = Instant::now() + at_most;
        let mut rung = rung.lock();
        while !*rung && Instant::now() < deadline {
            changed.wait_until(&mut rung, deadline);
        }
        std::mem::take(&mut *rung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Longer than any test; nothing waits for it unless it is broken.
    const FOREVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_ring_that_came_early_is_heard_once() {
        let bell = Bell::default();
        assert!(!bell.wait(Duration::ZERO));
        bell.ring();
        bell.ring();
        assert!(bell.wait(FOREVER));
        assert!(!bell.wait(Duration::ZERO));
        let other = bell.clone();
        let waiting = thread::spawn(move || other.wait(FOREVER));
        bell.ring();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn the_switch_ends_pauses_and_work_that_hangs() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.pause(Duration::ZERO));
        assert_eq!(interrupt.race(|| 7), Some(7));
        let (held, hangs) = channel::<()>();
        let (begun, has_begun) = channel();
        let racing = {
            let interrupt = interrupt.clone();
            thread::spawn(move || {
                interrupt.race(move || {
                    begun.send(()).unwrap();
                    hangs.recv()
                })
            })
        };
        has_begun.recv().unwrap();
        interrupt.trigger();
        assert_eq!(racing.join().unwrap(), None);
        assert!(interrupt.pause(FOREVER));
        drop(held);
    }
}
