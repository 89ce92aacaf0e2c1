/* t/fuzz/spf.c: a domain's SPF record, whatever it is, ends in a result: the input is the record,
 * and behind a NUL the sender. Every other name has an address and no record; nothing is asked for
 * without end. */
#include <stdint.h>
#include <stdlib.h>

#include "common/auth/spf.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct answers *answers, struct slice name, uint16_t type, struct slice record)
{
	struct ipc_dns_record r = {.type = type,
				   .name = SLICE("host.example.org"),
				   .data = record,
				   .address = {.family = 4}};
	struct answer a = {.outcome = type == DNS_AAAA ? DNS_NO_DATA : DNS_OK};
	struct buf records;

	buf_init(&records, 1 << 17);
	if (a.outcome == DNS_OK && ipc_put_dns_record(&records, &r))
		a.records = buf_slice(&records);
	answers_put(answers, name, type, &a);
	buf_fini(&records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice sender = slice_of(data, size), record, name;
	struct spf_ask ask = {.client = {.family = 4, .octets = {192, 0, 2, 1}},
			      .helo = SLICE("h.example")};
	struct answers answers;
	struct spf_result r;
	unsigned rounds = 0;
	struct buf steps;
	struct spf spf;
	uint16_t type;

	if (!slice_cut(&sender, '\0', &record) || record.n > 60000)
		return 0;
	ask.reverse_path = sender.n > 0 ? sender : SLICE("ann@example.org");
	buf_init(&steps, 65536);
	answers_init(&answers, 1 << 20);
	spf_init(&spf, &ask, &steps);
	while (!spf_check(&spf, &answers, &r)) {
		if (++rounds > 100)
			abort();
		while (answers_next(&answers, &name, &type))
			answer(&answers, name, type, record);
	}
	if (r.lookups > SPF_LOOKUPS_MAX + 1 || r.void_lookups > SPF_VOID_LOOKUPS_MAX + 1)
		abort();
	spf_fini(&spf);
	answers_fini(&answers);
	buf_fini(&steps);
	return 0;
}
