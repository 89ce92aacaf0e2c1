#include "lookupd/conninfo.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/pool.h"

#define TEXT_MAX 16384
#define PARAMS_MAX 64

/* The look-up of names, a job of its own: it may end after its conninfo has gone. */
struct resolving {
	struct pool_job job;
	struct conninfo *owner; /* NULL: disowned */
	struct buf hosts_in, ports_in;
	struct buf hosts, addresses, ports; /* lists as libpq takes them */
	struct fault why;
	bool ok;
};

struct conninfo {
	struct pool *pool;
	PQconninfoOption *options;
	const char *host, *hostaddr, *port;
	const char *keywords[PARAMS_MAX], *values[PARAMS_MAX];
	struct resolving *resolving; /* under way, or the last: the values point into it */
	bool under_way;
	struct buf rotated[3];
	const char *session;
	bool forced;
	unsigned first;
	conninfo_fn *fn;
	void *arg;
};

static void resolving_destroy(struct resolving *r)
{
	if (r == NULL)
		return;
	buf_fini(&r->hosts_in);
	buf_fini(&r->ports_in);
	buf_fini(&r->hosts);
	buf_fini(&r->addresses);
	buf_fini(&r->ports);
	free(r);
}

/* What the string says of keyword, or the environment's word for it; NULL: nothing. */
static const char *option_value(const struct conninfo *c, const char *keyword)
{
	for (const PQconninfoOption *o = c->options; o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
	}
	return NULL;
}

bool conninfo_create(struct slice text, struct pool *pool, struct conninfo **out, struct fault *why)
{
	struct conninfo *c = memory_alloc(1, sizeof(*c), why);
	char string[4096], *error = NULL;
	bool ok = false;

	if (c == NULL)
		return false;
	c->pool = pool;
	if (!slice_cstr(text, string, sizeof(string), why))
		goto out;
	c->options = PQconninfoParse(string, &error);
	if (c->options == NULL) {
		fault_set(why, "4.3.5", "database is no connection string: %s", error != NULL ? error : "out of memory");
		goto out;
	}
	c->host = option_value(c, "host");
	c->hostaddr = option_value(c, "hostaddr");
	c->port = option_value(c, "port");
	for (size_t i = 0; i < ARRAY_LENGTH(c->rotated); i++)
		buf_init(&c->rotated[i], TEXT_MAX);
	*out = c;
	c = NULL;
	ok = true;
out:
	memory_wipe(string, sizeof(string));
	PQfreemem(error);
	free(c);
	return ok;
}

void conninfo_destroy(struct conninfo *c)
{
	if (c == NULL)
		return;
	if (c->under_way)
		c->resolving->owner = NULL;
	else
		resolving_destroy(c->resolving);
	for (size_t i = 0; i < ARRAY_LENGTH(c->rotated); i++)
		buf_fini(&c->rotated[i]);
	PQconninfoFree(c->options);
	free(c);
}

struct slice conninfo_hosts(const struct conninfo *c)
{
	return slice_of_cstr(c->host != NULL ? c->host : c->hostaddr != NULL ? c->hostaddr : "local");
}

static void param(struct conninfo *c, size_t *n, const char *keyword, const char *value)
{
	if (value == NULL || *n + 1 >= PARAMS_MAX)
		return;
	c->keywords[*n] = keyword;
	c->values[*n] = value;
	(*n)++;
}

/* The list with the first-th entry in front. */
static const char *rotate(struct buf *list, unsigned first, struct buf *out)
{
	struct slice all = buf_slice(list), rest = all, part;
	size_t n = 1;

	for (size_t i = 0; i < all.n; i++)
		n += all.p[i] == ',';
	buf_reset(out);
	for (first %= n; first > 0; first--)
		(void)!slice_cut(&rest, ',', &part);
	buf_append(out, rest);
	if (rest.n < all.n)
		buf_printf(out, ",%.*s", SLICE_PRINTF(slice_head(all, all.n - rest.n - 1)));
	return buf_cstr(out);
}

/* Everything as the string says, but for what we know better. */
static void conninfo_finish(struct conninfo *c, const struct fault *why)
{
	static const char *const ours[] = {"host", "hostaddr", "port", "target_session_attrs", "client_encoding", "gssencmode",
					   "fallback_application_name"};
	struct conninfo_params params = {c->keywords, c->values};
	const char *session = option_value(c, "target_session_attrs");
	struct resolving *r = c->resolving;
	size_t n = 0;

	if (why != NULL) {
		c->fn(c->arg, NULL, why);
		return;
	}
	for (const PQconninfoOption *o = c->options; o->keyword != NULL; o++) {
		bool known_better = o->val == NULL || o->val[0] == '\0';

		for (size_t i = 0; i < ARRAY_LENGTH(ours); i++)
			known_better = known_better || strcmp(o->keyword, ours[i]) == 0;
		if (!known_better)
			param(c, &n, o->keyword, o->val);
	}
	param(c, &n, "host", r != NULL ? rotate(&r->hosts, c->first, &c->rotated[0]) : c->host);
	param(c, &n, "hostaddr", r != NULL ? rotate(&r->addresses, c->first, &c->rotated[1]) : c->hostaddr);
	param(c, &n, "port", r != NULL ? rotate(&r->ports, c->first, &c->rotated[2]) : c->port);
	param(c, &n, "target_session_attrs", session != NULL && !c->forced ? session : c->session);
	param(c, &n, "client_encoding", "UTF8");
	param(c, &n, "gssencmode", "disable");
	param(c, &n, "fallback_application_name", "tassis-lookupd");
	c->keywords[n] = c->values[n] = NULL;
	c->fn(c->arg, &params, NULL);
}

static bool is_path(struct slice host)
{
	return host.n == 0 || host.p[0] == '/' || host.p[0] == '@';
}

/* One more host for libpq's three lists. */
static void resolving_add(struct resolving *r, struct slice host, const char *address, struct slice port)
{
	const char *comma = buf_length(&r->ports) > 0 ? "," : "";

	/* a port always, so that the lists are as long as one another */
	buf_printf(&r->hosts, "%s%.*s", comma, SLICE_PRINTF(host));
	buf_printf(&r->addresses, "%s%s", comma, address);
	buf_printf(&r->ports, "%s%.*s", comma, SLICE_PRINTF(port.n > 0 ? port : SLICE("5432")));
}

static void resolve_one(struct resolving *r, struct slice host, struct slice port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
	char name[256], address[64];
	int error;

	if (is_path(host)) {
		resolving_add(r, host, "", port);
		return;
	}
	if (!slice_cstr(host, name, sizeof(name), &r->why))
		return;
	error = getaddrinfo(name, NULL, &hints, &found);
	if (error == EAI_NONAME || error == EAI_ADDRFAMILY) { /* loopback alone does not count as configured */
		hints.ai_flags = 0;
		error = getaddrinfo(name, NULL, &hints, &found);
	}
	if (error != 0) {
		fault_set(&r->why, "4.3.0", "PostgreSQL's host %s: %s", name, gai_strerror(error));
		return;
	}
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) == 0)
			resolving_add(r, host, address, port);
	}
	freeaddrinfo(found);
}

static void resolving_work(struct pool_job *job)
{
	struct resolving *r = CONTAINER_OF(job, struct resolving, job);
	struct slice hosts = buf_slice(&r->hosts_in), ports = buf_slice(&r->ports_in), host, port = SLICE_EMPTY;

	while (slice_cut(&hosts, ',', &host)) {
		struct slice next;

		if (slice_cut(&ports, ',', &next)) /* a single one is everybody's */
			port = next;
		resolve_one(r, host, port);
	}
	r->ok = buf_length(&r->ports) > 0 && !r->hosts.failed && !r->addresses.failed && !r->ports.failed;
	if (!r->ok && r->why.text[0] == '\0')
		fault_set(&r->why, "4.3.0", "PostgreSQL's hosts have no addresses");
}

static void resolving_done(struct pool_job *job)
{
	struct resolving *r = CONTAINER_OF(job, struct resolving, job);
	struct conninfo *c = r->owner;

	if (c == NULL) {
		resolving_destroy(r);
		return;
	}
	c->under_way = false;
	conninfo_finish(c, r->ok ? NULL : &r->why);
}

static bool has_names(const struct conninfo *c)
{
	struct slice hosts = slice_of_cstr(c->host), host;

	while (slice_cut(&hosts, ',', &host)) {
		if (!is_path(host))
			return true;
	}
	return false;
}

static struct resolving *resolving_create(struct conninfo *c, struct fault *why)
{
	struct resolving *r = memory_alloc(1, sizeof(*r), why);
	struct buf *bufs[5];

	if (r == NULL)
		return NULL;
	*r = (struct resolving){.job = {.work = resolving_work, .done = resolving_done}, .owner = c};
	bufs[0] = &r->hosts_in;
	bufs[1] = &r->ports_in;
	bufs[2] = &r->hosts;
	bufs[3] = &r->addresses;
	bufs[4] = &r->ports;
	for (size_t i = 0; i < ARRAY_LENGTH(bufs); i++)
		buf_init(bufs[i], TEXT_MAX);
	if (buf_append_cstr(&r->hosts_in, c->host) && buf_append_cstr(&r->ports_in, c->port != NULL ? c->port : ""))
		return r;
	fault_set(why, "4.3.5", "database names too many hosts");
	resolving_destroy(r);
	return NULL;
}

void conninfo_resolve(struct conninfo *c, const char *session, bool forced, unsigned first, conninfo_fn *fn, void *arg)
{
	struct fault why = {0};
	struct resolving *r;

	c->session = session;
	c->forced = forced;
	c->first = first;
	c->fn = fn;
	c->arg = arg;
	if (c->under_way)
		return;
	resolving_destroy(c->resolving);
	c->resolving = NULL;
	if (c->host == NULL || c->hostaddr != NULL) { /* nothing to look up, one host, or the administrator's own list */
		conninfo_finish(c, NULL);
		return;
	}
	r = c->resolving = resolving_create(c, &why);
	if (r == NULL) {
		conninfo_finish(c, &why);
	} else if (!has_names(c)) {
		resolving_work(&r->job);
		resolving_done(&r->job);
	} else if (pool_submit(c->pool, &r->job)) {
		c->under_way = true;
	} else {
		fault_set(&why, "4.3.2", "too much is under way to look up PostgreSQL's host");
		conninfo_finish(c, &why);
	}
}
