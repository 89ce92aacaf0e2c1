/* idleconns PORT N TIMEOUT [WINDOW]: opens N connections to 127.0.0.1:PORT, at most WINDOW (100)
 * awaiting the banner at a time, reads the banner of each, prints "held H refused R closed C secs S",
 * then holds them until stdin closes. R: connect failed or closed/4xx before a 220. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int c, char **v)
{
    if (c < 4) return 2;
    int port = (int)strtol(v[1], 0, 10), n = (int)strtol(v[2], 0, 10), win = c > 4 ? (int)strtol(v[4], 0, 10) : 100, opened = 0, pend = 0, held = 0, ref = 0;
    double t0 = now(), dl = t0 + atof(v[3]); struct rlimit r = { n + 100, n + 100 }; setrlimit(RLIMIT_NOFILE, &r);
    int ep = epoll_create1(0); struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) }; a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while ((opened < n || pend) && now() < dl) {
        while (opened < n && pend < win) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); opened++;
            if (fd < 0 || (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS)) { ref++; if (fd >= 0) close(fd); continue; }
            struct epoll_event e = { EPOLLIN, { .fd = fd } }; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e); pend++;
        }
        struct epoll_event ev[256]; int k = epoll_wait(ep, ev, 256, 1000);
        for (int i = 0; i < k; i++) {
            char b[512]; ssize_t l = read(ev[i].data.fd, b, sizeof b); pend--;
            epoll_ctl(ep, EPOLL_CTL_DEL, ev[i].data.fd, 0);
            if (l > 3 && !strncmp(b, "220", 3)) held++; else { ref++; close(ev[i].data.fd); }
        }
    }
    printf("held %d refused %d pending %d secs %.3f\n", held, ref, pend, now() - t0); fflush(stdout);
    char x; while (read(0, &x, 1) > 0) ;
    return 0;
}
