/* t/unit/common/dns/answer.h: DNS answers put together by hand, for the tests of this room. */
#pragma once

#include <string.h>

#include "common/base/buf.h"
#include "common/dns/message.h"

static inline void answer_put16(struct buf *b, unsigned n)
{
	buf_append_char(b, (char)(n >> 8));
	buf_append_char(b, (char)n);
}

static inline void answer_put_name(struct buf *b, const char *name)
{
	struct slice rest = slice_of_cstr(name), label;

	while (rest.n && slice_cut(&rest, '.', &label)) {
		buf_append_char(b, (char)label.n);
		buf_append(b, label);
	}
	buf_append_char(b, 0);
}

/* The header and the question of an answer with n_answers and n_authority records to follow. */
static inline void answer_begin(struct buf *b, const struct dns_question *q, unsigned id,
				unsigned flags, unsigned n_answers, unsigned n_authority)
{
	buf_reset(b);
	answer_put16(b, id);
	answer_put16(b, 0x8180 | flags);
	answer_put16(b, 1);
	answer_put16(b, n_answers);
	answer_put16(b, n_authority);
	answer_put16(b, 0);
	answer_put_name(b, q->name);
	answer_put16(b, q->type);
	answer_put16(b, 1);
}

static inline void answer_put_record(struct buf *b, const char *owner, unsigned type,
				     unsigned ttl_s, const void *data, size_t n)
{
	answer_put_name(b, owner);
	answer_put16(b, type);
	answer_put16(b, 1);
	answer_put16(b, ttl_s >> 16);
	answer_put16(b, ttl_s);
	answer_put16(b, (unsigned)n);
	buf_append(b, slice_of(data, n));
}

static inline void answer_put_mx(struct buf *b, const char *owner, unsigned ttl_s,
				 unsigned preference, const char *host)
{
	struct buf data;

	buf_init(&data, 1000);
	answer_put16(&data, preference);
	answer_put_name(&data, host);
	answer_put_record(b, owner, DNS_MX, ttl_s, buf_slice(&data).p, buf_length(&data));
	buf_fini(&data);
}

static inline void answer_put_cname(struct buf *b, const char *owner, unsigned ttl_s,
				    const char *target)
{
	struct buf data;

	buf_init(&data, 1000);
	answer_put_name(&data, target);
	answer_put_record(b, owner, DNS_CNAME, ttl_s, buf_slice(&data).p, buf_length(&data));
	buf_fini(&data);
}

static inline void answer_put_soa(struct buf *b, const char *owner, unsigned ttl_s,
				  unsigned minimum_s)
{
	struct buf data;

	buf_init(&data, 1000);
	answer_put_name(&data, "ns.test");
	answer_put_name(&data, "hostmaster.test");
	for (int i = 0; i < 4; i++) {
		answer_put16(&data, 0);
		answer_put16(&data, 1);
	}
	answer_put16(&data, minimum_s >> 16);
	answer_put16(&data, minimum_s);
	answer_put_record(b, owner, DNS_SOA, ttl_s, buf_slice(&data).p, buf_length(&data));
	buf_fini(&data);
}
