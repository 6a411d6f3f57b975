/* A disk with room for so many bytes, for the program it is loaded into: `PRESSRUN_TEST_ROOM` says how many. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long room = -1;

/* Takes room for what is written to a file; pipes and the like have no disk. */
static int fits(int fd, size_t bytes) {
    struct stat file;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return 1;
    pthread_mutex_lock(&lock);
    const char *said = getenv("PRESSRUN_TEST_ROOM");
    if (room < 0) room = said ? atol(said) : 0;
    int fits = (size_t)room >= bytes;
    if (fits) room -= (long)bytes;
    pthread_mutex_unlock(&lock);
    if (!fits) errno = ENOSPC;
    return fits;
}

ssize_t write(int fd, const void *from, size_t bytes) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return fits(fd, bytes) ? real(fd, from, bytes) : -1;
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += pieces[i].iov_len;
    return fits(fd, bytes) ? real(fd, pieces, count) : -1;
}
