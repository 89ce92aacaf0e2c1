#include "lookupd/rehash.h"

#include <stdlib.h>
#include <string.h>

#include "common/auth/password.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "lookupd/database.h"
#include "lookupd/lookupd.h"

#define MADE_MAX 512

/* In the pool, then under way to PostgreSQL. */
struct rehash {
	struct pool_job job;
	struct lookupd *d;
	struct slice user, kept, password; /* in octets, a NUL behind each */
	struct buf made;
	struct fault why;
	bool ok;
	size_t n;
	char octets[];
};

static void rehash_end(struct rehash *r)
{
	buf_fini(&r->made);
	memory_wipe(r->octets, r->n);
	free(r);
}

static void rehash_fail(struct rehash *r, const struct fault *because)
{
	struct fault why = *because;

	fault_add(&why, "the password is not kept in a stronger form");
	log_event(database_failed, F_SLICE(user, r->user), F_FAULT(&why));
	rehash_end(r);
}

/* Not true: the row is another one by now, and its password may be too. */
static void rehash_written(void *arg, const struct rows *rows, const struct fault *why)
{
	struct rehash *r = arg;

	if (rows == NULL) {
		rehash_fail(r, why);
		return;
	}
	if (rows_flag(rows, 0, 0, false))
		log_event(password_rewritten, F_SLICE(user, r->user));
	rehash_end(r);
}

static void rehash_work(struct pool_job *job)
{
	struct rehash *r = CONTAINER_OF(job, struct rehash, job);

	r->ok = password_make(r->password, &r->made, &r->why) && buf_cstr(&r->made) != NULL;
}

static void rehash_made(struct pool_job *job)
{
	struct rehash *r = CONTAINER_OF(job, struct rehash, job);
	size_t at = slice_find_last(r->user, '@');
	const char *params[] = {r->octets, r->user.p + at + 1, r->kept.p, NULL};

	if (!r->ok) {
		rehash_fail(r, &r->why);
		return;
	}
	r->octets[at] = '\0';
	params[3] = buf_cstr(&r->made);
	r->ok = database_call(r->d->database, "SELECT rewrite_password($1, $2, $3, $4)",
			      ARRAY_LENGTH(params), params, rehash_written, r, &r->why);
	r->octets[at] = '@';
	if (!r->ok)
		rehash_fail(r, &r->why);
}

static struct rehash *rehash_create(struct slice user, struct slice kept, struct slice password)
{
	struct slice from[] = {user, kept, password};
	size_t n = user.n + kept.n + password.n + ARRAY_LENGTH(from);
	struct rehash *r = memory_alloc(1, sizeof(*r) + n, NULL);
	struct slice *to[] = {&r->user, &r->kept, &r->password};

	if (r == NULL)
		return NULL;
	buf_init_secret(&r->made, MADE_MAX);
	for (size_t i = 0; i < ARRAY_LENGTH(from); i++) {
		*to[i] = slice_of(r->octets + r->n, from[i].n);
		memcpy(r->octets + r->n, from[i].p, from[i].n);
		r->n += from[i].n + 1;
	}
	return r;
}

void rehash_begin(struct lookupd *d, struct slice user, struct slice kept, struct slice password)
{
	struct rehash *r;

	if (slice_find_last(user, '@') == SIZE_MAX || kept.n == 0 || password.n == 0 ||
	    (r = rehash_create(user, kept, password)) == NULL)
		return;
	r->d = d;
	r->job = (struct pool_job){.work = rehash_work, .done = rehash_made};
	if (!pool_submit(d->passwords, &r->job)) /* many log in: their passwords come first */
		rehash_end(r);
}
