#include "common/conf/settings.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"

#define VECTORS "t/vectors/conf"

static struct settings *parse(const char *text)
{
	struct settings *s = NULL;
	struct buf problems;

	buf_init(&problems, 1 << 20);
	if (!settings_parse(slice_of_cstr(text), "main.conf", &s, &problems))
		fail_msg("%s", buf_cstr(&problems));
	assert_int_equal(buf_length(&problems), 0);
	buf_fini(&problems);
	return s;
}

/* What is wrong with text, appended to problems. */
static void refuse(struct slice text, struct buf *problems)
{
	struct settings *s = NULL;

	buf_init(problems, 1 << 16);
	assert_false(settings_parse(text, "main.conf", &s, problems));
	assert_null(s);
	assert_true(buf_length(problems) > 0);
}

static void check_refused(const char *text, const char *wanted)
{
	struct buf problems;

	refuse(slice_of_cstr(text), &problems);
	assert_string_equal(buf_cstr(&problems), wanted);
	buf_fini(&problems);
}

static bool read_vector(const char *name, const char *ending, struct buf *out)
{
	char path[300];
	bool ok;
	int fd;

	(void)snprintf(path, sizeof(path), VECTORS "/%s.%s", name, ending);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ok = fd >= 0 && fd_slurp(fd, out, NULL);
	fd_close(&fd);
	return ok;
}

/* NAME.conf with NAME.problems beside it is refused with them; with NAME.values it is taken and prints as they are. */
static void check_vector(const char *name)
{
	struct buf conf, wanted, got;
	struct settings *s = NULL;
	bool right;

	buf_init(&conf, 1 << 16);
	buf_init(&wanted, 1 << 16);
	buf_init(&got, 1 << 16);
	assert_true(read_vector(name, "conf", &conf));
	right = read_vector(name, "values", &wanted);
	if (!right && !read_vector(name, "problems", &wanted))
		fail_msg("%s has neither .values nor .problems", name);
	if (settings_parse(buf_slice(&conf), "main.conf", &s, &got) != right)
		fail_msg("%s: %s", name, right ? buf_cstr(&got) : "it was taken");
	if (right)
		assert_true(settings_print(s, SETTINGS_PRINT_CHANGED, &got));
	if (!slice_equal(buf_slice(&got), buf_slice(&wanted)))
		fail_msg("%s gave\n%s", name, buf_cstr(&got));
	settings_destroy(s);
	buf_fini(&conf);
	buf_fini(&wanted);
	buf_fini(&got);
}

static void files_are_taken_or_refused_as_the_vectors_say(void **state)
{
	DIR *dir = opendir(VECTORS);
	struct dirent *entry;
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct slice name = slice_of_cstr(entry->d_name);
		char base[256];

		if (!slice_ends(name, SLICE(".conf")))
			continue;
		assert_true(slice_cstr(slice_head(name, name.n - 5), base, sizeof(base), NULL));
		check_vector(base);
		n++;
	}
	closedir(dir);
	assert_true(n >= 20);
}

static void nothing_set_gives_the_defaults(void **state)
{
	struct settings *s = parse("");

	(void)state;
	assert_int_equal(s->hostname.n, 0);
	assert_int_equal(s->listen.n, 0);
	assert_true(slice_equal(s->spool_dir, SLICE("/var/spool/tassis")));
	assert_int_equal(s->log_to, LOG_TO_SYSLOG);
	assert_int_equal(s->accounts, ACCOUNTS_AUTO);
	assert_int_equal(s->tls_minimum, TLS_MINIMUM_1_2);
	assert_int_equal(s->smtp_command_timeout, 300000);
	assert_int_equal(s->message_size_max, 50 << 20);
	assert_int_equal(s->queue_lifetime, 5u * 86400000);
	assert_true(s->smtp_client_name);
	assert_false(s->spool_sync_directory);
	settings_destroy(s);
	settings_destroy(NULL);
}

static void values_are_in_the_units_the_header_says(void **state)
{
	struct settings *s = parse("dns_timeout = 1500ms\nlookup_ttl = 2min\nqueue_lifetime = 30d\nlookup_cache = 3M\nmessage_size_max = 70000\n"
				   "smtp_workers = 7\nsmtp_client_name = no\nlog_to = file\nlog_level = debug\ntls_minimum = 1.3\naccounts = caller\n");

	(void)state;
	assert_int_equal(s->dns_timeout, 1500);
	assert_int_equal(s->lookup_ttl, 120000);
	assert_int_equal(s->queue_lifetime, 2592000000);
	assert_int_equal(s->lookup_cache, 3 << 20);
	assert_int_equal(s->message_size_max, 70000);
	assert_int_equal(s->smtp_workers, 7);
	assert_false(s->smtp_client_name);
	assert_int_equal(s->log_to, LOG_TO_FILE);
	assert_int_equal(s->log_level, 3);
	assert_int_equal(s->tls_minimum, TLS_MINIMUM_1_3);
	assert_int_equal(s->accounts, ACCOUNTS_CALLER);
	settings_destroy(s);
}

static void values_outlive_the_text(void **state)
{
	char text[] = "hostname = mail.example.org\nlisten = 127.0.0.1:2525 smtp none\n";
	struct settings *s = parse(text);

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_true(slice_equal(s->hostname, SLICE("mail.example.org")));
	assert_int_equal(s->listen.n, 1);
	assert_true(slice_equal(s->listen.p[0], SLICE("127.0.0.1:2525 smtp none")));
	settings_destroy(s);
}

static void many_lines_of_one_setting_are_all_kept(void **state)
{
	struct settings *s;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 300; i++)
		assert_true(buf_printf(&text, "listen = 127.0.0.1:%d smtp none\n", 2000 + i));
	s = parse(buf_cstr(&text));
	assert_int_equal(s->listen.n, 300);
	assert_true(slice_equal(s->listen.p[299], SLICE("127.0.0.1:2299 smtp none")));
	settings_destroy(s);
	buf_fini(&text);
}

static void a_file_too_large_is_refused(void **state)
{
	size_t n = (1 << 20) + 1;
	struct buf problems;
	char *text = malloc(n);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', n);
	refuse(slice_of(text, n), &problems);
	assert_string_equal(buf_cstr(&problems), "main.conf: it is larger than 1048576 octets\n");
	buf_fini(&problems);
	free(text);
}

static void more_mistakes_than_have_room_are_still_mistakes(void **state)
{
	struct settings *s = NULL;
	struct buf problems;

	(void)state;
	buf_init(&problems, 10);
	assert_false(settings_parse(SLICE("smtp_workers = x\n"), "main.conf", &s, &problems));
	assert_null(s);
	buf_fini(&problems);
}

static void a_very_long_name_is_a_mistake_like_another(void **state)
{
	struct buf text, problems;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 100000; i++)
		assert_true(buf_append_char(&text, 'a'));
	assert_true(buf_append_cstr(&text, " = 1\n"));
	refuse(buf_slice(&text), &problems);
	assert_true(buf_length(&problems) < 600);
	buf_fini(&text);
	buf_fini(&problems);
}

static void a_near_name_is_offered_and_a_far_one_is_not(void **state)
{
	(void)state;
	check_refused("tls_cert = /x\n", "main.conf line 1: tls_cert is not a setting; did you mean tls_certificate?\n");
	check_refused("relay_host = x\n", "main.conf line 1: relay_host is not a setting; main.conf(5) lists them\n");
	check_refused("lisen = 0.0.0.0:25 smtp none\n", "main.conf line 1: lisen is not a setting; did you mean listen?\n");
	check_refused("queue_life_time = 4d\n", "main.conf line 1: queue_life_time is not a setting; did you mean queue_lifetime?\n");
}

/* A value for the i-th setting that is not its default, where there is one. */
static const char *other_value(const struct setting_description *d)
{
	switch (d->type) {
	case TEXT:
		return strcmp(d->min, "path") == 0 ? "/some/where else" : strcmp(d->min, "domain") == 0 ? "mail.example.org" : strcmp(d->min, "networks") == 0 ? "192.0.2.0/24 2001:db8::1" : "a = 'b' # c";
	case NUMBER:
	case SIZE:
	case DURATION:
		return strcmp(d->max, d->default_text) == 0 ? d->min : d->max;
	case BOOL:
		return strcmp(d->default_text, "yes") == 0 ? "no" : "yes";
	case CHOICE: /* the last word; where that is the default, as with what a check leads to, another */
		return strcmp(strrchr(d->min, '|') + 1, d->default_text) != 0 ? strrchr(d->min, '|') + 1 : "reject";
	case LINES:
		return strcmp(d->min, "listener") == 0 ? "[::1]:2525 submission implicit" : strcmp(d->min, "domain") == 0 ? "lists.example.org" : "192.0.2.53:5353 trusted";
	}
	return "";
}

/* A file that sets every setting to something else than its default. */
static struct settings *parse_all_changed(void)
{
	struct settings *s;
	struct buf text;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < n_setting_descriptions; i++)
		assert_true(buf_printf(&text, "%s = %s\n", setting_descriptions[i].name, other_value(&setting_descriptions[i])));
	s = parse(buf_cstr(&text));
	buf_fini(&text);
	return s;
}

static size_t lines_of(const struct settings *s, enum settings_print_what what, struct buf *out)
{
	size_t n = 0;

	buf_init(out, 1 << 20);
	assert_true(settings_print(s, what, out));
	for (size_t i = 0; i < buf_length(out); i++)
		n += buf_slice(out).p[i] == '\n';
	return n;
}

/* All that s prints is read back, and prints the same again, setting by setting. */
static void check_print_and_parse(const struct settings *s, enum settings_print_what what)
{
	struct settings *again;
	struct buf printed, reprinted;

	(void)lines_of(s, what, &printed);
	again = parse(buf_cstr(&printed));
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		struct slice name = slice_of_cstr(setting_descriptions[i].name);
		struct buf ours, theirs;

		buf_init(&ours, 10000);
		buf_init(&theirs, 10000);
		assert_true(settings_print_one(s, name, &ours));
		assert_true(settings_print_one(again, name, &theirs));
		assert_string_equal(buf_cstr(&ours), buf_cstr(&theirs));
		buf_fini(&ours);
		buf_fini(&theirs);
	}
	(void)lines_of(again, what, &reprinted);
	assert_string_equal(buf_cstr(&printed), buf_cstr(&reprinted));
	buf_fini(&printed);
	buf_fini(&reprinted);
	settings_destroy(again);
}

static void all_that_is_printed_is_read_back_to_the_same_values(void **state)
{
	struct settings *defaults = parse(""), *changed = parse_all_changed();

	(void)state;
	check_print_and_parse(defaults, SETTINGS_PRINT_ALL);
	check_print_and_parse(defaults, SETTINGS_PRINT_CHANGED);
	check_print_and_parse(changed, SETTINGS_PRINT_ALL);
	check_print_and_parse(changed, SETTINGS_PRINT_CHANGED);
	settings_destroy(defaults);
	settings_destroy(changed);
}

static void what_is_printed_is_all_or_what_differs(void **state)
{
	struct settings *defaults = parse(""), *changed = parse_all_changed(), *same = parse("lookup_ttl = 1min\nmessage_size_max = 51200k\n");
	struct buf out;

	(void)state;
	assert_int_equal(lines_of(changed, SETTINGS_PRINT_CHANGED, &out), n_setting_descriptions);
	buf_fini(&out);
	assert_int_equal(lines_of(changed, SETTINGS_PRINT_ALL, &out), n_setting_descriptions);
	buf_fini(&out);
	assert_int_equal(lines_of(defaults, SETTINGS_PRINT_ALL, &out), n_setting_descriptions - 4); /* listen, dns_servers, spam_header and arc_trusted have no line */
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE(" \n")), SIZE_MAX);
	buf_fini(&out);
	assert_int_equal(lines_of(defaults, SETTINGS_PRINT_CHANGED, &out), 0);
	buf_fini(&out);
	assert_int_equal(lines_of(same, SETTINGS_PRINT_CHANGED, &out), 0); /* another way to write it is no change */
	buf_fini(&out);
	settings_destroy(defaults);
	settings_destroy(changed);
	settings_destroy(same);
}

static void public_leaves_out_the_secrets_and_nothing_else(void **state)
{
	struct settings *s = parse_all_changed();
	size_t n_secret = 0;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < n_setting_descriptions; i++)
		n_secret += setting_descriptions[i].who == SECRET;
	assert_int_equal(n_secret, 3);
	assert_int_equal(lines_of(s, SETTINGS_PRINT_PUBLIC, &out), n_setting_descriptions - n_secret);
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("database = ")), SIZE_MAX);
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("database_admin = ")), SIZE_MAX);
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("tls_password = ")), SIZE_MAX);
	buf_fini(&out);
	settings_destroy(s);
}

static void one_value_is_printed_by_its_name(void **state)
{
	struct settings *s = parse("dns_servers = 192.0.2.53\ndns_servers = 192.0.2.54 trusted\nlookup_ttl = 7200s\n");
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_true(settings_print_one(s, SLICE("dns_servers"), &out));
	assert_true(settings_print_one(s, SLICE("lookup_ttl"), &out));
	assert_true(settings_print_one(s, SLICE("hostname"), &out));
	assert_true(settings_print_one(s, SLICE("listen"), &out));
	assert_string_equal(buf_cstr(&out), "192.0.2.53\n192.0.2.54 trusted\n2h\n\n");
	assert_false(settings_print_one(s, SLICE("lookup"), &out));
	assert_false(settings_print_one(s, SLICE_EMPTY, &out));
	buf_fini(&out);
	settings_destroy(s);
}

static void no_room_to_print_is_said(void **state)
{
	struct settings *s = parse("");
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_false(settings_print(s, SETTINGS_PRINT_ALL, &out));
	buf_fini(&out);
	settings_destroy(s);
}

static void the_configured_hostname_comes_first(void **state)
{
	struct settings *s = parse("hostname = mail.example.org\n");
	struct fault why = {0};
	char name[256];

	(void)state;
	assert_true(settings_hostname(s, name, sizeof(name), &why));
	assert_string_equal(name, "mail.example.org");
	assert_false(settings_hostname(s, name, 10, &why));
	settings_destroy(s);
}

static void the_system_s_name_is_taken_only_when_it_is_full(void **state)
{
	struct settings *s = parse("");
	struct fault why = {0};
	char name[256];

	(void)state;
	if (settings_hostname(s, name, sizeof(name), &why)) {
		assert_non_null(strchr(name, '.'));
	} else {
		assert_int_equal(why.class, FAULT_PERMANENT);
		assert_non_null(strstr(why.text, "set hostname in main.conf"));
	}
	settings_destroy(s);
}

static void every_default_lies_in_its_own_range(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		const struct setting_description *d = &setting_descriptions[i];
		struct buf text;

		if (d->type == LINES)
			continue;
		buf_init(&text, 1000);
		assert_true(buf_printf(&text, "%s = %s\n", d->name, d->default_text));
		settings_destroy(parse(buf_cstr(&text)));
		buf_fini(&text);
		assert_true(slice_ends(slice_of_cstr(d->text), SLICE("."))); /* whole sentences for the manual */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_taken_or_refused_as_the_vectors_say),
		cmocka_unit_test(nothing_set_gives_the_defaults),
		cmocka_unit_test(values_are_in_the_units_the_header_says),
		cmocka_unit_test(values_outlive_the_text),
		cmocka_unit_test(many_lines_of_one_setting_are_all_kept),
		cmocka_unit_test(a_file_too_large_is_refused),
		cmocka_unit_test(more_mistakes_than_have_room_are_still_mistakes),
		cmocka_unit_test(a_very_long_name_is_a_mistake_like_another),
		cmocka_unit_test(a_near_name_is_offered_and_a_far_one_is_not),
		cmocka_unit_test(all_that_is_printed_is_read_back_to_the_same_values),
		cmocka_unit_test(what_is_printed_is_all_or_what_differs),
		cmocka_unit_test(public_leaves_out_the_secrets_and_nothing_else),
		cmocka_unit_test(one_value_is_printed_by_its_name),
		cmocka_unit_test(no_room_to_print_is_said),
		cmocka_unit_test(the_configured_hostname_comes_first),
		cmocka_unit_test(the_system_s_name_is_taken_only_when_it_is_full),
		cmocka_unit_test(every_default_lies_in_its_own_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
