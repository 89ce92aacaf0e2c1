#include "queued/dropped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/fd.h"
#include "common/base/table.h"
#include "common/mail/command.h"
#include "common/mail/header.h"
#include "common/spool/envelope.h"
#include "queued/files.h"

#define READ_BYTES 65536
#define FIELD_BYTES 80	      /* of a field, its name is all that is looked at */
#define RECIPIENT_BYTES 4096u /* of the envelope, for each recipient at most */
#define SLACK_BYTES 65536u
#define ARGUMENT_BYTES 8192

/* ---- content ---- */

void dropped_lines_feed(struct dropped_lines *l, struct slice content)
{
	for (size_t i = 0; i < content.n; i++) {
		char c = content.p[i];

		l->bad |= (c == '\n') != l->after_cr;
		l->after_line = c == '\n';
		l->after_cr = c == '\r';
	}
}

bool dropped_lines_are_good(const struct dropped_lines *l)
{
	return !l->bad && !l->after_cr && l->after_line;
}

struct content {
	struct dropped_lines lines;
	struct header header;
	bool eight_bit;
};

static void content_feed(struct content *c, struct slice part)
{
	dropped_lines_feed(&c->lines, part);
	header_feed(&c->header, part);
	for (size_t i = 0; i < part.n; i++)
		c->eight_bit |= (unsigned char)part.p[i] > 127;
}

static bool content_is_good(const struct content *c, const struct dropped_rules *r,
			    struct fault *why)
{
	if (!dropped_lines_are_good(&c->lines))
		fault_set(why, "5.6.0", "a line of the message does not end in CR LF");
	else if (c->header.n_received > r->received_max)
		fault_set(why, "5.4.6",
			  "the message has been in too many places; it goes round in circles");
	else
		return true;
	return false;
}

static bool content_read(struct dropped *d, const struct dropped_rules *r, bool *eight_bit)
{
	struct content c = {0};
	char part[READ_BYTES];
	uint64_t at = 0;
	size_t n = sizeof(part);
	bool ok = true;

	header_init(&c.header, FIELD_BYTES, NULL, NULL);
	while (ok && n == sizeof(part)) {
		ok = spool_content_read(d->fd, &d->header, at, part, sizeof(part), &n, &d->why);
		if (ok)
			content_feed(&c, slice_of(part, n));
		at += n;
	}
	header_end(&c.header);
	ok = ok && content_is_good(&c, r, &d->why);
	*eight_bit = c.eight_bit;
	header_fini(&c.header);
	return ok;
}

/* ---- the envelope ---- */

static bool refuse(struct fault *why, const struct reply *no)
{
	fault_set(why, "5.5.4", "its envelope: %s", no->text);
	return false;
}

static bool append_parameter(struct buf *out, const char *keyword, struct slice value)
{
	return value.n == 0 || (buf_append_cstr(out, keyword) && buf_append(out, value));
}

/* What MAIL would have taken. Made is our envelope, in arena. */
static bool take_sender(const struct envelope *e, struct arena *arena, struct envelope *made,
			struct fault *why)
{
	struct mail_argument m;
	struct buf argument, path;
	struct reply no;
	bool ok;

	buf_init(&argument, ARGUMENT_BYTES);
	buf_init(&path, ENVELOPE_PATH_MAX);
	ok = buf_append_cstr(&argument, "FROM:<") && buf_append(&argument, e->reverse_path) &&
	     buf_append_char(&argument, '>') && append_parameter(&argument, " RET=", e->ret) &&
	     append_parameter(&argument, " ENVID=", e->envid);
	if (!ok)
		fault_set(why, "5.5.4", "its envelope: the sender's part is too long");
	else if (!mail_argument_parse(buf_slice(&argument), EXTENSION_DSN, &m, &no))
		ok = refuse(why, &no);
	else if (!(ok = path_append(&m.reverse_path, &path)))
		fault_set(why, "5.1.7", "its envelope: the sender's address cannot be passed on");
	ok = ok && arena_copy(arena, buf_slice(&path), &made->reverse_path, why) &&
	     arena_copy(arena, m.ret, &made->ret, why) &&
	     arena_copy(arena, m.envid, &made->envid, why);
	buf_fini(&argument);
	buf_fini(&path);
	return ok;
}

/* RFC 5321 4.1.1.3: <Postmaster> is this host's own. */
static bool append_path(const struct path *p, const char *hostname, struct buf *out)
{
	return path_append(p, out) &&
	       (p->domain.n > 0 || (buf_append_char(out, '@') && buf_append_cstr(out, hostname)));
}

/* What RCPT would have taken. */
static bool take_recipient(const struct envelope_recipient *to, const char *hostname,
			   struct arena *arena, struct envelope_recipient *made, struct fault *why)
{
	struct rcpt_argument r;
	struct buf argument, path;
	struct reply no;
	bool ok;

	buf_init(&argument, ARGUMENT_BYTES);
	buf_init(&path, ENVELOPE_PATH_MAX);
	ok = buf_append_cstr(&argument, "TO:<") && buf_append(&argument, to->forward_path) &&
	     buf_append_char(&argument, '>') &&
	     append_parameter(&argument, " NOTIFY=", to->notify) &&
	     append_parameter(&argument, " ORCPT=", to->orcpt);
	if (!ok)
		fault_set(why, "5.5.4", "its envelope: a recipient's part is too long");
	else if (!rcpt_argument_parse(buf_slice(&argument), EXTENSION_DSN, &r, &no))
		ok = refuse(why, &no);
	else if (!(ok = append_path(&r.forward_path, hostname, &path)))
		fault_set(why, "5.1.3", "its envelope: a recipient's address cannot be passed on");
	ok = ok && arena_copy(arena, buf_slice(&path), &made->forward_path, why) &&
	     arena_copy(arena, r.notify, &made->notify, why) &&
	     arena_copy(arena, r.orcpt, &made->orcpt, why);
	buf_fini(&argument);
	buf_fini(&path);
	return ok;
}

static bool keep(struct dropped *d, const struct envelope *made)
{
	d->n_recipients = made->n_recipients;
	if (envelope_encode(made, &d->envelope) && buf_append(&d->from, made->reverse_path) &&
	    (made->n_recipients > 1 || buf_append(&d->to, made->recipients[0].forward_path)))
		return true;
	fault_set(&d->why, "4.3.1", "no memory for its envelope");
	return false;
}

static bool envelope_make(struct dropped *d, const struct dropped_rules *r, struct slice block,
			  bool eight_bit)
{
	struct envelope theirs, made = {.eight_bit = eight_bit};
	struct arena arena;
	bool ok = false;

	arena_init(&arena, SLACK_BYTES + 2 * block.n + (size_t)r->recipients_max * RECIPIENT_BYTES);
	if (!envelope_decode(block, &arena, &theirs, &d->why))
		goto out;
	if (theirs.n_recipients > r->recipients_max) {
		fault_set(&d->why, "5.5.3", "its envelope has too many recipients");
		goto out;
	}
	made.recipients =
		arena_alloc(&arena, theirs.n_recipients * sizeof(*made.recipients), &d->why);
	ok = made.recipients != NULL && take_sender(&theirs, &arena, &made, &d->why);
	for (; ok && made.n_recipients < theirs.n_recipients; made.n_recipients++)
		ok = take_recipient(&theirs.recipients[made.n_recipients], r->hostname, &arena,
				    &made.recipients[made.n_recipients], &d->why);
	ok = ok && keep(d, &made);
out:
	arena_reset(&arena);
	return ok;
}

/* ---- the file ---- */

/* Reading it must not take longer than a message of that size takes: a file may claim to be long
 * and have no octets. */
static bool is_bounded(struct dropped *d, const struct dropped_rules *r)
{
	const struct spool_header *h = &d->header;

	if (h->content_length > r->size_max)
		fault_set(&d->why, "5.3.4", "at most %llu octets are taken",
			  (unsigned long long)r->size_max);
	else if (h->envelope_length > SLACK_BYTES + r->recipients_max * RECIPIENT_BYTES ||
		 h->tail_offset >
			 SPOOL_HEADER_SIZE + h->envelope_length + h->content_length + SLACK_BYTES)
		fault_set(&d->why, "5.3.0", "it is larger than its message");
	else
		return true;
	return false;
}

static bool read_all(struct dropped *d, const struct dropped_rules *r)
{
	struct buf block;
	bool ok, eight_bit = false;

	if (!spool_header_read(d->fd, slice_of_cstr(d->name), &d->header, &d->why) ||
	    !is_bounded(d, r))
		return false;
	buf_init(&block, SPOOL_ENVELOPE_MAX);
	ok = spool_content_check(d->fd, &d->header, &d->why) &&
	     spool_envelope_read(d->fd, &d->header, &block, &d->why) &&
	     content_read(d, r, &eight_bit) && envelope_make(d, r, buf_slice(&block), eight_bit);
	buf_fini(&block);
	return ok;
}

/* The same for the same file, as long as nobody changes it; another for every other. */
static void note(struct dropped *d, const struct stat *st)
{
	static const uint8_t no_secret[16];
	struct {
		uint64_t ino, s, ns;
		char name[SPOOL_ID_LENGTH + 2];
	} file = {(uint64_t)st->st_ino, (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec,
		  ""};

	memcpy(file.name, d->name, sizeof(d->name));
	d->uid = st->st_uid;
	d->dropped_us = file.s * 1000000 + file.ns / 1000;
	spool_id_compose(d->dropped_us, DROPPED_WORKER, siphash(no_secret, &file, sizeof(file)),
			 d->id);
}

static bool is_older(const struct dropped *d, const struct dropped_rules *r, uint64_t seconds)
{
	return d->dropped_us + seconds * 1000000 <= r->now_us;
}

static void fail(struct dropped *d, const char *what)
{
	fault_errno(&d->why, "4.3.0", "cannot %s maildrop/%s", what, d->name);
	d->fate = DROPPED_FAILED;
}

static void remove_half(struct dropped *d, int maildrop)
{
	if (unlinkat(maildrop, d->name, 0) == 0 || errno == ENOENT)
		d->fate = DROPPED_REMOVED;
	else if (errno != EISDIR) /* a folder's maker alone can be asked to remove it */
		fail(d, "remove");
}

/* Under our id: theirs may be another message's. */
static void set_aside(struct dropped *d, int spool, int maildrop)
{
	char new[PLACE_PATH_SIZE];

	(void)snprintf(new, sizeof(new), "corrupt/%s", d->id);
	if (renameat(maildrop, d->name, spool, new) != 0) {
		fail(d, "set aside");
		return;
	}
	fault_add(&d->why, "maildrop/%s of uid %lu", d->name, (unsigned long)d->uid);
	d->fate = DROPPED_BROKEN;
}

/* Has it a header of ours at all? That is written last. */
static bool has_begun_header(int fd)
{
	static const char mark[] = "tassis-spool ";
	char p[sizeof(mark) - 1];

	return fd_read_all(fd, p, sizeof(p), 0) && memcmp(p, mark, sizeof(p)) == 0;
}

static void judge_open(struct dropped *d, const struct dropped_rules *r, int maildrop,
		       const struct stat *st)
{
	if (st->st_nlink != 1)
		fault_set(&d->why, "5.3.0", "it has another name elsewhere");
	else if (read_all(d, r)) {
		d->fate = DROPPED_GOOD;
		return;
	}
	if (d->why.class != FAULT_PERMANENT) {
		fault_add(&d->why, "maildrop/%s", d->name);
		d->fate = DROPPED_FAILED;
	} else if (has_begun_header(d->fd)) {
		if (is_older(d, r, DROPPED_BROKEN_AGE_S))
			set_aside(d, r->spool, maildrop);
	} else if (is_older(d, r, DROPPED_HALF_AGE_S)) {
		remove_half(d, maildrop);
	}
}

/* It could not be opened: errno says why. */
static void judge_closed(struct dropped *d, const struct dropped_rules *r, int maildrop)
{
	if (errno != EACCES && errno != EPERM) {
		if (errno != ENOENT && errno != ELOOP)
			fail(d, "open");
	} else if (is_older(d, r, DROPPED_BROKEN_AGE_S)) {
		fault_set(&d->why, "5.3.0",
			  "queued may not read it; sendmail makes files that it may");
		set_aside(d, r->spool, maildrop);
	}
}

static void judge(struct dropped *d, const struct dropped_rules *r, int maildrop)
{
	struct stat st;

	if (fstatat(maildrop, d->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	note(d, &st);
	if (!S_ISREG(st.st_mode)) {
		if (is_older(d, r, DROPPED_HALF_AGE_S))
			remove_half(d, maildrop);
		return;
	}
	d->fd = openat(maildrop, d->name,
		       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (d->fd < 0) {
		judge_closed(d, r, maildrop);
	} else if (fstat(d->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		note(d, &st); /* it may be another by now */
		judge_open(d, r, maildrop, &st);
	}
}

void dropped_stray(int maildrop, const char *name, const struct dropped_rules *r)
{
	struct stat st;

	if (fstatat(maildrop, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ((uint64_t)st.st_ctim.tv_sec + DROPPED_HALF_AGE_S) * 1000000 <= r->now_us)
		(void)unlinkat(maildrop, name, 0);
}

void dropped_judge(struct dropped *d, const struct dropped_rules *r)
{
	int maildrop =
		openat(r->spool, "maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	d->fd = -1;
	buf_init(&d->envelope, SPOOL_ENVELOPE_MAX);
	buf_init(&d->from, ENVELOPE_PATH_MAX);
	buf_init(&d->to, ENVELOPE_PATH_MAX);
	if (maildrop < 0)
		return;
	judge(d, r, maildrop);
	fd_close(&maildrop);
}

void dropped_fini(struct dropped *d)
{
	fd_close(&d->fd);
	buf_fini(&d->envelope);
	buf_fini(&d->from);
	buf_fini(&d->to);
}
