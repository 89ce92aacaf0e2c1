#include "sendmail/mailq.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/ipc/link.h"
#include "common/spool/id.h"
#include "sendmail/sendmail.h"
#include "sendmail/where.h"

#define PAGE 1000u
#define WITHIN_MS 10000u
#define OUT_BYTES (64u << 20)
#define LINE_WIDTH 80

struct listing {
	const char *socket;
	struct buf out;
	uint64_t n, size_bytes;
};

/* Nothing that others wrote controls the terminal. */
static void put_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_append_char(out, ascii_is_control(s.p[i]) ? '?' : s.p[i]);
}

/* "Wed Nov 25 16:00:15", as ctime(3) has it, whatever the locale. */
static void put_time(struct buf *out, uint64_t wall_us)
{
	static const char days[] = "SunMonTueWedThuFriSat",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t s = (time_t)(wall_us / 1000000);
	struct tm tm = {0};

	(void)localtime_r(&s, &tm);
	buf_printf(out, "%.3s %.3s %2d %02d:%02d:%02d", days + 3 * tm.tm_wday,
		   months + 3 * tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* A star stands behind the id of a message that is being delivered, an exclamation mark behind one that is held. */
static void put_entry(struct listing *l, const struct ipc_queue_entry *e)
{
	put_clean(&l->out, e->id);
	buf_printf(&l->out, "%c %8" PRIu64 " ", e->held ? '!' : e->next_attempt_us == 0 ? '*' : ' ',
		   e->size_bytes);
	put_time(&l->out, e->received_us);
	buf_append_cstr(&l->out, "  ");
	if (e->reverse_path.n == 0)
		buf_append_cstr(&l->out, "MAILER-DAEMON");
	put_clean(&l->out, e->reverse_path);
	buf_append_char(&l->out, '\n');
	l->n++;
	l->size_bytes += e->size_bytes;
}

static void put_reason(struct buf *out, struct slice reason)
{
	if (reason.n == 0)
		return;
	buf_printf(out, "%*s(", reason.n + 2 < LINE_WIDTH ? LINE_WIDTH - 2 - (int)reason.n : 0, "");
	put_clean(out, reason);
	buf_append_cstr(out, ")\n");
}

static void put_recipient(struct buf *out, struct slice forward_path)
{
	buf_printf(out, "%*s", SPOOL_ID_LENGTH + 1 + 1 + 8 + 1 + 19 + 2, "");
	put_clean(out, forward_path);
	buf_append_char(out, '\n');
}

/* Those that wait, each reason once for all that follow it. */
static void put_recipients(struct listing *l, struct slice recipients)
{
	struct slice said = SLICE_EMPTY;
	struct ipc_queue_recipient r;
	bool broken = false;

	while (ipc_next_queue_recipient(&recipients, &r, &broken)) {
		if (r.state == DELIVER_DELIVERED)
			continue;
		if (!slice_equal(r.reply, said))
			put_reason(&l->out, r.reply);
		said = r.reply;
		put_recipient(&l->out, r.forward_path);
	}
}

/* One that has gone meanwhile is left out. */
static void show(struct listing *l, const struct ipc_queue_entry *e)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_show_ask, .id = e->id);
	struct buf frame = {0};
	struct fault why = {0};

	if (ipc_ask_once(l->socket, &ask, WITHIN_MS, &frame, &answer, &why) &&
	    answer.type == IPC_TYPE_queue_show_answer) {
		if (l->n == 0)
			(void)printf("%-*s %8s %-20s %s\n", SPOOL_ID_LENGTH + 1, "-Queue ID-",
				     "--Size--", "---Arrival Time----", "-Sender/Recipient-------");
		put_entry(l, e);
		put_recipients(l, answer.queue_show_answer.recipients);
		buf_append_char(&l->out, '\n');
	}
	buf_fini(&frame);
	(void)fwrite(buf_slice(&l->out).p, 1, buf_length(&l->out), stdout);
	buf_reset(&l->out);
}

static bool page(struct listing *l, char after[SPOOL_ID_LENGTH + 1], bool *last, struct fault *why)
{
	struct ipc_message answer,
		ask = IPC_MESSAGE(queue_list_ask, .after = slice_of_cstr(after), .max = PAGE);
	struct buf frame = {0};
	struct ipc_queue_entry e;
	struct slice entries;
	bool broken = false, ok = ipc_ask_once(l->socket, &ask, WITHIN_MS, &frame, &answer, why);

	if (ok && answer.type != IPC_TYPE_queue_list_answer) {
		fault_set(why, "4.3.0", "queued gave another answer than was asked for");
		ok = false;
	}
	if (ok) {
		*last = answer.queue_list_answer.last;
		ok = slice_cstr(answer.queue_list_answer.next, after, SPOOL_ID_LENGTH + 1, why);
		entries = answer.queue_list_answer.entries;
		while (ok && ipc_next_queue_entry(&entries, &e, &broken))
			show(l, &e);
	}
	buf_fini(&frame);
	return ok;
}

/* queued answers root, and who it runs as: that is who owns its socket. */
static bool may_ask(const char *socket)
{
	struct stat st;

	return geteuid() == 0 || lstat(socket, &st) != 0 || st.st_uid == geteuid();
}

int mailq(const struct where *where)
{
	struct listing l = {.socket = where->queued};
	char after[SPOOL_ID_LENGTH + 1] = "";
	struct fault why = {0};
	bool last = false, ok = true;

	if (!may_ask(l.socket))
		return say(EX_NOPERM, "the queue is shown to root alone");
	buf_init(&l.out, OUT_BYTES);
	while (ok && !last)
		ok = page(&l, after, &last, &why);
	buf_fini(&l.out);
	if (!ok)
		return say(EX_UNAVAILABLE, "queued does not answer: %s", why.text);
	if (l.n == 0)
		(void)puts("Mail queue is empty");
	else
		(void)printf("-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
			     l.size_bytes / 1024, l.n, l.n == 1 ? "" : "s");
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
