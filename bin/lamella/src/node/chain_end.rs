//! The end of the chain, said long before it comes.
//!
//! A state's history holds 2^18 roots, so no block can follow slot 2^18: at 4 s a slot a network lasts 12.1 days.
//! What ends then is not the node's to prevent. It says so ahead of time, again and again, and when the slot has
//! passed it stops proposing and voting and goes on serving what it has.

use std::time::Duration;

use lamella_types::{Slot, SlotClock, limits::CHAIN_LAST_SLOT};
use tracing::{error, warn};

/// Time left at which the log warns, and at every start below the first: days, then hours.
const WARN_BEFORE: [Duration; 6] = [hours(72), hours(48), hours(24), hours(12), hours(6), hours(1)];

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

/// Something to say about the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// It is near.
    Near { slots_left: u64, time_left: Duration },
    /// It is here: no block can have the slot that has begun.
    Ended,
}

/// Whether a block may still have this slot.
pub(super) const fn is_over(slot: Slot) -> bool {
    slot > CHAIN_LAST_SLOT
}

/// Warns if the clock's way from slot `from` (`None` at the start) to slot `to` calls for it.
pub(super) fn report(clock: &SlotClock, from: Option<Slot>, to: Slot) {
    match notice(clock, from, to) {
        None => {}
        Some(Notice::Near { slots_left, time_left }) => {
            let days_left = format!("{:.1}", time_left.as_secs_f64() / hours(24).as_secs_f64());
            warn!(
                slots_left,
                days_left,
                last_slot = CHAIN_LAST_SLOT,
                "The chain nears its last slot: states hold no more history. Prepare a new network"
            );
        }
        Some(Notice::Ended) => error!(
            last_slot = CHAIN_LAST_SLOT,
            "The chain has ended: no block can follow its last slot. Make a new network; this node goes on serving"
        ),
    }
}

fn notice(clock: &SlotClock, from: Option<Slot>, to: Slot) -> Option<Notice> {
    if is_over(to) {
        return from.is_none_or(|from| !is_over(from)).then_some(Notice::Ended);
    }
    let left =
        |slot| Duration::from_millis(clock.slot_ms().saturating_mul(SlotClock::slots_left(slot)));
    let time_left = left(to);
    let crossed =
        |mark: &Duration| time_left <= *mark && from.is_none_or(|from| left(from) > *mark);
    let is_due = WARN_BEFORE.iter().any(crossed);
    is_due.then(|| Notice::Near { slots_left: SlotClock::slots_left(to), time_left })
}

#[cfg(test)]
mod tests {
    use lamella_types::limits::SLOT_MS;

    use super::*;

    const DAY_SLOTS: u64 = 86_400_000 / SLOT_MS;

    fn said(from: Option<Slot>, to: Slot) -> Option<Notice> {
        notice(&SlotClock::new(0, SLOT_MS), from, to)
    }

    fn near(slots_left: u64) -> Option<Notice> {
        let time_left = Duration::from_millis(slots_left * SLOT_MS);
        Some(Notice::Near { slots_left, time_left })
    }

    #[test]
    fn a_node_that_runs_is_warned_at_each_mark_once() {
        let end = CHAIN_LAST_SLOT;
        let warned: Vec<u64> = (1..=end)
            .filter(|slot| said(Some(slot - 1), *slot).is_some())
            .map(SlotClock::slots_left)
            .collect();
        let hour = DAY_SLOTS / 24;
        assert_eq!(warned, [3 * DAY_SLOTS, 2 * DAY_SLOTS, DAY_SLOTS, 12 * hour, 6 * hour, hour]);
        assert_eq!(said(Some(end), end + 1), Some(Notice::Ended));
        assert_eq!(said(Some(end + 1), end + 2), None);
    }

    #[test]
    fn a_start_and_a_leap_over_several_marks_are_told_where_they_land() {
        let end = CHAIN_LAST_SLOT;
        assert_eq!(said(None, end - 3 * DAY_SLOTS - 1), None);
        assert_eq!(said(None, end - 1), near(1));
        assert_eq!(said(Some(0), end - 5), near(5));
        assert_eq!(said(Some(0), u64::MAX), Some(Notice::Ended));
        assert_eq!(said(None, end + 1), Some(Notice::Ended));
        assert_eq!(said(None, end), near(0));
    }
}
