//! Disks that fail as real ones do: one that is full, and one that answers every write, flush or reading with an error.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Says, on a line of its own, that a test did not run and why.
pub(crate) fn skip(why: &str) {
    writeln!(std::io::stdout().lock(), "skipped: {why}").unwrap();
}

/// A small file system of its own; unmounted when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, and a line that says so, where this process may not mount.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|out| out.status.success()) {
            return Some(Self(folder));
        }
        skip("a full disk: this process may not mount one");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Writes until there is no byte left.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    }

    /// Gives back what [`Self::fill`] took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// What a dying disk fails at, as far as the data file goes; keys lie on another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failing {
    /// Every write, with nothing written.
    Writes,
    /// Every flush, while the system keeps what was written before it.
    Flushes,
    /// Every reading behind the meta pages that is none through a map.
    Reads,
}

/// A library before the system's own, by which a process' disk dies when told to.
pub(crate) struct DyingDisk {
    library: PathBuf,
    signal: PathBuf,
}

impl DyingDisk {
    /// Compiles it into this folder. A C compiler is there: the engine is made with it.
    pub(crate) fn make(folder: &Path, failing: Failing) -> Self {
        let (source, library) = (folder.join("dying.c"), folder.join("dying.so"));
        fs::write(&source, SHIM).unwrap();
        let which = match failing {
            Failing::Writes => "-DWRITES",
            Failing::Flushes => "-DFLUSHES",
            Failing::Reads => "-DREADS",
        };
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", which, "-o"])
            .args([&library, &source])
            .args(["-ldl"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { library, signal: folder.join("dead") }
    }

    /// Puts a process that will be started on this disk.
    pub(crate) fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("LAMELLA_TEST_DEAD_DISK", &self.signal);
    }

    /// From now on it fails.
    pub(crate) fn die(&self) {
        fs::write(&self.signal, []).unwrap();
    }
}

/// A library before the system's own that writes down what a process flushes.
pub(crate) struct FlushLog {
    library: PathBuf,
    log: PathBuf,
}

impl FlushLog {
    /// Compiles it into this folder.
    pub(crate) fn make(folder: &Path) -> Self {
        let (source, library) = (folder.join("flushes.c"), folder.join("flushes.so"));
        fs::write(&source, FLUSH_LOG).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { library, log: folder.join("flushes.log") }
    }

    /// Has a process that will be started write its flushes down.
    pub(crate) fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("LAMELLA_TEST_FLUSHES", &self.log);
    }

    /// What was flushed so far, in order.
    pub(crate) fn flushed(&self) -> Vec<PathBuf> {
        fs::read_to_string(&self.log).unwrap().lines().map(PathBuf::from).collect()
    }
}

/// A line with the path of each file and folder that was flushed, before it is.
const FLUSH_LOG: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note(int fd) {
    const char *log = getenv("LAMELLA_TEST_FLUSHES");
    char link[64], path[4097];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    int out = log && n > 0 ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (out >= 0) {
        path[n] = '\n';
        if (write(out, path, n + 1) < 0) abort();
        close(out);
    }
    errno = before;
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    note(fd);
    return real(fd);
}
"#;

/// The engine writes its data file with `pwrite` and `pwritev`, and flushes it with `fdatasync` and `fsync`.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int dead(int fd) {
    const char *signal = getenv("LAMELLA_TEST_DEAD_DISK");
    char link[64], path[4096];
    int before = errno, is_dead = 0;
    if (signal && access(signal, F_OK) == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n < 0 ? 0 : n] = 0;
        is_dead = strstr(path, "/mdbx.dat") != 0;
    }
    errno = before;
    return is_dead;
}

#define FAILING(type, name, parameters, arguments)                   \
    type name parameters {                                           \
        static type (*real) parameters;                              \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);        \
        if (dead(fd)) { errno = EIO; return -1; }                    \
        return real arguments;                                       \
    }

#ifdef WRITES
FAILING(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t at), (fd, buf, n, at))
FAILING(ssize_t, pwrite64, (int fd, const void *buf, size_t n, off64_t at), (fd, buf, n, at))
FAILING(ssize_t, pwritev, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at))
FAILING(ssize_t, pwritev64, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at))
#endif
#ifdef READS
#define READING(name, offset_type)                                    \
    ssize_t name(int fd, void *buf, size_t n, offset_type at) {       \
        static ssize_t (*real)(int, void *, size_t, offset_type);     \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);         \
        if (at >= 3 * 4096 && dead(fd)) { errno = EIO; return -1; }   \
        return real(fd, buf, n, at);                                  \
    }
READING(pread, off_t)
READING(pread64, off64_t)
#endif
#ifdef FLUSHES
FAILING(int, fdatasync, (int fd), (fd))
FAILING(int, fsync, (int fd), (fd))
#endif
"#;
