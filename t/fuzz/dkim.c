/* t/fuzz/dkim.c: a message with signatures, whatever it is, ends in verdicts, and says the same in
 * pieces as whole. The key record stands before the first NUL of the input, the message behind it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/dkim.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_all(struct answers *answers, struct slice record)
{
	struct ipc_dns_record r = {.type = DNS_TXT, .data = record};
	struct answer a = {.outcome = DNS_OK};
	struct buf records;
	struct slice name;
	uint16_t type;

	buf_init(&records, 1 << 17);
	if (ipc_put_dns_record(&records, &r))
		a.records = buf_slice(&records);
	while (answers_next(answers, &name, &type))
		answers_put(answers, name, type, &a);
	buf_fini(&records);
}

static void run(struct slice message, struct slice record, size_t piece,
		enum dkim_code codes[DKIM_SIGNATURES_SEEN_MAX])
{
	struct canon_bodies bodies;
	struct answers answers;
	struct fields fields;
	struct arena arena;
	struct slice body;
	struct dkim d;

	arena_init(&arena, 16 << 20);
	answers_init(&answers, 1 << 20);
	canon_bodies_init(&bodies);
	if (!fields_read(message, &arena, &fields, NULL) ||
	    !dkim_begin(&d, &fields, 1000, &bodies, &answers, &arena, NULL))
		abort();
	for (body = slice_tail(message, fields.length); body.n > 0; body = slice_tail(body, piece))
		canon_bodies_feed(&bodies, slice_head(body, piece));
	canon_bodies_end(&bodies);
	while (!dkim_finish(&d, &bodies, &answers))
		answer_all(&answers, record);
	for (size_t i = 0; i < d.n; i++)
		codes[i] = d.all[i].code;
	canon_bodies_fini(&bodies);
	answers_fini(&answers);
	arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dkim_code whole[DKIM_SIGNATURES_SEEN_MAX] = {DKIM_OK},
		       pieces[DKIM_SIGNATURES_SEEN_MAX] = {DKIM_OK};
	struct slice message = slice_of(data, size), record;

	if (!slice_cut(&message, '\0', &record) || record.n > 60000)
		return 0;
	run(message, record, message.n + 1, whole);
	run(message, record, 1 + size % 7, pieces);
	if (memcmp(whole, pieces, sizeof(whole)) != 0)
		abort();
	return 0;
}
