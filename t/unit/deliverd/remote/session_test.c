#include "deliverd/remote/session.h"

#include <ifaddrs.h>

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

static void silence_at_any_point_ends_at_its_time_limit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		struct delivery *d;

		stage_begin("delivery_reply_timeout = 1min\ndelivery_data_timeout = 2min\n");
		far_say(&st->far, stages[i], "", 0);
		far_say(&st->far, "EHLO", "250 far.test\r\n", 0);
		d = deliver(ORDER(0));
		UNTIL(st->far.n_connections);
		for (int k = 0; k < 3000 && !d->n_answers; k++)
			loop_turn(st->loop, false);
		assert_int_equal(d->n_answers, 0);
		loop_advance(st->loop, 59000);
		turns(10);
		assert_int_equal(d->n_answers, 0);
		loop_advance(st->loop, 62000);
		assert_deferred(d, "no answer in time");
		stage_end();
	}
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
	st->remote.stopping = true;
	session_quit_idle(&st->remote);
	assert_int_equal(st->n_ended, 0);
	assert_delivered(d);
	assert_int_equal(st->n_ended, 1);
	assert_int_equal(st->remote.n_idle, 0);
	UNTIL(list_empty(&st->remote.sessions));
	assert_int_equal(far_count(&st->far, "QUIT"), 2);
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
		cmocka_unit_test(what_is_no_reply_defers),
		cmocka_unit_test(reply_without_end_is_given_up),
		cmocka_unit_test(replies_that_come_unasked_are_not_counted_for_later_commands),
		cmocka_unit_test(refusal_within_the_message_counts_and_consent_does_not),
		cmocka_unit_test(next_address_is_tried_when_the_first_is_unusable),
		cmocka_unit_test(octets_behind_the_220_of_starttls_are_an_attack),
		cmocka_unit_test(failed_handshake_goes_on_in_the_clear_unless_tls_is_required),
		cmocka_unit_test(starttls_that_is_required_and_not_offered_defers),
		cmocka_unit_test(refused_starttls_goes_on_in_the_clear),
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
