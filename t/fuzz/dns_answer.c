/* A name server's answer, whatever it is: nothing is read past its end, what comes out can be read
 * again, and no more than one of the flags says what to do next. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/dns/message.h"
#include "common/ipc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

static void read_records(struct slice list, uint16_t type)
{
	struct ipc_dns_record r;
	bool broken = false;

	while (ipc_next_dns_record(&list, &r, &broken))
		require(r.type == type);
	require(!broken);
}

/* The first octet says what was asked for; the id is the answer's own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_PTR, DNS_TLSA};
	struct dns_question q;
	struct dns_answer a;
	struct buf records;
	uint16_t type;

	if (size < 3)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	require(dns_question_set(&q, SLICE("example.org"), type, NULL));
	buf_init(&records, 262144);
	if (dns_answer_decode(slice_of(data + 1, size - 1), &q, (uint16_t)(data[1] << 8 | data[2]),
			      &a, &records)) {
		require(a.truncated + a.refused + (a.alias[0] != '\0') <= 1);
		require(a.outcome != DNS_OK || a.refused || buf_length(&records) > 0);
		read_records(buf_slice(&records), type);
		if (a.alias[0])
			(void)!dns_question_set(&q, slice_of_cstr(a.alias), type, NULL);
	}
	buf_fini(&records);
	return 0;
}
