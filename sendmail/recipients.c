#include "sendmail/recipients.h"

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/mail/address_list.h"
#include "common/mail/path.h"
#include "common/mail/submission.h"

#define ARENA_BYTES ((size_t)256 << 20)
#define ADDRESS_BYTES 4096

void recipients_init(struct recipients *r, struct slice hostname)
{
	*r = (struct recipients){.hostname = hostname};
	arena_init(&r->arena, ARENA_BYTES);
	table_init(&r->known);
	r->end = &r->first;
}

void recipients_fini(struct recipients *r)
{
	table_fini(&r->known);
	arena_reset(&r->arena);
}

/* Is there an at sign behind what quotes hold? */
static bool has_domain(struct slice address)
{
	bool quoted = false;

	for (size_t i = 0; i < address.n; i++) {
		if (address.p[i] == '\\')
			i++;
		else if (address.p[i] == '"')
			quoted = !quoted;
		else if (address.p[i] == '@' && !quoted)
			return true;
	}
	return false;
}

bool mailbox_complete(struct slice address, struct slice hostname, bool empty_is_null,
		      struct buf *out, struct fault *why)
{
	struct buf whole;
	struct slice rest;
	struct path p;
	bool null = empty_is_null && (address.n == 0 || slice_equal(address, SLICE("<>"))), ok;

	if (null)
		return true;
	buf_init(&whole, ADDRESS_BYTES);
	ok = buf_append_char(&whole, '<') && buf_append(&whole, address) &&
	     (has_domain(address) ||
	      (buf_append_char(&whole, '@') && buf_append(&whole, hostname))) &&
	     buf_append_char(&whole, '>');
	rest = buf_slice(&whole);
	if (!ok)
		fault_set(why, "5.1.3", "%.*s … is too long for an address",
			  SLICE_PRINTF(slice_head(address, 64)));
	else if (!path_parse(&rest, 0, &p, why) || rest.n > 0 || !path_append(&p, out)) {
		fault_set(why, "5.1.3", "%.*s is no address; right would be ann@example.org",
			  SLICE_PRINTF(slice_head(address, 256)));
		ok = false;
	}
	buf_fini(&whole);
	return ok;
}

static bool add_one(struct recipients *r, struct slice address, struct fault *why)
{
	struct recipient *made;
	struct buf mailbox;
	bool ok = false;

	buf_init(&mailbox, ADDRESS_BYTES);
	if (!mailbox_complete(address, r->hostname, false, &mailbox, why))
		goto out;
	ok = table_find(&r->known, buf_slice(&mailbox)) != NULL;
	if (ok || (made = arena_alloc(&r->arena, sizeof(*made), why)) == NULL ||
	    !arena_copy(&r->arena, buf_slice(&mailbox), &made->mailbox, why))
		goto out;
	ok = table_insert(&r->known, &made->by_mailbox, made->mailbox);
	if (!ok) {
		fault_set(why, "4.3.1", "out of memory");
		goto out;
	}
	*r->end = made;
	r->end = &made->next;
	r->n++;
out:
	buf_fini(&mailbox);
	return ok;
}

bool recipients_add(struct recipients *r, struct slice list, struct fault *why)
{
	struct slice rest = list;
	enum address_found found;
	struct buf address;
	bool ok = true;

	buf_init(&address, ADDRESS_BYTES);
	while (ok && (found = address_list_next(&rest, &address)) != ADDRESS_NONE) {
		if (found == ADDRESS_BAD)
			fault_set(why, "5.1.3", "there is no address in \"%.*s\"",
				  SLICE_PRINTF(slice_head(slice_trim(list), 256)));
		ok = found == ADDRESS_ONE && add_one(r, buf_slice(&address), why);
	}
	buf_fini(&address);
	return ok;
}

static bool is_one_of(struct slice name, const struct slice names[3])
{
	return slice_equal_nocase(name, names[0]) || slice_equal_nocase(name, names[1]) ||
	       slice_equal_nocase(name, names[2]);
}

bool recipients_add_of_header(struct recipients *r, struct slice header, struct fault *why)
{
	static const struct slice usual[3] = {{"to", 2}, {"cc", 2}, {"bcc", 3}};
	static const struct slice resent[3] = {
		{"resent-to", 9}, {"resent-cc", 9}, {"resent-bcc", 10}};
	const struct slice *wanted = usual;
	struct slice rest = header, field, name;

	while (field_next(&rest, &field, &name))
		if (is_one_of(name, resent))
			wanted = resent;
	for (rest = header; field_next(&rest, &field, &name);)
		if (is_one_of(name, wanted) && !recipients_add(r, field_value(field), why))
			return false;
	return true;
}

struct recipient *recipients_next(const struct recipients *r, const struct recipient *after,
				  enum recipient_state state)
{
	struct recipient *one = after == NULL ? r->first : after->next;

	while (one != NULL && one->state != state)
		one = one->next;
	return one;
}

void recipients_move(struct recipients *r, enum recipient_state from, enum recipient_state to)
{
	for (struct recipient *one = r->first; one != NULL; one = one->next)
		if (one->state == from)
			one->state = to;
}
