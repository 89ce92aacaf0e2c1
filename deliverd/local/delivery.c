#include "deliverd/local/delivery.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/spool/file.h"
#include "deliverd/local/copy.h"
#include "deliverd/local/maildir.h"

#define DELIVERY_MEMORY (64u << 20) /* of a list of recipients, at most */
#define CHUNK_BYTES 65536

struct delivery {
	struct arena arena;
	int fd, root;
	uint64_t received_us;
	struct slice id, reverse_path, hostname;
	struct delivery_result *results;
	size_t n_results;
};

static bool take_recipients(struct delivery *d, struct slice list, struct fault *why)
{
	struct ipc_deliver_recipient r;
	bool broken = false;
	size_t n = ipc_count_deliver_recipient(list, why);

	if (n == 0 || (d->results = arena_alloc(&d->arena, n * sizeof(*d->results), why)) == NULL)
		return false;
	for (; ipc_next_deliver_recipient(&list, &r, &broken); d->n_results++) {
		struct delivery_result *result = &d->results[d->n_results];

		result->index = r.index;
		if (slice_ends(r.folder, SLICE("/")))
			r.folder = slice_head(r.folder, r.folder.n - 1);
		if ((result->why = arena_alloc(&d->arena, sizeof(*result->why), why)) == NULL ||
		    !arena_copy(&d->arena, r.forward_path, &result->forward_path, why) ||
		    !arena_copy(&d->arena, r.folder, &result->folder, why))
			return false;
		if (!maildir_folder_is_valid(r.folder))
			fault_set(result->why, "4.3.5", "\"%.*s\" is no folder below mail_dir",
				  SLICE_PRINTF(r.folder));
	}
	return true;
}

bool delivery_create(const struct ipc_deliver_ask *ask, int *fd, int root, struct slice hostname,
		     struct delivery **out, struct fault *why)
{
	struct delivery *d = NULL;

	if (!fd_is_file_to_read(*fd, why) || (d = memory_alloc(1, sizeof(*d), why)) == NULL)
		return false;
	arena_init(&d->arena, DELIVERY_MEMORY);
	d->fd = -1;
	d->root = root;
	d->received_us = ask->received_us;
	d->hostname = hostname;
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
	return maildir_name(d->received_us, d->id, r->forward_path, d->hostname, out, size, why);
}

static bool write_file(const struct delivery *d, const struct spool_header *h,
		       const struct delivery_result *r, const char *name, struct maildir_file *f,
		       struct fault *why)
{
	struct copy c = {0};
	struct buf out;
	bool ok;

	buf_init(&out, 4 * CHUNK_BYTES);
	/* With several recipients the file is one for all, and must not say whose it is. */
	ok = copy_begin(&c, d->reverse_path, d->n_results == 1 ? r->forward_path : SLICE_EMPTY,
			&out) &&
	     maildir_begin(f, d->root, r->folder, name, why) &&
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

/* Recipients whose mailbox is the same folder have files of their own names there. */
static void link_others(struct delivery *d, size_t first, const struct maildir_file *f)
{
	char name[sizeof(f->name)];

	for (size_t i = first + 1; i < d->n_results; i++) {
		struct delivery_result *r = &d->results[i];

		if (is_open(r) && name_for(d, r, name, sizeof(name), r->why))
			note(r, maildir_link(f, r->folder, name, r->why));
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
				maildir_withdraw(f, r->folder, name);
		}
		r->delivered = r->delivered || (ok && r->put);
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

void delivery_run(struct delivery *d)
{
	struct spool_header h;
	struct fault why = {0};
	bool ok = spool_header_read(d->fd, d->id, &h, &why);

	/* Each turn of the loop is done with at least one; a mailbox that cannot be written to does
	 * not stand in the way of the others. */
	for (size_t i = 0; i < d->n_results; i++) {
		if (!is_open(&d->results[i]))
			continue;
		if (ok)
			store(d, &h, i);
		else
			*d->results[i].why = why;
	}
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
