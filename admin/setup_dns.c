/* The DNS records that other hosts and mail programs look for, as the lines of a zone file. */
#include "admin/setup.h"

#include <stdio.h>

#include "admin/records.h"
#include "common/base/fault.h"

#define OUT_BYTES 65536

void setup_dns_print(const struct setup *s)
{
	struct records records;
	struct fault why = {0};
	struct buf out;

	buf_init(&out, OUT_BYTES);
	records_init(&records, slice_of_cstr(s->hostname), slice_of_cstr(s->domain));
	(void)printf("\n; What to publish in DNS:\n; (tassis domain dns %s prints it again)\n",
		     s->domain);
	if (records_make(&records, s->settings, &why)) {
		records_append_zone(&records, &out);
		(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	} else {
		(void)fprintf(stderr, "%s\n", why.text);
	}
	records_fini(&records);
	buf_fini(&out);
}
