#include "deliverd/local/delivery.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/spool/file.h"
#include "deliverd/local/copy.h"
#include "deliverd/local/mailbox.h"
#include "deliverd/local/maildir.h"

#define DELIVERY_MEMORY (64u << 20) /* of a list of recipients, at most */
#define CHUNK_BYTES 65536
/* Trace and other fields that a message gets on its way to us: more than they are, and little
 * beside a quota. */
#define ADDED_BYTES 16384

struct delivery {
	struct arena arena;
	const struct delivery_rules *rules;
	int fd;
	bool alone;
	uint64_t received_us;
	struct slice id, reverse_path;
	struct delivery_result *results;
	size_t n_results;
};

/* What a user has sent, and their program would put there itself. */
static bool is_sent(const struct ipc_deliver_recipient *r)
{
	return slice_equal(r->mailbox, SLICE("sent"));
}

/* The folder of the user's mailbox; where there can be none of that name, the result says so. */
static bool take_folder(struct delivery *d, const struct ipc_deliver_recipient *r,
			struct delivery_result *result, struct fault *why)
{
	struct slice root = r->folder;
	struct buf path;
	bool ok;

	if (slice_ends(root, SLICE("/")))
		root.n--;
	buf_init(&path, 2 * IPC_FOLDER_MAX);
	buf_append(&path, root);
	buf_append_char(&path, '/');
	if (!mailbox_folder_name(r->mailbox, &path, result->why) || buf_length(&path) == root.n + 1)
		buf_truncate(&path, root.n);
	ok = arena_copy(&d->arena, buf_slice(&path), &result->folder.path, why);
	buf_fini(&path);
	result->folder.root_length = root.n;
	result->folder.seen = is_sent(r);
	if (ok && !maildir_folder_is_valid(result->folder.path))
		fault_set(result->why, "4.3.5", "\"%.*s\" is no folder below mail_dir",
			  SLICE_PRINTF(result->folder.path));
	return ok;
}

/* A copy that is one for several must not say whose it is; what a user sent was delivered to
 * nobody. */
static bool says_whose_it_is(const struct delivery *d, const struct ipc_deliver_recipient *r)
{
	if (is_sent(r))
		return false;
	switch (d->rules->delivered_to) {
	case DELIVERED_TO_ONE:
		return d->alone;
	case DELIVERED_TO_ALWAYS:
		return true;
	case DELIVERED_TO_NEVER:
		break;
	}
	return false;
}

static bool take_recipient(struct delivery *d, const struct ipc_deliver_recipient *r,
			   struct delivery_result *result, struct fault *why)
{
	result->index = r->index;
	result->quota = (struct quota){.bytes = r->quota_bytes, .messages = r->quota_messages};
	if ((result->why = arena_alloc(&d->arena, sizeof(*result->why), why)) == NULL ||
	    !arena_copy(&d->arena, r->forward_path, &result->forward_path, why))
		return false;
	if (says_whose_it_is(d, r))
		result->delivered_to = result->forward_path;
	return take_folder(d, r, result, why);
}

static bool take_recipients(struct delivery *d, struct slice list, struct fault *why)
{
	struct ipc_deliver_recipient r;
	bool broken = false;
	size_t n = ipc_count_deliver_recipient(list, why);

	if (n == 0 || (d->results = arena_alloc(&d->arena, n * sizeof(*d->results), why)) == NULL)
		return false;
	for (; ipc_next_deliver_recipient(&list, &r, &broken); d->n_results++)
		if (!take_recipient(d, &r, &d->results[d->n_results], why))
			return false;
	return true;
}

bool delivery_create(const struct ipc_deliver_ask *ask, int *fd, const struct delivery_rules *rules,
		     struct delivery **out, struct fault *why)
{
	struct delivery *d = NULL;

	if (!fd_is_file_to_read(*fd, why) || (d = memory_alloc(1, sizeof(*d), why)) == NULL)
		return false;
	arena_init(&d->arena, DELIVERY_MEMORY);
	d->fd = -1;
	d->rules = rules;
	d->alone = ask->alone;
	d->received_us = ask->received_us;
	if (!arena_copy(&d->arena, ask->id, &d->id, why) ||
	    !arena_copy(&d->arena, ask->reverse_path, &d->reverse_path, why) ||
	    !take_recipients(d, ask->recipients, why)) {
		delivery_destroy(d);
		return false;
	}
	d->fd = *fd;
	*fd = -1;
	*out = d;
	return true;
}

void delivery_destroy(struct delivery *d)
{
	if (d == NULL)
		return;
	fd_close(&d->fd);
	arena_reset(&d->arena);
	free(d);
}

/* Streams the message into f, in chunks, so that its size does not matter. */
static bool write_message(const struct delivery *d, const struct spool_header *h, struct copy *c,
			  struct maildir_file *f, struct buf *out, struct fault *why)
{
	size_t chunk = h->content_length < CHUNK_BYTES ? (size_t)h->content_length : CHUNK_BYTES,
	       n = 0;
	char *octets = memory_alloc(1, chunk, why);
	bool ok = octets != NULL;

	for (uint64_t at = 0; ok && at < h->content_length; at += n) {
		ok = spool_content_read(d->fd, h, at, octets, chunk, &n, why);
		if (ok && n == 0) {
			fault_set(why, "4.3.0", "the spool file ends before its message does");
			ok = false;
		}
		if (ok && !copy_take(c, slice_of(octets, n), out)) {
			fault_set(why, "4.3.1", "out of memory");
			ok = false;
		}
		if (ok &&
		    at + n < h->content_length) { /* the last piece goes with what copy_end adds */
			ok = maildir_write(f, buf_slice(out), why);
			buf_reset(out);
		}
	}
	free(octets);
	if (ok && !copy_end(c, out)) {
		fault_set(why, "4.3.1", "out of memory");
		ok = false;
	}
	return ok && maildir_write(f, buf_slice(out), why);
}

static bool name_for(const struct delivery *d, const struct delivery_result *r, char *out,
		     size_t size, struct fault *why)
{
	return maildir_name(d->received_us, d->id, r->forward_path, maildir_folder_name(&r->folder),
			    d->rules->hostname, out, size, why);
}

static bool write_file(const struct delivery *d, const struct spool_header *h,
		       const struct delivery_result *r, const char *name, struct maildir_file *f,
		       struct fault *why)
{
	struct copy c = {0};
	struct buf out;
	bool ok;

	buf_init(&out, 4 * CHUNK_BYTES);
	ok = copy_begin(&c, d->reverse_path, r->delivered_to, &out) &&
	     maildir_begin(f, d->rules->root, &r->folder, name, why) &&
	     write_message(d, h, &c, f, &out, why);
	if (ok)
		maildir_seal(f, c.size_bytes, c.size_bytes + c.lines);
	buf_fini(&out);
	copy_fini(&c);
	return ok;
}

/* Not stored, and nothing has failed. */
static bool is_open(const struct delivery_result *r)
{
	return !r->delivered && !r->put && r->why->text[0] == '\0';
}

static void note(struct delivery_result *r, enum maildir_put put)
{
	r->put = put == MAILDIR_PUT;
	r->delivered = put == MAILDIR_WAS_THERE;
}

/* Those whose copy is the same to the octet. Recipients whose mailbox is the same folder have files
 * of their own names there. */
static void link_others(struct delivery *d, size_t first, const struct maildir_file *f)
{
	char name[sizeof(f->name)];

	for (size_t i = first + 1; i < d->n_results; i++) {
		struct delivery_result *r = &d->results[i];

		if (is_open(r) && slice_equal(r->delivered_to, d->results[first].delivered_to) &&
		    name_for(d, r, name, sizeof(name), r->why))
			note(r, maildir_link(f, &r->folder, name, r->why));
	}
}

/* All that was put of f is durable, or is taken back. */
static void settle(struct delivery *d, struct maildir_file *f)
{
	char name[sizeof(f->name)];
	struct fault why = {0};
	size_t n_put = 0;
	bool ok;

	for (size_t i = 0; i < d->n_results; i++)
		n_put += d->results[i].put;
	ok = n_put == 0 || maildir_sync(f, &why);
	for (size_t i = 0; i < d->n_results; i++) {
		struct delivery_result *r = &d->results[i];

		if (!ok && r->put) {
			*r->why = why;
			if (name_for(d, r, name, sizeof(name), NULL))
				maildir_withdraw(f, &r->folder, name);
		}
		if (ok && r->put) {
			r->delivered = true;
			quota_add(f->root, maildir_folder_root(&r->folder), f->size_bytes);
		}
		r->put = false;
	}
}

/* Writes a file for one recipient, and links it for all after it that are open and can share it. */
static void store(struct delivery *d, const struct spool_header *h, size_t first)
{
	struct delivery_result *r = &d->results[first];
	struct maildir_file f = {.fd = -1};
	char name[sizeof(f.name)];

	if (name_for(d, r, name, sizeof(name), r->why) && write_file(d, h, r, name, &f, r->why)) {
		link_others(d, first, &f);
		note(r, maildir_publish(&f, r->why));
		settle(d, &f);
	}
	maildir_end(&f);
}

/* Room is asked for once more: RCPT may be long ago, and was about a size that the client told.
 * What we added to the message since does not count. A copy that an earlier attempt has put there
 * took its room already. */
static void ask_for_room(const struct delivery *d, const struct spool_header *h,
			 struct delivery_result *r)
{
	uint64_t size = h->content_length > ADDED_BYTES ? h->content_length - ADDED_BYTES : 0;
	char name[sizeof(((struct maildir_file *)NULL)->name)];
	bool fits;

	if (!quota_fits(d->rules->root, maildir_folder_root(&r->folder), &r->quota, size, &fits,
			r->why) ||
	    fits)
		return;
	if (name_for(d, r, name, sizeof(name), r->why) &&
	    maildir_has(d->rules->root, &r->folder, name))
		return;
	r->refused = d->rules->quota_full == QUOTA_FULL_PERMANENT;
	fault_set(r->why, r->refused ? "5.2.2" : "4.2.2", "the mailbox is full");
}

void delivery_run(struct delivery *d)
{
	struct spool_header h;
	struct fault why = {0};
	bool ok = spool_header_read(d->fd, d->id, &h, &why);

	for (size_t i = 0; i < d->n_results; i++) {
		if (!is_open(&d->results[i]))
			continue;
		if (ok)
			ask_for_room(d, &h, &d->results[i]);
		else
			*d->results[i].why = why;
	}
	/* Each turn of the loop is done with at least one; a mailbox that cannot be written to does
	 * not stand in the way of the others. */
	for (size_t i = 0; i < d->n_results; i++)
		if (is_open(&d->results[i]))
			store(d, &h, i);
}

size_t delivery_n_results(const struct delivery *d)
{
	return d->n_results;
}

const struct delivery_result *delivery_result(const struct delivery *d, size_t i)
{
	return &d->results[i];
}

struct slice delivery_id(const struct delivery *d)
{
	return d->id;
}
