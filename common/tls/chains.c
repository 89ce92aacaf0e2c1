#include "common/tls/chains.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/tls/certificate.h"

enum { NAME_MAX_BYTES = 253 };

struct name {
	struct table_node node;
	struct list in_chain;
	struct tls_chain *chain;
	bool entered; /* in the table */
	char text[];
};

void tls_chains_init(struct tls_chains *c)
{
	list_init(&c->chains);
	table_init(&c->names);
}

static void forget_name(struct tls_chains *c, struct name *n)
{
	if (n->entered)
		table_remove(&c->names, &n->node);
	list_remove(&n->in_chain);
	free(n);
}

static void forget_chain(struct tls_chains *c, struct tls_chain *chain)
{
	if (chain == NULL)
		return;
	LIST_EACH (at, &chain->names)
		forget_name(c, LIST_ENTRY(at, struct name, in_chain));
	list_remove(&chain->node);
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->others, X509_free);
	EVP_PKEY_free(chain->key);
	free(chain);
}

void tls_chains_fini(struct tls_chains *c)
{
	LIST_EACH (at, &c->chains)
		forget_chain(c, LIST_ENTRY(at, struct tls_chain, node));
	table_fini(&c->names);
}

static struct name *find_name(const struct tls_chains *c, struct slice text)
{
	struct table_node *node = table_find(&c->names, text);

	return node ? CONTAINER_OF(node, struct name, node) : NULL;
}

static bool collect_name(void *arg, struct slice text)
{
	struct tls_chain *chain = arg;
	struct name *n = memory_alloc(1, sizeof(*n) + text.n, NULL);

	if (n == NULL)
		return false;
	memcpy(n->text, text.p, text.n);
	n->node.key = slice_of(n->text, text.n);
	n->chain = chain;
	list_append(&chain->names, &n->in_chain);
	return true;
}

static struct tls_chain *make_chain(struct slice pem, OSSL_LIB_CTX *library,
				    struct tls_asker *asker, struct fault *why)
{
	struct tls_chain *chain = memory_alloc(1, sizeof(*chain), why);

	if (chain == NULL)
		return NULL;
	list_init(&chain->node);
	list_init(&chain->names);
	if ((chain->others = tls_chain_parse(pem, library, why)) == NULL)
		return chain;
	chain->leaf = sk_X509_shift(chain->others);
	if (X509_cmp_current_time(X509_get0_notAfter(chain->leaf)) < 0)
		fault_set(why, "5.3.5", "the certificate has expired");
	else
		chain->key =
			tls_stand_in_create(library, X509_get0_pubkey(chain->leaf), asker, why);
	return chain;
}

static bool has_name(const struct tls_chain *chain, struct slice text)
{
	LIST_EACH (at, &chain->names) {
		if (slice_equal(LIST_ENTRY(at, struct name, in_chain)->node.key, text))
			return true;
	}
	return false;
}

/* The chain whose place the new one takes: the one whose first name it has, which is what a renewed
 * certificate keeps. */
static struct tls_chain *predecessor(const struct tls_chains *c, const struct tls_chain *chain)
{
	LIST_EACH (at, &c->chains) {
		struct tls_chain *old = LIST_ENTRY(at, struct tls_chain, node);

		if (list_empty(&old->names)
			    ? list_empty(&chain->names)
			    : has_name(
				      chain,
				      LIST_ENTRY(old->names.next, struct name, in_chain)->node.key))
			return old;
	}
	return NULL;
}

/* A name belongs to the chain that came last. */
static bool enter_names(struct tls_chains *c, struct tls_chain *chain)
{
	LIST_EACH (at, &chain->names) {
		struct name *n = LIST_ENTRY(at, struct name, in_chain),
			    *old = find_name(c, n->node.key);

		if (old && old->chain == chain) { /* the certificate says it twice */
			forget_name(c, n);
			continue;
		}
		if (old)
			forget_name(c, old);
		if (!(n->entered = table_insert(&c->names, &n->node, n->node.key)))
			return false;
	}
	return true;
}

bool tls_chains_add(struct tls_chains *c, struct slice pem, bool is_default,
		    OSSL_LIB_CTX *library, struct tls_asker *asker, struct fault *why)
{
	struct tls_chain *chain = make_chain(pem, library, asker, why), *old;

	if (chain == NULL || chain->key == NULL) {
		forget_chain(c, chain);
		return false;
	}
	if (!tls_certificate_names(chain->leaf, collect_name, chain)) {
		fault_set(why, "4.3.1", "out of memory");
		forget_chain(c, chain);
		return false;
	}
	if (is_default)
		old = list_empty(&c->chains)
			      ? NULL
			      : LIST_ENTRY(c->chains.next, struct tls_chain, node);
	else
		old = predecessor(c, chain);
	if (old != NULL) {
		list_insert_before(&old->node, &chain->node);
		forget_chain(c, old);
	} else {
		list_append(&c->chains, &chain->node);
	}
	if (enter_names(c, chain))
		return true;
	fault_set(why, "4.3.1", "out of memory");
	return false;
}

const struct tls_chain *tls_chains_find(const struct tls_chains *c, const char *name)
{
	char lower[NAME_MAX_BYTES + 1];
	size_t n = name ? strlen(name) : 0, dot = 0;
	const struct name *found = NULL;

	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n > 0 && n <= NAME_MAX_BYTES) {
		for (size_t i = 0; i < n; i++)
			lower[i] = ascii_lower(name[i]);
		found = find_name(c, slice_of(lower, n));
		dot = slice_find(slice_of(lower, n), '.');
		if (found == NULL && dot != SIZE_MAX && dot > 0) {
			lower[dot - 1] =
				'*'; /* RFC 6125 6.4.3: stands for the whole leftmost label */
			found = find_name(c, slice_of(lower + dot - 1, n - dot + 1));
		}
	}
	if (found)
		return found->chain;
	return list_empty(&c->chains) ? NULL : LIST_ENTRY(c->chains.next, struct tls_chain, node);
}
