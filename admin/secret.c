#include "admin/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"

/* One line, without its end, octet by octet, so that nothing behind it is taken. False: nothing comes any more, or it is too long. */
static bool read_line(int fd, struct buf *out)
{
	char c;
	ssize_t n;

	while ((n = read(fd, &c, 1)) == 1 && c != '\n')
		if (!buf_append_char(out, c))
			return false;
	if (slice_ends(buf_slice(out), SLICE("\r")))
		buf_truncate(out, buf_length(out) - 1);
	return n == 1 || buf_length(out) > 0;
}

static bool sound(const struct buf *secret, struct fault *why)
{
	if (secret->failed)
		fault_set(why, "5.5.4", "a password has at most %d octets", SECRET_MAX);
	else if (buf_length(secret) == 0)
		fault_set(why, "5.5.4", "there is no password");
	else if (slice_find(buf_slice(secret), '\0') != SIZE_MAX)
		fault_set(why, "5.5.4", "a password holds no NUL");
	else
		return true;
	return false;
}

bool secret_read(struct buf *out, struct fault *why)
{
	(void)!read_line(STDIN_FILENO, out);
	return sound(out, why);
}

struct terminal {
	int fd, signals;
	struct termios before;
	sigset_t blocked, mask_before;
};

/* Signals that would end or stop the program wait until the terminal is as it was: terminal_close lets them through. */
static bool terminal_open(struct terminal *t, struct fault *why)
{
	struct termios quiet;

	*t = (struct terminal){.fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), .signals = -1};
	if (t->fd < 0 || tcgetattr(t->fd, &t->before) != 0) {
		fault_set(why, "5.5.4", "there is no terminal to ask for a password; give --password-stdin and the password on standard input");
		fd_close(&t->fd);
		return false;
	}
	(void)sigemptyset(&t->blocked);
	for (size_t i = 0; i < 5; i++)
		(void)sigaddset(&t->blocked, (const int[]){SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP}[i]);
	(void)sigprocmask(SIG_BLOCK, &t->blocked, &t->mask_before);
	t->signals = signalfd(-1, &t->blocked, SFD_CLOEXEC | SFD_NONBLOCK);
	quiet = t->before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL | ICANON | ISIG;
	(void)tcsetattr(t->fd, TCSAFLUSH, &quiet);
	return true;
}

static void terminal_close(struct terminal *t)
{
	(void)tcsetattr(t->fd, TCSAFLUSH, &t->before);
	fd_close(&t->signals);
	fd_close(&t->fd);
	(void)sigprocmask(SIG_SETMASK, &t->mask_before, NULL);
}

static bool terminal_ask(struct terminal *t, const char *prompt, struct buf *out, struct fault *why)
{
	struct pollfd wait[] = {{.fd = t->fd, .events = POLLIN}, {.fd = t->signals, .events = POLLIN}};

	if (write(t->fd, prompt, strlen(prompt)) < 0 || (poll(wait, 2, -1) < 0 && errno != EINTR)) {
		fault_errno(why, "4.3.0", "cannot ask at the terminal");
		return false;
	}
	if (wait[1].revents != 0) {
		fault_set(why, "4.3.0", "interrupted");
		return false;
	}
	(void)!read_line(t->fd, out);
	return sound(out, why);
}

bool secret_ask(const char *prompt, struct buf *out, struct fault *why)
{
	struct terminal t;
	struct buf again;
	bool ok;

	if (!terminal_open(&t, why))
		return false;
	buf_init_secret(&again, SECRET_MAX);
	ok = terminal_ask(&t, prompt, out, why) && terminal_ask(&t, "Once more: ", &again, why);
	terminal_close(&t);
	if (ok && !slice_equal(buf_slice(out), buf_slice(&again))) {
		fault_set(why, "5.5.4", "the two passwords differ");
		ok = false;
	}
	buf_fini(&again);
	return ok;
}
