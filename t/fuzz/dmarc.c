/* t/fuzz/dmarc.c: a policy record and a From field, whatever they are, end in a verdict. The record
 * stands before the first NUL of the input, the field behind it. */
#include <stdint.h>
#include <stdlib.h>

#include "common/auth/dmarc.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_all(struct answers *answers, struct slice text)
{
	struct ipc_dns_record r = {.type = DNS_TXT, .data = text};
	struct answer a = {.outcome = DNS_OK}, none = {.outcome = DNS_NO_NAME};
	struct buf records;
	struct slice name;
	uint16_t type;

	buf_init(&records, 1 << 17);
	if (ipc_put_dns_record(&records, &r))
		a.records = buf_slice(&records);
	while (answers_next(answers, &name, &type))
		answers_put(answers, name, type, type == DNS_TXT && name.n % 2 == 0 ? &a : &none);
	buf_fini(&records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice value = slice_of(data, size), record;
	struct field from = {.name = SLICE("From")};
	struct fields fields = {.all = &from, .n = 1};
	struct spf_result spf = {.code = SPF_PASS, .domain = SLICE("mail.example.org")};
	struct dmarc_ask ask = {.fields = &fields, .spf = &spf, .chance = 50};
	struct dmarc_verdict v;
	struct answers answers;
	unsigned rounds = 0;
	struct dmarc d;

	if (!slice_cut(&value, '\0', &record) || record.n > 60000)
		return 0;
	from.raw = from.value = value;
	answers_init(&answers, 1 << 20);
	dmarc_init(&d, &ask, NULL);
	while (!dmarc_check(&d, &answers, &v)) {
		if (++rounds > 100)
			abort();
		answer_all(&answers, record);
	}
	if (v.result == DMARC_PASS && v.disposition != DMARC_POLICY_NONE)
		abort();
	dmarc_fini(&d);
	answers_fini(&answers);
	return 0;
}
