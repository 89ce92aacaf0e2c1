#include "common/auth/answers.h"

#include <string.h>

#include "common/base/ascii.h"

#define KEY_MAX 256 /* the name and two octets of type */

struct question {
	struct table_node node;
	struct list wanted;
	bool answered;
	struct answer answer;
	size_t n;
	char key[KEY_MAX];
};

static const struct answer no_name = {.outcome = DNS_NO_NAME};
static const struct answer too_much = {.outcome = DNS_FAILED};

void answers_init(struct answers *a, size_t limit_bytes)
{
	arena_init(&a->arena, limit_bytes);
	table_init(&a->table);
	list_init(&a->wanted);
	a->n = 0;
}

void answers_fini(struct answers *a)
{
	table_fini(&a->table);
	arena_reset(&a->arena);
	list_init(&a->wanted);
	a->n = 0;
}

/* The name as it is compared, with the type behind it; 0: no name. */
static size_t key_write(struct slice name, uint16_t type, char key[KEY_MAX])
{
	size_t label = 0;

	if (slice_ends(name, SLICE(".")))
		name.n--;
	if (name.n == 0 || name.n > KEY_MAX - 3)
		return 0;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '.' ? label == 0 : !ascii_is_print(c) || c == '\\' || label == 63)
			return 0;
		label = c == '.' ? 0 : label + 1;
		key[i] = ascii_lower(c);
	}
	if (label == 0)
		return 0;
	key[name.n] = (char)(type >> 8);
	key[name.n + 1] = (char)type;
	return name.n + 2;
}

const struct answer *answers_get(struct answers *a, struct slice name, uint16_t type)
{
	char key[KEY_MAX];
	size_t n = key_write(name, type, key);
	struct table_node *node;
	struct question *q;

	if (n == 0)
		return &no_name;
	if ((node = table_find(&a->table, slice_of(key, n))) != NULL) {
		q = CONTAINER_OF(node, struct question, node);
		return q->answered ? &q->answer : NULL;
	}
	if (a->n == ANSWERS_MAX || (q = arena_alloc(&a->arena, sizeof(*q), NULL)) == NULL)
		return &too_much;
	memcpy(q->key, key, n);
	q->n = n;
	if (!table_insert(&a->table, &q->node, slice_of(q->key, n)))
		return &too_much;
	list_append(&a->wanted, &q->wanted);
	a->n++;
	return NULL;
}

bool answers_next(struct answers *a, struct slice *name, uint16_t *type)
{
	struct list *first = list_first(&a->wanted);
	struct question *q;

	if (first == NULL)
		return false;
	q = LIST_ENTRY(first, struct question, wanted);
	list_remove(first);
	*name = slice_of(q->key, q->n - 2);
	*type = (uint16_t)((uint8_t)q->key[q->n - 2] << 8 | (uint8_t)q->key[q->n - 1]);
	return true;
}

void answers_put(struct answers *a, struct slice name, uint16_t type, const struct answer *answer)
{
	char key[KEY_MAX];
	size_t n = key_write(name, type, key);
	struct table_node *node = n > 0 ? table_find(&a->table, slice_of(key, n)) : NULL;
	struct question *q;

	if (node == NULL)
		return;
	q = CONTAINER_OF(node, struct question, node);
	if (q->answered)
		return;
	list_remove(&q->wanted);
	q->answered = true;
	q->answer = *answer;
	if (!arena_copy(&a->arena, answer->records, &q->answer.records, NULL))
		q->answer = too_much;
}
