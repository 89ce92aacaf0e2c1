#include "common/base/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/random.h"

#define ROTATE(x, b) ((x) << (b) | (x) >> (64 - (b)))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTATE(v[1], 13) ^ v[0];
	v[0] = ROTATE(v[0], 32);
	v[2] += v[3];
	v[3] = ROTATE(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTATE(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTATE(v[1], 17) ^ v[2];
	v[2] = ROTATE(v[2], 32);
}

static uint64_t little_endian(const uint8_t *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

uint64_t siphash(const uint8_t secret[16], const void *p, size_t n)
{
	const uint8_t *in = n ? p : secret; /* p may be NULL, to which nothing may be added */
	uint64_t k0 = little_endian(secret, 8), k1 = little_endian(secret + 8, 8), word;
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
			 k1 ^ 0x7465646279746573};
	size_t whole = n / 8 * 8;

	for (size_t i = 0; i <= whole; i += 8) {
		word = i < whole ? little_endian(in + i, 8) : little_endian(in + i, n - whole) | (uint64_t)n << 56;
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void table_init(struct table *t)
{
	*t = (struct table){0};
	random_fill(t->secret, sizeof(t->secret));
}

void table_fini(struct table *t)
{
	free(t->buckets);
	t->buckets = NULL;
	t->n_buckets = t->n = 0;
}

struct table_node *table_find(const struct table *t, struct slice key)
{
	uint64_t hash;

	if (t->n == 0)
		return NULL;
	hash = siphash(t->secret, key.p, key.n);
	for (struct table_node *node = t->buckets[hash & (t->n_buckets - 1)]; node; node = node->next)
		if (node->hash == hash && slice_equal(node->key, key))
			return node;
	return NULL;
}

static bool grow(struct table *t)
{
	size_t n = t->n_buckets ? t->n_buckets * 2 : 16;
	struct table_node **buckets = calloc(n, sizeof(struct table_node *));

	if (buckets == NULL)
		return false;
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct table_node *node = t->buckets[i], *next; node; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (n - 1)];
			buckets[node->hash & (n - 1)] = node;
		}
	free(t->buckets);
	t->buckets = buckets;
	t->n_buckets = n;
	return true;
}

bool table_insert(struct table *t, struct table_node *node, struct slice key)
{
	if (t->n >= t->n_buckets && !grow(t) && t->n_buckets == 0)
		return false;
	node->key = key;
	node->hash = siphash(t->secret, key.p, key.n);
	node->next = t->buckets[node->hash & (t->n_buckets - 1)];
	t->buckets[node->hash & (t->n_buckets - 1)] = node;
	t->n++;
	return true;
}

void table_remove(struct table *t, struct table_node *node)
{
	struct table_node **at;

	if (t->n == 0)
		return;
	at = &t->buckets[node->hash & (t->n_buckets - 1)];
	while (*at && *at != node)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = node->next;
	node->next = NULL;
	t->n--;
}

struct table_node *table_any(const struct table *t)
{
	for (size_t i = 0; t->n && i < t->n_buckets; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}

void table_each(struct table *t, void (*fn)(struct table_node *node, void *arg), void *arg)
{
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct table_node *node = t->buckets[i], *next; node; node = next) {
			next = node->next;
			fn(node, arg);
		}
}
