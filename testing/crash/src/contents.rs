//! The bytes of a file, in pages that images share.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;

/// A page and its hash.
type Page = (Arc<[u8; PAGE_BYTES]>, u64);

/// A file's bytes. A page of zeros is none, and there are none after the last that is not. Clones share pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    length: u64,
    pages: Vec<Option<Page>>,
}

impl Contents {
    /// The file of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        contents.write(0, bytes);
        contents
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Writes, and makes the file longer where it ends before.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.grow(offset + bytes.len() as u64);
        let mut at = offset as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, start) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let (part, after) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let mut new = self.page(page);
            new[start..start + part.len()].copy_from_slice(part);
            self.put(page, new);
            (at, rest) = (at + part.len(), after);
        }
    }

    /// Makes the file at least so long.
    pub fn grow(&mut self, bytes: u64) {
        self.length = self.length.max(bytes);
    }

    /// Cuts the file or makes it longer.
    pub fn set_length(&mut self, bytes: u64) {
        self.grow(bytes);
        self.length = bytes;
        self.pages.truncate((bytes as usize).div_ceil(PAGE_BYTES));
        self.trim();
        let (last, kept) = (bytes as usize / PAGE_BYTES, bytes as usize % PAGE_BYTES);
        if kept > 0 {
            let mut page = self.page(last);
            page[kept..].fill(0);
            self.put(last, page);
        }
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length as usize];
        for (page, start) in self.pages() {
            let end = (start as usize + PAGE_BYTES).min(bytes.len());
            bytes[start as usize..end].copy_from_slice(&page[..end - start as usize]);
        }
        bytes
    }

    /// The pages that are not zeros, with their offsets.
    pub fn pages(&self) -> impl Iterator<Item = (&[u8; PAGE_BYTES], u64)> {
        let pages = self.pages.iter().enumerate();
        pages.filter_map(|(at, page)| Some((&*page.as_ref()?.0, (at * PAGE_BYTES) as u64)))
    }

    /// What the file's hash is made of.
    pub fn hash_into(&self, hashed: &mut Vec<u8>) {
        hashed.extend(self.length.to_le_bytes());
        for page in &self.pages {
            hashed.extend(page.as_ref().map_or(0, |page| page.1).to_le_bytes());
        }
        hashed.extend((self.pages.len() as u64).to_le_bytes());
    }

    fn page(&self, page: usize) -> [u8; PAGE_BYTES] {
        self.pages.get(page).and_then(Option::as_ref).map_or([0; PAGE_BYTES], |page| *page.0)
    }

    fn put(&mut self, page: usize, bytes: [u8; PAGE_BYTES]) {
        let hash = xxh3_64(&bytes);
        self.pages.resize(self.pages.len().max(page + 1), None);
        self.pages[page] = (bytes != [0; PAGE_BYTES]).then(|| (Arc::new(bytes), hash));
        self.trim();
    }

    fn trim(&mut self) {
        while let Some(None) = self.pages.last() {
            self.pages.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_growth_and_cuts_are_those_of_a_vector() {
        let mut contents = Contents::of(b"abc");
        contents.write(4094, &[7; 5]);
        assert_eq!((contents.length(), contents.bytes()[4094]), (4099, 7));
        let clone = contents.clone();
        contents.set_length(4095);
        contents.set_length(5000);
        assert_eq!(&contents.bytes()[4093..4098], &[0, 7, 0, 0, 0], "what was cut off is zeros");
        assert_eq!(&clone.bytes()[4093..], &[0, 7, 7, 7, 7, 7], "a clone keeps its pages");
        let mut again = Contents::default();
        again.write(0, &contents.bytes());
        assert_eq!(again, contents, "equal bytes are equal pages");
    }
}
