//! The points of the report's plots.

/// Slots of history of the chains in the plots: 1k, 4k, 16k, 65k, and the last anchor before the slot limit.
pub const HISTORIES: [u64; 5] = [1024, 4 * 1024, 16 * 1024, 64 * 1024, crate::LONG];

/// Slots since finality of the chains in the plots: none, then up to twelve hours at 4 s a slot.
pub const STALLS: [u64; 6] = [0, 256, 1_024, 2_100, 4_200, 10_800];
