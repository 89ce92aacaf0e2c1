#include "deliverd/remote/idle.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/table.h"
#include "deliverd/remote/remote.h"

struct idle_queue {
	struct table_node node;
	struct list sessions; /* the one used last is the first */
	char key[];
};

static struct idle_queue *queue_of(struct remote *r, struct slice next_hop)
{
	struct table_node *node = table_find(&r->idle, next_hop);
	struct idle_queue *q;

	if (node)
		return CONTAINER_OF(node, struct idle_queue, node);
	if ((q = calloc(1, sizeof(*q) + next_hop.n)) == NULL)
		return NULL;
	list_init(&q->sessions);
	memcpy(q->key, next_hop.p, next_hop.n);
	if (table_insert(&r->idle, &q->node, slice_of(q->key, next_hop.n)))
		return q;
	free(q);
	return NULL;
}

bool idle_keep(struct remote *r, struct idle_place *place, struct slice next_hop)
{
	if (next_hop.n == 0 || r->n_idle >= r->idle_max ||
	    (place->queue = queue_of(r, next_hop)) == NULL)
		return false;
	list_init(&place->node);
	list_prepend(&place->queue->sessions, &place->node);
	r->n_idle++;
	return true;
}

struct session *idle_take(struct remote *r, struct slice next_hop)
{
	struct table_node *node = table_find(&r->idle, next_hop);
	struct idle_place *place;

	if (node == NULL)
		return NULL;
	place = LIST_ENTRY(list_first(&CONTAINER_OF(node, struct idle_queue, node)->sessions),
			   struct idle_place, node);
	idle_forget(r, place);
	return place->session;
}

void idle_forget(struct remote *r, struct idle_place *place)
{
	struct idle_queue *q = place->queue;

	if (q == NULL)
		return;
	list_remove(&place->node);
	place->queue = NULL;
	r->n_idle--;
	if (!list_empty(&q->sessions))
		return;
	table_remove(&r->idle, &q->node);
	free(q);
}
