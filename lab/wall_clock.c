/* Preloaded into all programs of a lab: where /run/wall-clock-shift exists, the wall clock is so many seconds ahead.
 * Nothing else changes: the monotonic clock, timers and sleeps are the kernel's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void)
{
    char text[24] = "";
    int file = syscall(SYS_openat, AT_FDCWD, "/run/wall-clock-shift", O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return 0;
    if (syscall(SYS_read, file, text, sizeof text - 1) < 0)
        text[0] = 0;
    syscall(SYS_close, file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec found;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &found))
        return -1;
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept)
{
    struct timespec found;
    if (clock_gettime(CLOCK_REALTIME, &found))
        return (time_t)-1;
    if (kept)
        *kept = found.tv_sec;
    return found.tv_sec;
}
