//! Segments of the archive that were made last, kept for who asks next.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

/// Bytes of segments that are kept: 250 of a small network, 40 of the largest.
const SEALED_BYTES_MAX: usize = 8 << 20;

/// Segments made last, the newest at the end.
#[derive(Debug, Default)]
pub(super) struct Sealed(Mutex<VecDeque<(String, Arc<Vec<u8>>)>>);

impl Sealed {
    /// The bytes of a segment, if they are kept.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let sealed = self.0.lock();
        let found = sealed.iter().find(|(known, _)| known == name)?;
        Some(found.1.to_vec())
    }

    /// Keeps a segment; the oldest go where there is no room.
    pub(super) fn put(&self, name: String, bytes: &[u8]) {
        let mut sealed = self.0.lock();
        if bytes.len() > SEALED_BYTES_MAX || sealed.iter().any(|(known, _)| *known == name) {
            return;
        }
        sealed.push_back((name, Arc::new(bytes.to_vec())));
        let mut total: usize = sealed.iter().map(|(_, bytes)| bytes.len()).sum();
        while total > SEALED_BYTES_MAX
            && let Some((_, oldest)) = sealed.pop_front()
        {
            total -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let sealed = Sealed::default();
        let third = vec![7; SEALED_BYTES_MAX / 3];
        for name in ["a", "b", "c", "d"] {
            sealed.put(name.to_owned(), &third);
        }
        assert!(sealed.get("a").is_none() && sealed.get("b").as_ref() == Some(&third));
        sealed.put("too long".to_owned(), &vec![0; SEALED_BYTES_MAX + 1]);
        sealed.put("d".to_owned(), &[1]);
        assert!(sealed.get("too long").is_none() && sealed.get("d") == Some(third));
    }
}
