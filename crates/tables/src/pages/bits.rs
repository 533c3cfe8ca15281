//! A set of page numbers: one bit each.

/// Pages below a limit.
pub(super) struct PageSet {
    words: Vec<u64>,
    count: u64,
}

impl PageSet {
    /// The empty set of pages below `limit`.
    pub(super) fn new(limit: u64) -> Self {
        let words = usize::try_from(limit.div_ceil(64)).unwrap_or(usize::MAX);
        Self { words: vec![0; words], count: 0 }
    }

    /// Whether `page` is in it.
    pub(super) fn has(&self, page: u32) -> bool {
        let word = self.words.get(page as usize / 64);
        word.is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Adds `page`; says whether it was new. A page beyond the limit (of a file that was cut) is not kept.
    pub(super) fn insert(&mut self, page: u32) -> bool {
        let Some(word) = self.words.get_mut(page as usize / 64) else { return true };
        let bit = 1 << (page % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    /// How many pages are in it.
    pub(super) const fn len(&self) -> u64 {
        self.count
    }
}
