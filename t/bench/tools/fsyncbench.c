/* fsyncbench DIR THREADS FILES [SIZE]: each thread: create, write SIZE (4096), fsync, rename. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static const char *dir; static int per; static size_t size = 4096; static double *lat;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void *run(void *a)
{
    long id = (long)a; char p[512], q[512], *b = malloc(size); memset(b, 'x', size);
    for (int i = 0; i < per; i++) {
        double t = now();
        snprintf(p, sizeof p, "%s/tmp/%ld.%d", dir, id, i); snprintf(q, sizeof q, "%s/new/%ld.%d", dir, id, i);
        int fd = open(p, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, b, size) != (ssize_t)size || fsync(fd) || close(fd) || rename(p, q)) { perror(p); exit(1); }
        lat[id * per + i] = now() - t;
    }
    return 0;
}
static int cmp(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return x < y ? -1 : x > y; }
int main(int c, char **v)
{
    if (c < 4) return 2;
    int th = (int)strtol(v[2], 0, 10); dir = v[1]; per = (int)strtol(v[3], 0, 10) / th; if (c > 4) size = (int)strtol(v[4], 0, 10);
    char p[512]; mkdir(dir, 0700); snprintf(p, sizeof p, "%s/tmp", dir); mkdir(p, 0700); snprintf(p, sizeof p, "%s/new", dir); mkdir(p, 0700);
    lat = calloc((size_t)th * per, sizeof *lat); pthread_t t[512]; double s = now();
    for (long i = 0; i < th; i++) pthread_create(t + i, 0, run, (void *)i);
    for (int i = 0; i < th; i++) pthread_join(t[i], 0);
    s = now() - s; int n = th * per; qsort(lat, n, sizeof *lat, cmp);
    printf("files %d secs %.3f per_s %.1f p50_ms %.3f p99_ms %.3f\n", n, s, n / s, lat[n / 2] * 1e3, lat[n * 99 / 100] * 1e3);
}
