//! What peers may do, by account: an address, or one peer where the address says nothing.

/// Length of a ban, and of the time in which an address gets no new identity in: 10 minutes.
pub const BAN_MS: u64 = 600_000;

/// Points against the identities of one address, those that came and went among them, at which it is closed: four bans.
pub const ADDRESS_POINTS: u32 = 4 * super::offence::BAN_POINTS;

/// Identities of one address that may be connected at once: a household of nodes, and a twelfth of all that may come.
pub const IDENTITIES_PER_ADDRESS: usize = 8;

/// Accounts, peers with points and peers whose account is known, remembered of each. The one whose memory ends first is
/// forgotten first.
pub const REMEMBERED_MAX: usize = 4_096;

/// How long it is known which account a peer had that is gone: longer than a block waits for its import.
pub const GONE_MS: u64 = 120_000;

/// Bytes of requests and answers that an account may have at once, and per second: what a line of 1 Gbit/s carries, so
/// that who asks no others for their share is held up by the line and not by us.
pub const SERVED_BYTES_BURST: u64 = 256 << 20;
/// See [`SERVED_BYTES_BURST`].
pub const SERVED_BYTES_PER_SECOND: u64 = 128 << 20;

/// The same for all strangers together. Whoever we dial does not draw on it.
pub const STRANGERS_BYTES_BURST: u64 = 2 * SERVED_BYTES_BURST;
/// See [`STRANGERS_BYTES_BURST`].
pub const STRANGERS_BYTES_PER_SECOND: u64 = 2 * SERVED_BYTES_PER_SECOND;

/// Requests for status at once, and per second: they cost a lock each, and are sent at connection and every 32 s.
pub const STATUS_BURST: u64 = 32;
/// See [`STATUS_BURST`].
pub const STATUS_PER_SECOND: u64 = 1;

/// Refusals that cost nothing, at once and per second. A refusal costs us little, so only haste is held against a peer.
pub const REFUSALS_BURST: u64 = 64;
/// See [`REFUSALS_BURST`].
pub const REFUSALS_PER_SECOND: u64 = 4;

/// Gossiped messages at once, and per second: the votes of all 4,096 validators in a slot of 4 s, twice over; at once,
/// even at the highest price, more than what can wait in a connection's buffers while we are busy (15 MB, 5,600 votes):
/// our own backlog is nobody's flood.
pub const GOSSIP_BURST: u64 = 32_768;
/// See [`GOSSIP_BURST`].
pub const GOSSIP_PER_SECOND: u64 = 2_048;

/// Their bytes, by the same reckoning.
pub const GOSSIP_BYTES_BURST: u64 = 64 << 20;
/// See [`GOSSIP_BYTES_BURST`].
pub const GOSSIP_BYTES_PER_SECOND: u64 = 16 << 20;

/// What one relayed message of rubbish adds to an account's score, and the most that there can be. It fades in 192 s.
pub const RUBBISH_POINTS: u32 = 4;
/// See [`RUBBISH_POINTS`].
pub const RUBBISH_POINTS_MAX: u32 = 3 * RUBBISH_POINTS_PER_PRICE;

/// Points by which a message's price rises once: at the worst, gossip comes at a quarter of its rate, 512 messages and
/// 4 MiB a second. It never stops, because who relays rubbish relays the chain too.
pub const RUBBISH_POINTS_PER_PRICE: u32 = 64;

/// Time in which every bucket of an account is full again: the slowest is that of status.
pub const REFILL_MS: u64 = 1_000 * STATUS_BURST / STATUS_PER_SECOND;
