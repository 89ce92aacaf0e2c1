#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "admin/queue.h"
#include "common/base/ascii.h"
#include "common/base/clock.h"
#include "common/base/fault.h"

void queue_put_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_append_char(out, ascii_is_control(s.p[i]) ? '?' : s.p[i]);
}

void queue_put_path(struct buf *out, struct slice path)
{
	if (path.n == 0)
		buf_append_cstr(out, "<>");
	else
		queue_put_clean(out, path);
}

void queue_put_time(struct buf *out, uint64_t wall_us)
{
	time_t s = (time_t)(wall_us / 1000000);
	char text[32];
	struct tm tm;

	if (localtime_r(&s, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_append_cstr(out, text);
}

void queue_put_next(struct buf *out, uint64_t at_us, bool held)
{
	uint64_t now_us = clock_wall_us(), s = at_us > now_us ? (at_us - now_us + 999999) / 1000000 : 0;

	if (held)
		buf_append_cstr(out, "held");
	else if (at_us == 0)
		buf_append_cstr(out, "being delivered");
	else if (s == 0)
		buf_append_cstr(out, "due now");
	else if (s < 120)
		buf_printf(out, "next attempt in %" PRIu64 " s", s);
	else if (s < 7200)
		buf_printf(out, "next attempt in %" PRIu64 " min", s / 60);
	else
		buf_printf(out, "next attempt in %" PRIu64 " h", s / 3600);
}

void queue_write(struct queue *q)
{
	struct slice s = buf_slice(&q->out);

	(void)fwrite(s.p, 1, s.n, stdout);
	buf_reset(&q->out);
}

const char *queue_messages(uint64_t n)
{
	return n == 1 ? "message" : "messages";
}

void queue_say_from_files(const struct fault *why)
{
	(void)fprintf(stderr, "tassis queue: queued does not answer (%s); this is what the spool's files say\n", why->text);
}
