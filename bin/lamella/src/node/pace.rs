//! The node's way through its intervals, whatever the system's clock does.
//!
//! The clock is followed as it is: what it said before, or what an earlier start stored, holds nothing up. Set back by
//! more than a slot, the node goes on from there; set forward, or after a sleep, it goes on from there too. Only the sign
//! guard is monotonic (G1), so no slot is signed twice on the way. Each leap is said, with what the monotonic clock saw.

use std::time::Duration;

use lamella_types::{SlotClock, limits::INTERVALS_PER_SLOT};
use tracing::{error, warn};

use super::wall::Reading;

/// Longest wait before the clock is looked at again: a clock that is set right is followed at once, however far away
/// the next interval seemed.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Where the node is in time.
#[derive(Debug)]
pub(super) struct Pace {
    clock: SlotClock,
    /// The last interval that was lived through.
    done: u64,
    /// What both clocks said at the last look. `None` before the first.
    last: Option<Reading>,
}

/// A change of the time that was not its passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leap {
    /// The clock was set back by so many slots.
    Back { slots: u64 },
    /// The clock passed so many slots while the node lived through none, `asleep` of it by the monotonic clock.
    Forward { slots: u64, asleep: Duration },
}

impl Pace {
    /// Begins after the interval that an earlier run stored. A time after the clock's was another clock's: it is said,
    /// and the clock's counts.
    pub(super) fn start(clock: SlotClock, stored: u64, unix_ms: u64) -> Self {
        let current = clock.total_intervals(unix_ms);
        if stored > current {
            warn!(
                stored_slot = stored / INTERVALS_PER_SLOT,
                clock_slot = current / INTERVALS_PER_SLOT,
                "The stored time is ahead of the clock, which was ahead when it was stored or is behind now: going on \
                 with the clock's"
            );
        }
        Self { clock, done: stored.min(current), last: None }
    }

    /// The last interval that was lived through.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    /// The interval to live up to, if one has begun.
    pub(super) fn due(&self, unix_ms: u64) -> Option<u64> {
        let current = self.clock.total_intervals(unix_ms);
        (current > self.done).then_some(current)
    }

    /// Everything up to this interval was lived through.
    pub(super) const fn lived(&mut self, interval: u64) {
        self.done = interval;
    }

    /// Looks whether the time leapt since the last look. After a step back it goes on from what the clock says now; a
    /// step of a slot or less is waited for.
    pub(super) fn look(&mut self, now: Reading) -> Option<Leap> {
        let current = self.clock.total_intervals(now.unix_ms);
        let before = self.last.replace(now)?;
        if self.done > current + INTERVALS_PER_SLOT {
            let slots = (self.done - current) / INTERVALS_PER_SLOT;
            self.done = current;
            return Some(Leap::Back { slots });
        }
        let asleep = now.monotonic.saturating_duration_since(before.monotonic);
        (current > self.done + 2 * INTERVALS_PER_SLOT).then(|| {
            let slots = (current - self.done) / INTERVALS_PER_SLOT;
            Leap::Forward { slots, asleep }
        })
    }

    /// How long nothing of the clock's is due.
    pub(super) fn wait(&self, unix_ms: u64) -> Duration {
        let next_ms = self.clock.interval_start_ms(self.done + 1).saturating_sub(unix_ms);
        Duration::from_millis(next_ms).min(LOOK_MAX)
    }
}

impl Leap {
    /// Says it.
    pub(super) fn report(self, clock: &SlotClock) {
        match self {
            Self::Back { slots } => error!(
                slots,
                "The clock was set back: going on with what it says; what was signed is not signed again"
            ),
            Self::Forward { slots, asleep } => {
                let asleep_slots = asleep.as_millis() / u128::from(clock.slot_ms());
                warn!(
                    slots,
                    asleep_ms = asleep.as_millis(),
                    cause = if asleep_slots + 1 < u128::from(slots) {
                        "the clock was set forward, or the machine slept"
                    } else {
                        "the process was stopped, or could not keep up"
                    },
                    "Slots have passed unlived: going on with the newest"
                );
            }
        }
    }

    /// Its label in the metrics.
    pub(super) const fn direction(self) -> &'static str {
        match self {
            Self::Back { .. } => "back",
            Self::Forward { .. } => "forward",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Slots of 1 s from the epoch on.
    const CLOCK: SlotClock = SlotClock::new(0, 1_000);

    struct Drill {
        pace: Pace,
        began: Instant,
        lived: Vec<u64>,
    }

    impl Drill {
        fn new(stored: u64, unix_ms: u64) -> Self {
            let pace = Pace::start(CLOCK, stored, unix_ms);
            Self { pace, began: Instant::now(), lived: Vec::new() }
        }

        /// A turn of the node's loop.
        fn turn(&mut self, unix_ms: u64, monotonic_ms: u64) -> Option<Leap> {
            let monotonic = self.began + Duration::from_millis(monotonic_ms);
            let leap = self.pace.look(Reading { unix_ms, monotonic });
            if let Some(due) = self.pace.due(unix_ms) {
                self.pace.lived(due);
                self.lived.push(due);
            }
            leap
        }
    }

    /// Symptom: a node whose clock was once an hour ahead did nothing for an hour, across restarts, and said nothing.
    /// Mechanism: the stored time only went forward, and intervals were counted from it.
    /// Fix: a stored time after the clock's is said and forgotten.
    #[test]
    fn a_stored_time_ahead_of_the_clock_freezes_nothing() {
        let mut drill = Drill::new(5 * 3_600, 10_000);
        assert_eq!(drill.pace.done(), 50);
        assert!(drill.pace.wait(10_000) <= Duration::from_millis(200));
        assert_eq!(drill.turn(10_200, 200), None);
        assert_eq!(drill.lived, [51]);
        // One behind the clock is caught up from, as ever.
        let mut drill = Drill::new(3, 10_000);
        assert_eq!((drill.turn(10_000, 0), drill.lived), (None, vec![50]));
    }

    /// Symptom: a clock set back while the node ran froze it for as long, and one that was far behind made it sleep the
    /// difference, though the clock had been set right meanwhile.
    /// Mechanism: the loop waited, in one go, for the interval after the last one lived.
    /// Fix: a step of more than a slot is followed, and no wait is longer than a second.
    #[test]
    fn a_clock_set_back_is_followed_and_a_small_step_is_waited_for() {
        let mut drill = Drill::new(0, 0);
        (0..50).for_each(|turn| assert_eq!(drill.turn(turn * 200, turn * 200), None));
        assert_eq!(drill.turn(9_000, 10_000), None, "a slot's step is waited for");
        assert_eq!(drill.pace.done(), 49);
        assert_eq!(drill.turn(5_000, 10_200), Some(Leap::Back { slots: 4 }));
        assert_eq!(drill.turn(5_200, 10_400), None);
        assert_eq!(drill.lived.last(), Some(&26));
        // Before genesis there is nothing to live through, and the clock is looked at every second.
        let late = SlotClock::new(1 << 40, 1_000);
        let pace = Pace::start(late, 77, 0);
        assert_eq!((pace.done(), pace.due(0), pace.wait(0)), (0, None, LOOK_MAX));
    }

    #[test]
    fn a_leap_forward_says_whether_the_monotonic_clock_saw_it() {
        for monotonic_ms in [200, 60_000] {
            let mut drill = Drill::new(0, 0);
            assert_eq!(drill.turn(200, 0), None);
            let asleep = Duration::from_millis(monotonic_ms);
            let leap = drill.turn(60_200, monotonic_ms);
            assert_eq!(leap, Some(Leap::Forward { slots: 60, asleep }));
            assert_eq!(drill.lived, [1, 301]);
        }
        // A slow turn is no leap.
        let mut drill = Drill::new(0, 0);
        drill.turn(200, 0);
        assert_eq!(drill.turn(2_000, 1_800), None);
    }
}
