//! Being told to stop, at any moment of a run.
//!
//! The hard idea: making keys, asking a node that hangs and verifying a database take long and cannot be broken off, but
//! each can be abandoned: nothing on disk depends on its end. So such work has a thread of its own, and whoever waits
//! for it waits for a signal too. After a signal the run returns, and the threads left behind end with the process.

use std::{
    panic,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use super::DevnetError;

enum Event {
    Told,
    Done,
}

/// What a run waits with.
#[derive(Debug)]
pub struct Stop {
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Nobody has told it yet.
    #[must_use]
    pub fn new() -> Self {
        let (sender, events) = channel();
        Self { sender, events }
    }

    /// Tells the run to stop when called, from any thread.
    pub fn teller(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        move || {
            // A run that is over needs no telling.
            let _ = sender.send(Event::Told);
        }
    }

    /// Lets the time pass.
    ///
    /// # Errors
    /// [`DevnetError::Stopped`], as soon as told.
    pub(super) fn wait(&self, time: Duration) -> Result<(), DevnetError> {
        match self.events.recv_timeout(time) {
            // Whoever began work waits for its end, so this is no work's.
            Ok(Event::Done) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(Event::Told) | Err(RecvTimeoutError::Disconnected) => Err(DevnetError::Stopped),
        }
    }

    /// Does work that may be abandoned at any point.
    ///
    /// # Errors
    /// [`DevnetError::Stopped`], as soon as told; the work goes on until the process ends.
    pub(super) fn or_abandon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DevnetError> {
        /// Says so even if the work panics.
        struct SayDone(Sender<Event>);
        impl Drop for SayDone {
            fn drop(&mut self) {
                let _ = self.0.send(Event::Done);
            }
        }
        let done = SayDone(self.sender.clone());
        let worker = thread::spawn(move || {
            let _done = done;
            work()
        });
        match self.events.recv() {
            Ok(Event::Done) => worker.join().map_err(|panicked| panic::resume_unwind(panicked)),
            Ok(Event::Told) | Err(_) => Err(DevnetError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn work_is_done_or_abandoned() {
        let stop = Stop::new();
        assert_eq!(stop.or_abandon(|| 7).unwrap(), 7);
        stop.wait(Duration::ZERO).unwrap();
        let tell = stop.teller();
        // Nobody else comes to this barrier: the work never ends.
        let endless = move || {
            tell();
            Barrier::new(2).wait();
        };
        assert!(matches!(stop.or_abandon(endless), Err(DevnetError::Stopped)));
        stop.teller()();
        assert!(matches!(stop.wait(Duration::MAX), Err(DevnetError::Stopped)));
    }
}
