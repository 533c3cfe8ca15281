//! The second recorder: a file system of our own (FUSE) that hands every call on to a folder and writes down what arrives.
//!
//! [`crate::record`] reads what `strace` says of the program's calls; a call that it read wrongly, or that we never told it
//! to show, would be missing from every image. What arrives here comes from the kernel, below any call. Both record one
//! run, and must tell the same ([`crate::compare`]).
//!
//! It needs `/dev/fuse` and the right to mount. What a program changes through a map arrives when the kernel pleases;
//! the engine changes `mdbx.lck` so, and nothing else, so of that file only the names are compared.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, INodeNo, MountOption,
};

use crate::trace::Operation;

mod kernel;

use kernel::Kernel;

/// A folder that is mounted elsewhere, until it is dropped.
pub struct Mounted {
    state: Arc<Mutex<State>>,
    _session: BackgroundSession,
}

impl Mounted {
    /// Mounts folder `back` at the empty folder `front`.
    ///
    /// # Errors
    /// There is no `/dev/fuse`, or no right to mount.
    pub fn mount(back: &Path, front: &Path) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::new(back)?));
        let mut config = Config::default();
        // Not "fuse...": the engine takes such a one for a remote disk and refuses it.
        config.mount_options = vec![MountOption::FSName("recorded".to_owned())];
        let session = fuser::spawn_mount(Kernel(Arc::clone(&state)), front, &config)?;
        Ok(Self { state, _session: session })
    }

    /// What arrived since the last look.
    #[must_use]
    pub fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut lock(&self.state).operations)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of the folder: the path of each file by its number, and the files that are open.
struct State {
    back: PathBuf,
    root: u64,
    /// Relative paths.
    paths: BTreeMap<u64, String>,
    open: BTreeMap<u64, File>,
    next_handle: u64,
    /// The file of a synchronous write after which the kernel asks for a flush of its own.
    owed: Option<u64>,
    operations: Vec<Operation>,
}

impl State {
    fn new(back: &Path) -> io::Result<Self> {
        Ok(Self {
            back: back.to_owned(),
            root: fs::metadata(back)?.ino(),
            paths: BTreeMap::new(),
            open: BTreeMap::new(),
            next_handle: 1,
            owed: None,
            operations: Vec::new(),
        })
    }

    fn path(&self, number: INodeNo) -> Result<String, Errno> {
        if number == INodeNo::ROOT {
            return Ok(String::new());
        }
        self.paths.get(&number.0).cloned().ok_or(Errno::ENOENT)
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> Result<String, Errno> {
        let (parent, name) = (self.path(parent)?, name.to_str().ok_or(Errno::EIO)?);
        Ok(if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") })
    }

    fn attributes(&self, metadata: &Metadata) -> FileAttr {
        let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
        let is_root = metadata.ino() == self.root;
        FileAttr {
            ino: if is_root { INodeNo::ROOT } else { INodeNo(metadata.ino()) },
            size: metadata.len(),
            blocks: metadata.blocks(),
            atime: time(metadata.atime()),
            mtime: time(metadata.mtime()),
            ctime: time(metadata.ctime()),
            crtime: UNIX_EPOCH,
            kind: if metadata.is_dir() { FileType::Directory } else { FileType::RegularFile },
            perm: (metadata.mode() & 0o7777) as u16,
            nlink: metadata.nlink() as u32,
            uid: metadata.uid(),
            gid: metadata.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// The file at a path, known by its number from now on.
    fn entry(&mut self, path: &str) -> Result<FileAttr, Errno> {
        let attributes = self.attributes(&fs::symlink_metadata(self.back.join(path))?);
        self.paths.insert(attributes.ino.0, path.to_owned());
        Ok(attributes)
    }

    fn hold(&mut self, file: File) -> FileHandle {
        let handle = self.next_handle;
        self.next_handle += 1;
        self.open.insert(handle, file);
        FileHandle(handle)
    }

    fn file(&self, handle: FileHandle) -> Result<&File, Errno> {
        self.open.get(&handle.0).ok_or(Errno::EIO)
    }

    fn create(&mut self, path: String) -> Result<(FileAttr, FileHandle), Errno> {
        let file =
            File::options().read(true).write(true).create_new(true).open(self.back.join(&path))?;
        let attributes = self.entry(&path)?;
        self.operations.push(Operation::Create { path });
        Ok((attributes, self.hold(file)))
    }

    fn open(&mut self, number: INodeNo, is_written: bool) -> Result<FileHandle, Errno> {
        let path = self.back.join(self.path(number)?);
        let file = File::options().read(true).write(is_written).open(path)?;
        Ok(self.hold(file))
    }

    fn write(
        &mut self,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        is_synced: bool,
    ) -> Result<(), Errno> {
        self.file(handle)?.write_all_at(bytes, offset)?;
        let path = self.path(number)?;
        self.operations.push(Operation::Write { path, offset, bytes: bytes.into(), is_synced });
        self.owed = is_synced.then_some(number.0);
        Ok(())
    }

    fn set_length(&mut self, number: INodeNo, bytes: u64) -> Result<(), Errno> {
        let path = self.path(number)?;
        File::options().write(true).open(self.back.join(&path))?.set_len(bytes)?;
        self.operations.push(Operation::SetLength { path, bytes });
        Ok(())
    }

    fn grow(&mut self, number: INodeNo, handle: FileHandle, bytes: u64) -> Result<(), Errno> {
        let file = self.file(handle)?;
        if file.metadata()?.len() < bytes {
            file.set_len(bytes)?;
        }
        let path = self.path(number)?;
        self.operations.push(Operation::Grow { path, bytes });
        Ok(())
    }

    fn flush(&mut self, number: INodeNo) -> Result<(), Errno> {
        // The kernel's own, which makes the synchronous write before it one.
        if self.owed.take() == Some(number.0) {
            return Ok(());
        }
        let path = self.path(number)?;
        self.operations.push(Operation::Flush { path });
        Ok(())
    }

    fn rename(&mut self, from: String, to: String) -> Result<(), Errno> {
        fs::rename(self.back.join(&from), self.back.join(&to))?;
        for path in self.paths.values_mut() {
            let rest =
                path.strip_prefix(&from).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(rest) = rest {
                *path = format!("{to}{rest}");
            }
        }
        self.operations.push(Operation::Rename { from, to });
        Ok(())
    }

    fn link(&mut self, number: INodeNo, to: String) -> Result<FileAttr, Errno> {
        let from = self.path(number)?;
        fs::hard_link(self.back.join(&from), self.back.join(&to))?;
        let attributes = self.entry(&to)?;
        self.operations.push(Operation::Link { from, to });
        Ok(attributes)
    }

    fn make_folder(&mut self, path: String) -> Result<FileAttr, Errno> {
        fs::create_dir(self.back.join(&path))?;
        let attributes = self.entry(&path)?;
        self.operations.push(Operation::MakeFolder { path });
        Ok(attributes)
    }

    fn remove(&mut self, path: String, is_folder: bool) -> Result<(), Errno> {
        let full = self.back.join(&path);
        if is_folder {
            fs::remove_dir(full)?
        } else {
            fs::remove_file(full)?
        }
        self.operations.push(Operation::Remove { path });
        Ok(())
    }

    fn list(&self, number: INodeNo) -> Result<Vec<(u64, FileType, String)>, Errno> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.back.join(self.path(number)?))? {
            let entry = entry?;
            let attributes = self.attributes(&entry.metadata()?);
            let name = entry.file_name().into_string().map_err(|_| Errno::EIO)?;
            names.push((attributes.ino.0, attributes.kind, name));
        }
        names.sort_by(|one, other| one.2.cmp(&other.2));
        Ok(names)
    }
}
