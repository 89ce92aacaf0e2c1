#include "lookupd/lookupd.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "lookupd/dkim.h"
#include "lookupd/explain.h"
#include "lookupd/failures.h"
#include "lookupd/login.h"
#include "common/auth/password.h"
#include "lookupd/recipient.h"
#include "lookupd/rehash.h"
#include "lookupd/routing.h"

#define KEPT_MAX 1024
#define WARN_EVERY_MS 60000

/* An ask with copies of what came in it; in the list of asks until its look-ups are done. */
struct ask {
	struct list node;
	struct lookupd *d;
	struct ipc_request *request;
	struct lookup lookup;
	struct slice password;
	struct slice selector, digest; /* of a signature that is wanted */
	union {
		struct recipient recipient;
		struct routing routing;
		struct login login;
		struct dkim_lookup dkim;
		struct explain *explain; /* rare and large */
	};
	size_t used;
	char octets[];
};

/* A password on its way through the pool. */
struct checking {
	struct pool_job job;
	struct lookupd *d;
	struct ipc_request *request;
	struct slice kept, password; /* in octets */
	struct slice user;           /* the user's whole name, in octets */
	bool permitted;
	bool fixed; /* the form in which it is kept stays */
	enum password_verdict verdict;
	size_t n;
	char octets[];
};

/* Room for n octets of text. NULL: request has been answered. */
static struct ask *ask_create(struct lookupd *d, struct ipc_request *request, size_t n)
{
	struct fault why = {0};
	struct ask *a = memory_alloc(1, sizeof(*a) + n, &why);

	if (a == NULL) {
		ipc_answer_fault(request, &why);
		return NULL;
	}
	a->d = d;
	a->request = request;
	list_append(&d->asks, &a->node);
	d->n_asks++;
	return a;
}

static void ask_destroy(struct ask *a)
{
	lookup_fini(&a->lookup);
	list_remove(&a->node);
	memory_wipe(a->octets, a->used);
	free(a);
}

static struct slice ask_copy(struct ask *a, struct slice s)
{
	struct slice copy = slice_of(a->octets + a->used, s.n);

	if (s.n > 0)
		memcpy(a->octets + a->used, s.p, s.n);
	a->used += s.n;
	return copy;
}

static void ask_start(struct ask *a, lookup_evaluate_fn *evaluate, lookup_finish_fn *finish)
{
	lookup_start(&a->lookup, a->d->service->loop, a->d->cache, evaluate, finish, &a->recipient);
}

/* Once a minute: whoever asks a mail server for its postmaster may do so often. */
static void warn_of_needed(struct lookupd *d, struct slice forward_path, const struct fault *why)
{
	uint64_t now_ms = loop_now_ms(d->service->loop);

	if (d->warned_ms != 0 && now_ms - d->warned_ms < WARN_EVERY_MS)
		return;
	d->warned_ms = now_ms;
	log_event(postmaster_missing, F_SLICE(to, forward_path), F_FAULT(why));
}

/* ---- recipients ---- */

static void recipient_done(struct lookup *l, void *arg UNUSED, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);
	const struct recipient *r = &a->recipient;

	if (r->needed)
		warn_of_needed(a->d, r->forward_path, why);
	if (why != NULL)
		ipc_answer_fault(a->request, why);
	else
		ipc_answer(a->request,
			   &IPC_MESSAGE(rcpt_answer, .recipient = (uint8_t)r->recipient, .sender = (uint8_t)r->sender, .relay = r->relay,
					.sender_owned = r->sender_owned, .folder = r->folder, .quota_bytes = r->quota_bytes,
					.quota_messages = r->quota_messages),
			   -1);
	ask_destroy(a);
}

void ask_recipient(struct lookupd *d, struct ipc_request *request, const struct ipc_rcpt_ask *m)
{
	struct ask *a = ask_create(d, request, m->user.n + m->reverse_path.n + m->forward_path.n);

	if (a == NULL)
		return;
	a->recipient.names = &d->names;
	a->recipient.client = m->client;
	a->recipient.user = ask_copy(a, m->user);
	a->recipient.reverse_path = ask_copy(a, m->reverse_path);
	a->recipient.forward_path = ask_copy(a, m->forward_path);
	ask_start(a, recipient_evaluate, recipient_done);
}

/* ---- keys that sign mail ---- */

static void dkim_keys_done(struct lookup *l, void *arg UNUSED, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);

	if (why != NULL)
		ipc_answer_fault(a->request, why);
	else
		dkim_answer_keys(a->request, &a->dkim);
	ask_destroy(a);
}

void ask_dkim_keys(struct lookupd *d, struct ipc_request *request, const struct ipc_dkim_keys_ask *m)
{
	struct ask *a = ask_create(d, request, m->domain.n);

	if (a == NULL)
		return;
	a->dkim.domain = ask_copy(a, m->domain);
	ask_start(a, dkim_evaluate, dkim_keys_done);
}

static void dkim_sign_done(struct lookup *l, void *arg UNUSED, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);

	if (why != NULL)
		ipc_answer_fault(a->request, why);
	else
		dkim_answer_signature(a->d, a->request, &a->dkim, a->selector, a->digest);
	ask_destroy(a);
}

void ask_dkim_signature(struct lookupd *d, struct ipc_request *request, const struct ipc_dkim_sign_ask *m)
{
	struct ask *a = ask_create(d, request, m->domain.n + m->selector.n + m->digest.n);

	if (a == NULL)
		return;
	a->dkim.domain = ask_copy(a, m->domain);
	a->selector = ask_copy(a, m->selector);
	a->digest = ask_copy(a, m->digest);
	ask_start(a, dkim_evaluate, dkim_sign_done);
}

/* ---- routes ---- */

static void route_done(struct lookup *l, void *arg UNUSED, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);

	if (a->routing.needed)
		warn_of_needed(a->d, a->routing.forward_path, why);
	if (why != NULL)
		ipc_answer_fault(a->request, why);
	else
		ipc_answer(a->request, &IPC_MESSAGE(route_answer, .targets = buf_slice(&a->routing.targets)), -1);
	routing_fini(&a->routing);
	ask_destroy(a);
}

void ask_route(struct lookupd *d, struct ipc_request *request, const struct ipc_route_ask *m)
{
	struct ask *a = ask_create(d, request, m->reverse_path.n + m->forward_path.n + m->mailbox.n);

	if (a == NULL)
		return;
	routing_init(&a->routing);
	a->routing.names = &d->names;
	a->routing.reverse_path = ask_copy(a, m->reverse_path);
	a->routing.forward_path = ask_copy(a, m->forward_path);
	a->routing.mailbox = ask_copy(a, m->mailbox);
	a->routing.spam = m->spam;
	a->routing.detail_mailbox = d->service->settings->detail_mailbox;
	ask_start(a, routing_evaluate, route_done);
}

/* ---- explanations ---- */

static void explain_done(struct lookup *l, void *arg, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);
	struct explain *e = arg;
	bool refused = why != NULL && why->class == FAULT_PERMANENT;

	if (refused) {
		buf_reset(&e->out);
		buf_printf(&e->out, "%s\n", why->text);
	} else if (why != NULL) {
		explain_end(e, why);
	}
	ipc_answer(a->request, &IPC_MESSAGE(control_answer, .text = buf_slice(&e->out), .refused = refused), -1);
	explain_fini(e);
	free(e);
	ask_destroy(a);
}

void ask_explain(struct lookupd *d, struct ipc_request *request, struct slice address)
{
	struct ask *a = ask_create(d, request, address.n);
	struct fault why = {0};

	if (a == NULL)
		return;
	if ((a->explain = memory_alloc(1, sizeof(*a->explain), &why)) == NULL) {
		ipc_answer_fault(request, &why);
		ask_destroy(a);
		return;
	}
	explain_init(a->explain);
	a->explain->names = &d->names;
	a->explain->settings = &d->service->settings;
	a->explain->address = ask_copy(a, address);
	lookup_start(&a->lookup, d->service->loop, d->cache, explain_evaluate, explain_done, a->explain);
}

/* ---- passwords ---- */

static void checking_work(struct pool_job *job)
{
	struct checking *c = CONTAINER_OF(job, struct checking, job);

	c->verdict = password_verify(c->kept, c->password);
}

static struct failure_waits failure_waits(const struct lookupd *d)
{
	const struct settings *s = d->service->settings;

	return (struct failure_waits){s->auth_failure_wait, s->auth_failure_wait_max};
}

static void login_accepted(struct checking *c)
{
	const struct settings *s = c->d->service->settings;

	failures_forget(c->d->failed_accounts, c->user);
	ipc_answer(c->request, &IPC_MESSAGE(auth_answer, .accepted = true, .user = c->user), -1);
	if (s->auth_rehash && s->query_user.n == 0 && !c->fixed && !password_is_strong(c->kept))
		rehash_begin(c->d, c->user, c->kept, c->password);
}

/* Whether or not there is such an account. */
static void login_refused(struct checking *c)
{
	struct failure_waits waits = failure_waits(c->d);
	uint64_t wait_ms = failures_count(c->d->failed_accounts, c->user, &waits,
					  loop_now_ms(c->d->service->loop));

	ipc_answer(c->request,
		   &IPC_MESSAGE(auth_answer, .accepted = false, .user = c->user,
				.wait_ms = (uint32_t)wait_ms),
		   -1);
}

static void checking_done(struct pool_job *job)
{
	struct checking *c = CONTAINER_OF(job, struct checking, job);
	struct fault why = {0};

	if (c->permitted && c->verdict == PASSWORD_UNUSABLE) {
		fault_set(&why, "4.3.5",
			  "what is kept of the password is of no known scheme, or damaged, or asks "
			  "for too much");
		log_event(database_failed, F_SLICE(user, c->user), F_FAULT(&why));
		ipc_answer_fault(c->request, &why);
	} else if (c->permitted && c->verdict == PASSWORD_RIGHT) {
		login_accepted(c);
	} else {
		login_refused(c);
	}
	memory_wipe(c->octets, c->n);
	free(c);
}

/* A user who is not there is checked against what the last one kept, and refused whatever comes out: the time says nothing. */
static struct slice login_kept(struct lookupd *d, const struct login *g)
{
	if (g->permitted && g->kept.n <= KEPT_MAX) {
		buf_reset(&d->typical);
		buf_append(&d->typical, g->kept);
		return g->kept;
	}
	return buf_length(&d->typical) > 0 ? buf_slice(&d->typical)
					   : SLICE("{SCRAM-SHA-256}15000,c2FsdHNhbHRzYWx0c2E=,"
						   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
						   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

static bool login_check(struct ask *a, struct fault *why)
{
	const struct login *g = &a->login;
	struct slice kept = login_kept(a->d, g), user = g->name.n > 0 ? name_whole(&g->name) : g->user;
	struct slice texts[] = {kept, a->password, user};
	struct checking *c = memory_alloc(1, sizeof(*c) + kept.n + a->password.n + user.n, why);
	struct slice *places[] = {&c->kept, &c->password, &c->user};

	if (c == NULL)
		return false;
	c->job = (struct pool_job){.work = checking_work, .done = checking_done};
	c->d = a->d;
	c->request = a->request;
	c->permitted = g->permitted;
	c->fixed = g->fixed;
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		*places[i] = slice_of(c->octets + c->n, texts[i].n);
		if (texts[i].n > 0)
			memcpy(c->octets + c->n, texts[i].p, texts[i].n);
		c->n += texts[i].n;
	}
	if (pool_submit(a->d->passwords, &c->job))
		return true;
	fault_set(why, "4.3.2", "too many logins are under way");
	memory_wipe(c->octets, c->n);
	free(c);
	return false;
}

static void login_done(struct lookup *l, void *arg UNUSED, const struct fault *why)
{
	struct ask *a = CONTAINER_OF(l, struct ask, lookup);
	struct fault own = {0};

	if (why != NULL)
		ipc_answer_fault(a->request, why);
	else if (!login_check(a, &own))
		ipc_answer_fault(a->request, &own);
	ask_destroy(a);
}

void ask_login(struct lookupd *d, struct ipc_request *request, const struct ipc_auth_ask *m)
{
	struct ask *a = ask_create(d, request, m->user.n + m->authzid.n + m->password.n);

	if (a == NULL)
		return;
	a->login.names = d->names;
	a->login.user = ask_copy(a, m->user);
	a->login.authzid = ask_copy(a, m->authzid);
	a->login.match = d->service->settings->auth_authzid == AUTH_AUTHZID_MATCH;
	a->password = ask_copy(a, m->password);
	ask_start(a, login_evaluate, login_done);
}

void ask_failure(struct lookupd *d, struct ipc_request *request, const struct ipc_failure_ask *m)
{
	struct failure_waits waits = failure_waits(d);
	uint64_t wait_ms = failures_count(d->failed_clients, ip_client_key(&m->client), &waits,
					  loop_now_ms(d->service->loop));

	ipc_answer(request, &IPC_MESSAGE(done, .number = wait_ms), -1);
}

void asks_end(struct lookupd *d)
{
	struct fault why = {0};
	struct list *node;

	fault_set(&why, "4.3.2", "lookupd is being ended");
	while ((node = list_first(&d->asks)) != NULL) {
		struct ask *a = LIST_ENTRY(node, struct ask, node);

		a->lookup.finish(&a->lookup, a->lookup.arg, &why);
	}
}
