#include "common/ipc/frame.h"

#include <string.h>

#include "common/base/ascii.h"

/* Two bits of the type on the wire are marks: an answer, and a descriptor that comes with the frame (link.c). */

/* ---- writing: the buf's own sticky error, and what was wrong ---- */

struct writer {
	struct buf *out;
	struct fault *why;
	bool bad;
};

static void put_octets(struct writer *w, const void *p, size_t n)
{
	buf_append(w->out, slice_of(p, n));
}

static void put_number(struct writer *w, uint64_t n, size_t size)
{
	unsigned char octets[8];

	for (size_t i = 0; i < size; i++)
		octets[i] = (unsigned char)(n >> (8 * (size - 1 - i)));
	put_octets(w, octets, size);
}

static void put_slice(struct writer *w, struct slice s, size_t max, const char *name)
{
	if (s.n > max) {
		fault_set(w->why, "5.5.2", "%s has %zu octets; at most %zu are taken", name, s.n, max);
		w->bad = true;
		return;
	}
	put_number(w, s.n, 4);
	put_octets(w, s.p, s.n);
}

static void put_text(struct writer *w, struct slice s, size_t max, const char *name)
{
	if (s.n && memchr(s.p, '\0', s.n)) {
		fault_set(w->why, "5.5.2", "%s holds a NUL", name);
		w->bad = true;
		return;
	}
	put_slice(w, s, max, name);
}

static void put_ip(struct writer *w, const struct ip *ip)
{
	put_number(w, ip->family, 1);
	put_octets(w, ip->octets, ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0);
}

static void put_fault(struct writer *w, const struct fault *f)
{
	put_number(w, f->class, 1);
	put_slice(w, slice_of_cstr(f->status), sizeof(f->status) - 1, "status");
	put_slice(w, slice_of_cstr(f->text), sizeof(f->text) - 1, "text");
}

#define PUT_u8(name, ...) put_number(w, m->name, 1);
#define PUT_u16(name, ...) put_number(w, m->name, 2);
#define PUT_u32(name, ...) put_number(w, m->name, 4);
#define PUT_u64(name, ...) put_number(w, m->name, 8);
#define PUT_flag(name, ...) put_number(w, m->name, 1);
#define PUT_ip(name, ...) put_ip(w, &m->name);
#define PUT_text(name, max) put_text(w, m->name, max, #name);
#define PUT_octets(name, max) put_slice(w, m->name, max, #name);
#define PUT_fault(name, ...) put_fault(w, &m->name);
#define PUT_FIELD(kind, ...) PUT_##kind(__VA_ARGS__)

/* ---- reading: a sticky error, asked once at the end ---- */

struct reader {
	struct slice rest;
	const char *bad; /* the first field that was wrong */
};

static struct slice get_octets(struct reader *r, size_t n, const char *name)
{
	struct slice got = slice_head(r->rest, n);

	if (r->bad == NULL && got.n < n)
		r->bad = name;
	if (r->bad)
		return SLICE_EMPTY;
	r->rest = slice_tail(r->rest, n);
	return got;
}

static uint64_t get_number(struct reader *r, size_t size, const char *name)
{
	struct slice octets = get_octets(r, size, name);
	uint64_t n = 0;

	for (size_t i = 0; i < octets.n; i++)
		n = n << 8 | (unsigned char)octets.p[i];
	return n;
}

static struct slice get_slice(struct reader *r, size_t max, const char *name)
{
	size_t n = get_number(r, 4, name);

	if (n > max && r->bad == NULL)
		r->bad = name;
	return get_octets(r, n, name);
}

static struct slice get_text(struct reader *r, size_t max, const char *name)
{
	struct slice s = get_slice(r, max, name);

	if (r->bad == NULL && s.n && memchr(s.p, '\0', s.n))
		r->bad = name;
	return s;
}

static bool get_flag(struct reader *r, const char *name)
{
	uint64_t n = get_number(r, 1, name);

	if (r->bad == NULL && n > 1)
		r->bad = name;
	return n == 1;
}

static struct ip get_ip(struct reader *r, const char *name)
{
	struct ip ip = {.family = (uint8_t)get_number(r, 1, name)};
	struct slice octets;

	if (r->bad == NULL && ip.family != 0 && ip.family != 4 && ip.family != 6)
		r->bad = name;
	octets = get_octets(r, ip.family == 4 ? 4 : ip.family == 6 ? 16 : 0, name);
	if (octets.n)
		memcpy(ip.octets, octets.p, octets.n);
	return ip;
}

static struct fault get_fault(struct reader *r, const char *name)
{
	uint64_t class = get_number(r, 1, name);
	struct fault f = {0};
	struct slice status = get_text(r, sizeof(f.status) - 1, name), text = get_text(r, sizeof(f.text) - 1, name);

	if (r->bad == NULL && class > FAULT_PERMANENT)
		r->bad = name;
	/* It goes into a reply to a client: digits and dots alone. */
	for (size_t i = 0; i < status.n; i++)
		if (!ascii_is_digit(status.p[i]) && status.p[i] != '.')
			r->bad = name;
	if (r->bad)
		return f;
	fault_set(&f, "", "%.*s", SLICE_PRINTF(text));
	f.class = (enum fault_class)class;
	memcpy(f.status, status.p, status.n);
	return f;
}

#define GET_u8(name, ...) m->name = (uint8_t)get_number(r, 1, #name);
#define GET_u16(name, ...) m->name = (uint16_t)get_number(r, 2, #name);
#define GET_u32(name, ...) m->name = (uint32_t)get_number(r, 4, #name);
#define GET_u64(name, ...) m->name = get_number(r, 8, #name);
#define GET_flag(name, ...) m->name = get_flag(r, #name);
#define GET_ip(name, ...) m->name = get_ip(r, #name);
#define GET_text(name, max) m->name = get_text(r, max, #name);
#define GET_octets(name, max) m->name = get_slice(r, max, #name);
#define GET_fault(name, ...) m->name = get_fault(r, #name);
#define GET_FIELD(kind, ...) GET_##kind(__VA_ARGS__)

/* ---- in words ---- */

/* Octets stay out of every log: passwords, keys and signatures are of this kind, and lists are long. */
static void print_octets(struct buf *out, struct slice s, const char *name)
{
	buf_printf(out, " %s=%zu-octets", name, s.n);
}

static void print_text(struct buf *out, struct slice s, const char *name)
{
	buf_printf(out, " %s=%.*s", name, slice_int(s.n > 80 ? 80 : s.n), s.p ? s.p : "");
}

static void print_ip(struct buf *out, const struct ip *ip, const char *name)
{
	char text[IP_TEXT_MAX];

	buf_printf(out, " %s=%s", name, ip_text(ip, text));
}

#define PRINT_u8(name, ...) buf_printf(out, " %s=%u", #name, m->name);
#define PRINT_u16(name, ...) buf_printf(out, " %s=%u", #name, m->name);
#define PRINT_u32(name, ...) buf_printf(out, " %s=%u", #name, m->name);
#define PRINT_u64(name, ...) buf_printf(out, " %s=%llu", #name, (unsigned long long)m->name);
#define PRINT_flag(name, ...) buf_printf(out, " %s=%s", #name, m->name ? "yes" : "no");
#define PRINT_ip(name, ...) print_ip(out, &m->name, #name);
#define PRINT_text(name, max) print_text(out, m->name, #name);
#define PRINT_octets(name, max) print_octets(out, m->name, #name);
#define PRINT_fault(name, ...) buf_printf(out, " %s=%s %s", #name, fault_status(&m->name), m->name.text);
#define PRINT_FIELD(kind, ...) PRINT_##kind(__VA_ARGS__)

/* ---- one function a message and a record, from the table ---- */

#define M(number, name, from, to, fields)                                            \
	static void put_##name(struct writer *w, const struct ipc_##name *m)         \
	{                                                                            \
		fields(PUT_FIELD)                                                    \
	}                                                                            \
	static void get_##name(struct reader *r, struct ipc_##name *m)               \
	{                                                                            \
		fields(GET_FIELD)                                                    \
	}                                                                            \
	static void print_##name(struct buf *out, const struct ipc_##name *m)        \
	{                                                                            \
		fields(PRINT_FIELD)                                                  \
	}
IPC_MESSAGES(M)
#undef M

#define R(name, fields)                                                                              \
	bool ipc_put_##name(struct buf *list, const struct ipc_##name *m)                            \
	{                                                                                            \
		struct writer writer = {.out = list}, *w = &writer;                                  \
		size_t before = buf_length(list);                                                    \
		fields(PUT_FIELD) if (!w->bad && !list->failed) return true;                         \
		buf_truncate(list, before);                                                          \
		return false;                                                                        \
	}                                                                                            \
	bool ipc_next_##name(struct slice *list, struct ipc_##name *m, bool *broken)                 \
	{                                                                                            \
		struct reader reader = {.rest = *list}, *r = &reader;                                \
		if (list->n == 0)                                                                    \
			return false;                                                                \
		fields(GET_FIELD) *list = r->rest;                                                   \
		if (r->bad)                                                                          \
			*broken = true;                                                              \
		return r->bad == NULL;                                                               \
	}                                                                                            \
	size_t ipc_count_##name(struct slice list, struct fault *why)                                \
	{                                                                                            \
		struct ipc_##name record;                                                            \
		bool broken = false;                                                                 \
		size_t n = 0;                                                                        \
		while (ipc_next_##name(&list, &record, &broken))                                     \
			n++;                                                                         \
		if (broken || n == 0)                                                                \
			fault_set(why, "5.5.4", "the list of " #name " is %s", broken ? "broken" : "empty"); \
		return broken ? 0 : n;                                                               \
	}
IPC_RECORDS(R)
#undef R

bool ipc_encode(const struct ipc_message *m, uint32_t request, struct buf *out, struct fault *why)
{
	struct writer w = {.out = out, .why = why};
	size_t before = buf_length(out), length;
	bool failed_before = out->failed;
	char *at;

	put_number(&w, 0, 4);
	put_number(&w, m->type, 2);
	put_number(&w, request, 4);
	switch (m->type) {
#define M(number, name, from, to, fields)      \
	case IPC_TYPE_##name:                  \
		put_##name(&w, &m->name);      \
		break;
		IPC_MESSAGES(M)
#undef M
	}
	length = buf_length(out) - before;
	if (w.bad || out->failed || length > IPC_FRAME_MAX) {
		if (!w.bad)
			fault_set(why, "4.3.1", "no room for a frame");
		buf_truncate(out, before);
		out->failed = failed_before;
		return false;
	}
	at = out->p + out->start + before;
	for (int i = 0; i < 4; i++)
		at[i] = (char)((length - 4) >> (24 - 8 * i));
	return true;
}

bool ipc_frame_length(struct slice octets, size_t *length, struct fault *why)
{
	struct reader r = {.rest = octets};

	*length = 0;
	if (octets.n < 4)
		return true;
	*length = get_number(&r, 4, "length") + 4;
	if (*length >= IPC_FRAME_HEADER && *length <= IPC_FRAME_MAX)
		return true;
	fault_set(why, "5.5.2", "a frame of %zu octets is none; %u to %u are", *length, IPC_FRAME_HEADER, IPC_FRAME_MAX);
	return false;
}

bool ipc_decode(struct slice frame, struct ipc_message *m, uint32_t *request, struct fault *why)
{
	struct reader reader = {.rest = frame}, *r = &reader;
	size_t length = get_number(r, 4, "length"), type = get_number(r, 2, "type");
	const char *name = "frame";

	*request = (uint32_t)get_number(r, 4, "request");
	if (r->bad || length + 4 != frame.n) {
		fault_set(why, "5.5.2", "a frame says %zu octets and has %zu", length + 4, frame.n);
		return false;
	}
	m->type = (enum ipc_type)type;
	switch (m->type) {
#define M(number, type_name, from, to, fields)            \
	case IPC_TYPE_##type_name:                        \
		name = #type_name;                        \
		get_##type_name(r, &m->type_name);        \
		break;
		IPC_MESSAGES(M)
#undef M
	default:
		fault_set(why, "5.5.1", "there is no message type %zu", type);
		return false;
	}
	if (r->bad)
		fault_set(why, "5.5.4", "%s: field %s is wrong", name, r->bad);
	else if (r->rest.n)
		fault_set(why, "5.5.4", "%s: %zu octets too many", name, r->rest.n);
	return r->bad == NULL && r->rest.n == 0;
}

bool ipc_permitted(enum ipc_type type, enum ipc_role from, enum ipc_role to)
{
	enum {
#define R(name, text) name = 1 << IPC_ROLE_##name,
		IPC_ROLES(R)
#undef R
		ANY = ~0
	};

	switch (type) {
#define M(number, name, senders, receivers, fields) \
	case IPC_TYPE_##name:                       \
		return ((senders) & 1 << from) && ((receivers) & 1 << to);
		IPC_MESSAGES(M)
#undef M
	}
	return false;
}

void ipc_print(const struct ipc_message *m, struct buf *out)
{
	switch (m->type) {
#define M(number, name, from, to, fields)            \
	case IPC_TYPE_##name:                        \
		buf_append_cstr(out, #name);         \
		print_##name(out, &m->name);         \
		return;
		IPC_MESSAGES(M)
#undef M
	}
}

const char *ipc_role_name(enum ipc_role role)
{
	static const char *const names[] = {
#define R(name, text) text,
		IPC_ROLES(R)
#undef R
	};

	return role < IPC_N_ROLES ? names[role] : "nobody";
}
