//! A directory that a crash may leave, in memory, and as a folder that somebody can open.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_128;

use crate::contents::{Contents, PAGE_BYTES};

/// Where the engine's meta pages name the boot of the machine that wrote them, and how many bytes that takes.
const BOOT_ID: std::ops::Range<usize> = 212..228;

/// Bytes at which a page of the engine's file that says so is a meta page.
const META_MAGIC: ([u8; 7], usize) = ([0x11, 0x4c, 0xef, 0xbd, 0x9d, 0x65, 0x59], 21);

/// Bytes that are written in one call.
const RUN_BYTES: usize = 1 << 20;

/// Files and folders by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Folders.
    pub folders: BTreeSet<String>,
    /// Files.
    pub files: BTreeMap<String, Arc<Contents>>,
}

impl Image {
    /// What is in a folder now.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut image = Self::default();
        let mut open = vec![root.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    image.folders.insert(name);
                    open.push(path);
                } else {
                    let contents = Contents::of(&fs::read(&path).unwrap());
                    image.files.insert(name, Arc::new(contents));
                }
            }
        }
        image
    }

    /// Every path.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.folders.iter().chain(self.files.keys()).cloned().collect()
    }

    /// Equal for equal images, and for no others that will ever be met.
    #[must_use]
    pub fn hash(&self) -> u128 {
        let mut hashed = Vec::with_capacity(16 << 10);
        for folder in &self.folders {
            hashed.extend(folder.as_bytes());
            hashed.push(b'/');
        }
        for (path, contents) in &self.files {
            hashed.extend(path.as_bytes());
            hashed.push(0);
            contents.hash_into(&mut hashed);
        }
        xxh3_128(&hashed)
    }

    /// Makes the folder hold this and nothing else.
    ///
    /// The engine believes what it did not flush if the machine was not started anew since, and a crash is just that. So
    /// its meta pages get the name of another boot.
    pub fn write(&self, root: &Path) {
        if root.exists() {
            fs::remove_dir_all(root).unwrap();
        }
        fs::create_dir_all(root).unwrap();
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (path, contents) in &self.files {
            let file = File::create(root.join(path)).unwrap();
            file.set_len(contents.length()).unwrap();
            let (mut run, mut start) = (Vec::new(), 0);
            for (page, offset) in contents.pages() {
                if offset != start + run.len() as u64 || run.len() >= RUN_BYTES {
                    file.write_all_at(&run, start).unwrap();
                    run.clear();
                    start = offset;
                }
                let mut page = *page;
                let (magic, at) = META_MAGIC;
                if path.ends_with("mdbx.dat") && page[at..at + magic.len()] == magic {
                    page[BOOT_ID].fill(0x55);
                }
                run.extend_from_slice(
                    &page[..PAGE_BYTES.min((contents.length() - offset) as usize)],
                );
            }
            file.write_all_at(&run, start).unwrap();
        }
    }
}
