#include "common/mail/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "t/unit/vectors.h"

static void unescape(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n) {
			c = s.p[++i];
			c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
		}
		assert_true(buf_append_char(out, c));
	}
}

/* Feeds input in pieces: up to cut, then the rest; with cut 0, octet by octet. */
static enum lines_found feed(struct slice input, size_t cut, struct buf *content,
			     struct slice *rest)
{
	enum lines_found found = LINES_MORE;
	struct lines l;
	size_t at = 0;

	lines_init(&l);
	while (found == LINES_MORE && at < input.n) {
		size_t n = cut == 0 ? 1 : at == 0 ? cut : input.n - at;
		struct slice piece = slice_head(slice_tail(input, at), n), left = piece, got;

		while ((found = lines_next(&l, &left, &got)) == LINES_CONTENT) {
			assert_ptr_equal(got.p + got.n, left.p);
			assert_true(buf_append(content, got));
		}
		at += piece.n - left.n;
	}
	*rest = slice_tail(input, at);
	return found;
}

static void check_vector(struct slice line)
{
	static const char *const names[] = {"more", "content", "end", "bare"};
	struct slice all = line, column[4] = {{0}}, rest;
	struct buf parts[4], content;

	for (size_t i = 0; i < 4; i++) {
		(void)slice_cut(&all, '\t', &column[i]);
		buf_init(&parts[i], 1000);
		unescape(column[i], &parts[i]);
	}
	buf_init(&content, 1000);
	for (size_t cut = 0; cut <= buf_length(&parts[0]); cut++) {
		enum lines_found found;

		buf_reset(&content);
		found = feed(buf_slice(&parts[0]), cut, &content, &rest);
		if (!slice_equal(slice_of_cstr(names[found]), column[1]))
			fail_msg("%.*s cut at %zu: %s", SLICE_PRINTF(line), cut, names[found]);
		if (found == LINES_BARE)
			continue;
		if (!slice_equal(buf_slice(&content), buf_slice(&parts[2])))
			fail_msg("%.*s cut at %zu: other content", SLICE_PRINTF(line), cut);
		if (found == LINES_END && !slice_equal(rest, buf_slice(&parts[3])))
			fail_msg("%.*s cut at %zu: other rest", SLICE_PRINTF(line), cut);
	}
	for (size_t i = 0; i < 4; i++)
		buf_fini(&parts[i]);
	buf_fini(&content);
}

static void data_ends_and_is_refused_as_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/mail/lines", 21, check_vector);
}

static void many_lines_are_one_run(void **state)
{
	struct slice input = SLICE("one\r\ntwo\r\n\r\nthree\r\n..four\r\n.\r\n"), content;
	struct lines l;

	(void)state;
	lines_init(&l);
	assert_int_equal(lines_next(&l, &input, &content), LINES_CONTENT);
	assert_true(slice_equal(content, SLICE("one\r\ntwo\r\n\r\nthree\r\n")));
	assert_int_equal(lines_next(&l, &input, &content), LINES_CONTENT);
	assert_true(slice_equal(content, SLICE(".four\r\n")));
	assert_int_equal(lines_next(&l, &input, &content), LINES_END);
}

static void a_line_of_a_mebibyte_passes(void **state)
{
	size_t n = 1 << 20;
	char *p = calloc(1, n + 5);
	struct slice input = slice_of(p, n + 5), content;
	struct lines l;

	(void)state;
	assert_non_null(p);
	memset(p, 'x', n);
	memcpy(p + n, "\r\n.\r\n", 5);
	lines_init(&l);
	assert_int_equal(lines_next(&l, &input, &content), LINES_CONTENT);
	assert_int_equal(content.n, n + 2);
	assert_int_equal(lines_next(&l, &input, &content), LINES_END);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_ends_and_is_refused_as_the_vectors_say),
		cmocka_unit_test(many_lines_are_one_run),
		cmocka_unit_test(a_line_of_a_mebibyte_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
