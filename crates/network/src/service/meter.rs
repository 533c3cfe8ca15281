//! How fast an answer may go out: as fast as its reader takes it, within the bytes of the reader's account.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::bucket::Budget;

/// What the bytes of one answer are drawn from.
#[derive(Debug)]
pub struct Meter {
    budgets: Vec<Arc<Budget>>,
    started: Instant,
}

impl Meter {
    /// The budgets' times count from `started`.
    pub(super) const fn new(budgets: Vec<Arc<Budget>>, started: Instant) -> Self {
        Self { budgets, started }
    }

    /// Waits until so many bytes may go out. libp2p ends an answer that waits for too long.
    pub(super) async fn pay(&self, bytes: usize) {
        for budget in &self.budgets {
            while !budget.take(bytes as u64, self.now_ms()) {
                sleep(Duration::from_millis(budget.wait_ms(bytes as u64, self.now_ms()))).await;
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
