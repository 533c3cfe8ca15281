//! Whether the node does what it is for: `GET /lean/v0/node/ready`.
//!
//! Health says that the HTTP server answers; this says what the node's own thread last did, each thing with its reason,
//! and 503 if one of them is not as it should be. What is judged here is what the node told, with its age, so a node
//! that hangs is told from one that is well.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use lamella_network::standing::SyncStatus;
use lamella_types::{Slot, limits::INTERVALS_PER_SLOT};
use serde::Serialize;

use super::{ApiContext, HELD_BYTES_MAX, KeysStanding, NodeFacts, Standing};

/// Slots without a tick after which the node hangs.
const TICK_SLOTS_MAX: u64 = 2;

/// Slots that the head may be behind the clock: leanSpec's gate of duties opens after as many without a block.
const HEAD_SLOTS_MAX: u64 = 8;

/// One thing that must be so.
#[derive(Serialize)]
struct Check {
    is_ok: bool,
    reason: String,
}

impl Check {
    fn new(is_ok: bool, reason: impl Into<String>) -> Self {
        Self { is_ok, reason: reason.into() }
    }
}

#[derive(Serialize)]
struct Readiness {
    is_ready: bool,
    ticks: Check,
    clock: Check,
    sync: Check,
    peers: Check,
    readers: Check,
    keys: Check,
    archive: Check,
    /// Of a follower alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    following: Option<Check>,
}

/// `GET /lean/v0/node/ready`: 200 if all is as it should be, else 503, and the reasons in any case.
pub(super) async fn ready(State(context): State<Arc<ApiContext>>) -> Response {
    let readiness = Readiness::of(&context.facts, context.chain.summary().head_slot);
    let status = if readiness.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

impl Readiness {
    fn of(facts: &NodeFacts, head_slot: Slot) -> Self {
        let (standing, slot, peers) = (facts.standing(), facts.current_slot(), facts.peers().len());
        let mut readiness = Self {
            is_ready: false,
            ticks: ticks(facts, &standing),
            clock: clock(&standing, slot, head_slot, peers),
            sync: sync(facts.sync_status(), &standing, slot, head_slot),
            peers: match peers {
                0 if standing.dials_nobody => Check::new(true, "none, and nobody is dialled"),
                0 => Check::new(false, "none is connected"),
                count => Check::new(true, format!("{count} connected")),
            },
            readers: readers(&standing),
            keys: keys(&standing, slot),
            archive: archive(&standing),
            following: following(&standing, slot.saturating_sub(head_slot)),
        };
        let Self { ticks, clock, sync, peers, readers, keys, archive, following, .. } = &readiness;
        let checks = [ticks, clock, sync, peers, readers, keys, archive];
        let is_ready = checks.into_iter().chain(following).all(|check| check.is_ok);
        readiness.is_ready = is_ready;
        readiness
    }
}

fn ticks(facts: &NodeFacts, standing: &Standing) -> Check {
    let left_ms = facts.clock.genesis_ms.saturating_sub(facts.now_ms());
    if left_ms > 0 {
        return Check::new(true, format!("genesis is in {} s", left_ms.div_ceil(1_000)));
    }
    let Some((interval, at)) = standing.ticked else {
        return Check::new(false, "no interval was lived through since the start");
    };
    let (age_ms, slot) = (at.elapsed().as_millis(), interval / INTERVALS_PER_SLOT);
    let most_ms = u128::from(facts.clock.slot_ms().saturating_mul(TICK_SLOTS_MAX));
    let is_ok = age_ms <= most_ms;
    let verb = if is_ok { "ticked" } else { "hangs: it last ticked" };
    Check::new(is_ok, format!("{verb} at slot {slot}, {age_ms} ms ago"))
}

fn clock(standing: &Standing, slot: Slot, head_slot: Slot, peers: usize) -> Check {
    if head_slot > slot + 1 {
        return Check::new(
            false,
            format!(
                "the clock is at slot {slot}, the head at slot {head_slot}: one of them is wrong"
            ),
        );
    }
    let ahead = standing.peers_ahead;
    if ahead > 0 && 2 * ahead >= peers {
        return Check::new(
            false,
            format!(
                "{ahead} of {peers} peers have heads after slot {slot}: the clock is behind, or --slot-ms differs"
            ),
        );
    }
    Check::new(true, format!("slot {slot}"))
}

fn sync(status: SyncStatus, standing: &Standing, slot: Slot, head_slot: Slot) -> Check {
    let behind = slot.saturating_sub(head_slot);
    let at = format!("the head is at slot {head_slot}, {behind} behind the clock");
    match status {
        SyncStatus::Syncing => Check::new(false, format!("catching up: {at}")),
        SyncStatus::Idle if !standing.dials_nobody => {
            Check::new(false, format!("no peer has said where the chain is; {at}"))
        }
        SyncStatus::Idle | SyncStatus::Synced => Check::new(behind <= HEAD_SLOTS_MAX, at),
    }
}

fn readers(standing: &Standing) -> Check {
    match standing.held {
        Some((process, bytes)) if bytes > HELD_BYTES_MAX => Check::new(
            false,
            format!(
                "process {process} holds {bytes} bytes of the database back: stop it, or let it end"
            ),
        ),
        _ if standing.readers_unseen => Check::new(
            true,
            "other processes' readers cannot be seen: the layout of the table of readers is not known here",
        ),
        _ => Check::new(true, "no other process holds the database back"),
    }
}

fn following(standing: &Standing, behind: u64) -> Option<Check> {
    let following = standing.following.as_ref()?;
    Some(match following.is_unfit(behind) {
        Some(reason) => Check::new(false, reason),
        None => Check::new(true, format!("{}, {behind} slots behind the clock", following.state)),
    })
}

fn keys(standing: &Standing, slot: Slot) -> Check {
    if let Some(failure) = &standing.guard_failure {
        return Check::new(false, format!("nothing is signed: {failure}"));
    }
    if standing.silenced_keys > 0 {
        let keys = standing.silenced_keys;
        return Check::new(
            false,
            format!("{keys} keys sign nothing: what they have signed cannot be read"),
        );
    }
    let Some(KeysStanding { unprepared, prepared_end, active_end }) = standing.keys else {
        return Check::new(true, "none: following only");
    };
    let until = format!("prepared up to slot {prepared_end}, made up to slot {active_end}");
    if slot >= active_end {
        return Check::new(false, format!("used up: made up to slot {active_end}"));
    }
    if unprepared > 0 {
        return Check::new(false, format!("{unprepared} keys cannot sign this slot; {until}"));
    }
    Check::new(true, until)
}

/// An archive that is required and lacks what would have been pruned is away for longer than the window.
fn archive(standing: &Standing) -> Check {
    match standing.archive_lacks {
        None => Check::new(true, "none is required"),
        Some((0, _)) => Check::new(true, "nothing is kept beyond its window for it"),
        Some((slots, 0)) => Check::new(
            false,
            format!("proofs of {slots} slots beyond the window are kept until it has them"),
        ),
        Some((slots, lost)) => Check::new(
            false,
            format!(
                "it lacks the proofs of {lost} slots that are pruned, and of {slots} more beyond the window"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use lamella_types::SlotClock;

    use super::*;
    use crate::FollowStanding;

    const SLOT_MS: u64 = 4_000;

    /// At slot 10, ticking, synced, with a peer.
    fn facts() -> NodeFacts {
        let clock = SlotClock::new(0, SLOT_MS);
        let facts = NodeFacts::new("n", None, clock, false).with_now(|| 10 * SLOT_MS + 1);
        facts.set_sync_status(SyncStatus::Synced);
        facts.tell(|standing| {
            standing.ticked = Some((50, Instant::now()));
            standing.dials_nobody = true;
        });
        facts
    }

    fn refused(facts: &NodeFacts, head_slot: Slot) -> Vec<&'static str> {
        let Readiness { is_ready, ticks, clock, sync, peers, readers, keys, archive, following } =
            Readiness::of(facts, head_slot);
        let checks = [("ticks", ticks), ("clock", clock), ("sync", sync), ("peers", peers)];
        let more = [("readers", readers), ("keys", keys), ("archive", archive)];
        let checks = checks.into_iter().chain(more);
        let checks = checks.chain(following.map(|check| ("following", check)));
        let refused: Vec<_> =
            checks.filter(|(_, check)| !check.is_ok).map(|(name, _)| name).collect();
        assert_eq!(is_ready, refused.is_empty());
        refused
    }

    /// Symptom: a frozen, silent or cut-off node was `healthy`. Mechanism: health is a constant.
    /// Fix: readiness asks what the node's own thread last did.
    #[test]
    fn each_thing_that_is_wrong_is_told_by_its_name() {
        type Change = fn(&mut Standing);
        let wrong: [(&str, Change); 10] = [
            ("archive", |standing| standing.archive_lacks = Some((9, 0))),
            ("archive", |standing| standing.archive_lacks = Some((9, 7))),
            ("ticks", |standing| standing.ticked = None),
            ("ticks", |standing| {
                let long_ago = Instant::now().checked_sub(Duration::from_millis(3 * SLOT_MS));
                standing.ticked = long_ago.map(|at| (50, at));
            }),
            ("clock", |standing| standing.peers_ahead = 1),
            ("readers", |standing| standing.held = Some((7, HELD_BYTES_MAX + 1))),
            ("keys", |standing| standing.guard_failure = Some("no space".to_owned())),
            ("keys", |standing| standing.silenced_keys = 1),
            ("keys", |standing| {
                standing.keys =
                    Some(KeysStanding { unprepared: 1, prepared_end: 5, active_end: 99 });
            }),
            ("keys", |standing| {
                standing.keys =
                    Some(KeysStanding { unprepared: 0, prepared_end: 9, active_end: 9 });
            }),
        ];
        assert!(refused(&facts(), 10).is_empty());
        for (name, change) in wrong {
            let facts = facts();
            facts.tell(change);
            assert_eq!(refused(&facts, 10), [name]);
        }
        let following = |is_diverged| FollowStanding {
            state: "tail",
            is_diverged,
            reason: String::new(),
            lag_slots_max: 3,
        };
        for (head_slot, is_diverged, expected) in
            [(8, false, &[][..]), (6, false, &["following"]), (10, true, &["following"])]
        {
            let facts = facts();
            facts.tell(|standing| standing.following = Some(following(is_diverged)));
            assert_eq!(refused(&facts, head_slot), expected);
        }
        let alone = facts();
        alone.tell(|standing| standing.dials_nobody = false);
        assert_eq!(refused(&alone, 10), ["peers"]);
        alone.set_sync_status(SyncStatus::Idle);
        assert_eq!(refused(&alone, 10), ["sync", "peers"]);
        assert_eq!(refused(&facts(), 1), ["sync"], "the head stands still");
        assert_eq!(refused(&facts(), 12), ["clock"], "the head is of the future");
        let mut before = facts().with_now(|| 0);
        before.clock = SlotClock::new(9, SLOT_MS);
        before.tell(|standing| standing.ticked = None);
        assert!(refused(&before, 0).is_empty(), "genesis is to come");
    }

    #[test]
    fn readers_that_cannot_be_seen_are_said_to_be_and_keep_nobody_away() {
        let facts = facts();
        let reason = |facts: &NodeFacts| Readiness::of(facts, 10).readers.reason;
        assert_eq!(reason(&facts), "no other process holds the database back");
        facts.tell(|standing| standing.readers_unseen = true);
        assert!(reason(&facts).contains("cannot be seen"));
        assert_eq!(refused(&facts, 10), [""; 0]);
    }
}
