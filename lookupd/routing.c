#include "lookupd/routing.h"

#include <stdint.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/ipc/frame.h"

#define ARENA_MAX (24u << 20)
#define ROUTING_PASSWORD_MAX 1024 /* as route_target carries */

/* An address that waits to be looked at. */
struct routing_item {
	struct routing_item *next;
	struct slice path;
	unsigned depth;
	bool past_alias;
	bool may_be_bare; /* it need not have a domain */
};

void routing_init(struct routing *r)
{
	buf_init_secret(&r->targets, IPC_LIST_MAX); /* next hops' passwords */
	arena_init(&r->arena, ARENA_MAX);
	table_init(&r->seen);
}

void routing_fini(struct routing *r)
{
	buf_fini(&r->targets);
	table_fini(&r->seen);
	arena_reset(&r->arena);
}

static void routing_add(struct lookup *l, struct routing *r, struct routing_item add)
{
	struct fault why = {0};
	struct routing_item *item = arena_alloc(&r->arena, sizeof(*item), &why);

	if (item == NULL) {
		lookup_fail(l, &why);
		return;
	}
	*item = add;
	*r->last = item;
	r->last = &item->next;
}

/* Is this the first time that we see the address as what (an alias, an end)? */
static bool routing_first(struct lookup *l, struct routing *r, char what, const struct name *n)
{
	struct table_node *node;
	struct fault why = {0};
	struct slice key;
	char octets[1 + sizeof(n->octets)];
	size_t length = 1 + n->n;

	octets[0] = what;
	memcpy(octets + 1, n->octets, n->n);
	if (table_find(&r->seen, slice_of(octets, length)) != NULL)
		return false;
	node = arena_alloc(&r->arena, sizeof(*node), &why);
	if (node == NULL || !arena_copy(&r->arena, slice_of(octets, length), &key, &why) || !table_insert(&r->seen, node, key)) {
		if (why.text[0] == '\0')
			fault_set(&why, "4.3.1", "out of memory");
		lookup_fail(l, &why);
		return false;
	}
	return true;
}

static void routing_put(struct lookup *l, struct routing *r, const struct ipc_route_target *target)
{
	struct fault why = {0};

	if (!ipc_put_route_target(&r->targets, target)) {
		fault_set(&why, "4.3.1", "the targets of %.*s need too much memory", SLICE_PRINTF(r->forward_path));
		lookup_fail(l, &why);
		return;
	}
	r->n_targets++;
}

static void routing_refuse(struct lookup *l, struct routing *r, struct slice path, const char *status, const char *reason)
{
	struct ipc_route_target target = {.kind = ROUTE_REFUSED, .forward_path = path};

	fault_set(&target.why, status, "%.*s: %s", SLICE_PRINTF(path), reason);
	routing_put(l, r, &target);
}

static bool has_mailbox(struct slice mailboxes, struct slice name, struct slice *out)
{
	while (slice_cut(&mailboxes, '\n', out)) {
		if (slice_equal_nocase(*out, name) && out->n <= IPC_HOST_MAX)
			return true;
	}
	return false;
}

/* Which of the user's mailboxes; "" is where their mail goes. What they sent themselves is no place for others' mail. */
static struct slice routing_mailbox(const struct routing *r, const struct resident *user, const struct name *n)
{
	struct slice mailboxes = rows_cell(user->rows, 0, USER_MAILBOXES), found;
	struct slice detail = slice_tail(n->local, user->local.n + 1);

	if (r->mailbox.n > 0)
		return r->mailbox;
	if (r->spam)
		return has_mailbox(mailboxes, SLICE("spam"), &found) ? SLICE("spam") : SLICE_EMPTY;
	if (r->detail_mailbox && detail.n > 0 && !slice_equal_nocase(detail, SLICE("sent")) && has_mailbox(mailboxes, detail, &found))
		return found;
	return SLICE_EMPTY;
}

static void routing_local(struct lookup *l, struct routing *r, struct slice path, const struct resident *user, const struct name *n)
{
	struct ipc_route_target target = {.kind = ROUTE_LOCAL, .forward_path = path};
	char folder[FOLDER_MAX + 1];
	struct fault why = {0};

	if (!resident_folder(user, n, folder, &target.folder, &why)) {
		lookup_fail(l, &why);
		return;
	}
	target.mailbox = routing_mailbox(r, user, n);
	target.quota_bytes = rows_number(user->rows, 0, USER_QUOTA_BYTES, 0);
	target.quota_messages = rows_number(user->rows, 0, USER_QUOTA_MESSAGES, 0);
	routing_put(l, r, &target);
}

static bool tls_of(struct slice word, uint8_t *out)
{
	static const char *const words[] = {
		[ROUTE_TLS_STARTTLS_IF_OFFERED] = "optional",
		[ROUTE_TLS_STARTTLS] = "starttls",
		[ROUTE_TLS_IMPLICIT] = "implicit",
		[ROUTE_TLS_NONE] = "none",
	};

	*out = ROUTE_TLS_STARTTLS_IF_OFFERED;
	if (word.n == 0)
		return true;
	for (uint8_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (slice_equal_nocase(word, slice_of_cstr(words[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* RFC 5321 4.1.3: [192.0.2.1] and [IPv6:2001:db8::1] name a host; there is no MX to ask for. */
static struct slice literal_host(struct slice domain)
{
	struct slice inner = slice_head(slice_tail(domain, 1), domain.n >= 2 ? domain.n - 2 : 0);

	return slice_starts_nocase(inner, SLICE("IPv6:")) ? slice_tail(inner, 5) : inner;
}

/* False: what the row says is no next hop. */
static bool route_read(const struct rows *route, struct ipc_route_target *target)
{
	uint64_t port = rows_number(route, 0, ROUTE_PORT, 0);

	target->host = rows_cell(route, 0, ROUTE_HOST);
	target->port = port <= UINT16_MAX ? (uint16_t)port : 0;
	target->mx = rows_flag(route, 0, ROUTE_MX, false);
	target->username = rows_cell(route, 0, ROUTE_USERNAME);
	target->password = rows_cell(route, 0, ROUTE_PASSWORD);
	return port <= UINT16_MAX && target->host.n <= IPC_HOST_MAX && target->username.n <= IPC_HOST_MAX &&
	       target->password.n <= ROUTING_PASSWORD_MAX && tls_of(rows_cell(route, 0, ROUTE_TLS), &target->tls);
}

static void routing_remote(struct lookup *l, struct routing *r, struct slice path, const struct name *n)
{
	struct ipc_route_target target = {.kind = ROUTE_REMOTE, .forward_path = path, .host = n->domain, .mx = true};
	struct fault why = {0};
	const struct rows *route;

	if (!lookup_get(l, &(struct query_key){QUERY_route, {n->domain, r->sender_domain}}, &route))
		return;
	if (rows_cell(route, 0, ROUTE_HOST).n > 0) {
		if (!route_read(route, &target)) {
			fault_set(&why, "4.3.5", "the route of %.*s makes no sense", SLICE_PRINTF(n->domain));
			lookup_fail(l, &why);
			return;
		}
	} else if (name_is_literal(n)) {
		target.host = literal_host(n->domain);
		target.mx = false;
	}
	routing_put(l, r, &target);
}

static void routing_open(struct lookup *l, struct routing *r, const struct routing_item *item, const struct name *n, const struct resident *alias)
{
	struct resident_target target;
	struct name name;

	if (!routing_first(l, r, 'a', n))
		return;
	if (item->depth == ROUTING_DEPTH_MAX) {
		routing_refuse(l, r, item->path, "5.4.6", "too many aliases lead to it, one behind the other");
		return;
	}
	for (size_t i = 0; i < alias->rows->n_rows; i++) {
		bool sound = resident_target(alias, i, r->names, n, &target, &name); /* what is no address is refused in its turn */

		routing_add(l, r, (struct routing_item){.path = target.path, .depth = item->depth + 1, .past_alias = sound && target.past_alias,
							.may_be_bare = alias->source == RESIDENT_FILE});
	}
}

/* RFC 5321 4.5.1: it cannot be refused for good; who runs us must say who gets it. */
static void routing_needed(struct lookup *l, struct routing *r, struct slice path)
{
	struct fault why = {0};

	r->needed = true;
	fault_set(&why, "4.3.5", "nobody takes the mail for %.*s", SLICE_PRINTF(path));
	lookup_fail(l, &why);
}

/* The end of a way: path is what is found, no alias. */
static void routing_end(struct lookup *l, struct routing *r, struct slice path, const struct name *n, const struct resident *found)
{
	switch (found->kind) {
	case RESIDENT_USER:
		routing_local(l, r, path, found, n);
		return;
	case RESIDENT_NOBODY:
		routing_refuse(l, r, path, "5.1.1", "there is no such user");
		return;
	case RESIDENT_DISABLED:
		routing_refuse(l, r, path, "5.2.1", "this address is switched off");
		return;
	case RESIDENT_NEEDED:
		routing_needed(l, r, path);
		return;
	case RESIDENT_RELAYED:
	case RESIDENT_ELSEWHERE:
		if (r->mailbox.n > 0) /* it would be another host's */
			routing_refuse(l, r, path, "5.1.1", "there is no such user");
		else
			routing_remote(l, r, path, n);
		return;
	case RESIDENT_LATER:
	case RESIDENT_ALIAS:
		return;
	}
}

static void routing_item_evaluate(struct lookup *l, struct routing *r, const struct routing_item *item)
{
	bool whole = slice_find(item->path, '@') != SIZE_MAX;
	struct resident found;
	struct name name;

	if (item->path.n > IPC_PATH_MAX || !resident_name(r->names, item->path, &name) || (name.bare && !item->may_be_bare)) {
		routing_refuse(l, r, slice_head(item->path, 320), "5.1.3", "this is no address");
		return;
	}
	found = resident_find(l, r->names, &name, item->past_alias);
	if (r->look != NULL && found.kind != RESIDENT_LATER)
		r->look(r->look_arg, item->depth, &name, &found);
	if (found.kind == RESIDENT_LATER)
		return;
	if (found.kind == RESIDENT_ALIAS)
		routing_open(l, r, item, &name, &found);
	else if (item->depth == 0 || routing_first(l, r, 'e', &name))
		routing_end(l, r, whole ? item->path : name_whole(&name), &name, &found);
}

/* From the beginning, with nothing left of the run before. */
static void routing_reset(struct routing *r)
{
	table_fini(&r->seen);
	table_init(&r->seen);
	arena_reset(&r->arena);
	buf_reset(&r->targets);
	r->n_targets = 0;
	r->needed = false;
	r->first = NULL;
	r->last = &r->first;
}

void routing_evaluate(struct lookup *l, void *arg)
{
	struct routing *r = arg;
	size_t n = 0;

	routing_reset(r);
	r->sender_domain = name_parse(r->reverse_path, r->names->hostname, &r->sender) ? r->sender.domain : SLICE_EMPTY;
	routing_add(l, r, (struct routing_item){.path = r->forward_path, .past_alias = r->mailbox.n > 0, .may_be_bare = true});
	for (struct routing_item *item = r->first; item != NULL && !l->failed; item = item->next) {
		if (++n > ROUTING_TARGETS_MAX + 1) {
			routing_refuse(l, r, r->forward_path, "5.4.6", "its aliases have too many targets");
			break;
		}
		routing_item_evaluate(l, r, item);
	}
	if (r->n_targets == 0 && l->n_missing == 0 && !l->failed)
		routing_refuse(l, r, r->forward_path, "5.4.6", "its aliases lead back to it");
}
