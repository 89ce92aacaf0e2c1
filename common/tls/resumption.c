#include "common/tls/resumption.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

struct kept {
	struct table_node node;
	struct list by_age;
	unsigned char *der;
	size_t n;
	char host[];
};

void tls_resumption_init(struct tls_resumption *r)
{
	table_init(&r->hosts);
	list_init(&r->by_age);
}

static void forget(struct tls_resumption *r, struct kept *k)
{
	table_remove(&r->hosts, &k->node);
	list_remove(&k->by_age);
	memory_wipe(k->der, k->n); /* it holds the session's secret */
	free(k->der);
	free(k);
}

void tls_resumption_fini(struct tls_resumption *r)
{
	LIST_EACH (at, &r->by_age)
		forget(r, LIST_ENTRY(at, struct kept, by_age));
	table_fini(&r->hosts);
}

static struct kept *find(const struct tls_resumption *r, const char *host)
{
	struct table_node *node = table_find(&r->hosts, slice_of_cstr(host));

	return node ? CONTAINER_OF(node, struct kept, node) : NULL;
}

void tls_resumption_forget(struct tls_resumption *r, const char *host)
{
	struct kept *k = find(r, host);

	if (k)
		forget(r, k);
}

static struct kept *make(const char *host, SSL_SESSION *session)
{
	size_t n_host = strlen(host);
	int n = i2d_SSL_SESSION(session, NULL);
	struct kept *k;
	unsigned char *p;

	if (n <= 0 || n > TLS_RESUMPTION_MAX_BYTES ||
	    (k = memory_alloc(1, sizeof(*k) + n_host + 1, NULL)) == NULL)
		return NULL;
	if ((k->der = p = malloc((size_t)n)) == NULL || i2d_SSL_SESSION(session, &p) != n) {
		free(k->der);
		free(k);
		return NULL;
	}
	k->n = (size_t)n;
	memcpy(k->host, host, n_host + 1);
	return k;
}

void tls_resumption_put(struct tls_resumption *r, const char *host, SSL_SESSION *session)
{
	struct kept *k = make(host, session);

	if (k == NULL)
		return;
	tls_resumption_forget(r, host);
	if (r->hosts.n >= TLS_RESUMPTION_MAX)
		forget(r, LIST_ENTRY(r->by_age.prev, struct kept, by_age));
	if (!table_insert(&r->hosts, &k->node, slice_of_cstr(k->host))) {
		free(k->der);
		free(k);
		return;
	}
	list_prepend(&r->by_age, &k->by_age);
}

SSL_SESSION *tls_resumption_get(const struct tls_resumption *r, const char *host)
{
	const struct kept *k = find(r, host);
	const unsigned char *p = k ? k->der : NULL;

	return k ? d2i_SSL_SESSION(NULL, &p, (long)k->n) : NULL;
}
