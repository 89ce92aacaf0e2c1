#include "common/spool/envelope.h"

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/fd.h"

struct fixture {
	struct arena arena;
	struct buf block;
	struct envelope e;
	struct fault why;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){0};
	arena_init(&f.arena, 1 << 20);
	buf_init(&f.block, 1 << 20);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_reset(&f->arena);
	buf_fini(&f->block);
	return 0;
}

static void assert_slice(struct slice s, const char *expected)
{
	assert_int_equal(s.n, strlen(expected));
	assert_memory_equal(s.p, expected, s.n);
}

static void everything_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct envelope_recipient to[] = {
		{.forward_path = SLICE("bob@example.com"), .notify = SLICE("FAILURE,DELAY"), .orcpt = SLICE("rfc822;bob@example.com")},
		{.forward_path = SLICE("\"a b\\\n100%\"@example.com"), .mailbox = SLICE("sent")},
	};
	struct envelope e = {.reverse_path = SLICE("ann@example.org"), .helo = SLICE("client.example.org"), .client_name = SLICE("client.example.net"),
			     .user = SLICE("ann"), .ret = SLICE("HDRS"), .envid = SLICE("x+3Dy"), .eight_bit = true, .utf8 = true, .spam = true, .recipients = to, .n_recipients = 2};

	assert_true(ip_parse(SLICE("2001:db8::1"), &e.client));
	assert_true(envelope_encode(&e, &f->block));
	assert_true(envelope_decode(buf_slice(&f->block), &f->arena, &f->e, &f->why));
	assert_slice(f->e.reverse_path, "ann@example.org");
	assert_true(ip_equal(&f->e.client, &e.client));
	assert_slice(f->e.helo, "client.example.org");
	assert_slice(f->e.client_name, "client.example.net");
	assert_slice(f->e.user, "ann");
	assert_slice(f->e.ret, "HDRS");
	assert_slice(f->e.envid, "x+3Dy");
	assert_true(f->e.eight_bit && f->e.utf8 && f->e.spam);
	assert_int_equal(f->e.n_recipients, 2);
	assert_slice(f->e.recipients[0].forward_path, "bob@example.com");
	assert_slice(f->e.recipients[0].notify, "FAILURE,DELAY");
	assert_slice(f->e.recipients[0].orcpt, "rfc822;bob@example.com");
	assert_slice(f->e.recipients[1].forward_path, "\"a b\\\n100%\"@example.com");
	assert_int_equal(f->e.recipients[1].notify.n, 0);
	assert_slice(f->e.recipients[1].mailbox, "sent");
	assert_int_equal(f->e.recipients[0].mailbox.n, 0);
}

static void text_is_what_the_manual_shows(void **state)
{
	struct fixture *f = *state;
	struct envelope_recipient to = {.forward_path = SLICE("b%b@example.com")};
	struct envelope e = {.recipients = &to, .n_recipients = 1};

	assert_true(envelope_encode(&e, &f->block));
	assert_slice(buf_slice(&f->block), "from \nto b%25b@example.com\n");
}

static void nothing_an_address_holds_becomes_a_record_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct envelope_recipient to = {.forward_path = SLICE("x\nto eve@example.com\n@example.com")};
	struct envelope e = {.reverse_path = SLICE("a\nuser root"), .recipients = &to, .n_recipients = 1};

	assert_true(envelope_encode(&e, &f->block));
	assert_true(envelope_decode(buf_slice(&f->block), &f->arena, &f->e, &f->why));
	assert_int_equal(f->e.n_recipients, 1);
	assert_int_equal(f->e.user.n, 0);
	assert_slice(f->e.reverse_path, "a\nuser root");
}

static void full_buffer_is_told(void **state)
{
	struct fixture *f = *state;
	struct envelope_recipient to = {.forward_path = SLICE("bob@example.com"), .orcpt = SLICE("rfc822;bob@example.com")};
	struct envelope e = {.reverse_path = SLICE("ann@example.org"), .recipients = &to, .n_recipients = 1};
	size_t whole;

	assert_true(envelope_encode(&e, &f->block));
	whole = buf_length(&f->block);
	for (size_t max = 0; max < whole; max++) {
		struct buf small;

		buf_init(&small, max);
		assert_false(envelope_encode(&e, &small));
		buf_fini(&small);
	}
}

static void full_arena_is_temporary(void **state)
{
	struct fixture *f = *state;

	for (size_t limit = 0; limit < 40; limit += 8) {
		arena_reset(&f->arena);
		arena_init(&f->arena, limit);
		assert_false(envelope_decode(SLICE("from %41%42\nto a@b\nto %43@d\nto c@d\n"), &f->arena, &f->e, &f->why));
		assert_int_equal(f->why.class, FAULT_TEMPORARY);
	}
}

static void arena_full_at_an_escape_is_temporary(void **state)
{
	struct fixture *f = *state;

	arena_init(&f->arena, 2 * sizeof(struct envelope_recipient));
	assert_false(envelope_decode(SLICE("from %41%42\nto a@b\nto c@d\n"), &f->arena, &f->e, &f->why));
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
}

static void slurp(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf_reset(out);
	assert_true(fd >= 0 && fd_slurp(fd, out, NULL));
	fd_close(&fd);
}

/* NN-what.envelope is read; where NN-what.fault stands beside it, it must be refused for good with that sentence in it. */
static void vectors_are_read_or_refused_as_they_say(void **state)
{
	struct fixture *f = *state;
	struct buf expected;
	glob_t g;

	buf_init(&expected, 4096);
	assert_int_equal(glob("t/vectors/spool/envelope/*.envelope", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		char fault_path[512];
		bool ok;

		slurp(g.gl_pathv[i], &f->block);
		arena_reset(&f->arena);
		ok = envelope_decode(buf_slice(&f->block), &f->arena, &f->e, &f->why);
		snprintf(fault_path, sizeof(fault_path), "%.*s.fault", (int)(strlen(g.gl_pathv[i]) - strlen(".envelope")), g.gl_pathv[i]);
		if (access(fault_path, R_OK) != 0) {
			if (!ok)
				fail_msg("%s: %s", g.gl_pathv[i], f->why.text);
			continue;
		}
		slurp(fault_path, &expected);
		if (ok || f->why.class != FAULT_PERMANENT ||
		    slice_find_slice(slice_of_cstr(f->why.text), slice_trim(buf_slice(&expected))) == SIZE_MAX)
			fail_msg("%s: %s", g.gl_pathv[i], ok ? "was read" : f->why.text);
	}
	assert_true(g.gl_pathc >= 15);
	globfree(&g);
	buf_fini(&expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_comes_back_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(text_is_what_the_manual_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_an_address_holds_becomes_a_record_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(full_buffer_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(full_arena_is_temporary, setup, teardown),
		cmocka_unit_test_setup_teardown(arena_full_at_an_escape_is_temporary, setup, teardown),
		cmocka_unit_test_setup_teardown(vectors_are_read_or_refused_as_they_say, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
