//! When a node said what: the times of its log's lines, which one clock wrote for all processes.

use std::time::Duration;

/// Microseconds of a day.
const DAY_US: u64 = 86_400_000_000;

/// When, since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(u64);

impl At {
    /// When this line was written, as in `2026-01-31T12:00:00.123456Z INFO ..`.
    pub fn of(line: &str) -> Option<Self> {
        let (_, time) = line.split_whitespace().next()?.trim_end_matches('Z').split_once('T')?;
        let (clock, fraction) = time.split_once('.')?;
        let mut parts = clock.split(':').map(|part| part.parse::<u64>());
        let (hours, minutes, seconds) =
            (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        assert_eq!(fraction.len(), 6, "microseconds: {line}");
        let micros = fraction.parse::<u64>().ok()?;
        Some(Self(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros))
    }

    /// The time from then to now, less than a day; over midnight, too.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros((DAY_US + later.0 - self.0) % DAY_US)
    }
}

/// The value of `name=value` in a line.
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    line[start..].split_whitespace().next()
}
