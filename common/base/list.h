/* common/base/list.h: a ring of nodes that lie inside what they link. No allocation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"

struct list {
	struct list *next, *prev; /* both point to itself: an empty list, or a node in none */
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}
static inline void list_append(struct list *l, struct list *node) { list_insert_before(l, node); }
static inline void list_prepend(struct list *l, struct list *node) { list_insert_before(l->next, node); }
/* Takes node out of its list; in none afterwards. Safe on a node in none. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}
static inline struct list *list_first(struct list *l) { return list_empty(l) ? NULL : l->next; }

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
/* The body may remove the node it stands on, no other. */
#define LIST_EACH(node, l) \
	for (struct list *node = (l)->next, *node##_next_ = node->next; node != (l); \
	     node = node##_next_, node##_next_ = node->next)
