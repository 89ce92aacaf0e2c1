#include "deliverd/remote/avoided.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/address.h"
#include "common/base/memory.h"

struct entry {
	struct table_node node;
	struct list by_age;
	uint64_t until_ms;
	char key[IP_TEXT_MAX];
};

void avoided_init(struct avoided *a)
{
	table_init(&a->addresses);
	list_init(&a->by_age);
}

static void forget(struct avoided *a, struct entry *e)
{
	table_remove(&a->addresses, &e->node);
	list_remove(&e->by_age);
	free(e);
}

void avoided_fini(struct avoided *a)
{
	LIST_EACH (at, &a->by_age)
		forget(a, LIST_ENTRY(at, struct entry, by_age));
	table_fini(&a->addresses);
}

static struct entry *find(const struct avoided *a, const struct ip *ip)
{
	char text[IP_TEXT_MAX];
	struct table_node *node = table_find(&a->addresses, slice_of_cstr(ip_text(ip, text)));

	return node ? CONTAINER_OF(node, struct entry, node) : NULL;
}

void avoided_add(struct avoided *a, const struct ip *ip, uint64_t now_ms)
{
	struct entry *e = find(a, ip);

	if (e)
		forget(a, e);
	if (a->addresses.n >= AVOIDED_MAX)
		forget(a, LIST_ENTRY(list_first(&a->by_age), struct entry, by_age));
	if ((e = memory_alloc(1, sizeof(*e), NULL)) == NULL)
		return;
	e->until_ms = now_ms + AVOIDED_MS;
	if (!table_insert(&a->addresses, &e->node, slice_of_cstr(ip_text(ip, e->key)))) {
		free(e);
		return;
	}
	list_append(&a->by_age, &e->by_age);
}

bool avoided_has(const struct avoided *a, const struct ip *ip, uint64_t now_ms)
{
	const struct entry *e = find(a, ip);

	return e && now_ms < e->until_ms;
}
