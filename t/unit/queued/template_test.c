#include "queued/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"

static struct templates templates;

static int begin(void **state)
{
	(void)state;
	templates_init(&templates);
	return 0;
}

static int end(void **state)
{
	(void)state;
	templates_fini(&templates);
	return 0;
}

static void pack_add(struct buf *pack, const char *name, const char *text)
{
	assert_true(buf_printf(pack, "template %s %zu /etc/tassis/templates/%s.txt\n%s", name, strlen(text), name, text));
}

static void assert_slice(struct slice s, const char *wanted)
{
	assert_true(slice_equal(s, slice_of_cstr(wanted)));
}

static void the_texts_that_come_with_tassis_are_right(void **state)
{
	static const char *const languages[] = {"en", "de"}, *const kinds[] = {"failure", "delay", "success", "double"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(languages); i++)
		for (size_t j = 0; j < ARRAY_LENGTH(kinds); j++) {
			char path[200];
			struct template t;
			struct fault why;
			struct buf text;

			(void)snprintf(path, sizeof(path), "etc/templates/%s/%s.txt", languages[i], kinds[j]);
			buf_init(&text, TEMPLATE_MAX);
			if (!fd_slurp_path(path, &text, NULL, &why) || !template_read(buf_slice(&text), &t, &why))
				fail_msg("%s: %s", path, why.text);
			assert_int_not_equal(slice_find_slice(t.body, SLICE("\n%{recipients}\n")), SIZE_MAX);
			assert_int_not_equal(slice_find_slice(t.body, SLICE("%{hostname}")), SIZE_MAX);
			assert_int_not_equal(slice_find_slice(t.body, SLICE("%{date}")), SIZE_MAX);
			buf_fini(&text);
		}
}

static void a_word_that_is_left_out_is_ours(void **state)
{
	struct template t;
	struct fault why;

	(void)state;
	assert_true(template_read(SLICE("subject:  Returned \r\n\r\nHello\r\n"), &t, &why));
	assert_slice(t.subject, "Returned");
	assert_slice(t.reason, "The reason is:");
	assert_slice(t.body, "Hello\r\n");
}

static void refused(const char *text, const char *words)
{
	struct template t;
	struct fault why = {0};

	assert_false(template_read(slice_of_cstr(text), &t, &why));
	if (strstr(why.text, words) == NULL)
		fail_msg("%s", why.text);
}

static void a_text_that_is_wrong_is_refused_with_its_line(void **state)
{
	char lengthy[700];

	(void)state;
	(void)snprintf(lengthy, sizeof(lengthy), "Subject: x\n\n%0600d\n", 1);
	refused("Subject: x\nColour: red\n\nbody\n", "line 2: before the first empty line");
	refused("just words\n", "line 1: before");
	refused("Subject: x\n", "a text are missing");
	refused("Subject: x\n\n", "a text are missing");
	refused("", "a text are missing");
	refused("Subject: x\n\nbo\x01" "dy\n", "line 3: a control character");
	refused(lengthy, "line 3: it has more than 500");
}

static void the_later_text_counts_and_one_that_is_wrong_does_not(void **state)
{
	struct buf pack;
	struct fault why;

	(void)state;
	buf_init(&pack, TEMPLATES_PACK_MAX);
	pack_add(&pack, "en/failure", "Subject: ours\n\nbody\n");
	pack_add(&pack, "en/delay", "Subject: late\n\nbody\n");
	pack_add(&pack, "en/failure", "Subject: theirs\n\nbody\n");
	pack_add(&pack, "en/delay", "no text at all\n");
	pack_add(&pack, "en/later-version", "Subject: x\n\nbody\n");
	assert_true(templates_take(&templates, buf_slice(&pack), &why));
	assert_slice(templates_find(&templates, SLICE("en"), NOTICE_FAILURE)->subject, "theirs");
	assert_slice(templates_find(&templates, SLICE("en"), NOTICE_DELAY)->subject, "late");
	buf_fini(&pack);
}

static void a_language_falls_back_to_its_own_then_to_english_then_to_what_is_built_in(void **state)
{
	struct buf pack;
	struct fault why;

	(void)state;
	assert_slice(templates_find(&templates, SLICE("de"), NOTICE_FAILURE)->subject, "About your message");
	buf_init(&pack, TEMPLATES_PACK_MAX);
	pack_add(&pack, "en/failure", "Subject: English\n\nbody\n");
	pack_add(&pack, "de/failure", "Subject: Deutsch\n\nbody\n");
	pack_add(&pack, "de-CH/failure", "Subject: Schweiz\n\nbody\n");
	assert_true(templates_take(&templates, buf_slice(&pack), &why));
	assert_slice(templates_find(&templates, SLICE("de-ch"), NOTICE_FAILURE)->subject, "Schweiz");
	assert_slice(templates_find(&templates, SLICE("de-AT"), NOTICE_FAILURE)->subject, "Deutsch");
	assert_slice(templates_find(&templates, SLICE("fr"), NOTICE_FAILURE)->subject, "English");
	assert_slice(templates_find(&templates, SLICE("fr"), NOTICE_SUCCESS)->subject, "About your message");
	buf_fini(&pack);
}

static void what_is_no_pack_changes_nothing(void **state)
{
	static const char *const wrong[] = {"x\n", "template en/failure 5 /p\nabc", "template en/failure x /p\n", "template en/failure 99999999999 /p\n",
					    "template en/failure 3\nabc"};
	struct buf pack;
	struct fault why;

	(void)state;
	buf_init(&pack, TEMPLATES_PACK_MAX);
	pack_add(&pack, "en/failure", "Subject: there\n\nbody\n");
	assert_true(templates_take(&templates, buf_slice(&pack), &why));
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		assert_false(templates_take(&templates, slice_of_cstr(wrong[i]), &why));
	assert_slice(templates_find(&templates, SLICE("en"), NOTICE_FAILURE)->subject, "there");
	buf_fini(&pack);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_texts_that_come_with_tassis_are_right),
		TEST(a_word_that_is_left_out_is_ours),
		TEST(a_text_that_is_wrong_is_refused_with_its_line),
		TEST(the_later_text_counts_and_one_that_is_wrong_does_not),
		TEST(a_language_falls_back_to_its_own_then_to_english_then_to_what_is_built_in),
		TEST(what_is_no_pack_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
