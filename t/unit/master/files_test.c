/* What master looks at once a minute: a pair renewed on disk is taken when it is whole, and else the old one stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/tls/key.h"
#include "master/files.h"

struct world {
	char dir[64];
	char certificate[96], key[96], aliases[96], authorities[96];
	struct settings *settings;
	struct files files;
};

static void write_text(const char *path, struct slice octets)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(octets.p, 1, octets.n, f), octets.n);
	assert_int_equal(fclose(f), 0);
}

/* A new pair in the two files, or in one of them. */
static void renew(const struct world *w, const char *hostname, bool certificate, bool key)
{
	struct buf certificate_pem, key_pem;
	struct fault why = {0};

	buf_init(&certificate_pem, 65536);
	buf_init(&key_pem, 65536);
	assert_true(tls_make_self_signed(slice_of_cstr(hostname), &certificate_pem, &key_pem, &why));
	if (certificate)
		write_text(w->certificate, buf_slice(&certificate_pem));
	if (key)
		write_text(w->key, buf_slice(&key_pem));
	buf_fini(&certificate_pem);
	buf_fini(&key_pem);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct buf problems;
	struct fault why = {0};
	char text[1024];
	int n;

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/tassis-files.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->certificate, sizeof(w->certificate), "%s/certificate", w->dir);
	(void)snprintf(w->key, sizeof(w->key), "%s/key", w->dir);
	(void)snprintf(w->aliases, sizeof(w->aliases), "%s/aliases", w->dir);
	(void)snprintf(w->authorities, sizeof(w->authorities), "%s/authorities", w->dir);
	renew(w, "first.example", true, true);
	n = snprintf(text, sizeof(text), "tls_certificate = %s\ntls_key = %s\nlog_to = stderr\naliases_file = %s\ndelivery_tls_ca = %s\n",
		     w->certificate, w->key, w->aliases, w->authorities);
	buf_init(&problems, 4096);
	assert_true(settings_parse(slice_of(text, (size_t)n), "main.conf", &w->settings, &problems));
	buf_fini(&problems);
	assert_true(files_load(&w->files, w->settings, STDERR_FILENO, &why));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	files_fini(&w->files);
	settings_destroy(w->settings);
	(void)unlink(w->certificate);
	(void)unlink(w->key);
	(void)unlink(w->aliases);
	(void)unlink(w->authorities);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

/* What would be handed to a daemon now equals what lies in the file. */
static bool hands_over(int fd, const char *path)
{
	char ours[8192], theirs[8192];
	FILE *f = fopen(path, "r");
	ssize_t n = pread(fd, ours, sizeof(ours), 0);
	size_t m;

	assert_non_null(f);
	m = fread(theirs, 1, sizeof(theirs), f);
	(void)fclose(f);
	assert_true(n > 0 && m > 0);
	return (size_t)n == m && memcmp(ours, theirs, m) == 0;
}

static void pair_that_did_not_change_is_left_alone(void **state)
{
	struct world *w = *state;
	int certificate = w->files.certificate;
	struct fault why = {0};

	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_SAME);
	assert_int_equal(w->files.certificate, certificate);
}

static void renewed_pair_is_taken(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	renew(w, "second.example", true, true);
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_CHANGED);
	assert_true(hands_over(w->files.certificate, w->certificate));
	assert_true(hands_over(w->files.key, w->key));
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_SAME);
}

/* The renewal is half done: the old pair stays, it is said once, and the whole pair is taken later. */
static void certificate_without_its_key_is_refused_once_until_the_key_is_there(void **state)
{
	struct world *w = *state;
	struct buf certificate_pem, key_pem;
	struct fault why = {0};

	buf_init(&certificate_pem, 65536);
	buf_init(&key_pem, 65536);
	assert_true(tls_make_self_signed(SLICE("second.example"), &certificate_pem, &key_pem, &why));
	write_text(w->certificate, buf_slice(&certificate_pem));
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_REFUSED);
	assert_non_null(strstr(why.text, w->certificate));
	assert_false(hands_over(w->files.certificate, w->certificate));
	assert_true(hands_over(w->files.key, w->key));
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_SAME);
	write_text(w->key, buf_slice(&key_pem));
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_CHANGED);
	assert_true(hands_over(w->files.certificate, w->certificate));
	buf_fini(&certificate_pem);
	buf_fini(&key_pem);
}

static void text_without_a_certificate_is_refused_by_its_name(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	write_text(w->certificate, SLICE("-----BEGIN nothing-----\n"));
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_REFUSED);
	assert_non_null(strstr(why.text, w->certificate));
	assert_non_null(strstr(why.text, "no certificate"));
}

static void file_that_has_gone_leaves_the_old_pair(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	assert_int_equal(unlink(w->key), 0);
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_REFUSED);
	assert_true(hands_over(w->files.certificate, w->certificate));
	assert_true(w->files.key >= 0);
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_SAME);
	renew(w, "third.example", true, true);
	assert_int_equal(files_look_pair(&w->files, w->settings, &why), FILES_CHANGED);
}

static size_t size_of(int fd)
{
	char octets[64];
	ssize_t n = pread(fd, octets, sizeof(octets), 0);

	assert_true(n >= 0);
	return (size_t)n;
}

static void aliases_come_change_and_go_by_themselves(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	assert_int_equal(size_of(w->files.aliases), 0); /* there is no such file */
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_SAME);
	write_text(w->aliases, SLICE("root: ann@example.org\n"));
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_CHANGED);
	assert_true(hands_over(w->files.aliases, w->aliases));
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_SAME);
	assert_int_equal(unlink(w->aliases), 0);
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_CHANGED);
	assert_int_equal(size_of(w->files.aliases), 0);
}

static void aliases_that_cannot_be_read_are_told_once_and_the_old_ones_stay(void **state)
{
	struct world *w = *state;
	struct fault why = {0};
	struct buf large;

	write_text(w->aliases, SLICE("root: ann@example.org\n"));
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_CHANGED);
	buf_init(&large, 2 << 20);
	for (unsigned i = 0; i < 100000; i++)
		buf_append_cstr(&large, "# and so on\n");
	write_text(w->aliases, buf_slice(&large));
	buf_fini(&large);
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_REFUSED);
	assert_non_null(strstr(why.text, w->aliases));
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_SAME);
	assert_int_equal(size_of(w->files.aliases), 22);
	/* at a start it is told at the first look, once */
	files_fini(&w->files);
	assert_true(files_load(&w->files, w->settings, STDERR_FILENO, &why));
	assert_int_equal(w->files.aliases, -1);
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_REFUSED);
	assert_int_equal(files_look_aliases(&w->files, w->settings, &why), FILES_SAME);
}

/* A certificate, as good as an authority's. */
static void write_authorities(const struct world *w)
{
	struct buf certificate, key;

	buf_init(&certificate, 65536);
	buf_init(&key, 65536);
	assert_true(tls_make_self_signed(SLICE("ca.example"), &certificate, &key, NULL));
	write_text(w->authorities, buf_slice(&certificate));
	buf_fini(&certificate);
	buf_fini(&key);
}

static void authorities_come_and_change_by_themselves(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	assert_int_equal(w->files.authorities, -1); /* there is no such file, and none is needed */
	assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_SAME);
	for (int i = 0; i < 2; i++) {
		write_authorities(w);
		assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_CHANGED);
		assert_true(hands_over(w->files.authorities, w->authorities));
		assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_SAME);
		assert_int_equal(unlink(w->authorities), 0);
		assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_SAME);
		assert_true(w->files.authorities >= 0);
	}
	write_text(w->authorities, SLICE("no certificate\n"));
	assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_REFUSED);
	assert_non_null(strstr(why.text, w->authorities));
	assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_SAME);
	/* at a start it is told at the first look, once */
	files_fini(&w->files);
	assert_true(files_load(&w->files, w->settings, STDERR_FILENO, &why));
	assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_REFUSED);
	assert_int_equal(files_look_authorities(&w->files, w->settings, &why), FILES_SAME);
}

static void trust_in_authorities_alone_needs_their_file(void **state)
{
	struct world *w = *state;
	struct settings *s = NULL;
	struct fault why = {0};
	struct buf problems;
	char text[1024];
	struct files f;
	int n = snprintf(text, sizeof(text),
			 "tls_certificate = %s\ntls_key = %s\nlog_to = stderr\naliases_file = %s\n"
			 "delivery_tls_ca = %s\ndelivery_tls_trust = ca\n",
			 w->certificate, w->key, w->aliases, w->authorities);

	buf_init(&problems, 4096);
	assert_true(settings_parse(slice_of(text, (size_t)n), "main.conf", &s, &problems));
	buf_fini(&problems);
	assert_false(files_load(&f, s, STDERR_FILENO, &why));
	assert_non_null(strstr(why.text, w->authorities));
	assert_non_null(strstr(why.text, "the package ca-certificates"));
	write_text(w->authorities, SLICE("no certificate\n"));
	assert_false(files_load(&f, s, STDERR_FILENO, &why));
	assert_non_null(strstr(why.text, w->authorities));
	write_authorities(w);
	assert_true(files_load(&f, s, STDERR_FILENO, &why));
	assert_int_equal(unlink(w->authorities), 0); /* gone while it runs: told, and the old ones stay */
	assert_int_equal(files_look_authorities(&f, s, &why), FILES_REFUSED);
	assert_int_equal(files_look_authorities(&f, s, &why), FILES_SAME);
	assert_true(f.authorities >= 0);
	files_fini(&f);
	settings_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pair_that_did_not_change_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renewed_pair_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(certificate_without_its_key_is_refused_once_until_the_key_is_there, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(text_without_a_certificate_is_refused_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_that_has_gone_leaves_the_old_pair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(aliases_come_change_and_go_by_themselves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(aliases_that_cannot_be_read_are_told_once_and_the_old_ones_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(authorities_come_and_change_by_themselves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(trust_in_authorities_alone_needs_their_file, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
