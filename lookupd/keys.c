#include "lookupd/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/tls/key.h"

#define KEYS_MAX 4

struct key {
	struct list node;
	struct tls_key *tls;
	unsigned refs; /* the list's, and one for each signature under way */
};

struct keys {
	struct pool *pool;
	struct list list; /* the newest first */
	unsigned n;
};

/* A signature in the pool. */
struct signing {
	struct pool_job job;
	struct key *key;
	struct ipc_request *request;
	enum ipc_scheme scheme;
	struct slice digest, input; /* in octets */
	struct buf signature;
	struct fault why;
	bool ok;
	char octets[];
};

struct keys *keys_create(struct pool *pool, struct fault *why)
{
	struct keys *k = memory_alloc(1, sizeof(*k), why);

	if (k != NULL) {
		k->pool = pool;
		list_init(&k->list);
	}
	return k;
}

static void key_release(struct key *key)
{
	if (--key->refs > 0)
		return;
	tls_key_destroy(key->tls);
	free(key);
}

static void keys_remove(struct keys *k, struct key *key)
{
	list_remove(&key->node);
	k->n--;
	key_release(key);
}

void keys_destroy(struct keys *k)
{
	struct list *node;

	if (k == NULL)
		return;
	while ((node = list_first(&k->list)) != NULL)
		keys_remove(k, LIST_ENTRY(node, struct key, node));
	free(k);
}

static struct key *keys_find(const struct keys *k, struct slice id)
{
	for (struct list *node = k->list.next; node != &k->list; node = node->next) {
		struct key *key = LIST_ENTRY(node, struct key, node);

		if (slice_equal(tls_key_id(key->tls), id))
			return key;
	}
	return NULL;
}

bool keys_load(struct keys *k, struct slice pem, struct fault *why)
{
	struct key *key = memory_alloc(1, sizeof(*key), why), *same;

	if (key == NULL)
		return false;
	if (!tls_key_load(pem, &key->tls, why)) {
		free(key);
		return false;
	}
	same = keys_find(k, tls_key_id(key->tls));
	if (same != NULL)
		keys_remove(k, same);
	key->refs = 1;
	list_prepend(&k->list, &key->node);
	if (++k->n > KEYS_MAX)
		keys_remove(k, LIST_ENTRY(k->list.prev, struct key, node));
	return true;
}

static void answer_signature(struct ipc_request *request, bool ok, const struct buf *signature, const struct fault *why)
{
	if (ok)
		ipc_answer(request, &IPC_MESSAGE(sign_answer, .signature = buf_slice(signature)), -1);
	else
		ipc_answer_fault(request, why);
}

static void signing_work(struct pool_job *job)
{
	struct signing *s = CONTAINER_OF(job, struct signing, job);

	s->ok = tls_key_sign(s->key->tls, s->scheme, s->digest, s->input, &s->signature, &s->why);
}

static void signing_done(struct pool_job *job)
{
	struct signing *s = CONTAINER_OF(job, struct signing, job);

	answer_signature(s->request, s->ok, &s->signature, &s->why);
	key_release(s->key);
	buf_fini(&s->signature);
	free(s);
}

static bool sign_in_pool(struct keys *k, struct key *key, struct ipc_request *request, const struct ipc_sign_ask *ask, struct fault *why)
{
	struct signing *s = memory_alloc(1, sizeof(*s) + ask->digest.n + ask->input.n, why);

	if (s == NULL)
		return false;
	s->job = (struct pool_job){.work = signing_work, .done = signing_done};
	s->key = key;
	s->request = request;
	s->scheme = (enum ipc_scheme)ask->scheme;
	s->digest = slice_of(s->octets, ask->digest.n);
	s->input = slice_of(s->octets + ask->digest.n, ask->input.n);
	if (ask->digest.n > 0)
		memcpy(s->octets, ask->digest.p, ask->digest.n);
	if (ask->input.n > 0)
		memcpy(s->octets + ask->digest.n, ask->input.p, ask->input.n);
	buf_init(&s->signature, 1024);
	if (!pool_submit(k->pool, &s->job)) {
		fault_set(why, "4.3.2", "too many signatures are under way");
		free(s);
		return false;
	}
	key->refs++;
	return true;
}

void keys_sign(struct keys *k, struct ipc_request *request, const struct ipc_sign_ask *ask)
{
	struct key *key = keys_find(k, ask->key_id);
	struct fault why = {0};
	struct buf signature;
	bool ok;

	if (key == NULL || ask->scheme > IPC_SCHEME_ED25519) {
		fault_set(&why, "4.7.0", "there is no private key for this certificate here");
		ipc_answer_fault(request, &why);
		return;
	}
	if (tls_key_is_slow(key->tls)) {
		if (!sign_in_pool(k, key, request, ask, &why))
			ipc_answer_fault(request, &why);
		return;
	}
	buf_init(&signature, 1024);
	ok = tls_key_sign(key->tls, (enum ipc_scheme)ask->scheme, ask->digest, ask->input, &signature, &why);
	answer_signature(request, ok, &signature, &why);
	buf_fini(&signature);
}

bool keys_tickets(const struct keys *k, uint64_t wall_us, uint8_t group, uint8_t out[TICKET_GENERATIONS][TICKET_KEY_N],
		  uint64_t *valid_ms, struct fault *why)
{
	uint64_t now_ms = wall_us / 1000, period = now_ms / TICKET_PERIOD_MS;

	if (k->n == 0) {
		fault_set(why, "4.7.0", "no private key is loaded");
		return false;
	}
	for (unsigned i = 0; i < TICKET_GENERATIONS; i++) {
		const struct key *newest = LIST_ENTRY(k->list.next, struct key, node);
		char info[64];

		snprintf(info, sizeof(info), "tassis ticket key %u %llu", group, (unsigned long long)(period - i));
		if (!tls_key_derive(newest->tls, slice_of_cstr(info), out[i], TICKET_KEY_N, why))
			return false;
	}
	*valid_ms = (period + 1) * TICKET_PERIOD_MS - now_ms;
	return true;
}
