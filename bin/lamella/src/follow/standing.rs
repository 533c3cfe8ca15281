//! How a follower stands: told to its API and its log, each change once.

use std::sync::Arc;

use lamella_http_api::{FollowStanding, NodeFacts};
use lamella_network::standing::SyncStatus;
use tracing::{info, warn};

/// What a follower is at. Its number is the metric's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowState {
    CatchUp = 2,
    Tail = 3,
    Stale = 4,
    Diverged = 5,
}

impl FollowState {
    const fn name(self) -> &'static str {
        match self {
            Self::CatchUp => "catch_up",
            Self::Tail => "tail",
            Self::Stale => "stale",
            Self::Diverged => "diverged",
        }
    }
}

/// The last state that was told.
pub(super) struct Stand {
    facts: Arc<NodeFacts>,
    lag_slots_max: u64,
    state: FollowState,
    reason: String,
}

impl Stand {
    pub(super) fn new(facts: Arc<NodeFacts>, lag_slots_max: u64) -> Self {
        let stand =
            Self { facts, lag_slots_max, state: FollowState::CatchUp, reason: String::new() };
        stand.tell();
        stand
    }

    pub(super) const fn state(&self) -> FollowState {
        self.state
    }

    /// The state's name, and the reason for it.
    pub(super) fn told(&self) -> (&'static str, &str) {
        (self.state.name(), &self.reason)
    }

    /// It is in this state, for this reason.
    pub(super) fn is(&mut self, state: FollowState, reason: String) {
        if (self.state, &self.reason) == (state, &reason) {
            return;
        }
        if reason.is_empty() {
            info!(from = self.state.name(), to = state.name(), "Following");
        } else {
            warn!(from = self.state.name(), to = state.name(), reason, "Not following");
        }
        (self.state, self.reason) = (state, reason);
        self.tell();
    }

    fn tell(&self) {
        self.facts.set_sync_status(match self.state {
            FollowState::CatchUp => SyncStatus::Syncing,
            FollowState::Tail => SyncStatus::Synced,
            FollowState::Stale | FollowState::Diverged => SyncStatus::Idle,
        });
        let following = FollowStanding {
            state: self.state.name(),
            is_diverged: self.state == FollowState::Diverged,
            reason: self.reason.clone(),
            lag_slots_max: self.lag_slots_max,
        };
        self.facts.tell(|standing| standing.following = Some(following));
    }
}
