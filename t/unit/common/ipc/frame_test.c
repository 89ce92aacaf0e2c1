#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/ipc/frame.h"
#include "t/unit/common/ipc/samples.h"

#define LONGEST (8u << 20)
#define CORPUS "t/fuzz/corpus/ipc_decode"

/* Letters, enough of them for any field. */
static int set_up(void **state)
{
	char *octets = malloc(LONGEST + 26);

	for (size_t i = 0; octets && i < LONGEST + 26; i++)
		octets[i] = (char)('a' + i % 26);
	*state = octets;
	return octets ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* ---- are two the same, field by field ---- */

#define SAME_u8(name, ...) assert_int_equal(a->name, b->name);
#define SAME_u16(name, ...) assert_int_equal(a->name, b->name);
#define SAME_u32(name, ...) assert_int_equal(a->name, b->name);
#define SAME_u64(name, ...) assert_true(a->name == b->name);
#define SAME_flag(name, ...) assert_int_equal(a->name, b->name);
#define SAME_ip(name, ...) assert_memory_equal(&a->name, &b->name, sizeof(a->name));
#define SAME_text(name, max) assert_true(slice_equal(a->name, b->name));
#define SAME_octets(name, max) assert_true(slice_equal(a->name, b->name));
#define SAME_fault(name, ...)                              \
	assert_int_equal(a->name.class, b->name.class);    \
	assert_string_equal(a->name.status, b->name.status); \
	assert_string_equal(a->name.text, b->name.text);
#define SAME_FIELD(kind, ...) SAME_##kind(__VA_ARGS__)

#define M(number, name, from, to, fields)                                                    \
	static void same_##name(const struct ipc_##name *a, const struct ipc_##name *b) \
	{                                                                                    \
		fields(SAME_FIELD)                                                           \
	}
IPC_MESSAGES(M)
#undef M
#define R(name, fields)                                                                      \
	static void same_##name(const struct ipc_##name *a, const struct ipc_##name *b) \
	{                                                                                    \
		fields(SAME_FIELD)                                                           \
	}
IPC_RECORDS(R)
#undef R

typedef void same_fn(const struct ipc_message *a, const struct ipc_message *b);
#define M(number, name, from, to, fields)                                                    \
	static void same_message_##name(const struct ipc_message *a, const struct ipc_message *b) \
	{                                                                                    \
		same_##name(&a->name, &b->name);                                             \
	}
IPC_MESSAGES(M)
#undef M

/* Goes through all types: the i-th filled, and how to compare it. False: there is none. */
static bool sample(size_t i, struct sample_source *s, struct ipc_message *m, const char **name, same_fn **same)
{
	size_t at = 0;

	*m = (struct ipc_message){0};
#define M(number, type_name, from, to, fields)              \
	if (at++ == i) {                                    \
		m->type = IPC_TYPE_##type_name;             \
		sample_##type_name(s, &m->type_name);       \
		*name = #type_name;                         \
		*same = same_message_##type_name;           \
		return true;                                \
	}
	IPC_MESSAGES(M)
#undef M
	return false;
}

/* ---- there and back ---- */

static void round_trip(const char *octets, size_t text_octets)
{
	struct sample_source s = {.octets = octets, .text_octets = text_octets};
	struct ipc_message m, back;
	const char *name;
	same_fn *same;
	uint32_t request;
	size_t length;
	struct buf frame;

	for (size_t i = 0; sample(i, &s, &m, &name, &same); i++) {
		buf_init(&frame, IPC_FRAME_MAX);
		assert_true(ipc_encode(&m, 0xfedcba98, &frame, NULL));
		assert_true(ipc_frame_length(buf_slice(&frame), &length, NULL));
		assert_int_equal(length, buf_length(&frame));
		assert_true(ipc_decode(buf_slice(&frame), &back, &request, NULL));
		assert_int_equal(request, 0xfedcba98);
		assert_int_equal(back.type, m.type);
		same(&m, &back);
		buf_fini(&frame);
	}
}

static void every_message_comes_back_as_it_was(void **state)
{
	round_trip(*state, 0);
	round_trip(*state, 1);
	round_trip(*state, 7);
	round_trip(*state, SIZE_MAX); /* each field at its maximum */
}

static void every_record_comes_back_as_it_was(void **state)
{
	struct sample_source s = {.octets = *state, .text_octets = 9};

#define R(name, fields)                                                \
	{                                                              \
		struct ipc_##name in[3] = {0}, out;                    \
		struct slice list;                                     \
		bool broken = false;                                   \
		struct buf b;                                          \
		buf_init(&b, 100000);                                  \
		for (int i = 0; i < 3; i++) {                          \
			sample_##name(&s, &in[i]);                     \
			assert_true(ipc_put_##name(&b, &in[i]));       \
		}                                                      \
		list = buf_slice(&b);                                  \
		assert_int_equal(ipc_count_##name(list, NULL), 3);     \
		assert_int_equal(ipc_count_##name(slice_head(list, list.n - 1), NULL), 0); \
		assert_int_equal(ipc_count_##name(SLICE_EMPTY, NULL), 0); \
		for (int i = 0; i < 3; i++) {                          \
			assert_true(ipc_next_##name(&list, &out, &broken)); \
			same_##name(&in[i], &out);                     \
		}                                                      \
		assert_false(ipc_next_##name(&list, &out, &broken));   \
		assert_false(broken);                                  \
		buf_fini(&b);                                          \
	}
	IPC_RECORDS(R)
#undef R
}

static void the_octets_on_the_wire_are_as_the_header_says(void **state)
{
	static const char wire[] = "\0\0\0\x24" "\0\x1e" "\x01\x02\x03\x04" "\x04\xc0\0\x02\x01" "\0\0\0\x01u" "\0\0\0\x04" "a@bc" "\0\0\0\x08" "d@ef.org";
	struct ipc_message m = IPC_MESSAGE(rcpt_ask, .client = {.family = 4, .octets = {192, 0, 2, 1}}, .user = SLICE("u"), .reverse_path = SLICE("a@bc"),
					   .forward_path = SLICE("d@ef.org"));
	struct buf frame;

	(void)state;
	buf_init(&frame, 1000);
	assert_true(ipc_encode(&m, 0x01020304, &frame, NULL));
	assert_int_equal(buf_length(&frame), sizeof(wire) - 1);
	assert_memory_equal(buf_slice(&frame).p, wire, sizeof(wire) - 1);
	buf_fini(&frame);
}

/* ---- the hostile side ---- */

/* A copy of just these octets, so that a sanitizer sees a read past them. */
static bool decode_copy(struct slice octets, struct fault *why)
{
	char *copy = malloc(octets.n ? octets.n : 1);
	struct ipc_message m;
	uint32_t request;
	bool ok;

	if (octets.n)
		memcpy(copy, octets.p, octets.n);
	ok = ipc_decode(slice_of(copy, octets.n), &m, &request, why);
	if (ok) {
		struct buf words;

		buf_init(&words, 500);
		ipc_print(&m, &words);
		buf_fini(&words);
	}
	free(copy);
	return ok;
}

static void set_length(struct buf *frame, size_t n)
{
	for (int i = 0; i < 4; i++)
		frame->p[frame->start + (size_t)i] = (char)((n - 4) >> (24 - 8 * i));
}

static void a_frame_cut_short_or_too_long_is_refused(void **state)
{
	struct sample_source s = {.octets = *state, .text_octets = 5};
	struct fault why;
	struct ipc_message m;
	const char *name;
	same_fn *same;

	for (size_t i = 0; sample(i, &s, &m, &name, &same); i++) {
		struct buf frame;
		size_t n;

		buf_init(&frame, 100000);
		assert_true(ipc_encode(&m, 1, &frame, NULL));
		n = buf_length(&frame);
		for (size_t cut = 0; cut < n; cut++) {
			why = (struct fault){0};
			assert_false(decode_copy(slice_head(buf_slice(&frame), cut), &why)); /* the length does not fit */
			if (cut >= 4)
				set_length(&frame, cut);
			assert_false(decode_copy(slice_head(buf_slice(&frame), cut), &why)); /* it does, the fields do not */
			set_length(&frame, n);
			assert_int_equal(why.class, FAULT_PERMANENT);
			assert_true(why.text[0]);
		}
		assert_true(decode_copy(buf_slice(&frame), &why));
		buf_append_char(&frame, 'x');
		set_length(&frame, n + 1);
		assert_false(decode_copy(buf_slice(&frame), &why));
		buf_fini(&frame);
	}
}

static void turned_bits_never_read_past_the_frame(void **state)
{
	struct sample_source s = {.octets = *state, .text_octets = 5};
	struct ipc_message m;
	const char *name;
	same_fn *same;

	for (size_t i = 0; sample(i, &s, &m, &name, &same); i++) {
		struct buf frame;

		buf_init(&frame, 100000);
		assert_true(ipc_encode(&m, 1, &frame, NULL));
		for (size_t bit = 0; bit < 8 * buf_length(&frame); bit++) {
			char *at = frame.p + frame.start + bit / 8;

			*at = (char)(*at ^ 1 << bit % 8);
			(void)decode_copy(buf_slice(&frame), NULL);
			*at = (char)(*at ^ 1 << bit % 8);
		}
		buf_fini(&frame);
	}
}

/* name: what the sentence must speak of. */
static void assert_refused(struct slice frame, const char *name)
{
	struct fault why = {0};

	assert_false(decode_copy(frame, &why));
	if (strstr(why.text, name) == NULL)
		fail_msg("'%s' does not speak of %s", why.text, name);
}

static void values_that_a_field_cannot_have_are_refused(void **state)
{
	(void)state;
	/* folder's text holds a NUL; octets may */
	assert_refused(SLICE("\0\0\0\x0d" "\0\x12" "\0\0\0\0" "\0\0\0\x03" "a\0b"), "folder: field name");
	assert_true(decode_copy(SLICE("\0\0\0\x0d" "\0\x27" "\0\0\0\0" "\0\0\0\x03" "a\0b"), NULL)); /* route_answer */
	/* a flag of 2, in control_answer */
	assert_refused(SLICE("\0\0\0\x0b" "\0\x51" "\0\0\0\0" "\0\0\0\0" "\x02"), "refused");
	/* family 5, in rcpt_ask */
	assert_refused(SLICE("\0\0\0\x13" "\0\x1e" "\0\0\0\0" "\x05" "\0\0\0\0\0\0\0\0\0\0\0\0"), "client");
	/* failed: class 2; a status with a line end */
	assert_refused(SLICE("\0\0\0\x0f" "\0\x03" "\0\0\0\x01" "\x02" "\0\0\0\0\0\0\0\0"), "why");
	assert_refused(SLICE("\0\0\0\x13" "\0\x03" "\0\0\0\x01" "\x00" "\0\0\0\x04" "4\r\n2" "\0\0\0\0"), "why");
	assert_true(decode_copy(SLICE("\0\0\0\x14" "\0\x03" "\0\0\0\x01" "\x01" "\0\0\0\x05" "5.1.1" "\0\0\0\0"), NULL));
	/* a length with all bits set */
	assert_refused(SLICE("\0\0\0\x0a" "\0\x12" "\0\0\0\0" "\xff\xff\xff\xff"), "name");
	/* types that are none: 0, 5, and a number with a mark in it */
	assert_refused(SLICE("\0\0\0\x06" "\0\x00" "\0\0\0\0"), "type");
	assert_refused(SLICE("\0\0\0\x06" "\0\x05" "\0\0\0\0"), "type");
	assert_refused(SLICE("\0\0\0\x06" "\x40\x16" "\0\0\0\0"), "type");
	assert_refused(SLICE_EMPTY, "octets");
}

static void a_text_in_a_fault_cannot_break_a_line(void **state)
{
	struct ipc_message m;
	uint32_t request;

	(void)state;
	assert_true(ipc_decode(SLICE("\0\0\0\x15" "\0\x03" "\0\0\0\x01" "\x00" "\0\0\0\0" "\0\0\0\x06" "a\r\nb\xff" "c"), &m, &request, NULL));
	assert_string_equal(m.failed.why.text, "a??b?c");
	assert_string_equal(fault_status(&m.failed.why), "4.3.0");
}

static void a_length_is_known_from_four_octets_and_bounded(void **state)
{
	size_t length = 99;
	struct fault why = {0};

	(void)state;
	assert_true(ipc_frame_length(SLICE("\0\0\0"), &length, NULL));
	assert_int_equal(length, 0);
	assert_true(ipc_frame_length(SLICE("\0\0\0\x06"), &length, NULL));
	assert_int_equal(length, IPC_FRAME_HEADER);
	assert_false(ipc_frame_length(SLICE("\0\0\0\x05"), &length, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_true(ipc_frame_length(SLICE("\x00\xff\xff\xfc"), &length, NULL));
	assert_int_equal(length, IPC_FRAME_MAX);
	assert_false(ipc_frame_length(SLICE("\x00\xff\xff\xfd"), &length, NULL));
	assert_false(ipc_frame_length(SLICE("\xff\xff\xff\xff"), &length, NULL));
}

/* ---- our own mistakes ---- */

static void a_field_over_its_maximum_is_not_encoded(void **state)
{
	struct ipc_message m = IPC_MESSAGE(dns_ask, .name = slice_of(*state, IPC_HOST_MAX));
	struct fault why = {0};
	struct buf frame;

	buf_init(&frame, 10000);
	buf_append(&frame, SLICE("before"));
	assert_true(ipc_encode(&m, 1, &frame, &why));
	buf_truncate(&frame, 6);
	m.dns_ask.name.n++;
	assert_false(ipc_encode(&m, 1, &frame, &why));
	assert_non_null(strstr(why.text, "name has 256 octets"));
	m.dns_ask.name = SLICE("a\0b");
	assert_false(ipc_encode(&m, 1, &frame, &why));
	assert_non_null(strstr(why.text, "NUL"));
	assert_true(slice_equal(buf_slice(&frame), SLICE("before")));
	assert_false(frame.failed);
	buf_fini(&frame);
}

static void a_frame_without_room_leaves_the_buf_as_it_was(void **state)
{
	struct ipc_message m = IPC_MESSAGE(dns_ask, .name = slice_of(*state, 100));
	struct ipc_queue_entry entry = {.id = slice_of(*state, 32), .first_recipient = slice_of(*state, 100)};
	struct fault why = {0};
	struct buf frame;

	buf_init(&frame, 50);
	buf_append(&frame, SLICE("before"));
	assert_false(ipc_encode(&m, 1, &frame, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.1");
	assert_false(ipc_put_queue_entry(&frame, &entry));
	assert_true(slice_equal(buf_slice(&frame), SLICE("before")));
	buf_fini(&frame);
}

static void a_broken_list_is_told_from_its_end(void **state)
{
	struct ipc_deliver_result in = {.index = 7, .status = SLICE("2.0.0"), .reply = SLICE("ok")}, out;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_true(ipc_put_deliver_result(&b, &in));
	for (size_t cut = 1; cut < buf_length(&b); cut++) {
		struct slice list = slice_head(buf_slice(&b), cut);
		bool broken = false;

		assert_false(ipc_next_deliver_result(&list, &out, &broken));
		assert_true(broken);
	}
	buf_fini(&b);
}

/* ---- who may say what ---- */

static void only_the_named_roles_may_send_a_message(void **state)
{
	(void)state;
	assert_true(ipc_permitted(IPC_TYPE_rcpt_ask, IPC_ROLE_SMTPD, IPC_ROLE_LOOKUPD));
	assert_false(ipc_permitted(IPC_TYPE_rcpt_ask, IPC_ROLE_LOOKUPD, IPC_ROLE_SMTPD));
	assert_false(ipc_permitted(IPC_TYPE_rcpt_ask, IPC_ROLE_REMOTE, IPC_ROLE_LOOKUPD));
	assert_false(ipc_permitted(IPC_TYPE_rcpt_ask, IPC_ROLE_SMTPD, IPC_ROLE_QUEUED));
	assert_true(ipc_permitted(IPC_TYPE_quota_ask, IPC_ROLE_SMTPD, IPC_ROLE_LOCAL));
	assert_false(ipc_permitted(IPC_TYPE_quota_ask, IPC_ROLE_SMTPD, IPC_ROLE_REMOTE));
	assert_true(ipc_permitted(IPC_TYPE_sign_ask, IPC_ROLE_SMTPD, IPC_ROLE_LOOKUPD));
	assert_true(ipc_permitted(IPC_TYPE_sign_ask, IPC_ROLE_REMOTE, IPC_ROLE_LOOKUPD));
	assert_false(ipc_permitted(IPC_TYPE_sign_ask, IPC_ROLE_LOCAL, IPC_ROLE_LOOKUPD));
	for (int role = 0; role < IPC_N_ROLES; role++) {
		assert_true(ipc_permitted(IPC_TYPE_hello, role, IPC_ROLE_QUEUED));
		assert_int_equal(ipc_permitted(IPC_TYPE_settings, role, IPC_ROLE_SMTPD), role == IPC_ROLE_MASTER);
		assert_int_equal(ipc_permitted(IPC_TYPE_control_ask, role, IPC_ROLE_QUEUED), role == IPC_ROLE_ADMIN);
	}
	assert_false(ipc_permitted((enum ipc_type)5, IPC_ROLE_MASTER, IPC_ROLE_SMTPD));
	assert_string_equal(ipc_role_name(IPC_ROLE_LOOKUPD), "lookupd");
	assert_string_equal(ipc_role_name(IPC_N_ROLES), "nobody");
}

/* ---- in words ---- */

static const char *words(const struct ipc_message *m, struct buf *out)
{
	buf_init(out, 2000);
	ipc_print(m, out);
	return buf_cstr(out);
}

static void secrets_are_printed_as_a_length(void **state)
{
	struct ipc_message m = IPC_MESSAGE(auth_ask, .client = {.family = 4, .octets = {192, 0, 2, 1}}, .user = SLICE("test@test.com"),
					   .password = SLICE("swordfish"));
	struct buf out;

	(void)state;
	assert_string_equal(words(&m, &out), "auth_ask client=192.0.2.1 authzid= user=test@test.com password=9-octets");
	buf_fini(&out);
	m = IPC_MESSAGE(sign_ask, .key_id = SLICE("kkkk"), .digest = SLICE("SHA256"), .input = SLICE("secret-in"));
	assert_string_equal(words(&m, &out), "sign_ask key_id=4-octets scheme=0 digest=SHA256 input=9-octets");
	buf_fini(&out);
	m = IPC_MESSAGE(sign_answer, .signature = SLICE("secret"));
	assert_string_equal(words(&m, &out), "sign_answer signature=6-octets");
	buf_fini(&out);
	m = IPC_MESSAGE(tickets_answer, .keys = SLICE("secret"), .valid_ms = 5);
	assert_string_equal(words(&m, &out), "tickets_answer keys=6-octets valid_ms=5");
	buf_fini(&out);
}

static void words_are_cut_at_the_buffers_end(void **state)
{
	struct sample_source s = {.octets = *state, .text_octets = SIZE_MAX};
	struct ipc_message m;
	const char *name;
	same_fn *same;

	for (size_t i = 0; sample(i, &s, &m, &name, &same); i++)
		for (size_t max = 0; max < 40; max++) {
			struct buf out;

			buf_init(&out, max);
			ipc_print(&m, &out);
			assert_true(buf_length(&out) <= max);
			buf_fini(&out);
		}
}

/* ---- the fuzz corpus ---- */

/* FRAME_SEEDS=write in the environment makes them anew, after a change of messages.h. */
static void seed(const char *name, struct slice octets)
{
	const char *mode = getenv("FRAME_SEEDS");
	char path[128];
	struct buf there;
	int fd;

	snprintf(path, sizeof(path), CORPUS "/%s", name);
	if (mode && strcmp(mode, "write") == 0) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_true(fd_write_all(fd, octets.p, octets.n, -1));
		close(fd);
		return;
	}
	buf_init(&there, 100000);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || !fd_slurp(fd, &there, NULL) || !slice_equal(buf_slice(&there), octets))
		fail_msg("%s is not what messages.h makes: run this test with FRAME_SEEDS=write", path);
	buf_fini(&there);
	close(fd);
}

static void the_fuzz_corpus_has_one_frame_of_each_message_and_record(void **state)
{
	struct sample_source s = {.octets = *state, .text_octets = 5};
	struct ipc_message m;
	const char *name;
	same_fn *same;
	struct buf b;

	buf_init(&b, 100000);
	for (size_t i = 0; s.n = 0, sample(i, &s, &m, &name, &same); i++) {
		assert_true(ipc_encode(&m, 1, &b, NULL));
		seed(name, buf_slice(&b));
		buf_reset(&b);
	}
#define R(type_name, fields)                                          \
	{                                                             \
		struct ipc_##type_name record = {0};                  \
		s.n = 0;                                              \
		sample_##type_name(&s, &record);                      \
		assert_true(ipc_put_##type_name(&b, &record));        \
		assert_true(ipc_put_##type_name(&b, &record));        \
		seed("record-" #type_name, buf_slice(&b));            \
		buf_reset(&b);                                        \
	}
	IPC_RECORDS(R)
#undef R
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back_as_it_was),
		cmocka_unit_test(every_record_comes_back_as_it_was),
		cmocka_unit_test(the_octets_on_the_wire_are_as_the_header_says),
		cmocka_unit_test(a_frame_cut_short_or_too_long_is_refused),
		cmocka_unit_test(turned_bits_never_read_past_the_frame),
		cmocka_unit_test(values_that_a_field_cannot_have_are_refused),
		cmocka_unit_test(a_text_in_a_fault_cannot_break_a_line),
		cmocka_unit_test(a_length_is_known_from_four_octets_and_bounded),
		cmocka_unit_test(a_field_over_its_maximum_is_not_encoded),
		cmocka_unit_test(a_frame_without_room_leaves_the_buf_as_it_was),
		cmocka_unit_test(a_broken_list_is_told_from_its_end),
		cmocka_unit_test(only_the_named_roles_may_send_a_message),
		cmocka_unit_test(secrets_are_printed_as_a_length),
		cmocka_unit_test(words_are_cut_at_the_buffers_end),
		cmocka_unit_test(the_fuzz_corpus_has_one_frame_of_each_message_and_record),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
