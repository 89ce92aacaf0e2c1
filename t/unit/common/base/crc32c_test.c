/* Takes the source in, so that the way without the instruction is tried on every processor. */
#include "common/base/crc32c.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720 B.4, the CRC's octets as they stand there: the lowest first. */
static const unsigned char read_command[48] = {
	0x01, 0xc0, 0, 0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
};

static void check_vectors(uint32_t (*step)(uint32_t, const unsigned char *, size_t))
{
	unsigned char octets[32];

	memset(octets, 0, sizeof(octets));
	assert_int_equal(~step(~0u, octets, 32), 0x8a9136aa);
	memset(octets, 0xff, sizeof(octets));
	assert_int_equal(~step(~0u, octets, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		octets[i] = (unsigned char)i;
	assert_int_equal(~step(~0u, octets, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		octets[i] = (unsigned char)(31 - i);
	assert_int_equal(~step(~0u, octets, 32), 0x113fdb5c);
	assert_int_equal(~step(~0u, read_command, 48), 0xd9963a56);
	assert_int_equal(~step(~0u, (const unsigned char *)"123456789", 9), 0xe3069283);
}

static void the_table_gives_the_rfc_s_values(void **state)
{
	(void)state;
	check_vectors(crc_plain);
}

static uint32_t through_the_call(uint32_t crc, const unsigned char *p, size_t n)
{
	return ~crc32c(~crc, p, n);
}

static void the_call_gives_the_rfc_s_values(void **state)
{
	(void)state;
	check_vectors(through_the_call);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void pieces_give_the_crc_of_the_whole(void **state)
{
	unsigned char octets[100];

	(void)state;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (unsigned char)(i * i + 3);
	for (size_t n = 0; n <= sizeof(octets); n++) {
		uint32_t whole = crc32c(0, octets, sizeof(octets));

		assert_int_equal(crc32c(crc32c(0, octets, n), octets + n, sizeof(octets) - n), whole);
		assert_int_equal(~crc_plain(~0u, octets, n), crc32c(0, octets, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_gives_the_rfc_s_values),
		cmocka_unit_test(the_call_gives_the_rfc_s_values),
		cmocka_unit_test(pieces_give_the_crc_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
