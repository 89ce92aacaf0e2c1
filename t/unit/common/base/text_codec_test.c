#include "common/base/text_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/random.h"

typedef bool codec_fn(struct buf *out, struct slice s);

static bool gives(codec_fn *fn, struct slice in, struct slice wanted)
{
	struct buf b;
	bool ok;

	buf_init(&b, 10000);
	ok = fn(&b, in) && slice_equal(buf_slice(&b), wanted);
	buf_fini(&b);
	return ok;
}

static bool refuses(codec_fn *fn, struct slice in)
{
	struct buf b;
	bool ok;

	buf_init(&b, 10000);
	ok = buf_append_cstr(&b, "before") && !fn(&b, in) && slice_equal(buf_slice(&b), SLICE("before"));
	buf_fini(&b);
	return ok;
}

static void base64_gives_the_rfc_s_values(void **state) /* RFC 4648 10 */
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		assert_true(gives(base64_encode, slice_of_cstr(pairs[i][0]), slice_of_cstr(pairs[i][1])));
		assert_true(gives(base64_decode, slice_of_cstr(pairs[i][1]), slice_of_cstr(pairs[i][0])));
	}
	assert_true(gives(base64_encode, SLICE_EMPTY, SLICE_EMPTY));
	assert_true(gives(base64_decode, SLICE("+/+/"), SLICE("\xfb\xff\xbf")));
	assert_true(gives(base64_decode, SLICE("AAAA"), SLICE("\0\0\0")));
}

static void base64_that_is_not_strict_is_refused(void **state)
{
	static const struct slice wrong[] = {
		{"Z", 1}, {"Zg", 2}, {"Zg=", 3}, {"=", 1}, {"==", 2}, {"====", 4}, {"A===", 4}, {"Zg==Zg==", 8}, {"Z=g=", 4}, {"Zh==", 4}, {"Zm9=", 4},
		{"Zm9v\n", 5}, {"Zm9v\r\n\r\n", 8}, {"Zm 9", 4}, {"Zm-_", 4}, {"Zm9\0", 4}, {"Zm9\xff", 4},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		if (!refuses(base64_decode, wrong[i]))
			fail_msg("\"%.*s\" was taken", SLICE_PRINTF(wrong[i]));
}

static void hexadecimal_goes_both_ways(void **state)
{
	(void)state;
	assert_true(gives(hex_encode, SLICE("\0\x1f\xff"), SLICE("001fff")));
	assert_true(gives(hex_decode, SLICE("001fFF"), SLICE("\0\x1f\xff")));
	assert_true(gives(hex_encode, SLICE_EMPTY, SLICE_EMPTY));
	assert_true(gives(hex_decode, SLICE_EMPTY, SLICE_EMPTY));
	assert_true(refuses(hex_decode, SLICE("0")));
	assert_true(refuses(hex_decode, SLICE("0g")));
	assert_true(refuses(hex_decode, SLICE("000 ")));
}

static void random_octets_come_back(void **state)
{
	char octets[200];

	(void)state;
	for (size_t n = 0; n < sizeof(octets); n++) {
		struct buf encoded, decoded;

		random_fill(octets, n);
		buf_init(&encoded, 1000);
		buf_init(&decoded, 1000);
		assert_true(base64_encode(&encoded, slice_of(octets, n)));
		assert_true(base64_decode(&decoded, buf_slice(&encoded)));
		assert_true(slice_equal(buf_slice(&decoded), slice_of(octets, n)));
		buf_fini(&encoded);
		buf_fini(&decoded);
	}
}

static void no_room_is_said_and_adds_nothing(void **state)
{
	static codec_fn *const all[] = {base64_encode, base64_decode, hex_encode, hex_decode};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
		struct buf b;

		buf_init(&b, 1);
		assert_false(all[i](&b, SLICE("abcdabcd")));
		assert_int_equal(buf_length(&b), 0);
		assert_true(b.failed);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_gives_the_rfc_s_values),
		cmocka_unit_test(base64_that_is_not_strict_is_refused),
		cmocka_unit_test(hexadecimal_goes_both_ways),
		cmocka_unit_test(random_octets_come_back),
		cmocka_unit_test(no_room_is_said_and_adds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
