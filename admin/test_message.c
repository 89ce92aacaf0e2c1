#include "admin/test_message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/test.h"
#include "common/base/fault.h"
#include "common/base/fd.h"

#define MESSAGE_MAX ((size_t)1 << 30)
#define OUT_MAX ((size_t)16 << 20)
#define ANSWERS_MAX_BYTES ((size_t)8 << 20)
#define READ_BYTES 65536u
#define ARENA_MAX ((size_t)256 << 20)

/* All of it, from a pipe too. False: errno says why, or 0: it is too large. */
static bool read_all(int fd, struct buf *out)
{
	ssize_t n = 1;
	char *room;

	while (n > 0) {
		errno = 0;
		if ((room = buf_reserve(out, READ_BYTES)) == NULL)
			return false;
		if ((n = read(fd, room, READ_BYTES)) < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			buf_commit(out, (size_t)n);
	}
	return n == 0;
}

static void with_crlf(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.n;) {
		const char *lf = memchr(in.p + i, '\n', in.n - i);
		size_t n = lf != NULL ? (size_t)(lf - in.p) - i : in.n - i;

		buf_append(out, slice_of(in.p + i, n));
		i += n;
		if (lf == NULL)
			continue;
		buf_append_cstr(out, i > 0 && in.p[i - 1] == '\r' ? "\n" : "\r\n");
		i++;
	}
}

/* False: it cannot be read; a sentence is on standard error. message_fini frees it in any case. */
static bool message_read(const char *path, struct test_message *m)
{
	struct fault why = {0};
	struct buf raw;
	bool ok = false;
	int fd;

	buf_init(&raw, MESSAGE_MAX);
	buf_init(&m->octets, 2 * MESSAGE_MAX);
	arena_init(&m->arena, ARENA_MAX);
	m->fields = (struct fields){0};
	if (path == NULL) {
		(void)test_refuse("which message? Name a file, or - for standard input");
		goto out;
	}
	fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)test_refuse("cannot read %s: %s", path, strerror(errno));
		goto out;
	}
	if (!read_all(fd, &raw)) {
		(void)test_refuse("cannot read %s: %s", path,
				  errno != 0 ? strerror(errno) : "it is too large");
	} else {
		with_crlf(buf_slice(&raw), &m->octets);
		ok = !m->octets.failed &&
		     fields_read(buf_slice(&m->octets), &m->arena, &m->fields, &why);
		if (!ok)
			(void)test_refuse("no memory for %s", path);
	}
	fd_close(&fd);
out:
	buf_fini(&raw);
	return ok;
}

static void message_fini(struct test_message *m)
{
	buf_fini(&m->octets);
	arena_reset(&m->arena);
}

/* Runs the body through bodies, to its end. */
static void hash_body(const struct test_message *m, struct canon_bodies *bodies)
{
	canon_bodies_feed(bodies, slice_tail(buf_slice(&m->octets), m->fields.length));
	canon_bodies_end(bodies);
}

int test_message(const struct test_options *o, const struct message_check *check, void *arg)
{
	struct test_message m;
	struct canon_bodies bodies;
	struct answers answers;
	struct fault why = {0};
	int status = ADMIN_USAGE;
	struct buf out;

	buf_init(&out, OUT_MAX);
	canon_bodies_init(&bodies);
	answers_init(&answers, ANSWERS_MAX_BYTES);
	if (!message_read(o->file, &m))
		goto out;
	if (!check->begin(arg, &m, &bodies, &answers, &m.arena, &why)) {
		(void)test_refuse("%s", why.text);
		goto out;
	}
	hash_body(&m, &bodies);
	if (!test_run(o, &answers, check->run, arg, &why)) {
		(void)test_refuse("%s", why.text);
		goto out;
	}
	if (o->json)
		check->print_json(arg, &out);
	else
		check->print_text(arg, &out);
	(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	status = check->passed(arg) ? ADMIN_DONE : ADMIN_FAILED;
out:
	message_fini(&m);
	canon_bodies_fini(&bodies);
	answers_fini(&answers);
	buf_fini(&out);
	return status;
}
