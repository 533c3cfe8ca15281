//! Points that fade, one each second: nothing but the time at which the last is gone.

/// Time in which one point fades.
const FADE_MS_PER_POINT: u64 = 1_000;

/// Points against somebody.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fading {
    ends_ms: u64,
}

impl Fading {
    /// What is left of them.
    pub(super) fn now(&self, now_ms: u64) -> u32 {
        let left = self.ends_ms.saturating_sub(now_ms).div_ceil(FADE_MS_PER_POINT);
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Adds points, up to `max` in all; how many there are.
    pub(super) fn add(&mut self, points: u32, max: u32, now_ms: u64) -> u32 {
        let last = |points: u32| u64::from(points) * FADE_MS_PER_POINT;
        let added_ms = self.ends_ms.max(now_ms).saturating_add(last(points));
        self.ends_ms = added_ms.min(now_ms.saturating_add(last(max)));
        self.now(now_ms)
    }

    /// When the last one is gone.
    pub(super) const fn ends_ms(&self) -> u64 {
        self.ends_ms
    }
}
