#include "common/conf/settings.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fd.h"

/* The template, with the # taken away from what it shows but the settings' sentences. */
static void uncomment(struct slice text, struct buf *out)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line)) {
		if (line.n > 1 && line.p[0] == '#' && line.p[1] != ' ')
			line = slice_tail(line, 1);
		assert_true(buf_append(out, line) && buf_append_char(out, '\n'));
	}
}

static struct settings *parse(const struct buf *text)
{
	struct settings *s = NULL;
	struct buf problems;

	buf_init(&problems, 1 << 16);
	if (!settings_parse(buf_slice(text), "main.conf", &s, &problems))
		fail_msg("%s", buf_cstr(&problems));
	buf_fini(&problems);
	return s;
}

static void the_template_is_etc_main_conf(void **state)
{
	int fd = open("etc/main.conf", O_RDONLY | O_CLOEXEC);
	struct buf template, file;

	(void)state;
	buf_init(&template, 1 << 16);
	buf_init(&file, 1 << 16);
	assert_true(settings_print_template(&template));
	assert_true(fd >= 0 && fd_slurp(fd, &file, NULL));
	assert_string_equal(buf_cstr(&file), buf_cstr(&template));
	buf_fini(&template);
	buf_fini(&file);
	fd_close(&fd);
}

static void the_template_works_as_shipped(void **state)
{
	struct settings *s;
	struct listener l;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	assert_true(settings_print_template(&text));
	s = parse(&text);
	assert_int_equal(s->listen.n, 6);
	for (size_t i = 0; i < s->listen.n; i++) {
		assert_true(listener_parse(s->listen.p[i], &l, NULL));
		assert_int_equal(l.kind, i < 2 ? LISTENER_SMTP : LISTENER_SUBMISSION);
		assert_int_equal(l.tls, i < 2 ? LISTENER_TLS_STARTTLS : i < 4 ? LISTENER_TLS_REQUIRED : LISTENER_TLS_IMPLICIT);
	}
	settings_destroy(s);
	buf_fini(&text);
}

static void what_the_template_shows_is_the_defaults(void **state)
{
	struct buf text, shown, changed;
	struct settings *s;
	struct slice rest, line;

	(void)state;
	buf_init(&text, 1 << 16);
	buf_init(&shown, 1 << 16);
	buf_init(&changed, 1 << 16);
	assert_true(settings_print_template(&text));
	uncomment(buf_slice(&text), &shown);
	s = parse(&shown);
	assert_true(settings_print(s, SETTINGS_PRINT_CHANGED, &changed));
	rest = slice_trim(buf_slice(&changed));
	while (slice_cut(&rest, '\n', &line))
		assert_true(slice_starts(line, SLICE("listen = ")));
	settings_destroy(s);
	buf_fini(&text);
	buf_fini(&shown);
	buf_fini(&changed);
}

static void the_template_s_lines_fit_a_terminal_wide(void **state)
{
	struct slice rest, line;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	assert_true(settings_print_template(&text));
	rest = buf_slice(&text);
	while (slice_cut(&rest, '\n', &line)) {
		assert_true(line.n <= 100);
		assert_false(slice_ends(line, SLICE(" ")));
	}
	buf_fini(&text);
}

static void the_manual_s_list_names_every_setting_once(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	assert_true(settings_print_mdoc(&text));
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		struct slice rest;
		struct buf item;
		size_t at;

		buf_init(&item, 1000);
		assert_true(buf_printf(&item, ".It Ic %s = ", setting_descriptions[i].name));
		at = slice_find_slice(buf_slice(&text), buf_slice(&item));
		assert_int_not_equal(at, SIZE_MAX);
		rest = slice_tail(buf_slice(&text), at + 1);
		assert_int_equal(slice_find_slice(rest, buf_slice(&item)), SIZE_MAX);
		buf_fini(&item);
	}
	buf_fini(&text);
}

static void the_manual_s_list_says_range_and_when(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 16);
	assert_true(settings_print_mdoc(&text));
	assert_int_not_equal(slice_find_slice(buf_slice(&text), SLICE(".It Ic lookup_workers = 2\nHow many lookupd run.\nFrom 1 to 64.\nTakes effect at a restart.\n")),
			     SIZE_MAX);
	assert_int_not_equal(slice_find_slice(buf_slice(&text), SLICE(".It Ic log_to = syslog\nWhere log lines go.\nOne of syslog, stderr, file.\nTakes effect at a reload.\n")),
			     SIZE_MAX);
	buf_fini(&text);
}

static void no_room_is_said(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 100);
	assert_false(settings_print_template(&text));
	buf_reset(&text);
	assert_false(settings_print_mdoc(&text));
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_template_is_etc_main_conf),
		cmocka_unit_test(the_template_works_as_shipped),
		cmocka_unit_test(what_the_template_shows_is_the_defaults),
		cmocka_unit_test(the_template_s_lines_fit_a_terminal_wide),
		cmocka_unit_test(the_manual_s_list_names_every_setting_once),
		cmocka_unit_test(the_manual_s_list_says_range_and_when),
		cmocka_unit_test(no_room_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
