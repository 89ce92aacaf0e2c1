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

enum { COLUMNS = 9, WORDS_MAX = 5, ROWS_MAX = 200 };

/* The words of each column, in the order of the enums. */
static const char *const words[COLUMNS][WORDS_MAX] = {
	{"no", "help", "yes", "host"},
	{"null", "remote", "local"},
	{"remote", "local", "relay", "unknown", "disabled"},
	{"no", "yes"},
	{"no", "yes"},
	{"no", "yes"},
	{"own", "any"},
	{"relays", "spf"},
	{"accept", "reject"},
};

struct row {
	struct slice column[COLUMNS + 1];
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
		for (size_t i = 0; i <= COLUMNS; i++)
			assert_true(slice_cut(&line, '\t', &rows[n].column[i]));
		n++;
	}
	return n;
}

static bool row_matches(const struct row *row, const size_t place[COLUMNS])
{
	for (size_t k = 0; k < COLUMNS; k++)
		if (!matches(row->column[k], words[k][place[k]]))
			return false;
	return true;
}

static void judge(const size_t place[COLUMNS], char *verdict, size_t size)
{
	const struct policy_facts f = {.trusted = place[0] == 3,
				       .authenticated = place[0] == 2,
				       .auth_would_help = place[0] == 1,
				       .sender = (enum sender_kind)place[1],
				       .recipient = (enum rcpt_kind)place[2],
				       .relay = place[3],
				       .sender_owned = place[4],
				       .spf_pass = place[5]};
	const struct settings conf = {.auth_sender = (unsigned)place[6],
				      .local_sender = (unsigned)place[7],
				      .null_sender = (unsigned)place[8]};
	struct reply no = {0};

	if (policy_recipient(&f, &conf, &no))
		(void)snprintf(verdict, size, "taken");
	else
		(void)snprintf(verdict, size, "%u %s", no.code, no.status);
}

/* place: of each column's word in the lists above. */
static void check(const struct row *rows, size_t n, const size_t place[COLUMNS])
{
	const struct row *row = NULL;
	char verdict[32], all[120] = "";

	for (size_t k = 0; k < COLUMNS; k++)
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ",
			       words[k][place[k]]);
	for (size_t i = 0; i < n; i++) {
		if (!row_matches(&rows[i], place))
			continue;
		if (row != NULL)
			fail_msg("two rows for %s", all);
		row = &rows[i];
	}
	if (row == NULL)
		fail_msg("no row for %s", all);
	judge(place, verdict, sizeof(verdict));
	if (!slice_equal(row->column[COLUMNS], slice_of_cstr(verdict)))
		fail_msg("%s: %s, not %.*s", all, verdict, SLICE_PRINTF(row->column[COLUMNS]));
}

/* The next combination. False: that was the last. */
static bool next_place(size_t place[COLUMNS])
{
	for (size_t k = 0; k < COLUMNS; k++) {
		if (++place[k] < WORDS_MAX && words[k][place[k]] != NULL)
			return true;
		place[k] = 0;
	}
	return false;
}

static void every_combination_is_judged_as_the_table_says(void **state)
{
	static struct row rows[ROWS_MAX];
	size_t place[COLUMNS] = {0}, n;
	unsigned n_places = 0;
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	n = rows_read(&text, rows, ROWS_MAX);
	do {
		check(rows, n, place);
		n_places++;
	} while (next_place(place));
	assert_int_equal(n_places, 4 * 3 * 5 * 2 * 2 * 2 * 2 * 2 * 2);
	buf_fini(&text);
}

static void what_cannot_be_judged_is_temporary_or_refused(void **state)
{
	struct policy_facts f = {.sender = SENDER_REMOTE, .recipient = (enum rcpt_kind)77};
	const struct settings conf = {0};
	struct reply no = {0};

	(void)state;
	assert_false(policy_recipient(&f, &conf, &no));
	assert_int_equal(no.code, 451);
	f = (struct policy_facts){.sender = (enum sender_kind)77, .recipient = RCPT_LOCAL};
	assert_false(policy_recipient(&f, &conf, &no));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_judged_as_the_table_says),
		cmocka_unit_test(what_cannot_be_judged_is_temporary_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
