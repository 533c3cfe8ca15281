//! Bounds that hold for all clients together, and the part of each.

use std::time::Duration;

use lamella_inspect::served::ANSWER_TIME_MAX;

/// Bounds of what clients can make the server do at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Reads of the chain, each with at most one open transaction and one unfinished answer (20 MB, the largest
    /// state as JSON).
    pub reads: usize,
    /// Longest wait for a turn before the client is told to come back.
    pub read_wait: Duration,
    /// Longest that the chain is read for one answer: until then it keeps pages from being reused.
    pub read_time: Duration,
    /// Bytes of finished answers that wait for their clients: six of the largest.
    pub answer_bytes: usize,
    /// Longest wait for the turn to have a segment of the archive made, which takes tens of milliseconds.
    pub seal_wait: Duration,
    /// Streams of events.
    pub event_streams: usize,
    /// Connections to each port. Further ones wait in the system's queue.
    pub connections: usize,
    /// One in so many of connections, streams and bytes of answers is the most that one address may take. The largest
    /// answer fits.
    pub address_part: usize,
    /// The same for the loopback address, where all programs of this machine are one.
    pub loopback_part: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reads: 8,
            read_wait: Duration::from_millis(500),
            read_time: ANSWER_TIME_MAX,
            answer_bytes: 128 << 20,
            seal_wait: Duration::from_secs(5),
            event_streams: 64,
            connections: 256,
            address_part: 4,
            loopback_part: 2,
        }
    }
}
