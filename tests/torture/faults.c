/* Makes one call of a save fail: the FAULT_AT-th (from 1) of FAULT_CALL (open, write, sync, rename) on a file below a
 * directory called FAULT_PLACE, with FAULT_ERROR: an errno by number, or 0 for a write that writes half. With
 * FAULT_ONWARDS every later call of them fails too, as on a full disk. At the end the calls are counted into FAULT_COUNTS.
 * To be preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN, WRITE, SYNC, RENAME, KINDS };
static const char *const names[KINDS] = {"open", "write", "sync", "rename"};
static int counts[KINDS];

static int concerns(const char *path) {
    const char *place = getenv("FAULT_PLACE");
    return place && path && strstr(path, place);
}

static int concerns_descriptor(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns(path);
}

/* Counts a call; the errno it is to fail with, 0 for half a write, -1 for none. */
static int fault(int kind) {
    int count = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    const char *call = getenv("FAULT_CALL"), *at = getenv("FAULT_AT"), *error = getenv("FAULT_ERROR");
    if (!at || !error || !call) return -1;
    static int struck;
    if (struck && getenv("FAULT_ONWARDS")) return atoi(error);
    if (strcmp(call, names[kind]) || count != atoi(at)) return -1;
    struck = 1;
    return atoi(error);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_IF(kind) do { int error = fault(kind); if (error > 0) { errno = error; return -1; } } while (0)

static int writes(const char *path, int flags) {
    /* Whether an abandoned temporary is there is only asked; one that cannot be opened is found when it is made. */
    if (path && strstr(path, ".tmp-") && !(flags & O_CREAT)) return 0;
    return concerns(path) && ((flags & (O_WRONLY | O_RDWR | O_CREAT)) || (flags & O_DIRECTORY) || !strstr(path, "."));
}

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        if (writes(path, flags)) FAIL_IF(OPEN); \
        return REAL(name)(path, flags, mode); \
    }
OPENS(open)
OPENS(open64)

ssize_t write(int descriptor, const void *bytes, size_t length) {
    if (concerns_descriptor(descriptor)) {
        int error = fault(WRITE);
        if (error > 0) {
            errno = error;
            return -1;
        }
        if (error == 0 && length > 1) length /= 2;
    }
    return REAL(write)(descriptor, bytes, length);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (concerns_descriptor(descriptor)) {
        int error = fault(WRITE);
        if (error > 0) {
            errno = error;
            return -1;
        }
        if (error == 0) count = 1;
    }
    return REAL(writev)(descriptor, parts, count);
}

int fsync(int descriptor) {
    if (concerns_descriptor(descriptor)) FAIL_IF(SYNC);
    return REAL(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    if (concerns_descriptor(descriptor)) FAIL_IF(SYNC);
    return REAL(fdatasync)(descriptor);
}

int rename(const char *from, const char *to) {
    if (concerns(to)) FAIL_IF(RENAME);
    return REAL(rename)(from, to);
}

__attribute__((destructor)) static void count(void) {
    const char *path = getenv("FAULT_COUNTS");
    if (!path) return;
    FILE *file = fopen(path, "w");
    if (!file) return;
    for (int kind = 0; kind < KINDS; kind++) fprintf(file, "%s %d\n", names[kind], counts[kind]);
    fclose(file);
}
