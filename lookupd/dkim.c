#include "lookupd/dkim.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/tls/key.h"
#include "lookupd/lookupd.h"

#define SELECTORS_BYTES 65536
#define DIGEST_BYTES 32

void dkim_evaluate(struct lookup *l, void *arg)
{
	struct dkim_lookup *d = arg;

	d->rows = NULL;
	if (!name_parse(SLICE("postmaster"), d->domain, &d->name))
		return;
	if (!lookup_get(l, &(struct query_key){QUERY_dkim, {d->name.domain}}, &d->rows))
		d->rows = NULL; /* not yet */
}

/* ---- which keys ---- */

void dkim_answer_keys(struct ipc_request *request, const struct dkim_lookup *d)
{
	size_t n = d->rows != NULL ? d->rows->n_rows : 0;
	struct buf list;
	bool ok = true;

	buf_init(&list, SELECTORS_BYTES);
	for (size_t i = 0; i < n; i++) {
		struct slice algorithm = rows_cell(d->rows, i, DKIM_ALGORITHM);

		ok &= ipc_put_dkim_selector(
			&list, &(struct ipc_dkim_selector){
				       .selector = rows_cell(d->rows, i, DKIM_SELECTOR),
				       .ed25519 = slice_starts(algorithm, SLICE("ed25519"))});
	}
	if (ok)
		ipc_answer(request, &IPC_MESSAGE(dkim_keys_answer, .keys = buf_slice(&list)), -1);
	else
		ipc_answer_fault(request,
				 &(struct fault){.status = "4.3.5",
						 .text = "the domain's keys cannot be told"});
	buf_fini(&list);
}

/* ---- a signature ---- */

struct dkim_signing {
	struct pool_job job;
	struct ipc_request *request;
	struct buf pem; /* secret */
	bool ed25519, ok;
	uint8_t digest[DIGEST_BYTES];
	struct buf signature;
	struct fault why;
};

static void signing_work(struct pool_job *job)
{
	struct dkim_signing *s = CONTAINER_OF(job, struct dkim_signing, job);
	struct slice digest = slice_of(s->digest, DIGEST_BYTES);
	struct tls_key *key;

	if (!tls_key_load(buf_slice(&s->pem), &key, &s->why))
		return;
	/* RFC 8463 3: Ed25519 signs the digest as its message. */
	s->ok = s->ed25519 ? tls_key_sign(key, IPC_SCHEME_ED25519, SLICE_EMPTY, digest,
					  &s->signature, &s->why)
			   : tls_key_sign(key, IPC_SCHEME_RSA_PKCS1, SLICE("SHA256"), digest,
					  &s->signature, &s->why);
	tls_key_destroy(key);
}

static void signing_destroy(struct dkim_signing *s)
{
	buf_fini(&s->pem);
	buf_fini(&s->signature);
	free(s);
}

/* What is wrong with a stored key is ours to mend: for the client it is temporary. */
static void signing_done(struct pool_job *job)
{
	struct dkim_signing *s = CONTAINER_OF(job, struct dkim_signing, job);

	s->why.class = FAULT_TEMPORARY;
	if (s->ok)
		ipc_answer(s->request,
			   &IPC_MESSAGE(sign_answer, .signature = buf_slice(&s->signature)), -1);
	else
		ipc_answer_fault(s->request, &s->why);
	signing_destroy(s);
}

static bool row_of(const struct dkim_lookup *d, struct slice selector, size_t *row)
{
	for (*row = 0; d->rows != NULL && *row < d->rows->n_rows; ++*row)
		if (slice_equal(rows_cell(d->rows, *row, DKIM_SELECTOR), selector))
			return true;
	return false;
}

void dkim_answer_signature(struct lookupd *daemon, struct ipc_request *request,
			   const struct dkim_lookup *d, struct slice selector, struct slice digest)
{
	struct dkim_signing *s = NULL;
	struct fault why = {0};
	size_t row;

	if (!row_of(d, selector, &row) || digest.n != DIGEST_BYTES) {
		fault_set(&why, "4.7.0", "%.*s has no active key %.*s", SLICE_PRINTF(d->domain),
			  SLICE_PRINTF(selector));
		goto refuse;
	}
	if ((s = memory_alloc(1, sizeof(*s), &why)) == NULL)
		goto refuse;
	s->job = (struct pool_job){.work = signing_work, .done = signing_done};
	s->request = request;
	s->ed25519 = slice_starts(rows_cell(d->rows, row, DKIM_ALGORITHM), SLICE("ed25519"));
	memcpy(s->digest, digest.p, DIGEST_BYTES);
	buf_init_secret(&s->pem, SELECTORS_BYTES);
	buf_init(&s->signature, 2048);
	if (!buf_append(&s->pem, rows_cell(d->rows, row, DKIM_PRIVATE_KEY)))
		fault_set(&why, "4.3.1", "no memory for the key");
	else if (pool_submit(daemon->signatures, &s->job))
		return;
	else
		fault_set(&why, "4.3.2", "too many signatures are under way");
	signing_destroy(s);
refuse:
	ipc_answer_fault(request, &why);
}
