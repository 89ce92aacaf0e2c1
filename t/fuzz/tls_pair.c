/* What lies where main.conf names a certificate: whatever it is, a pair that fits comes out of it, or a sentence. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/tls/key.h"
#include "common/tls/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

/* The first octet says where the key's file begins. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all, first, second;
	struct buf chain, key;
	struct fault why = {0};
	struct tls_facts facts;

	if (size < 1)
		return 0;
	all = slice_of(data + 1, size - 1);
	first = data[0] == 0 ? all : slice_head(all, all.n * data[0] / 256);
	second = slice_tail(all, first.n);
	buf_init(&chain, 1u << 20);
	buf_init_secret(&key, 1u << 20);
	if (tls_pair_read(first, second, SLICE("secret"), &chain, &key, &why)) {
		require(tls_pair_matches(buf_slice(&chain), buf_slice(&key), NULL));
		require(tls_facts_of(buf_slice(&chain), SLICE("mx.test"), &facts, NULL));
	} else {
		require(why.text[0] != '\0');
	}
	buf_fini(&chain);
	buf_fini(&key);
	return 0;
}
