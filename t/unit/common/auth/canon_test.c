/* The canonical forms of RFC 6376 3.4, over its own examples (3.4.5) and in pieces of any size; and
 * tag lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "common/auth/canon.h"
#include "common/auth/tags.h"

static void assert_field(enum canon c, const char *raw, const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_true(canon_field(c, slice_of_cstr(raw), &out));
	assert_string_equal(buf_cstr(&out), expected);
	buf_fini(&out);
}

static void fields_of_the_rfc_are_canonical(void **state)
{
	(void)state;
	assert_field(CANON_RELAXED, "A: X", "a:X\r\n");
	assert_field(CANON_RELAXED, "B : Y\t\r\n\tZ  ", "b:Y Z\r\n");
	assert_field(CANON_SIMPLE, "A: X", "A: X\r\n");
	assert_field(CANON_SIMPLE, "B : Y\t\r\n\tZ  ", "B : Y\t\r\n\tZ  \r\n");
	assert_field(CANON_RELAXED, "Empty: \r\n ", "empty:\r\n");
}

static void signature_is_signed_without_what_b_holds(void **state)
{
	struct slice raw = SLICE("X: a=1; b = AB\r\n CD ; c=2");
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_true(canon_signature(CANON_SIMPLE, raw, slice_head(slice_tail(raw, 11), 9), &out));
	assert_string_equal(buf_cstr(&out), "X: a=1; b =; c=2");
	buf_reset(&out);
	assert_true(canon_signature(CANON_RELAXED, raw, slice_head(slice_tail(raw, 11), 9), &out));
	assert_string_equal(buf_cstr(&out), "x:a=1; b =; c=2");
	buf_fini(&out);
}

/* The body in pieces of each size has the digest of what is expected. */
static void assert_body(enum canon c, const char *body, const char *expected, uint64_t limit)
{
	uint8_t digest[32], wanted[32];
	struct canon_bodies b;
	int place;

	SHA256((const unsigned char *)expected, strlen(expected), wanted);
	for (size_t piece = 1; piece <= strlen(body) + 1; piece++) {
		struct slice rest = slice_of_cstr(body);

		canon_bodies_init(&b);
		place = canon_bodies_want(&b, c, limit);
		assert_int_equal(canon_bodies_want(&b, c, limit),
				 place); /* one digest for all who want the same */
		while (rest.n > 0) {
			canon_bodies_feed(&b, slice_head(rest, piece));
			rest = slice_tail(rest, piece);
		}
		canon_bodies_end(&b);
		assert_true(canon_bodies_digest(&b, place, digest));
		assert_memory_equal(digest, wanted, 32);
		canon_bodies_fini(&b);
	}
}

static void bodies_are_canonical_in_pieces_of_any_size(void **state)
{
	(void)state;
	assert_body(CANON_RELAXED, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", CANON_ALL);
	assert_body(CANON_SIMPLE, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", CANON_ALL);
	assert_body(CANON_SIMPLE, "", "\r\n", CANON_ALL);
	assert_body(CANON_RELAXED, "", "", CANON_ALL);
	assert_body(CANON_SIMPLE, "\r\n\r\n", "\r\n", CANON_ALL);
	assert_body(CANON_RELAXED, " \t\r\n\r\n", "", CANON_ALL);
	assert_body(CANON_SIMPLE, "a", "a\r\n", CANON_ALL);
	assert_body(CANON_RELAXED, "a ", "a\r\n", CANON_ALL);
	assert_body(CANON_RELAXED, "a\r\n\r\n \r\n  b\r\n", "a\r\n\r\n\r\n b\r\n", CANON_ALL);
	assert_body(CANON_SIMPLE, "a\rb\r\r\n", "a\rb\r\r\n", CANON_ALL);
	assert_body(CANON_SIMPLE, "abc\r\ndef\r\n", "abc\r\nd", 6);
}

static void tag_lists_are_read_as_the_rfc_writes_them(void **state)
{
	struct tags t;

	(void)state;
	assert_true(tags_read(SLICE(" v=1; a = b c\r\n\td ;"), &t));
	assert_int_equal(t.n, 2);
	assert_true(slice_equal(tags_find(&t, "a")->value, SLICE("b c\r\n\td")));
	assert_true(tags_read(SLICE("p="), &t) && tags_find(&t, "p")->value.n == 0);
	assert_true(tags_read(SLICE("a=1;a=2"), &t) && t.twice);
	assert_true(tags_read(SLICE("a=1;A=2"), &t) && !t.twice);
	assert_false(tags_read(SLICE(""), &t));
	assert_false(tags_read(SLICE("a"), &t));
	assert_false(tags_read(SLICE("a=1;;b=2"), &t));
	assert_false(tags_read(SLICE("1=2"), &t));
	assert_false(tags_read(SLICE("a=\1"), &t));
	assert_false(tags_read(SLICE("a=1\r\nb=2"), &t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_of_the_rfc_are_canonical),
		cmocka_unit_test(signature_is_signed_without_what_b_holds),
		cmocka_unit_test(bodies_are_canonical_in_pieces_of_any_size),
		cmocka_unit_test(tag_lists_are_read_as_the_rfc_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
