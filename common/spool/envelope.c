#include "common/spool/envelope.h"

#include <assert.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/spool/record.h"

/* Values that are text: key, place in the struct. What is not text (client, body, smtputf8) is in envelope_encode and flag_read. */
struct field {
	struct slice key;
	size_t offset;
};

#define FIELD(type, key, member) {{key, sizeof(key) - 1}, offsetof(struct type, member)}

static const struct field message_fields[] = {
	FIELD(envelope, "helo", helo), FIELD(envelope, "client_name", client_name), FIELD(envelope, "user", user),
	FIELD(envelope, "ret", ret), FIELD(envelope, "envid", envid), FIELD(envelope, "notice", notice),
};

static const struct field recipient_fields[] = {
	FIELD(envelope_recipient, "notify", notify),
	FIELD(envelope_recipient, "orcpt", orcpt),
	FIELD(envelope_recipient, "mailbox", mailbox),
};

/* ---- writing ---- */

static bool put(struct buf *out, struct slice key, struct slice value)
{
	return buf_append(out, key) && buf_append_char(out, ' ') && record_escape(out, value, false) && buf_append_char(out, '\n');
}

static bool put_fields(struct buf *out, const struct field *fields, size_t n, const void *base)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		const struct slice *value = (const void *)((const char *)base + fields[i].offset);

		if (value->n > 0)
			ok &= put(out, fields[i].key, *value);
	}
	return ok;
}

bool envelope_encode(const struct envelope *e, struct buf *out)
{
	char client[IP_TEXT_MAX];
	bool ok = put(out, SLICE("from"), e->reverse_path);

	assert(e->reverse_path.n <= ENVELOPE_PATH_MAX && e->n_recipients > 0);
	if (e->client.family != 0)
		ok &= put(out, SLICE("client"), slice_of_cstr(ip_text(&e->client, client)));
	ok &= put_fields(out, message_fields, ARRAY_LENGTH(message_fields), e);
	if (e->eight_bit)
		ok &= put(out, SLICE("body"), SLICE("8bitmime"));
	if (e->utf8)
		ok &= put(out, SLICE("smtputf8"), SLICE("yes"));
	if (e->spam)
		ok &= put(out, SLICE("spam"), SLICE("yes"));
	for (size_t i = 0; i < e->n_recipients; i++) {
		const struct envelope_recipient *r = &e->recipients[i];

		assert(r->forward_path.n > 0 && r->forward_path.n <= ENVELOPE_PATH_MAX);
		ok &= put(out, SLICE("to"), r->forward_path);
		ok &= put_fields(out, recipient_fields, ARRAY_LENGTH(recipient_fields), r);
	}
	return ok;
}

/* ---- reading ---- */

struct reader {
	struct envelope *e;
	struct arena *arena;
	bool has_from, has_client;
	struct fault *why;
};

static bool refuse(struct reader *r, const char *what)
{
	fault_set(r->why, "5.3.0", "%s", what);
	return false;
}

static bool text_read(struct reader *r, struct slice value, struct slice *out)
{
	if (out->p != NULL)
		return refuse(r, "it stands there twice");
	return record_unescape(value, r->arena, out, r->why);
}

static bool path_read(struct reader *r, struct slice value, struct slice *out)
{
	if (!record_unescape(value, r->arena, out, r->why))
		return false;
	return out->n <= ENVELOPE_PATH_MAX || refuse(r, "the path is too long");
}

static bool to_read(struct reader *r, struct slice value)
{
	struct envelope_recipient *recipient = &r->e->recipients[r->e->n_recipients];

	if (!path_read(r, value, &recipient->forward_path))
		return false;
	r->e->n_recipients++;
	return recipient->forward_path.n > 0 || refuse(r, "the forward-path is empty");
}

static bool from_read(struct reader *r, struct slice value)
{
	if (r->has_from)
		return refuse(r, "it stands there twice");
	r->has_from = true;
	return path_read(r, value, &r->e->reverse_path);
}

static bool client_read(struct reader *r, struct slice value)
{
	if (r->has_client)
		return refuse(r, "it stands there twice");
	r->has_client = true;
	return ip_parse(value, &r->e->client) || refuse(r, "no IP address");
}

static bool flag_read(struct reader *r, struct slice value, struct slice wanted, bool *out)
{
	if (*out)
		return refuse(r, "it stands there twice");
	*out = slice_equal(value, wanted);
	return *out || refuse(r, "the value is not known");
}

static const struct field *field_find(const struct field *fields, size_t n, struct slice key)
{
	for (size_t i = 0; i < n; i++)
		if (slice_equal(fields[i].key, key))
			return &fields[i];
	return NULL;
}

static bool field_read(struct reader *r, const struct field *f, void *base, struct slice value)
{
	return text_read(r, value, (void *)((char *)base + f->offset));
}

/* A record about the message; *known false: the key is not one of those. */
static bool message_record(struct reader *r, struct slice key, struct slice value, bool *known)
{
	const struct field *f = field_find(message_fields, ARRAY_LENGTH(message_fields), key);

	*known = true;
	if (f != NULL)
		return field_read(r, f, r->e, value);
	if (slice_equal(key, SLICE("from")))
		return from_read(r, value);
	if (slice_equal(key, SLICE("client")))
		return client_read(r, value);
	if (slice_equal(key, SLICE("body")))
		return flag_read(r, value, SLICE("8bitmime"), &r->e->eight_bit);
	if (slice_equal(key, SLICE("smtputf8")))
		return flag_read(r, value, SLICE("yes"), &r->e->utf8);
	if (slice_equal(key, SLICE("spam")))
		return flag_read(r, value, SLICE("yes"), &r->e->spam);
	*known = false;
	return true;
}

static bool record_read(struct reader *r, struct slice line)
{
	const struct field *f;
	struct slice key;
	bool known;

	if (!slice_cut(&line, ' ', &key) || line.p == NULL)
		return refuse(r, "no key and value");
	if (slice_equal(key, SLICE("to")))
		return to_read(r, line);
	if ((f = field_find(recipient_fields, ARRAY_LENGTH(recipient_fields), key)) != NULL) {
		if (r->e->n_recipients == 0)
			return refuse(r, "no forward-path stands before it");
		return field_read(r, f, &r->e->recipients[r->e->n_recipients - 1], line);
	}
	if (!message_record(r, key, line, &known))
		return false;
	return !known || r->e->n_recipients == 0 || refuse(r, "it must stand before the first forward-path");
}

static size_t count_recipients(struct slice block)
{
	struct slice line;
	size_t n = 0;

	while (slice_cut(&block, '\n', &line))
		n += slice_starts(line, SLICE("to "));
	return n;
}

bool envelope_decode(struct slice block, struct arena *arena, struct envelope *out, struct fault *why)
{
	struct reader r = {.e = out, .arena = arena, .why = why};
	size_t n = count_recipients(block);
	struct slice line;

	*out = (struct envelope){0};
	if (n == 0 || block.p[block.n - 1] != '\n') {
		fault_set(why, "5.3.0", "the envelope has %s", n == 0 ? "no recipient" : "no line end at its end");
		return false;
	}
	if ((out->recipients = arena_alloc(arena, n * sizeof(*out->recipients), why)) == NULL)
		return false;
	block.n--;
	for (size_t i = 1; slice_cut(&block, '\n', &line); i++) {
		if (record_read(&r, line))
			continue;
		fault_add(why, "line %zu of the envelope (%.*s)", i, SLICE_PRINTF(slice_head(line, 80)));
		return false;
	}
	if (!r.has_from) {
		fault_set(why, "5.3.0", "the envelope has no reverse-path");
		return false;
	}
	return true;
}
