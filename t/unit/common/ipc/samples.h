/* t/unit/common/ipc/samples.h: one filled message of each type and one record of each kind, made from the table in messages.h.
 * Touches: nothing. For frame_test.c and the fuzz corpus of ipc_decode. */
#pragma once

#include <string.h>

#include "common/ipc/frame.h"

struct sample_source {
	uint64_t n;         /* another value for each field */
	size_t text_octets; /* how long texts are; SIZE_MAX: as long as the field may be */
	const char *octets; /* at least as long as the longest field */
};

static inline struct slice sample_text(struct sample_source *s, size_t max)
{
	return slice_of(s->octets + s->n++ % 26, s->text_octets < max ? s->text_octets : max);
}

static inline struct ip sample_ip(struct sample_source *s)
{
	struct ip ip = {.family = s->n++ % 2 ? 4 : 6};

	memset(ip.octets, (int)(s->n & 0x7f), ip.family == 4 ? 4 : 16);
	return ip;
}

static inline struct fault sample_fault(struct sample_source *s)
{
	unsigned long long n = s->n++;
	struct fault f = {0};

	fault_set(&f, n % 2 ? "5.1.1" : "4.3.0", "sample %llu", n);
	return f;
}

#define SAMPLE_u8(name, ...) m->name = (uint8_t)(0xa1 + s->n++);
#define SAMPLE_u16(name, ...) m->name = (uint16_t)(0xa1b2 + s->n++);
#define SAMPLE_u32(name, ...) m->name = (uint32_t)(0xa1b2c3d4 + s->n++);
#define SAMPLE_u64(name, ...) m->name = 0xa1b2c3d4e5f60718 + s->n++;
#define SAMPLE_flag(name, ...) m->name = s->n++ % 2;
#define SAMPLE_ip(name, ...) m->name = sample_ip(s);
#define SAMPLE_text(name, max) m->name = sample_text(s, max);
#define SAMPLE_octets(name, max) m->name = sample_text(s, max);
#define SAMPLE_fault(name, ...) m->name = sample_fault(s);
#define SAMPLE_FIELD(kind, ...) SAMPLE_##kind(__VA_ARGS__)

#define M(number, name, from, to, fields)                                                    \
	static inline void sample_##name(struct sample_source *s, struct ipc_##name *m) \
	{                                                                                    \
		fields(SAMPLE_FIELD)                                                         \
	}
IPC_MESSAGES(M)
#undef M
#define R(name, fields)                                                                      \
	static inline void sample_##name(struct sample_source *s, struct ipc_##name *m) \
	{                                                                                    \
		fields(SAMPLE_FIELD)                                                         \
	}
IPC_RECORDS(R)
#undef R
