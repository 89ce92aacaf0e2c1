/* The index goes by the top bits of the hash, so that the order (hash, id) stays what it was when the rows double: that is the order in which messages are
 * listed, page by page, while others come and go. Entries and heaps are in entries.h. */
#include "queued/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/base/table.h"
#include "queued/entries.h"

#define CHUNKS_MAX (1u << 16)
#define BUCKETS_MIN_BITS 10u

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static uint8_t letter_value(char c)
{
	const char *at = memchr(alphabet, c, sizeof(alphabet) - 1);

	return at == NULL ? 0 : (uint8_t)(at - alphabet);
}

/* 22 letters of five bits become 14 octets that sort the same way. */
static void id_pack(struct slice id, uint8_t out[ID_OCTETS])
{
	unsigned held = 0, n_bits = 0;
	size_t at = 0;

	assert(id.n == SPOOL_ID_LENGTH);
	memset(out, 0, ID_OCTETS);
	for (size_t i = 0; i < id.n; i++) {
		held = (held << 5 | letter_value(id.p[i])) & 0xfff;
		n_bits += 5;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[at++] = (uint8_t)(held >> n_bits);
		}
	}
	if (n_bits > 0)
		out[at] = (uint8_t)(held << (8 - n_bits));
}

static void id_unpack(const uint8_t in[ID_OCTETS], char out[SPOOL_ID_LENGTH + 1])
{
	unsigned held = 0, n_bits = 0;
	size_t at = 0;

	for (size_t i = 0; i < SPOOL_ID_LENGTH; i++) {
		if (n_bits < 5) {
			held = (held << 8 | in[at++]) & 0xfff;
			n_bits += 8;
		}
		n_bits -= 5;
		out[i] = alphabet[held >> n_bits & 31];
	}
	out[SPOOL_ID_LENGTH] = '\0';
}

static uint64_t id_hash(const struct schedule *s, const uint8_t id[ID_OCTETS])
{
	return siphash(s->secret, id, ID_OCTETS);
}

struct schedule *schedule_create(struct fault *why)
{
	struct schedule *s = memory_alloc(1, sizeof(*s), why);

	if (s == NULL)
		return NULL;
	s->bits = BUCKETS_MIN_BITS;
	s->unused = SCHEDULE_NONE;
	random_fill(s->secret, sizeof(s->secret));
	s->chunks = memory_alloc(CHUNKS_MAX, sizeof(*s->chunks), why);
	s->buckets = memory_alloc((size_t)1 << s->bits, sizeof(*s->buckets), why);
	if (s->chunks == NULL || s->buckets == NULL) {
		schedule_destroy(s);
		return NULL;
	}
	memset(s->buckets, 0xff, sizeof(*s->buckets) << s->bits);
	return s;
}

void schedule_destroy(struct schedule *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_chunks; i++)
		free(s->chunks[i]);
	free(s->chunks);
	free(s->buckets);
	free(s->moments.row);
	groups_destroy(s);
	free(s);
}

/* ---- moments ---- */

void schedule_take(struct schedule *s, uint32_t n)
{
	const struct entry *e = entry_of(s, n);

	if (e->place == 0)
		return;
	if ((e->flags & FLAG_LINED) != 0)
		line_remove(s, n);
	else
		heap_remove(s, &s->moments, n);
}

/* The row has room for every known message, so that waiting cannot fail. */
void schedule_wait(struct schedule *s, uint32_t n, uint32_t due_s)
{
	struct entry *e = entry_of(s, n);

	if (e->place != 0)
		e->flags |= FLAG_WANTED;
	schedule_take(s, n);
	if ((e->flags & SCHEDULE_HELD) != 0)
		return;
	e->due_s = due_s;
	heap_add(s, &s->moments, n);
}

bool schedule_unwant(struct schedule *s, uint32_t n)
{
	struct entry *e = entry_of(s, n);
	bool wanted = (e->flags & FLAG_WANTED) != 0;

	e->flags &= (uint16_t)~FLAG_WANTED;
	return wanted;
}

size_t schedule_flush(struct schedule *s, uint32_t now_s)
{
	lines_empty(s);
	for (uint32_t i = 0; i < s->moments.n; i++) {
		struct entry *e = entry_of(s, s->moments.row[i]);

		e->due_s = now_s;
		e->flags |= FLAG_WANTED;
	}
	heap_make(s, &s->moments);
	return s->moments.n;
}

uint32_t schedule_next_s(const struct schedule *s)
{
	return s->moments.n == 0 ? UINT32_MAX : entry_of(s, s->moments.row[0])->due_s;
}

uint32_t schedule_due(const struct schedule *s, uint32_t now_s, uint32_t horizon_s)
{
	uint32_t first = schedule_next_s(s);

	if (s->moments.n == 0 || (first > now_s && first - now_s <= horizon_s))
		return SCHEDULE_NONE;
	return s->moments.row[0];
}

/* ---- the index ---- */

static uint32_t *bucket_of(const struct schedule *s, uint64_t hash)
{
	return &s->buckets[hash >> (64 - s->bits)];
}

static void index_put(struct schedule *s, uint32_t n)
{
	struct entry *e = entry_of(s, n);
	uint32_t *bucket = bucket_of(s, id_hash(s, e->id));

	e->next = *bucket;
	*bucket = n;
}

/* Twice the buckets; every chain falls in two. Without memory the chains only grow longer. */
static void index_grow(struct schedule *s)
{
	size_t n_old = (size_t)1 << s->bits;
	uint32_t *old = s->buckets, *row = malloc(2 * n_old * sizeof(*row));

	if (row == NULL)
		return;
	memset(row, 0xff, 2 * n_old * sizeof(*row));
	s->buckets = row;
	s->bits++;
	for (size_t i = 0; i < n_old; i++)
		for (uint32_t n = old[i], next; n != SCHEDULE_NONE; n = next) {
			next = entry_of(s, n)->next;
			index_put(s, n);
		}
	free(old);
}

static bool chunk_add(struct schedule *s, struct fault *why)
{
	struct entry *chunk;

	if (s->n_chunks == CHUNKS_MAX) {
		fault_set(why, "4.3.1", "no more messages fit into the schedule");
		return false;
	}
	if ((chunk = memory_alloc(CHUNK, sizeof(*chunk), why)) == NULL)
		return false;
	s->chunks[s->n_chunks] = chunk;
	for (uint32_t i = CHUNK; i-- > 0;) {
		chunk[i].next = s->unused;
		s->unused = (uint32_t)s->n_chunks * CHUNK + i;
	}
	s->n_chunks++;
	return true;
}

bool schedule_add(struct schedule *s, struct slice id, unsigned flags, uint32_t *n, struct fault *why)
{
	struct entry *e;

	if (!heap_reserve(&s->moments, s->n_known + 1)) {
		fault_set(why, "4.3.1", "no memory for the schedule");
		return false;
	}
	if (s->unused == SCHEDULE_NONE && !chunk_add(s, why))
		return false;
	if (s->n_known >= (size_t)2 << s->bits)
		index_grow(s);
	*n = s->unused;
	e = entry_of(s, *n);
	s->unused = e->next;
	memset(e, 0, sizeof(*e));
	id_pack(id, e->id);
	e->flags = (uint16_t)flags;
	index_put(s, *n);
	s->n_known++;
	return true;
}

uint32_t schedule_find(const struct schedule *s, struct slice id)
{
	uint8_t key[ID_OCTETS];
	uint32_t n;

	id_pack(id, key);
	n = *bucket_of(s, id_hash(s, key));
	while (n != SCHEDULE_NONE && memcmp(entry_of(s, n)->id, key, ID_OCTETS) != 0)
		n = entry_of(s, n)->next;
	return n;
}

void schedule_forget(struct schedule *s, uint32_t n)
{
	struct entry *e = entry_of(s, n);
	uint32_t *link = bucket_of(s, id_hash(s, e->id));

	schedule_take(s, n);
	while (*link != n) {
		assert(*link != SCHEDULE_NONE);
		link = &entry_of(s, *link)->next;
	}
	*link = e->next;
	e->next = s->unused;
	s->unused = n;
	s->n_known--;
}

/* ---- listing ---- */

struct listed {
	uint64_t hash;
	uint32_t n;
};

/* The chain of one bucket in the order (hash, id), those behind (hash, key) alone; key NULL: all. Chains are short: sorted by insertion. */
static size_t bucket_list(const struct schedule *s, size_t bucket, uint64_t hash, const uint8_t *key, struct listed *out, size_t max)
{
	size_t n_out = 0;

	for (uint32_t n = s->buckets[bucket]; n != SCHEDULE_NONE; n = entry_of(s, n)->next) {
		const struct entry *e = entry_of(s, n);
		struct listed new = {id_hash(s, e->id), n};
		size_t at;

		if (key != NULL && (new.hash < hash || (new.hash == hash && memcmp(e->id, key, ID_OCTETS) <= 0)))
			continue;
		for (at = n_out; at > 0; at--) {
			const struct listed *before = &out[at - 1];

			if (before->hash < new.hash ||
			    (before->hash == new.hash && memcmp(entry_of(s, before->n)->id, e->id, ID_OCTETS) < 0))
				break;
			if (at < max)
				out[at] = *before;
		}
		if (at < max) {
			out[at] = new;
			n_out += n_out < max;
		}
	}
	return n_out;
}

size_t schedule_list(const struct schedule *s, struct slice after, uint32_t *n, size_t max)
{
	struct listed page[64];
	uint8_t key[ID_OCTETS];
	uint64_t hash = 0;
	size_t n_out = 0, bucket = 0;
	bool from_start = after.n != SPOOL_ID_LENGTH;

	if (!from_start) {
		id_pack(after, key);
		hash = id_hash(s, key);
		bucket = hash >> (64 - s->bits);
	}
	for (; bucket < (size_t)1 << s->bits && n_out < max; bucket++) {
		size_t want = max - n_out < ARRAY_LENGTH(page) ? max - n_out : ARRAY_LENGTH(page), got;

		do {
			got = bucket_list(s, bucket, hash, from_start ? NULL : key, page, want);
			for (size_t i = 0; i < got; i++)
				n[n_out++] = page[i].n;
			if (got > 0) {
				memcpy(key, entry_of(s, page[got - 1].n)->id, ID_OCTETS);
				hash = page[got - 1].hash;
				from_start = false;
			}
			want = max - n_out < want ? max - n_out : want;
		} while (got == ARRAY_LENGTH(page) && n_out < max);
	}
	return n_out;
}

/* ---- what it says of one ---- */

bool schedule_is_waiting(const struct schedule *s, uint32_t n)
{
	return entry_of(s, n)->place != 0;
}

unsigned schedule_flags(const struct schedule *s, uint32_t n)
{
	return entry_of(s, n)->flags & FLAG_PUBLIC;
}

void schedule_set_flags(struct schedule *s, uint32_t n, unsigned flags)
{
	struct entry *e = entry_of(s, n);

	e->flags = (uint16_t)((e->flags & ~FLAG_PUBLIC) | flags);
}

uint32_t schedule_due_s(const struct schedule *s, uint32_t n)
{
	const struct entry *e = entry_of(s, n);

	if (e->place == 0)
		return 0;
	return (e->flags & FLAG_LINED) != 0 ? schedule_line_opens_s(s, e->group) : e->due_s;
}

void schedule_id(const struct schedule *s, uint32_t n, char out[SPOOL_ID_LENGTH + 1])
{
	id_unpack(entry_of(s, n)->id, out);
}

size_t schedule_n_known(const struct schedule *s)
{
	return s->n_known;
}

size_t schedule_n_waiting(const struct schedule *s)
{
	return s->moments.n + s->n_lined;
}
