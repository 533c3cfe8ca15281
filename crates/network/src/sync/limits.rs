//! What sync allows itself: every queue, buffer, wait and number of tries.

use lamella_types::limits::SIGNED_BLOCK_BYTES_MAX;

use crate::{
    peers::limits::{SERVED_BYTES_BURST, SERVED_BYTES_PER_SECOND},
    requests::{REQUEST_BLOCKS_MAX, REQUESTS_MAX},
};

/// Slots behind a claimed head up to which blocks are fetched one by one; beyond it, in ranges. Two times leanSpec's
/// usual lag of a few slots: a node that merely missed some gossip asks for exactly the blocks that it missed.
pub const BEHIND_SLOTS: u64 = 8;

/// Slots by which a claimed head or a block may be ahead of our clock: one, as for gossip.
pub const FUTURE_SLOTS_MAX: u64 = 1;

/// Slots of one range request, which is also the most blocks of its answer.
pub const RANGE_SLOTS: u64 = REQUEST_BLOCKS_MAX as u64;

/// Ranges asked for, or waiting for their turn to be imported, at once: 1,024 slots.
pub const RANGES_MAX: usize = 16;

/// Range requests in flight at once. Answers are 64 blocks each; four keep a link busy across the round trip.
pub const RANGES_IN_FLIGHT_MAX: usize = 4;

/// Bytes of the largest answer to a range: 33 MiB.
pub const RANGE_BYTES_MAX: usize = REQUEST_BLOCKS_MAX * SIGNED_BLOCK_BYTES_MAX;

/// Bytes of range blocks in memory, of all ranges under way and at the importer, answers in flight taken as the largest
/// possible: 132 MiB, four of them. So liars that serve the largest blocks there can be leave a node more than half of 300
/// MB; honest ones fill a link with two answers at once and a third at the importer.
pub const RANGE_BUFFER_BYTES_MAX: usize = 4 * RANGE_BYTES_MAX;

/// First step back from a range that does not connect; it doubles each time.
pub const STEP_BACK_SLOTS: u64 = RANGE_SLOTS;

/// Steps back in one session after which it stays with one peer to its end.
pub const FORKS_MAX: u32 = 4;

/// Blocks whose parent is missing.
pub const ORPHANS_MAX: usize = 256;

/// Bytes of them: 64 MiB, 330 blocks of 190 KiB.
pub const ORPHAN_BYTES_MAX: usize = 64 << 20;

/// Of these, bytes that one peer gossiped: 16 MiB, 31 of the largest blocks.
pub const ORPHAN_BYTES_PER_PEER: usize = 16 << 20;

/// Parents fetched one by one for one orphan; a longer gap is fetched in ranges. leanSpec goes 512 deep, each a round
/// trip; a range brings 64 in one.
pub const ORPHAN_DEPTH_MAX: u32 = 32;

/// Blocks without their parent that one peer may bring: twice as many as are fetched for one of them.
pub const ORPHANS_PER_PEER: usize = 64;

/// Peers asked for one missing block.
pub const ROOT_TRIES_MAX: usize = 4;

/// Missing blocks looked for at once, and requests for them in flight.
pub const MISSING_MAX: usize = 64;
/// Missing blocks looked for on the word of one peer.
pub const MISSING_PER_PEER: usize = 16;
/// See [`MISSING_MAX`].
pub const ROOTS_IN_FLIGHT_MAX: usize = 4;
const _: () = assert!(RANGES_IN_FLIGHT_MAX + ROOTS_IN_FLIGHT_MAX <= REQUESTS_MAX);

/// Answers that do not show what a peer claims, after which its claims are ignored.
pub const DOUBTS_MAX: u32 = 3;

/// Empty ranges in a row below a claimed head, after which the claim is ignored: 32,768 slots, 36 h at 4 s. A chain may
/// really have stood still that long, and one that lies gains nothing by it: doubted claims hold nobody up.
pub const EMPTY_RANGES_MAX: u32 = 512;

/// Failed requests in a row after which a peer's claims are ignored: four minutes of backing off.
pub const FAILURES_MAX: u32 = 8;

/// How long claims are ignored: 10 minutes, as long as a ban.
pub const IGNORE_MS: u64 = 600_000;

/// Wait after a first failure; it doubles each time, up to a minute.
pub const BACK_OFF_MS: u64 = 1_000;
/// See [`BACK_OFF_MS`].
pub const BACK_OFF_MS_MAX: u64 = 64_000;

/// Age at which a status is asked for again: 8 slots of 4 s.
pub const STATUS_AGE_MS: u64 = 32_000;

/// Silence after which nothing that a peer said is believed any more: four statuses that did not come.
pub const SILENCE_MS: u64 = 4 * STATUS_AGE_MS;

/// Least time between two questions for one peer's status.
pub const STATUS_ASK_MS: u64 = 5_000;

/// Bytes asked of one peer at once, and per second, requests among them: three quarters of what this node would itself
/// serve a peer. It is asked for no more than what the largest answer leaves.
pub const PACE_BYTES_BURST: u64 = SERVED_BYTES_BURST / 4 * 3;
/// See [`PACE_BYTES_BURST`].
pub const PACE_BYTES_PER_SECOND: u64 = SERVED_BYTES_PER_SECOND / 4 * 3;
const _: () = assert!(PACE_BYTES_BURST >= RANGE_BYTES_MAX as u64);

/// How long a peer that says it pruned a range is not asked for it again: 5 minutes.
pub const UNAVAILABLE_MS: u64 = 300_000;

/// How long the store is left alone when it cannot write.
pub const PAUSE_MS: u64 = 2_000;

/// Least time between two reports to the operator: 10 minutes.
pub const REPORT_MS: u64 = 600_000;

/// Peers known at once: twice what the service connects to.
pub const PEERS_MAX: usize = 256;

/// Judgements and reports that wait to be polled: a few for each peer. A node that polls after each call leaves none.
pub const SAID_MAX: usize = 4 * PEERS_MAX;

/// Time after which the outcome of a request was lost on its way to us: the network ends each within 10 s.
pub const REQUEST_MS_MAX: u64 = 30_000;
