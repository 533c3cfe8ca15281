//! Files that appear whole, with their name durable: written beside, synced, renamed, the folder synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// What the file has behind its name until it is whole. A kill leaves it; the next write takes it away.
pub const UNFINISHED_EXTENSION: &str = "tmp";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody the umask allows.
    Public,
    /// The owner: mode 0600.
    Owner,
}

/// Writes a file, replacing one of this name.
///
/// # Errors
/// What the system says; then no file has appeared, unless it was the folder that could not be synced.
///
/// # Atomicity
/// Whatever happens, the name has the old bytes or the new ones. On return the new ones survive a loss of power.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let unfinished = path.with_added_extension(UNFINISHED_EXTENSION);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    // A new file, so that nobody who opened an older one reads a secret.
    options.create_new(true).write(true);
    #[cfg(unix)]
    if access == Access::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_what_a_kill_left_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.ssz");
        fs::write(dir.path().join("state.ssz.tmp"), "a longer text, cut of").unwrap();
        for (text, access) in [("one", Access::Public), ("two", Access::Owner)] {
            write(&path, text.as_bytes(), access).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        let missing = dir.path().join("no/folder");
        assert_eq!(
            write(&missing, b"x", Access::Public).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
