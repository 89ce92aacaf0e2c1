/* mdwatch ROOT N TIMEOUT: waits until N files appeared in ROOT/ * /new (inotify), prints
 * READY first, then "first last count" (CLOCK_REALTIME seconds). */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int c, char **v)
{
    if (c < 4) return 2;
    long n = (int)strtol(v[2], 0, 10), seen = 0; double first = 0, last = 0, dl = now() + atof(v[3]);
    int fd = inotify_init1(0); char p[PATH_MAX]; struct dirent *e; DIR *d = opendir(v[1]);
    if (fd < 0 || !d) { perror(v[1]); return 2; }
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.') continue;
        snprintf(p, sizeof p, "%s/%s/new", v[1], e->d_name);
        if (inotify_add_watch(fd, p, IN_CREATE | IN_MOVED_TO) < 0) { perror(p); return 2; }
    }
    puts("READY"); fflush(stdout);
    static char b[1 << 16] __attribute__((aligned(8)));
    while (seen < n && now() < dl) {
        struct pollfd pf = { fd, POLLIN, 0 };
        if (poll(&pf, 1, 1000) <= 0) continue;
        ssize_t k = read(fd, b, sizeof b); double t = now();
        for (char *q = b; q < b + k;) {
            struct inotify_event *i = (void *)q;
            if (i->mask & IN_Q_OVERFLOW) { fprintf(stderr, "inotify overflow\n"); return 3; }
            seen++; if (!first) first = t; last = t; q += sizeof *i + i->len;
        }
    }
    printf("%.6f %.6f %ld\n", first, last, seen);
    return seen >= n ? 0 : 1;
}
