//! That what takes processor time runs anywhere but on the consensus thread, where ticks would wait for it.
//!
//! Whether a tick is late says as much of the machine as of the node. Whether the consensus thread was given work that is
//! not its own does not: so whoever signs, checks, builds or folds says so here, and every test and drill with a real node
//! fails where that is on the wrong thread.

use std::cell::Cell;

thread_local! {
    static IS_CONSENSUS: Cell<bool> = const { Cell::new(false) };
}

/// This thread is the consensus's until this is dropped.
pub(crate) struct Consensus;

impl Consensus {
    pub(crate) fn begin() -> Self {
        IS_CONSENSUS.set(true);
        Self
    }
}

impl Drop for Consensus {
    fn drop(&mut self) {
        IS_CONSENSUS.set(false);
    }
}

/// What follows takes processor time.
pub(crate) fn begins(what: &str) {
    debug_assert!(!IS_CONSENSUS.get(), "{what} on the consensus thread");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(debug_assertions), ignore = "looked for in debug builds only")]
    #[should_panic(expected = "signing votes on the consensus thread")]
    fn work_on_the_consensus_thread_is_noticed_and_elsewhere_is_none() {
        begins("signing votes");
        let here = Consensus::begin();
        std::thread::spawn(|| begins("signing votes")).join().unwrap();
        drop(here);
        begins("signing votes");
        let _here = Consensus::begin();
        begins("signing votes");
    }
}
