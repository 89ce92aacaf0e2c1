/* smtpload: threaded SMTP load client with STARTTLS, latency percentiles and Maildir visibility.
 *  -p PORT -s SESSIONS -m MESSAGES -l BODYLEN -r RCPTS -t DOMAIN -u USERS (rcpt NNNu@DOMAIN, NNN cycles 1..USERS)
 *  -d N   messages per connection (default 1; 0 = all)   -T  STARTTLS (full handshake each connection)
 *  -H     handshake only: connect, STARTTLS, QUIT, no message
 *  -q     send QUIT and close without waiting for its reply
 *  -W DIR after each message wait (inotify) for a file in DIR: sequential latency to visible (use -s 1 -u 1)
 * Prints: msgs M fail F secs S per_s R  lat p50 p90 p99 max (ms, connect -> reply to QUIT, or MAIL -> 250 when -d)
 *         data p50 p99 (connect/MAIL -> 250 after dot)  vis p50 p99 (connect -> visible) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
static int noq, port, sess = 1, msgs = 1, rcpts = 1, users = 1000, per = 1, tls, hs; static size_t len = 4096; static const char *dom = "bench.test", *wdir;
static char *body; static size_t blen; static double *lat, *dat, *vis; static atomic_int next, fail; static SSL_CTX *ctx; static int ifd = -1;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
struct c { int fd; SSL *s; char b[4096]; int n; };
static int wr(struct c *c, const char *p, size_t l)
{
    while (l) {
        ssize_t k = c->s ? SSL_write(c->s, p, l > 1 << 20 ? 1 << 20 : (int)l) : send(c->fd, p, l, MSG_NOSIGNAL);
        if (k <= 0) return -1;
        p += k; l -= k;
    }
    return 0;
}
static int reply(struct c *c) /* reads one (multi-line) reply, returns code */
{
    for (;;) {
        char *nl;
        while (!(nl = memchr(c->b, '\n', c->n))) {
            if (c->n == sizeof c->b) return -1;
            ssize_t k = c->s ? SSL_read(c->s, c->b + c->n, sizeof c->b - c->n) : recv(c->fd, c->b + c->n, sizeof c->b - c->n, 0);
            if (k <= 0) return -1;
            c->n += k;
        }
        int code = (int)strtol(c->b, 0, 10), more = c->b[3] == '-', l = nl + 1 - c->b;
        if (code >= 400 && getenv("VERBOSE")) fwrite(c->b, 1, l, stderr);
        memmove(c->b, nl + 1, c->n - l); c->n -= l;
        if (!more) return code;
    }
}
static int cmd(struct c *c, const char *s, int want) { return wr(c, s, strlen(s)) || reply(c) / 100 != want ? -1 : 0; }
static void cl(struct c *c) { if (c->s) SSL_free(c->s); if (c->fd >= 0) close(c->fd); c->s = 0; c->fd = -1; c->n = 0; }
static int op(struct c *c)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) }; a.sin_addr.s_addr = htonl(INADDR_LOOPBACK); int one = 1;
    c->s = 0; c->n = 0; c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&a, sizeof a)) return -1;
    struct timeval tv = { 30, 0 }; setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (reply(c) != 220 || cmd(c, "EHLO load.test\r\n", 2)) return -1;
    if (tls) {
        if (cmd(c, "STARTTLS\r\n", 2)) return -1;
        c->s = SSL_new(ctx); SSL_set_fd(c->s, c->fd);
        if (SSL_connect(c->s) != 1 || cmd(c, "EHLO load.test\r\n", 2)) return -1;
    }
    return 0;
}
static int one(struct c *c, int i, double t)
{
    char l[256]; (void)t;
    if (cmd(c, "MAIL FROM:<s@src.test>\r\n", 2)) return -1;
    for (int r = 0; r < rcpts; r++) { snprintf(l, sizeof l, "RCPT TO:<%du@%s>\r\n", (i * rcpts + r) % users + 1, dom); if (cmd(c, l, 2)) return -1; }
    if (cmd(c, "DATA\r\n", 3) || wr(c, body, blen) || reply(c) / 100 != 2) return -1;
    return 0;
}
static void *run(void *v)
{
    struct c c = { .fd = -1 }; int i, k = 0; double t; (void)v;
    while ((i = next++) < msgs) {
        t = now();
        if (c.fd < 0 && op(&c)) { fail++; cl(&c); k = 0; continue; }
        if (!hs && one(&c, i, t)) { fail++; cl(&c); k = 0; continue; }
        dat[i] = now() - t; k++;
        if (per && k >= per) { if (noq) wr(&c, "QUIT\r\n", 6); else cmd(&c, "QUIT\r\n", 2); lat[i] = now() - t; cl(&c); k = 0; } else lat[i] = dat[i];
        if (ifd >= 0) { char b[4096]; struct pollfd p = { ifd, POLLIN, 0 }; if (poll(&p, 1, 20000) == 1 && read(ifd, b, sizeof b) > 0) vis[i] = now() - t; else fail++; }
    }
    if (c.fd >= 0) { cmd(&c, "QUIT\r\n", 2); cl(&c); }
    return 0;
}
static int cmp(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return x < y ? -1 : x > y; }
int main(int a, char **v)
{
    int o;
    while ((o = getopt(a, v, "p:s:m:l:r:t:u:d:THW:q")) > 0) switch (o) {
        case 'p': port = (int)strtol(optarg, 0, 10); break; case 's': sess = (int)strtol(optarg, 0, 10); break; case 'm': msgs = (int)strtol(optarg, 0, 10); break;
        case 'l': len = (int)strtol(optarg, 0, 10); break; case 'r': rcpts = (int)strtol(optarg, 0, 10); break; case 't': dom = optarg; break;
        case 'u': users = (int)strtol(optarg, 0, 10); break; case 'd': per = (int)strtol(optarg, 0, 10); break; case 'T': tls = 1; break; case 'q': noq = 1; break;
        case 'H': hs = tls = 1; break; case 'W': wdir = optarg; break; default: return 2; }
    signal(SIGPIPE, SIG_IGN);
    body = malloc(len + 512); blen = snprintf(body, 512, "From: <s@src.test>\r\nTo: <u@%s>\r\nSubject: load\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <%ld.%d@load.test>\r\n\r\n", dom, (long)time(0), getpid());
    for (size_t i = 0; i < len;) { size_t k = len - i > 78 ? 76 : len - i > 2 ? len - i - 2 : 1; memset(body + blen, 'A' + i % 26, k); memcpy(body + blen + k, "\r\n", 2); blen += k + 2; i += k + 2; }
    memcpy(body + blen, ".\r\n", 3); blen += 3;
    if (tls) { ctx = SSL_CTX_new(TLS_client_method()); SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF); }
    if (wdir) { ifd = inotify_init1(0); if (inotify_add_watch(ifd, wdir, IN_CREATE | IN_MOVED_TO) < 0) { perror(wdir); return 2; } }
    lat = calloc(msgs, 8); dat = calloc(msgs, 8); vis = calloc(msgs, 8);
    pthread_t t[1024]; double s = now();
    for (int i = 0; i < sess; i++) pthread_create(t + i, 0, run, 0);
    for (int i = 0; i < sess; i++) pthread_join(t[i], 0);
    s = now() - s; qsort(lat, msgs, 8, cmp); qsort(dat, msgs, 8, cmp); qsort(vis, msgs, 8, cmp);
#define P(x, q) (x[(int)((msgs - 1) * q)] * 1e3)
    printf("msgs %d fail %d secs %.3f per_s %.1f lat_p50 %.3f lat_p90 %.3f lat_p99 %.3f lat_max %.3f data_p50 %.3f data_p99 %.3f", msgs, (int)fail, s, (msgs - fail) / s,
           P(lat, .5), P(lat, .9), P(lat, .99), P(lat, 1), P(dat, .5), P(dat, .99));
    if (wdir) printf(" vis_p50 %.3f vis_p99 %.3f vis_max %.3f", P(vis, .5), P(vis, .99), P(vis, 1));
    puts("");
    return fail ? 1 : 0;
}
