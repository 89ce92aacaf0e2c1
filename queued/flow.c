#include "queued/flow.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "queued/message.h"
#include "queued/schedule.h"

void flows_init(struct flows *flows)
{
	table_init(&flows->table);
	random_fill(flows->secret, sizeof(flows->secret));
}

static void flow_free(struct table_node *node, void *arg)
{
	struct flows *flows = arg;

	table_remove(&flows->table, node);
	free(LIST_ENTRY(node, struct flow, node));
}

void flows_fini(struct flows *flows)
{
	table_each(&flows->table, flow_free, flows);
	table_fini(&flows->table);
}

static struct slice sender_of(const struct message *m, char address[IP_TEXT_MAX])
{
	if (m->envelope.user.n > 0)
		return m->envelope.user;
	if (m->envelope.client.family != 0)
		return slice_of_cstr(ip_text(&m->envelope.client, address));
	return m->envelope.reverse_path;
}

struct flow *flow_of(struct flows *flows, struct destination *to, const struct message *m,
		     struct fault *why)
{
	char address[IP_TEXT_MAX], key[sizeof(to) + ENVELOPE_PATH_MAX];
	struct slice sender = slice_head(sender_of(m, address), ENVELOPE_PATH_MAX);
	size_t n = sizeof(to) + sender.n;
	struct table_node *node;
	struct flow *f;

	memcpy(key, &to, sizeof(to));
	if (sender.n > 0)
		memcpy(key + sizeof(to), sender.p, sender.n);
	if ((node = table_find(&flows->table, slice_of(key, n))) != NULL)
		return LIST_ENTRY(node, struct flow, node);
	if ((f = memory_alloc(1, sizeof(*f) + n, why)) == NULL)
		return NULL;
	memcpy(f->key, key, n);
	f->destination = to;
	list_init(&f->turn);
	list_init(&f->waiting);
	if (!table_insert(&flows->table, &f->node, slice_of(f->key, n))) {
		fault_set(why, "4.3.1", "no memory for a flow");
		free(f);
		return NULL;
	}
	return f;
}

void flow_settle(struct flows *flows, struct flow *f)
{
	if (f->n_held == 0)
		flow_free(&f->node, flows);
}

unsigned flow_in_schedule(const struct flows *flows, const struct message *m)
{
	char address[IP_TEXT_MAX];
	struct slice sender = sender_of(m, address);

	return (unsigned)(siphash(flows->secret, sender.p, sender.n) % SCHEDULE_FLOWS);
}
