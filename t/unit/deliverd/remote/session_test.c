#include "deliverd/remote/session.h"

#include <ifaddrs.h>
#include <sys/mman.h>

#include "t/unit/deliverd/remote/stage.h"

#define ORDER(...) (&(struct order){__VA_ARGS__})

static void assert_delivered(struct delivery *d)
{
	const struct result *r = result_of(d);

	if (r->outcome != DELIVER_DELIVERED)
		fail_msg("not delivered: %s %s", r->status, r->reply);
}

/* Deferred, in words that hold these. */
static void assert_deferred(struct delivery *d, const char *words)
{
	const struct result *r = result_of(d);

	assert_int_equal(r->outcome, DELIVER_DEFERRED);
	if (strstr(r->reply, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, r->reply);
}

/* ---- the way of a message ---- */

static void message_goes_to_the_mx_and_its_reply_comes_back(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	d = deliver(ORDER(0));
	assert_delivered(d);
	assert_string_equal(d->results[0].status, "2.0.0");
	assert_string_equal(d->results[0].reply, "250 2.0.0 taken");
	assert_string_equal(d->results[0].host, "mx.far.test");
	assert_true(slice_equal(buf_slice(&st->far.dialogue),
				SLICE("EHLO mx.test.com\nMAIL FROM:<ann@near.test> SIZE=31\nRCPT "
				      "TO:<bob@far.test>\nDATA\n")));
	assert_true(slice_equal(buf_slice(&st->far.message),
				SLICE("Subject: Lunch\r\n\r\nAt noon?\r\n..\r\n.\r\n")));
	stage_end();
}

static void commands_go_one_by_one_without_pipelining(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
	d = deliver(ORDER(.n_to = 3));
	UNTIL(far_count(&st->far, "MAIL"));
	assert_int_equal(far_count(&st->far, "RCPT"), 0);
	UNTIL(d->n_answers);
	assert_int_equal(d->n_results, 3);
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test>"), 1);
	assert_int_equal(far_count(&st->far, "RCPT"), 3);
	stage_end();
}

static void many_recipients_go_in_groups_with_data_at_the_end(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	d = deliver(ORDER(.n_to = 250));
	UNTIL(d->n_answers);
	assert_int_equal(d->n_results, 250);
	for (size_t i = 0; i < 250; i++)
		assert_int_equal(d->results[i].outcome, DELIVER_DELIVERED);
	assert_int_equal(far_count(&st->far, "RCPT"), 250);
	assert_true(
		slice_ends(buf_slice(&st->far.dialogue), SLICE("RCPT TO:<r249@far.test>\nDATA\n")));
	assert_int_equal(st->far.n_messages, 1);
	stage_end();
}

static void large_message_arrives_whole(void **state)
{
	struct buf content;

	(void)state;
	stage_begin("");
	buf_init(&content, 4 << 20);
	buf_append_cstr(&content, "Subject: large\r\n\r\n");
	while (buf_length(&content) < 900000)
		buf_append_cstr(&content, "the quick brown fox\r\n");
	assert_delivered(deliver(ORDER(.content = buf_slice(&content))));
	assert_int_equal(buf_length(&st->far.message), buf_length(&content) + 3);
	buf_fini(&content);
	stage_end();
}

static void host_that_knows_no_ehlo_is_greeted_with_helo(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "502 5.5.1 what?\r\n", 0);
	assert_delivered(deliver(ORDER(.eight_bit = true)));
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test>"), 1);
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test> "), 0);
	stage_end();
}

static void eight_bit_is_said_where_it_is_understood_and_sent_as_it_is_elsewhere(void **state)
{
	struct slice content = SLICE("Subject: x\r\n\r\nna\xc3\xafve\r\n");

	(void)state;
	stage_begin("delivery_reuse_idle = 0s\n");
	assert_delivered(deliver(ORDER(.eight_bit = true, .content = content)));
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test> SIZE=22 BODY=8BITMIME"), 1);
	far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
	assert_delivered(deliver(ORDER(.eight_bit = true, .content = content)));
	assert_true(slice_equal(buf_slice(&st->far.message),
				SLICE("Subject: x\r\n\r\nna\xc3\xafve\r\n.\r\n")));
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test>"), 2);
	stage_end();
}

static void message_that_can_do_without_smtputf8_goes_without(void **state)
{
	const struct result *r;

	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(.utf8 = true)));
	r = result_of(deliver(ORDER(.utf8 = true, .to = {"b\xc3\xb6"
							 "b@far.test"})));
	assert_int_equal(r->outcome, DELIVER_FAILED);
	assert_string_equal(r->status, "5.6.7");
	r = result_of(
		deliver(ORDER(.utf8 = true, .content = SLICE("Subject: \xc3\xb6\r\n\r\nx\r\n"))));
	assert_int_equal(r->outcome, DELIVER_FAILED);
	assert_int_equal(far_count(&st->far, "MAIL"), 1);
	assert_int_equal(st->far.n_connections, 1); /* and the connection is kept */
	stage_end();
}

static void smtputf8_is_said_where_it_is_understood(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 SMTPUTF8\r\n", 0);
	assert_delivered(deliver(ORDER(.utf8 = true, .to = {"b\xc3\xb6"
							    "b@far.test"})));
	assert_int_equal(far_count(&st->far, "MAIL FROM:<ann@near.test> SMTPUTF8"), 1);
	stage_end();
}

static void message_over_the_announced_size_is_not_sent(void **state)
{
	const struct result *r;

	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 SIZE 30\r\n", 0);
	r = result_of(deliver(ORDER(0)));
	assert_int_equal(r->outcome, DELIVER_FAILED);
	assert_string_equal(r->status, "5.3.4");
	assert_int_equal(far_count(&st->far, "MAIL"), 0);
	stage_end();
}

static void address_literals_and_ports_are_taken_as_they_are(void **state)
{
	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(.host = "[127.0.0.1]", .port = st->far.port)));
	assert_delivered(
		deliver(ORDER(.host = "127.0.0.1", .not_mx = true))); /* port 0: delivery_port */
	assert_deferred(deliver(ORDER(.host = "[IPv6:::1]", .port = st->far.port)),
			"connect"); /* nobody listens there */
	assert_int_equal(st->names.n_asked, 0);
	stage_end();
}

/* ---- recipients ---- */

static void each_recipient_has_its_own_reply(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	far_say(&st->far, "RCPT TO:<b", "550 5.1.1 no Bob\r\n", 0);
	far_say(&st->far, "RCPT TO:<c", "450-4.2.1 come\r\n450 4.2.1 back\r\n", 0);
	far_say(&st->far, "RCPT TO:<d", "550 4.9.9 odd\r\n", 0);
	d = deliver(
		ORDER(.to = {"ann@far.test", "bob@far.test", "carl@far.test", "dora@far.test"}));
	UNTIL(d->n_answers);
	assert_int_equal(d->results[0].outcome, DELIVER_DELIVERED);
	assert_int_equal(d->results[1].outcome, DELIVER_FAILED);
	assert_string_equal(d->results[1].reply, "550 5.1.1 no Bob");
	assert_int_equal(d->results[2].outcome, DELIVER_DEFERRED);
	assert_string_equal(d->results[2].reply, "450 4.2.1 come back");
	assert_int_equal(d->results[3].outcome, DELIVER_FAILED);
	assert_string_equal(d->results[3].status, "5.0.0"); /* a status of another class is none */
	stage_end();
}

static void when_nobody_is_accepted_nothing_is_sent(void **state)
{
	static const char *const replies[] = {"354 go on\r\n", "554 5.5.1 no recipients\r\n"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		stage_begin("");
		far_say(&st->far, "RCPT", "550 5.1.1 no\r\n", 2);
		far_say(&st->far, "DATA", replies[i], 1);
		assert_int_equal(result_of(deliver(ORDER(0)))->outcome, DELIVER_FAILED);
		if (i == 0)
			assert_true(slice_equal(buf_slice(&st->far.message),
						SLICE(".\r\n"))); /* RFC 2920 3.1 */
		assert_int_equal(result_of(deliver(ORDER(0)))->outcome, DELIVER_FAILED);
		assert_delivered(deliver(ORDER(0))); /* over the same connection */
		assert_int_equal(st->far.n_connections, 1);
		stage_end();
	}
	stage_begin("");
	far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
	far_say(&st->far, "RCPT", "550 5.1.1 no\r\n", 2);
	assert_int_equal(deliver(ORDER(.n_to = 2))->n_answers, 0);
	UNTIL(st->deliveries[0].n_answers);
	assert_int_equal(far_count(&st->far, "DATA"), 0);
	assert_int_equal(far_count(&st->far, "RSET"), 1);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 1);
	stage_end();
}

static void refused_mail_is_the_fate_of_all(void **state)
{
	(void)state;
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		struct delivery *d;

		stage_begin("");
		far_say(&st->far, "MAIL", "553 5.1.8 not from you\r\n", 0);
		far_say(&st->far, "RCPT", "503 5.5.1 MAIL first\r\n", 0);
		far_say(&st->far, "DATA", "503 5.5.1 MAIL first\r\n", 0);
		if (!pipelining)
			far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
		d = deliver(ORDER(.n_to = 2));
		UNTIL(d->n_answers);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(d->results[i].outcome, DELIVER_FAILED);
			assert_string_equal(d->results[i].reply, "553 5.1.8 not from you");
		}
		stage_end();
	}
}

static void too_many_recipients_is_temporary_also_as_552(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	far_say(&st->far, "RCPT TO:<b", "552 too many recipients\r\n", 0); /* RFC 5321 4.5.3.1.10 */
	far_say(&st->far, "RCPT TO:<c", "552 5.2.2 mailbox full\r\n", 0);
	d = deliver(ORDER(.to = {"ann@far.test", "bob@far.test", "carl@far.test"}));
	UNTIL(d->n_answers);
	assert_int_equal(d->results[0].outcome, DELIVER_DELIVERED);
	assert_int_equal(d->results[1].outcome, DELIVER_DEFERRED);
	assert_int_equal(d->results[2].outcome, DELIVER_FAILED);
	stage_end();
}

static void refused_content_is_the_fate_of_the_accepted(void **state)
{
	static const char *const verbs[] = {"DATA", "END"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct delivery *d;

		stage_begin("");
		far_say(&st->far, "RCPT TO:<b", "450 4.2.1 later\r\n", 0);
		far_say(&st->far, verbs[i], "554 5.7.1 spam\r\n", 1);
		d = deliver(ORDER(.to = {"ann@far.test", "bob@far.test"}));
		UNTIL(d->n_answers);
		assert_int_equal(d->results[0].outcome, DELIVER_FAILED);
		assert_int_equal(d->results[1].outcome, DELIVER_DEFERRED);
		assert_delivered(deliver(ORDER(.to = {"ann@far.test"})));
		assert_int_equal(st->far.n_connections, 1);
		stage_end();
	}
}

/* ---- the far end misbehaves ---- */

static const char *const stages[] = {"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END"};

static void loss_of_the_connection_at_any_point_defers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		for (int pipelining = 0; pipelining < 2; pipelining++) {
			stage_begin("");
			far_say(&st->far, stages[i], FAR_CLOSE, 0);
			if (!pipelining)
				far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
			assert_deferred(deliver(ORDER(0)), "mx.far.test[127.0.0.1]");
			assert_true(list_empty(&st->remote.sessions));
			assert_true(list_empty(&st->remote.jobs));
			stage_end();
		}
}

static void reply_421_at_any_point_defers_in_its_words(void **state)
{
	static const char *const replies[] = {"421 4.3.2 going down\r\n",
					      "421 4.3.2 going down\r\n" FAR_CLOSE};

	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		for (int k = 0; k < 4; k++) {
			stage_begin("");
			far_say(&st->far, stages[i], replies[k % 2], 1);
			if (k >= 2)
				far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
			assert_deferred(deliver(ORDER(0)), "going down");
			UNTIL(list_empty(&st->remote.sessions));
			assert_delivered(deliver(ORDER(0)));
			assert_int_equal(st->far.n_connections, 2);
			stage_end();
		}
}

/* RFC 5321 4.5.3.2, each by its own setting. */
static void silence_at_any_point_ends_at_its_time_limit(void **state)
{
	static const struct {
		const char *stage, *setting;
	} cases[] = {
		{"CONNECT", "delivery_greeting_timeout"},  {"EHLO", "delivery_greeting_timeout"},
		{"STARTTLS", "delivery_greeting_timeout"}, {"AUTH", "delivery_greeting_timeout"},
		{"MAIL", "delivery_mail_timeout"},	   {"RCPT", "delivery_rcpt_timeout"},
		{"DATA", "delivery_data_timeout"},	   {"END", "delivery_end_timeout"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct delivery *d;

		stage_begin("");
		stage_configure("listen = 127.0.0.1:1 smtp none\ndelivery_port = %u\n%s = 20s\n",
				st->far.port, cases[i].setting);
		far_say(&st->far, cases[i].stage, "", 0);
		far_say(&st->far, "EHLO",
			i == 2 ? "250-far.test\r\n250 STARTTLS\r\n"
			       : "250-far.test\r\n250 AUTH PLAIN\r\n",
			0);
		d = deliver(ORDER(.username = i == 3 ? "ann" : "", .password = "secret"));
		UNTIL(st->far.n_connections);
		for (int k = 0; k < 3000 && !d->n_answers; k++)
			loop_turn(st->loop, false);
		assert_int_equal(d->n_answers, 0);
		loop_advance(st->loop, 19000);
		turns(10);
		assert_int_equal(d->n_answers, 0);
		loop_advance(st->loop, 1100);
		if (i == 2) { /* the handshake that never comes may be done without */
			assert_deferred(d, "starttls_sent");
		} else {
			assert_deferred(d, "no answer in time");
		}
		stage_end();
	}
}

static void large_content(struct buf *content);

/* The limit is for no progress at all: who takes a little within each is waited for. */
static void message_that_is_not_taken_ends_at_delivery_block_timeout(void **state)
{
	struct buf content;
	struct delivery *d;

	(void)state;
	large_content(&content);
	stage_begin("delivery_block_timeout = 20s\n");
	far_say(&st->far, "EHLO", "250 PIPELINING\r\n", 0);
	d = deliver(ORDER(.content = buf_slice(&content)));
	UNTIL(far_count(&st->far, "DATA"));
	loop_io_want(&st->far.connections[0].io, 0); /* it reads no more */
	for (int k = 0; k < 3000; k++)
		loop_turn(st->loop, false);
	for (int i = 0; i < 4; i++) {
		char octets[65536];

		loop_advance(st->loop, 15000);
		turns(50);
		for (int k = 0; k < 8; k++)
			if (recv(st->far.connections[0].fd, octets, sizeof(octets), MSG_DONTWAIT) <=
			    0)
				usleep(1000);
		turns(50);
		assert_int_equal(d->n_answers, 0);
	}
	loop_advance(st->loop, 20100);
	turns(50);
	loop_advance(st->loop, 20100);
	assert_deferred(d, "no answer in time at step body");
	buf_fini(&content);
	stage_end();
}

static void what_is_no_reply_defers(void **state)
{
	static const char *const wrong[] = {"HTTP/1.1 400 Bad Request\r\n", "999 x\r\n",
					    "250-a\r\n251 b\r\n", "\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++)
		for (size_t k = 0; k < 4; k++) {
			stage_begin("");
			far_say(&st->far, stages[i], wrong[k], 0);
			assert_deferred(deliver(ORDER(0)), "what it sent is no reply");
			stage_end();
		}
}

static void reply_without_end_is_given_up(void **state)
{
	struct buf endless;

	(void)state;
	buf_init(&endless, 1 << 20);
	while (buf_length(&endless) < 100000)
		buf_append_cstr(&endless, "250-and so on\r\n");
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		stage_begin("");
		far_say(&st->far, stages[i], buf_cstr(&endless), 0);
		assert_deferred(deliver(ORDER(0)), "what it sent is no reply");
		stage_end();
	}
	buf_fini(&endless);
}

/* Whoever answers before it is asked may be out of step by one reply: then the "250" to the message
 * would be somebody else's. */
static void replies_that_come_unasked_are_not_counted_for_later_commands(void **state)
{
	static const struct {
		const char *verb, *reply;
	} cases[] = {
		{"CONNECT", "220 far.test\r\n250 far.test\r\n"},
		{"EHLO", FAR_EHLO "250 ok\r\n"},
		{"DATA", "354 go on\r\n250 2.0.0 taken\r\n"},
		{"DATA", "250 2.0.0 ok\r\n"},
		{"CONNECT", "220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n250 g\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		stage_begin("");
		far_say(&st->far, cases[i].verb, cases[i].reply, 0);
		assert_int_equal(result_of(deliver(ORDER(0)))->outcome, DELIVER_DEFERRED);
		assert_int_equal(st->far.n_messages, 0);
		stage_end();
	}
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		stage_begin("");
		far_say(&st->far, "RCPT", "250 2.1.5 ok\r\n250 2.1.5 ok\r\n", 0);
		if (!pipelining)
			far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
		assert_int_equal(result_of(deliver(ORDER(0)))->outcome, DELIVER_DEFERRED);
		stage_end();
	}
	stage_begin(""); /* the reply to RCPT would be taken for that to DATA */
	far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
	far_say(&st->far, "MAIL", "250 2.1.0 ok\r\n250 2.1.0 ok\r\n", 0);
	far_say(&st->far, "RCPT", "550 5.1.1 no\r\n", 0);
	assert_deferred(deliver(ORDER(0)), "more replies");
	stage_end();
}

static void large_content(struct buf *content)
{
	buf_init(content, 16 << 20);
	buf_append_cstr(content, "Subject: large\r\n\r\n");
	while (buf_length(content) < 12000000)
		buf_append_cstr(content, "the quick brown fox jumps over the lazy dog\r\n");
}

static void refusal_within_the_message_counts_and_consent_does_not(void **state)
{
	struct buf content;
	const struct result *r;

	(void)state;
	large_content(&content);
	for (int closes = 0; closes < 2; closes++) {
		stage_begin("");
		far_say(&st->far, "EHLO", "250 PIPELINING\r\n", 0);
		far_say(&st->far, "BODY",
			closes ? "552 5.3.4 too large\r\n" FAR_CLOSE : "552 5.3.4 too large\r\n",
			0);
		r = result_of(deliver(ORDER(.content = buf_slice(&content))));
		if (!closes) { /* else the reset may come first */
			assert_int_equal(r->outcome, DELIVER_FAILED);
			assert_string_equal(r->reply, "552 5.3.4 too large");
		}
		assert_int_not_equal(r->outcome, DELIVER_DELIVERED);
		assert_true(list_empty(&st->remote.sessions));
		stage_end();
	}
	stage_begin("");
	far_say(&st->far, "EHLO", "250 PIPELINING\r\n", 0);
	far_say(&st->far, "BODY", "250 2.0.0 taken\r\n", 0);
	assert_deferred(deliver(ORDER(.content = buf_slice(&content))), "answered before");
	buf_fini(&content);
	stage_end();
}

static void next_address_is_tried_when_the_first_is_unusable(void **state)
{
	static const char *const unusable[] = {FAR_CLOSE, "554 5.3.2 not now\r\n",
					       "421 4.3.2 busy\r\n", "nonsense\r\n"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		stage_begin("");
		names_say(&st->names, "far.test", DNS_MX, 5, "first.far.test");
		names_say(&st->names, "first.far.test", DNS_A, 0, "127.0.0.1");
		far_say(&st->far, "CONNECT", unusable[i], 1);
		assert_delivered(deliver(ORDER(0)));
		assert_int_equal(st->far.n_connections, 2);
		stage_end();
	}
	stage_begin("");
	far_say(&st->far, "CONNECT", "554 5.3.2 never\r\n",
		0); /* what a host says of itself is no statement about the message */
	assert_deferred(deliver(ORDER(0)), "never");
	stage_end();
}

/* ---- TLS ---- */

static void octets_behind_the_220_of_starttls_are_an_attack(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 STARTTLS\r\n", 0);
	far_say(&st->far, "STARTTLS", "220 go on\r\n250-far.test\r\n250 AUTH PLAIN\r\n", 0);
	assert_deferred(deliver(ORDER(0)), "more replies");
	assert_int_equal(far_count(&st->far, "MAIL"), 0);
	stage_end();
}

static void failed_handshake_goes_on_in_the_clear_unless_tls_is_required(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 STARTTLS\r\n", 0);
	far_say(&st->far, "STARTTLS", "220 go on\r\n" FAR_CLOSE, 0);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 2);
	assert_deferred(deliver(ORDER(.tls = ROUTE_TLS_STARTTLS)), "TLS");
	assert_int_equal(st->far.n_messages, 1);
	stage_end();
}

static void starttls_that_is_required_and_not_offered_defers(void **state)
{
	(void)state;
	stage_begin("");
	assert_deferred(deliver(ORDER(.tls = ROUTE_TLS_STARTTLS)), "not offered");
	far_say(&st->far, "EHLO", "500 what?\r\n", 0); /* nor is HELO a way around it */
	assert_deferred(deliver(ORDER(.tls = ROUTE_TLS_STARTTLS)), "what?");
	assert_int_equal(far_count(&st->far, "MAIL"), 0);
	stage_end();
}

static void refused_starttls_goes_on_in_the_clear(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 STARTTLS\r\n", 0);
	far_say(&st->far, "STARTTLS", "454 4.7.0 no certificate\r\n", 0);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 1);
	stage_end();
}

/* ---- smtps-first ---- */

/* Where delivery_smtps_port is. */
static void smtps_begin(struct far *smtps)
{
	stage_begin("");
	far_begin(smtps, st->loop);
	stage_configure("listen = 127.0.0.1:1 smtp none\ndelivery_port = %u\n"
			"delivery_secure = smtps-first\ndelivery_smtps_port = %u\n",
			st->far.port, smtps->port);
}

static void smtps_that_fails_means_the_other_port_and_is_remembered_for_a_day(void **state)
{
	static const char *const greetings[] = {FAR_CLOSE, "220 no TLS here\r\n",
						("554 5.3.2 never\r\n" FAR_CLOSE)};

	(void)state;
	for (size_t i = 0; i < sizeof(greetings) / sizeof(*greetings); i++) {
		struct far smtps;

		smtps_begin(&smtps);
		far_say(&smtps, "CONNECT", greetings[i], 0);
		assert_delivered(deliver(ORDER(0)));
		assert_int_equal(smtps.n_connections, 1);
		assert_delivered(deliver(ORDER(.host = "127.0.0.1")));
		assert_int_equal(smtps.n_connections, 1);
		loop_advance(st->loop, AVOIDED_MS - 1000000);
		turns(10);
		assert_delivered(deliver(ORDER(0)));
		assert_int_equal(smtps.n_connections, 1);
		loop_advance(st->loop, 1000000);
		turns(10);
		assert_delivered(deliver(ORDER(0)));
		assert_int_equal(smtps.n_connections, 2);
		assert_int_equal(st->far.n_messages, 4);
		far_end(&smtps);
		stage_end();
	}
}

static void smtps_port_where_nobody_listens_means_the_other_port(void **state)
{
	struct far smtps;

	(void)state;
	smtps_begin(&smtps);
	loop_io_fini(&smtps.io);
	fd_close(&smtps.fd);
	assert_delivered(deliver(ORDER(0)));
	far_end(&smtps);
	stage_end();
}

/* A whole network that is away says nothing of a port. */
static void smtps_is_remembered_only_of_hosts_that_answer_at_all(void **state)
{
	struct far smtps;
	int fd;

	(void)state;
	smtps_begin(&smtps);
	far_say(&smtps, "CONNECT", FAR_CLOSE, 0);
	loop_io_fini(&st->far.io);
	fd = st->far.fd;
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	assert_deferred(deliver(ORDER(0)), "connect");
	assert_deferred(deliver(ORDER(0)), "connect");
	assert_int_equal(smtps.n_connections, 2);
	far_end(&smtps);
	loop_io_init(&st->far.io, st->loop, fd, far_on_accept, &st->far);
	stage_end();
}

static void smtps_that_is_silent_is_given_delivery_smtps_timeout(void **state)
{
	struct delivery *d;
	struct far smtps;

	(void)state;
	smtps_begin(&smtps);
	far_say(&smtps, "", "", 0); /* to whatever */
	d = deliver(ORDER(0));
	UNTIL(smtps.n_connections == 1);
	loop_advance(st->loop, 4900);
	turns(10);
	assert_int_equal(st->far.n_connections, 0);
	loop_advance(st->loop, 200);
	assert_delivered(d);
	assert_int_equal(st->far.n_messages, 1);
	far_end(&smtps);
	stage_end();
}

static void smtps_first_is_for_routes_that_say_nothing(void **state)
{
	struct far smtps;

	(void)state;
	smtps_begin(&smtps);
	far_say(&smtps, "CONNECT", FAR_CLOSE, 0);
	assert_delivered(deliver(ORDER(.tls = ROUTE_TLS_NONE)));
	assert_deferred(deliver(ORDER(.tls = ROUTE_TLS_STARTTLS)), "not offered");
	assert_int_equal(smtps.n_connections, 0);
	assert_deferred(deliver(ORDER(.tls = ROUTE_TLS_IMPLICIT)), "TLS"); /* and no other port */
	assert_int_equal(smtps.n_connections, 1);
	far_end(&smtps);
	stage_end();
}

static void own_smtps_port_is_left_out(void **state)
{
	struct far smtps;

	(void)state;
	smtps_begin(&smtps);
	stage_configure("listen = 127.0.0.1:%u submission implicit\ndelivery_port = %u\n"
			"delivery_secure = smtps-first\ndelivery_smtps_port = %u\n",
			smtps.port, st->far.port, smtps.port);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(smtps.n_connections, 0);
	far_end(&smtps);
	stage_end();
}

static void delivery_secure_none_does_not_ask_for_starttls(void **state)
{
	(void)state;
	stage_begin("delivery_secure = none\n");
	far_say(&st->far, "EHLO", "250-far.test\r\n250 STARTTLS\r\n", 0);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(far_count(&st->far, "STARTTLS"), 0);
	stage_end();
}

static void trust_in_authorities_alone_needs_tls(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("delivery_tls_trust = ca\n");
	d = deliver(ORDER(0));
	assert_deferred(d, "not offered");
	assert_int_equal(far_count(&st->far, "MAIL"), 0);
	far_say(&st->far, "EHLO", "250-far.test\r\n250 STARTTLS\r\n", 0);
	far_say(&st->far, "STARTTLS", "220 go on\r\n" FAR_CLOSE, 0);
	assert_deferred(deliver(ORDER(0)), "TLS");
	assert_int_equal(st->far.n_connections, 2); /* not once more in the clear */
	stage_end();
}

/* ---- AUTH ---- */

#define ANN .username = "ann@isp.test", .password = "open sesame"

static void offer_auth(const char *mechanisms)
{
	static char reply[256];

	snprintf(reply, sizeof(reply), "250-far.test\r\n250-PIPELINING\r\n250 %s\r\n", mechanisms);
	far_say(&st->far, "EHLO", reply, 0);
}

static void route_with_a_user_logs_in_with_plain(void **state)
{
	(void)state;
	stage_begin("");
	offer_auth("AUTH LOGIN PLAIN");
	far_say(&st->far, "AUTH", "235 2.7.0 welcome\r\n", 0);
	assert_delivered(deliver(ORDER(ANN)));
	assert_int_equal(far_count(&st->far, "AUTH PLAIN AGFubkBpc3AudGVzdABvcGVuIHNlc2FtZQ=="), 1);
	assert_int_equal(far_count(&st->far, "AUTH"), 1);
	stage_end();
}

static void route_with_a_user_logs_in_with_login_where_plain_is_not_offered(void **state)
{
	static const char *const offers[] = {"AUTH CRAM-MD5 LOGIN", "AUTH=LOGIN"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		stage_begin("");
		offer_auth(offers[i]);
		far_say(&st->far, "AUTH LOGIN", "334 VXNlcm5hbWU6\r\n", 0);
		far_say(&st->far, "YW5uQGlzcC50ZXN0", "334 UGFzc3dvcmQ6\r\n", 0);
		far_say(&st->far, "b3BlbiBzZXNhbWU=", "235 2.7.0 welcome\r\n", 0);
		assert_delivered(deliver(ORDER(ANN)));
		assert_int_equal(far_count(&st->far, "b3BlbiBzZXNhbWU="), 1);
		stage_end();
	}
}

/* RFC 4954 4: where the initial response makes the line too long, it is sent when it is asked for.
 */
static void long_password_is_said_when_it_is_asked_for(void **state)
{
	char password[501];

	(void)state;
	memset(password, 'x', 500);
	password[500] = '\0';
	stage_begin("");
	offer_auth("AUTH PLAIN");
	far_say(&st->far, "AUTH PLAIN ", "500 5.5.6 too long\r\n", 0);
	far_say(&st->far, "AUTH PLAIN", "334 \r\n", 0);
	far_say(&st->far, "AGFubgB4eHh4", "235 2.7.0 welcome\r\n", 0);
	assert_delivered(deliver(ORDER(.username = "ann", .password = password)));
	stage_end();
}

/* Our administrator's mistake: mail waits until it is mended. */
static void refused_login_defers_in_the_far_ends_words(void **state)
{
	static const char *const replies[] = {"535 5.7.8 wrong password\r\n",
					      "535 wrong password\r\n"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct delivery *d;

		stage_begin("");
		offer_auth("AUTH PLAIN");
		far_say(&st->far, "AUTH", replies[i], 0);
		d = deliver(ORDER(ANN));
		assert_deferred(d, "wrong password");
		assert_string_equal(d->results[0].status, "4.7.8");
		assert_int_equal(far_count(&st->far, "MAIL"), 0);
		stage_end();
	}
	stage_begin("");
	offer_auth("AUTH LOGIN"); /* asks without end */
	far_say(&st->far, "AUTH LOGIN", "334 VXNlcm5hbWU6\r\n", 0);
	far_say(&st->far, "YW5u", "334 UGFzc3dvcmQ6\r\n", 0);
	far_say(&st->far, "b3Bl", "334 UGFzc3dvcmQ6\r\n", 0);
	assert_deferred(deliver(ORDER(ANN)), "AUTH");
	assert_int_equal(far_count(&st->far, "b3Bl"), 1);
	stage_end();
}

static void user_where_no_auth_is_offered_defers(void **state)
{
	(void)state;
	stage_begin("");
	assert_deferred(deliver(ORDER(ANN)), "neither AUTH PLAIN nor AUTH LOGIN");
	offer_auth("AUTH GSSAPI");
	assert_deferred(deliver(ORDER(ANN)), "neither AUTH PLAIN nor AUTH LOGIN");
	assert_int_equal(far_count(&st->far, "MAIL"), 0);
	stage_end();
	stage_begin("");
	far_say(&st->far, "EHLO", "500 what?\r\n", 0);
	assert_deferred(deliver(ORDER(ANN)), "neither AUTH PLAIN nor AUTH LOGIN");
	stage_end();
}

static const char *own_address(void);

static void password_is_never_sent_in_the_clear_unless_the_route_says_so(void **state)
{
	const char *address = own_address();
	struct delivery *d;
	struct far far;

	(void)state;
	if (address == NULL)
		skip();
	stage_begin("");
	far_begin_at(&far, st->loop, address);
	far_say(&far, "EHLO", "250-far.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", 2);
	far_say(&far, "EHLO", "250-far.test\r\n250 AUTH PLAIN\r\n", 0);
	far_say(&far, "STARTTLS", "454 4.7.0 not now\r\n", 1);
	far_say(&far, "STARTTLS", "220 go on\r\n" FAR_CLOSE, 1);
	far_say(&far, "AUTH", "235 2.7.0 welcome\r\n", 0);
	d = deliver(ORDER(ANN, .host = address, .port = far.port)); /* STARTTLS refused */
	assert_deferred(d, "not sent in the clear");
	assert_string_equal(d->results[0].status, "4.7.11");
	d = deliver(ORDER(ANN, .host = address, .port = far.port)); /* handshake broken */
	assert_deferred(d, "TLS");
	d = deliver(ORDER(ANN, .host = address, .port = far.port)); /* STARTTLS not offered */
	assert_deferred(d, "not sent in the clear");
	stage_configure("listen = 127.0.0.1:1 smtp none\ndelivery_secure = none\n");
	d = deliver(ORDER(ANN, .host = address, .port = far.port));
	assert_deferred(d, "not sent in the clear");
	assert_int_equal(far_count(&far, "AUTH"), 0);
	assert_delivered(
		deliver(ORDER(ANN, .host = address, .port = far.port, .tls = ROUTE_TLS_NONE)));
	far_end(&far);
	stage_end();
}

static void other_user_does_not_get_the_connection(void **state)
{
	(void)state;
	stage_begin("");
	offer_auth("AUTH PLAIN");
	far_say(&st->far, "AUTH", "235 2.7.0 welcome\r\n", 0);
	assert_delivered(deliver(ORDER(ANN)));
	assert_delivered(deliver(ORDER(ANN)));
	assert_int_equal(st->far.n_connections, 1);
	assert_int_equal(far_count(&st->far, "AUTH"), 1);
	assert_delivered(deliver(ORDER(0)));
	assert_delivered(deliver(ORDER(.username = "eve", .password = "x")));
	assert_int_equal(st->far.n_connections, 3);
	stage_end();
}

/* ---- delivery_debug ---- */

/* The log's text since log_to_memory; the caller frees it. */
static int log_to_memory(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	log_reopen(dup(fd), false, LOG_LEVEL_INFO);
	return fd;
}

static void read_log(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);

	assert_true(n >= 0);
	out[n] = '\0';
}

static void dialogue_is_logged_without_message_and_secrets(void **state)
{
	static char text[65536];
	int fd;

	(void)state;
	for (int debug = 0; debug < 2; debug++) {
		stage_begin(debug ? "delivery_debug = yes\n" : "");
		offer_auth("AUTH PLAIN");
		far_say(&st->far, "AUTH", "235 2.7.0 welcome\r\n", 0);
		fd = log_to_memory();
		assert_delivered(deliver(ORDER(ANN)));
		read_log(fd, text, sizeof(text));
		if (debug) {
			assert_non_null(strstr(text, "next_hop_dialogue"));
			assert_non_null(strstr(text, "text=\"S: 220 far.test ESMTP\""));
			assert_non_null(strstr(text, "text=\"C: EHLO mx.test.com\""));
			assert_non_null(strstr(text, "text=\"S: 250-PIPELINING\""));
			assert_non_null(strstr(text, "text=\"C: AUTH PLAIN (not shown)\""));
			assert_non_null(strstr(text, "C: RCPT TO:<bob@far.test>"));
			assert_non_null(strstr(text, "text=\"S: 250 2.0.0 taken\""));
		} else {
			assert_null(strstr(text, "next_hop_dialogue"));
		}
		assert_null(strstr(text, "AGFubk"));
		assert_null(strstr(text, "sesame"));
		assert_null(strstr(text, "Lunch"));
		fd_close(&fd);
		stage_end();
	}
}

/* ---- connections that are used again ---- */

static void connection_is_used_again_up_to_a_hundred_messages(void **state)
{
	(void)state;
	stage_begin("delivery_reuse_idle = 5min\n");
	for (int i = 0; i < 100; i++)
		assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 1);
	UNTIL(far_count(&st->far, "QUIT") == 1);
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 2);
	assert_int_equal(far_count(&st->far, "EHLO"), 2);
	stage_end();
}

static void other_next_hop_or_policy_does_not_get_it(void **state)
{
	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(0)));
	assert_delivered(deliver(ORDER(.tls = ROUTE_TLS_NONE)));
	assert_delivered(deliver(ORDER(.host = "127.0.0.1")));
	assert_int_equal(st->far.n_connections, 3);
	stage_end();
}

static void idle_connection_says_quit_after_a_while(void **state)
{
	(void)state;
	stage_begin("delivery_reuse_idle = 5s\n");
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->remote.n_idle, 1);
	loop_advance(st->loop, 5001);
	UNTIL(list_empty(&st->remote.sessions));
	assert_int_equal(far_count(&st->far, "QUIT"), 1);
	stage_end();
}

/* Its end and the next message come in one turn of the loop, in either order. */
static void idle_connection_that_died_is_replaced_unnoticed(void **state)
{
	static const char *const last_words[] = {"", "421 4.4.2 idle too long\r\n"};

	(void)state;
	for (unsigned n = 0; n < 8; n++)
		for (size_t k = 0; k < 2; k++) {
			struct delivery *d;
			struct far_connection *c;

			stage_begin("");
			assert_delivered(deliver(ORDER(0)));
			c = &st->far.connections[0];
			d = deliver(ORDER(0));
			turns(n / 2);
			if (d->n_answers || far_count(&st->far, "MAIL") > 1) {
				stage_end();
				continue;
			}
			(void)!send(c->fd, last_words[k], strlen(last_words[k]), MSG_NOSIGNAL);
			if (n % 2 || k == 0)
				far_hang_up(c);
			else
				loop_io_want(&c->io, 0); /* it has spoken, and reads no more */
			assert_delivered(d);
			assert_int_equal(st->far.n_connections, 2);
			stage_end();
		}
}

static void idle_connection_that_speaks_is_closed(void **state)
{
	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(send(st->far.connections[0].fd, "250 hello?\r\n", 12, MSG_NOSIGNAL), 12);
	UNTIL(list_empty(&st->remote.sessions));
	stage_end();
}

/* The session that said who "host" is has gone when the result is written. */
static void result_after_a_dead_idle_connection_names_no_host(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(0)));
	st->names.records[0].outcome = DNS_FAILED;
	far_say(&st->far, "MAIL", FAR_CLOSE, 1);
	d = deliver(ORDER(0));
	assert_deferred(d, "name servers");
	assert_string_equal(d->results[0].host, "");
	stage_end();
}

static void connection_whose_rset_was_refused_is_not_used_again(void **state)
{
	(void)state;
	stage_begin("");
	far_say(&st->far, "DATA", "451 4.3.0 not now\r\n", 1);
	far_say(&st->far, "RSET", "500 5.5.1 what?\r\n", 0);
	assert_deferred(deliver(ORDER(0)), "not now");
	assert_delivered(deliver(ORDER(0)));
	assert_int_equal(st->far.n_connections, 2);
	stage_end();
}

/* ---- queued, and the end ---- */

static void what_queued_may_not_send_is_refused(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	d = deliver(ORDER(.no_file = true));
	UNTIL(d->n_answers);
	assert_true(d->failed);
	d = deliver(ORDER(.to = {"bob@far.test>\r\nRSET"}));
	UNTIL(d->n_answers);
	assert_true(d->failed);
	d = deliver(ORDER(.reverse_path = "ann\nRSET"));
	UNTIL(d->n_answers);
	assert_true(d->failed);
	d = deliver(ORDER(.tls = (enum route_tls)9));
	UNTIL(d->n_answers);
	assert_true(d->failed);
	assert_int_equal(st->far.n_connections, 0);
	assert_true(list_empty(&st->remote.jobs));
	stage_end();
}

static void own_listener_as_the_next_hop_is_a_loop(void **state)
{
	const struct result *r;

	(void)state;
	stage_begin("");
	stage_configure("listen = 0.0.0.0:%u smtp none\n", st->far.port);
	r = result_of(deliver(ORDER(.port = st->far.port)));
	assert_int_equal(r->outcome, DELIVER_FAILED);
	assert_string_equal(r->status, "5.4.6");
	assert_string_equal(
		result_of(deliver(ORDER(.host = "0.0.0.0", .port = st->far.port)))->status,
		"5.4.6");
	assert_int_equal(st->far.n_connections, 0);
	stage_end();
}

/* An address of this host that is no loopback one, or NULL. */
static const char *own_address(void)
{
	static char text[IP_TEXT_MAX];
	struct ifaddrs *all, *a;
	const char *found = NULL;
	uint16_t port;
	struct ip ip;

	if (getifaddrs(&all) != 0)
		return NULL;
	for (a = all; a && found == NULL; a = a->ifa_next) {
		if (a->ifa_addr == NULL || a->ifa_addr->sa_family != AF_INET)
			continue;
		ip_of_sockaddr(a->ifa_addr, &ip, &port);
		if (!ip_is_loopback(&ip))
			found = ip_text(&ip, text);
	}
	freeifaddrs(all);
	return found;
}

static void own_address_is_known_behind_a_listener_on_all(void **state)
{
	const char *address = own_address();

	(void)state;
	if (address == NULL)
		skip();
	stage_begin("");
	stage_configure("listen = 0.0.0.0:9925 smtp none\n");
	assert_string_equal(result_of(deliver(ORDER(.host = address, .port = 9925)))->status,
			    "5.4.6");
	assert_deferred(deliver(ORDER(.host = address, .port = 9926)),
			"connect"); /* another port is another server */
	stage_end();
}

static void stop_waits_for_what_is_under_way(void **state)
{
	struct delivery *d;

	(void)state;
	stage_begin("");
	assert_delivered(deliver(ORDER(0)));
	assert_delivered(deliver(ORDER(.host = "127.0.0.1")));
	assert_int_equal(st->remote.n_idle, 2);
	d = deliver(ORDER(0));
	UNTIL(!list_empty(&st->remote.jobs));
	st->service.server = ipc_server_create(st->loop, IPC_ROLE_REMOTE, 1, NULL, NULL, NULL);
	assert_non_null(st->service.server);
	ipc_server_drain(st->service.server, NULL, NULL); /* nobody is connected to it */
	st->remote.stopping = true;
	session_quit_idle(&st->remote);
	assert_int_equal(st->n_ended, 0);
	assert_delivered(d);
	assert_int_equal(st->n_ended, 1);
	assert_int_equal(st->remote.n_idle, 0);
	UNTIL(list_empty(&st->remote.sessions));
	assert_int_equal(far_count(&st->far, "QUIT"), 2);
	ipc_server_destroy(st->service.server);
	st->service.server = NULL;
	stage_end();
}

/* Ended within any turn of the loop: every job is answered, once, and nothing is touched that is
 * gone. */
static void end_at_any_point_defers_what_is_under_way(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 60; n++) {
		struct delivery *d, *e;
		size_t n_answers;

		stage_begin("");
		if (n % 2)
			assert_delivered(deliver(ORDER(0)));
		d = deliver(ORDER(.n_to = 3));
		e = deliver(ORDER(.host = "127.0.0.1"));
		turns(n / 2);
		stage_destroy_remote();
		turns(3);
		n_answers = d->n_answers + e->n_answers;
		UNTIL(n_answers == 0 || (d->n_answers <= 1 && e->n_answers <= 1));
		assert_true(d->n_answers <= 1 && e->n_answers <= 1);
		stage_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_goes_to_the_mx_and_its_reply_comes_back),
		cmocka_unit_test(commands_go_one_by_one_without_pipelining),
		cmocka_unit_test(many_recipients_go_in_groups_with_data_at_the_end),
		cmocka_unit_test(large_message_arrives_whole),
		cmocka_unit_test(host_that_knows_no_ehlo_is_greeted_with_helo),
		cmocka_unit_test(
			eight_bit_is_said_where_it_is_understood_and_sent_as_it_is_elsewhere),
		cmocka_unit_test(message_that_can_do_without_smtputf8_goes_without),
		cmocka_unit_test(smtputf8_is_said_where_it_is_understood),
		cmocka_unit_test(message_over_the_announced_size_is_not_sent),
		cmocka_unit_test(address_literals_and_ports_are_taken_as_they_are),
		cmocka_unit_test(each_recipient_has_its_own_reply),
		cmocka_unit_test(when_nobody_is_accepted_nothing_is_sent),
		cmocka_unit_test(refused_mail_is_the_fate_of_all),
		cmocka_unit_test(too_many_recipients_is_temporary_also_as_552),
		cmocka_unit_test(refused_content_is_the_fate_of_the_accepted),
		cmocka_unit_test(loss_of_the_connection_at_any_point_defers),
		cmocka_unit_test(reply_421_at_any_point_defers_in_its_words),
		cmocka_unit_test(silence_at_any_point_ends_at_its_time_limit),
		cmocka_unit_test(message_that_is_not_taken_ends_at_delivery_block_timeout),
		cmocka_unit_test(what_is_no_reply_defers),
		cmocka_unit_test(reply_without_end_is_given_up),
		cmocka_unit_test(replies_that_come_unasked_are_not_counted_for_later_commands),
		cmocka_unit_test(refusal_within_the_message_counts_and_consent_does_not),
		cmocka_unit_test(next_address_is_tried_when_the_first_is_unusable),
		cmocka_unit_test(octets_behind_the_220_of_starttls_are_an_attack),
		cmocka_unit_test(failed_handshake_goes_on_in_the_clear_unless_tls_is_required),
		cmocka_unit_test(starttls_that_is_required_and_not_offered_defers),
		cmocka_unit_test(refused_starttls_goes_on_in_the_clear),
		cmocka_unit_test(smtps_that_fails_means_the_other_port_and_is_remembered_for_a_day),
		cmocka_unit_test(smtps_port_where_nobody_listens_means_the_other_port),
		cmocka_unit_test(smtps_is_remembered_only_of_hosts_that_answer_at_all),
		cmocka_unit_test(smtps_that_is_silent_is_given_delivery_smtps_timeout),
		cmocka_unit_test(smtps_first_is_for_routes_that_say_nothing),
		cmocka_unit_test(own_smtps_port_is_left_out),
		cmocka_unit_test(delivery_secure_none_does_not_ask_for_starttls),
		cmocka_unit_test(trust_in_authorities_alone_needs_tls),
		cmocka_unit_test(route_with_a_user_logs_in_with_plain),
		cmocka_unit_test(route_with_a_user_logs_in_with_login_where_plain_is_not_offered),
		cmocka_unit_test(long_password_is_said_when_it_is_asked_for),
		cmocka_unit_test(refused_login_defers_in_the_far_ends_words),
		cmocka_unit_test(user_where_no_auth_is_offered_defers),
		cmocka_unit_test(password_is_never_sent_in_the_clear_unless_the_route_says_so),
		cmocka_unit_test(other_user_does_not_get_the_connection),
		cmocka_unit_test(dialogue_is_logged_without_message_and_secrets),
		cmocka_unit_test(connection_is_used_again_up_to_a_hundred_messages),
		cmocka_unit_test(other_next_hop_or_policy_does_not_get_it),
		cmocka_unit_test(idle_connection_says_quit_after_a_while),
		cmocka_unit_test(idle_connection_that_died_is_replaced_unnoticed),
		cmocka_unit_test(idle_connection_that_speaks_is_closed),
		cmocka_unit_test(result_after_a_dead_idle_connection_names_no_host),
		cmocka_unit_test(connection_whose_rset_was_refused_is_not_used_again),
		cmocka_unit_test(what_queued_may_not_send_is_refused),
		cmocka_unit_test(own_listener_as_the_next_hop_is_a_loop),
		cmocka_unit_test(own_address_is_known_behind_a_listener_on_all),
		cmocka_unit_test(stop_waits_for_what_is_under_way),
		cmocka_unit_test(end_at_any_point_defers_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
