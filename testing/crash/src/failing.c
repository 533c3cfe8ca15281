// A library before the system's own: one call on the files below a folder fails, of a kind, the k-th, once or from then on.
// LAMELLA_FAIL = "FOLDER KIND K HOW once|ever", HOW an errno's number, "short", or "done": EIO after it has happened; LAMELLA_FAIL_LOG: a file that gets a line
// when it fails, and for K = 0, which fails nothing, the number of calls of each kind at the end.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, PWRITE, PWRITEV, SYNCED, FLUSH, LENGTH, OPEN, RENAME, NAMES, MAP, KINDS };
static const char *names[KINDS] = {"write", "pwrite", "pwritev", "synced", "flush",
                                   "length", "open", "rename", "names", "map"};
static char folder[4096], kind[16], how[16], when[8];
static long at, counts[KINDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...)                    \
    static type (*real)(__VA_ARGS__);            \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static void note(const char *line) {
    const char *log = getenv("LAMELLA_FAIL_LOG");
    REAL(int, "open", const char *, int, ...);
    int fd = log ? real(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    static ssize_t (*put)(int, const void *, size_t);
    if (!put) *(void **)&put = dlsym(RTLD_NEXT, "write");
    if (put(fd, line, strlen(line)) < 0) abort();
    close(fd);
}

__attribute__((constructor)) static void begin(void) {
    const char *what = getenv("LAMELLA_FAIL");
    if (what && sscanf(what, "%4095s %15s %ld %15s %7s", folder, kind, &at, how, when) != 5) abort();
}

__attribute__((destructor)) static void end(void) {
    if (at != 0 || !folder[0]) return;
    for (int i = 0; i < KINDS; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s %ld\n", names[i], counts[i]);
        note(line);
    }
}

static int below(const char *path) {
    return folder[0] && strncmp(path, folder, strlen(folder)) == 0;
}

static int below_fd(int fd) {
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = before;
    path[n < 0 ? 0 : n] = 0;
    return below(path);
}

// 0: the call goes on; 1: it fails with errno; 2: it is cut short; 3: it happens, and fails with EIO.
static int fails(int of) {
    pthread_mutex_lock(&lock);
    long count = ++counts[of];
    pthread_mutex_unlock(&lock);
    if (!at || strcmp(kind, names[of])) return 0;
    if (count != at && (count < at || strcmp(when, "ever"))) return 0;
    char line[64];
    snprintf(line, sizeof line, "failed %s %ld\n", names[of], count);
    note(line);
    if (!strcmp(how, "short")) return 2;
    if (!strcmp(how, "done")) return 3;
    errno = atoi(how);
    return 1;
}

static ssize_t told(int fault, ssize_t result) {
    if (fault != 3 || result < 0) return result;
    errno = EIO;
    return -1;
}

static int kind_of(int fd, int otherwise) {
    int before = errno, flags = fcntl(fd, F_GETFL);
    errno = before;
    return flags >= 0 && (flags & O_DSYNC) ? SYNCED : otherwise;
}

#define WRITING(name, offset_type)                                                     \
    ssize_t name(int fd, const void *bytes, size_t n, offset_type offset) {            \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type);                  \
        int fault = below_fd(fd) ? fails(kind_of(fd, PWRITE)) : 0;                     \
        if (fault == 1) return -1;                                                     \
        return told(fault, real(fd, bytes, fault == 2 ? (n + 1) / 2 : n, offset));     \
    }
WRITING(pwrite, off_t)
WRITING(pwrite64, off64_t)

#define WRITING_MANY(name, offset_type)                                                \
    ssize_t name(int fd, const struct iovec *parts, int n, offset_type offset) {       \
        REAL(ssize_t, #name, int, const struct iovec *, int, offset_type);             \
        int fault = below_fd(fd) ? fails(kind_of(fd, PWRITEV)) : 0;                    \
        if (fault == 1) return -1;                                                     \
        return told(fault, real(fd, parts, fault == 2 ? (n + 1) / 2 : n, offset));     \
    }
WRITING_MANY(pwritev, off_t)
WRITING_MANY(pwritev64, off64_t)

ssize_t write(int fd, const void *bytes, size_t n) {
    REAL(ssize_t, "write", int, const void *, size_t);
    int fault = below_fd(fd) ? fails(WRITE) : 0;
    if (fault == 1) return -1;
    return told(fault, real(fd, bytes, fault == 2 ? (n + 1) / 2 : n));
}

#define ON_FILE(name, of, parameters, arguments)                                       \
    int name parameters {                                                              \
        static int (*real) parameters;                                                 \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                          \
        int fault = below_fd(fd) ? fails(of) : 0;                                      \
        if (fault == 1) return -1;                                                     \
        return told(fault, real arguments);                                            \
    }
ON_FILE(fsync, FLUSH, (int fd), (fd))
ON_FILE(fdatasync, FLUSH, (int fd), (fd))
ON_FILE(ftruncate, LENGTH, (int fd, off_t n), (fd, n))
ON_FILE(ftruncate64, LENGTH, (int fd, off64_t n), (fd, n))
ON_FILE(fallocate, LENGTH, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
ON_FILE(fallocate64, LENGTH, (int fd, int mode, off64_t at, off64_t n), (fd, mode, at, n))

#define ON_PATH(name, of, parameters, arguments)                                       \
    int name parameters {                                                              \
        static int (*real) parameters;                                                 \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                          \
        int fault = below(path) ? fails(of) : 0;                                       \
        if (fault == 1) return -1;                                                     \
        return told(fault, real arguments);                                            \
    }
ON_PATH(rename, RENAME, (const char *path, const char *to), (path, to))
ON_PATH(unlink, NAMES, (const char *path), (path))
ON_PATH(mkdir, NAMES, (const char *path, mode_t mode), (path, mode))
ON_PATH(rmdir, NAMES, (const char *path), (path))
ON_PATH(link, NAMES, (const char *path, const char *to), (path, to))

// Of a path that may be relative to a descriptor.
static int below_at(int fd, const char *path) {
    return path[0] == '/' ? below(path) : below_fd(fd);
}
#define ON_PATH_AT(name, of, parameters, arguments)                                    \
    int name parameters {                                                              \
        static int (*real) parameters;                                                 \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                          \
        int fault = below_at(fd, path) ? fails(of) : 0;                                \
        if (fault == 1) return -1;                                                     \
        return told(fault, real arguments);                                            \
    }
ON_PATH_AT(unlinkat, NAMES, (int fd, const char *path, int flags), (fd, path, flags))
ON_PATH_AT(linkat, NAMES, (int fd, const char *path, int there, const char *to, int flags),
           (fd, path, there, to, flags))

#define OPENING(name)                                                                  \
    int name(const char *path, int flags, ...) {                                       \
        REAL(int, #name, const char *, int, ...);                                      \
        va_list rest;                                                                  \
        va_start(rest, flags);                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;        \
        va_end(rest);                                                                  \
        if (below(path) && fails(OPEN)) return -1;                                     \
        return real(path, flags, mode);                                                \
    }
OPENING(open)
OPENING(open64)

#define MAPPING(name, offset_type)                                                     \
    void *name(void *to, size_t n, int access, int flags, int fd, offset_type offset) {\
        REAL(void *, #name, void *, size_t, int, int, int, offset_type);               \
        if (fd >= 0 && (flags & MAP_SHARED) && below_fd(fd) && fails(MAP)) return MAP_FAILED; \
        return real(to, n, access, flags, fd, offset);                                 \
    }
MAPPING(mmap, off_t)
MAPPING(mmap64, off64_t)
