#include "smtpd/policy.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fd.h"

static const char *const logins[] = {"no", "help", "yes"},
			 *const senders[] = {"null", "remote", "local"},
			 *const recipients[] = {"remote", "local", "relay", "unknown", "disabled"},
			 *const answers[] = {"no", "yes"};

struct row {
	struct slice column[6];
};

static bool matches(struct slice column, const char *word)
{
	return slice_equal(column, SLICE("*")) || slice_equal(column, slice_of_cstr(word));
}

static size_t rows_read(struct buf *text, struct row *rows, size_t max)
{
	int fd = open("t/vectors/policy/recipients", O_RDONLY | O_CLOEXEC);
	struct slice rest, line;
	size_t n = 0;

	assert_true(fd >= 0 && fd_slurp(fd, text, NULL));
	fd_close(&fd);
	rest = buf_slice(text);
	while (slice_cut(&rest, '\n', &line)) {
		if (line.n == 0 || line.p[0] == '#')
			continue;
		assert_true(n < max);
		for (size_t i = 0; i < 6; i++)
			assert_true(slice_cut(&line, '\t', &rows[n].column[i]));
		n++;
	}
	return n;
}

/* login, sender, recipient, relay, own: places in the lists above, in the order of the enums. */
static void check(const struct row *rows, size_t n, const size_t place[5])
{
	const char *words[5] = {logins[place[0]], senders[place[1]], recipients[place[2]],
				answers[place[3]], answers[place[4]]};
	struct policy_facts f = {.authenticated = place[0] == 2,
				 .auth_would_help = place[0] == 1,
				 .sender = (enum sender_kind)place[1],
				 .recipient = (enum rcpt_kind)place[2],
				 .relay = place[3],
				 .sender_owned = place[4]};
	const struct row *row = NULL;
	struct reply no = {0};
	char verdict[32] = "taken";

	for (size_t i = 0; i < n; i++) {
		bool all = true;

		for (size_t k = 0; k < 5; k++)
			all = all && matches(rows[i].column[k], words[k]);
		if (all && row != NULL)
			fail_msg("two rows for %s %s %s %s %s", words[0], words[1], words[2],
				 words[3], words[4]);
		if (all)
			row = &rows[i];
	}
	if (row == NULL)
		fail_msg("no row for %s %s %s %s %s", words[0], words[1], words[2], words[3],
			 words[4]);
	if (!policy_recipient(&f, &no))
		(void)snprintf(verdict, sizeof(verdict), "%u %s", no.code, no.status);
	if (!slice_equal(row->column[5], slice_of_cstr(verdict)))
		fail_msg("%s %s %s %s %s: %s, not %.*s", words[0], words[1], words[2], words[3],
			 words[4], verdict, SLICE_PRINTF(row->column[5]));
}

static void every_combination_is_judged_as_the_table_says(void **state)
{
	static struct row rows[200];
	struct buf text;
	size_t n;

	(void)state;
	buf_init(&text, 1 << 20);
	n = rows_read(&text, rows, ARRAY_LENGTH(rows));
	for (size_t i = 0; i < 3 * 3 * 5 * 2 * 2; i++) {
		size_t place[5] = {i % 3, i / 3 % 3, i / 9 % 5, i / 45 % 2, i / 90};

		check(rows, n, place);
	}
	buf_fini(&text);
}

static void what_cannot_be_judged_is_temporary_or_refused(void **state)
{
	struct policy_facts f = {.sender = SENDER_REMOTE, .recipient = (enum rcpt_kind)77};
	struct reply no = {0};

	(void)state;
	assert_false(policy_recipient(&f, &no));
	assert_int_equal(no.code, 451);
	f = (struct policy_facts){.sender = (enum sender_kind)77, .recipient = RCPT_LOCAL};
	assert_false(policy_recipient(&f, &no));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_judged_as_the_table_says),
		cmocka_unit_test(what_cannot_be_judged_is_temporary_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
