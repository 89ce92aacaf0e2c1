#include "common/dns/cache.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX (sizeof(((struct dns_question *)0)->name) + 2)

struct entry {
	struct table_node node;
	struct list used;
	uint64_t until_ms;
	enum dns_outcome outcome;
	bool authentic;
	size_t key_length, length;
	char octets[]; /* the key, then the records */
};

/* Type, then name. */
static struct slice make_key(const struct dns_question *q, char key[KEY_MAX])
{
	size_t n = strlen(q->name);

	key[0] = (char)(q->type >> 8);
	key[1] = (char)q->type;
	memcpy(key + 2, q->name, n);
	return slice_of(key, n + 2);
}

static size_t entry_octets(const struct entry *e)
{
	return sizeof(*e) + e->key_length + e->length +
	       2 * sizeof(void *); /* and its share of the table */
}

static void drop(struct dns_cache *c, struct entry *e)
{
	c->octets -= entry_octets(e);
	table_remove(&c->table, &e->node);
	list_remove(&e->used);
	free(e);
}

static struct entry *find(struct dns_cache *c, struct slice key)
{
	struct table_node *node = table_find(&c->table, key);

	return node ? CONTAINER_OF(node, struct entry, node) : NULL;
}

void dns_cache_init(struct dns_cache *c, size_t max_octets)
{
	*c = (struct dns_cache){.max_octets = max_octets};
	table_init(&c->table);
	list_init(&c->used);
}

void dns_cache_fini(struct dns_cache *c)
{
	while (!list_empty(&c->used))
		drop(c, LIST_ENTRY(list_first(&c->used), struct entry, used));
	table_fini(&c->table);
}

void dns_cache_set_max(struct dns_cache *c, size_t max_octets)
{
	c->max_octets = max_octets;
}

bool dns_cache_find(struct dns_cache *c, const struct dns_question *q, uint64_t now_ms,
		    struct dns_cached *out)
{
	char key[KEY_MAX];
	struct entry *e = find(c, make_key(q, key));

	if (e == NULL)
		return false;
	if (e->until_ms <= now_ms) {
		drop(c, e);
		return false;
	}
	list_remove(&e->used);
	list_prepend(&c->used, &e->used);
	*out = (struct dns_cached){.outcome = e->outcome,
				   .authentic = e->authentic,
				   .ttl_s = (uint32_t)((e->until_ms - now_ms) / 1000),
				   .records = slice_of(e->octets + e->key_length, e->length)};
	return true;
}

void dns_cache_put(struct dns_cache *c, const struct dns_question *q, uint64_t now_ms,
		   const struct dns_cached *answer)
{
	char space[KEY_MAX];
	struct slice key = make_key(q, space);
	struct entry *e = find(c, key);

	if (e)
		drop(c, e);
	if (answer->ttl_s == 0 || (e = malloc(sizeof(*e) + key.n + answer->records.n)) == NULL)
		return;
	*e = (struct entry){.until_ms = now_ms + (uint64_t)answer->ttl_s * 1000,
			    .outcome = answer->outcome,
			    .authentic = answer->authentic,
			    .key_length = key.n,
			    .length = answer->records.n};
	memcpy(e->octets, key.p, key.n);
	if (answer->records.n)
		memcpy(e->octets + key.n, answer->records.p, answer->records.n);
	if (!table_insert(&c->table, &e->node, slice_of(e->octets, key.n))) {
		free(e);
		return;
	}
	list_prepend(&c->used, &e->used);
	c->octets += entry_octets(e);
	while (c->octets > c->max_octets)
		drop(c, LIST_ENTRY(c->used.prev, struct entry, used));
}
