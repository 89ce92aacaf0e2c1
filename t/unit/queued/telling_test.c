#include "queued/telling.h"

#include "t/unit/queued/world.h"

#define HOUR_MS 3600000u

static void sent(const char *from, const char *to)
{
	struct mail *m = mail_send(from, to);

	UNTIL(m->answered);
	mail_free(m);
}

/* The one notice to carol that holds these words. */
static struct seen *notice_with(const char *words)
{
	struct seen *found = NULL;

	for (size_t i = 0; i < w->n_seen; i++)
		if (strcmp(w->seen[i].to, "carol@local.test") == 0 && strstr(w->seen[i].content, words) != NULL) {
			assert_null(found);
			found = &w->seen[i];
		}
	if (found == NULL)
		fail_msg("no notice says %s", words);
	return found;
}

static void all_is_done(void)
{
	UNTIL(w->q.n_active == 0 && schedule_n_known(w->q.schedule) == 0);
}

static void who_asks_hears_that_a_mailbox_has_it(void **state)
{
	struct seen *notice;

	(void)state;
	queued_begin();
	sent("carol@local.test", "ann@local.test ~SUCCESS ^rfc822;Ann+2Bx@local.test");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	notice = notice_with("Action: delivered\r\n");
	assert_string_equal(notice->reverse_path, "");
	assert_string_equal(notice->notify, "NEVER");
	assert_non_null(strstr(notice->content, "Original-Recipient: rfc822; Ann+x@local.test\r\n"));
	assert_non_null(strstr(notice->content, "Status: 2.0.0\r\n"));
	assert_null(strstr(notice->content, "Remote-MTA"));
	all_is_done();
	assert_int_equal(log_count(" reported "), 1);
	assert_int_equal(w->n_seen, 2);
}

static void who_does_not_ask_hears_nothing(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "ann@local.test bob@far.test ~FAILURE,DELAY eve@local.test ~NEVER");
	all_is_done();
	assert_int_equal(n_delivered_to("carol@local.test"), 0);
}

static void a_host_without_dsn_makes_a_relayed_notice(void **state)
{
	struct seen *notice;

	(void)state;
	queued_begin();
	sent("carol@local.test", "bob@far.test ~SUCCESS");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	notice = notice_with("Action: relayed\r\n");
	assert_non_null(strstr(notice->content, "Remote-MTA: dns; mx.far.test\r\n"));
	all_is_done();
}

static void a_host_with_dsn_tells_the_sender_itself(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "dsn-bob@far.test ~SUCCESS,DELAY ^rfc822;b@x.test +ret=FULL");
	all_is_done();
	assert_int_equal(n_delivered_to("carol@local.test"), 0);
	assert_string_equal(seen_to("dsn-bob@far.test")->notify, "SUCCESS,DELAY");
	assert_string_equal(seen_to("dsn-bob@far.test")->orcpt, "rfc822;b@x.test");
	assert_string_equal(seen_to("dsn-bob@far.test")->ret, "FULL");
}

static void a_list_is_expanded_and_success_goes_no_further(void **state)
{
	struct seen *notice;

	(void)state;
	queued_begin();
	sent("carol@local.test", "all@list.test ~SUCCESS");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	notice = notice_with("Action: expanded\r\n");
	assert_non_null(strstr(notice->content, "Final-Recipient: rfc822; all@list.test\r\n"));
	assert_null(strstr(notice->content, "Action: failed")); /* fail-bob's failure is not wanted */
	assert_string_equal(seen_to("ann@local.test")->notify, "NEVER");
	assert_string_equal(seen_to("fail-bob@far.test defer-carl@far.test")->orcpt, "rfc822;all@list.test");
	UNTIL(schedule_n_waiting(w->q.schedule) == 1);
	advance(3600000);
	UNTIL(schedule_n_waiting(w->q.schedule) == 1 && w->n_seen == 4);
	assert_int_equal(log_count(" reported "), 1); /* once, though it is tried again */
	assert_int_equal(log_count(" notice_unwanted "), 1);
}

static void success_and_failure_are_two_notices(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "ann@local.test ~SUCCESS,FAILURE fail-bob@far.test ~SUCCESS,FAILURE");
	UNTIL(n_delivered_to("carol@local.test") == 2);
	assert_null(strstr(notice_with("Action: failed\r\n")->content, "Final-Recipient: rfc822; ann@local.test"));
	assert_null(strstr(notice_with("Action: delivered\r\n")->content, "Final-Recipient: rfc822; fail-bob@far.test"));
	all_is_done();
}

static void never_means_never(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "fail-bob@far.test ~NEVER fail-eve@far.test ~SUCCESS,DELAY fail-dan@far.test ~FAILURE");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_null(strstr(notice_with("Action: failed")->content, "fail-bob"));
	assert_null(strstr(notice_with("Action: failed")->content, "fail-eve"));
	all_is_done();
	assert_int_equal(log_count(" notice_unwanted "), 2);
}

static void the_whole_message_comes_back_with_ret_full(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "fail-bob@far.test +ret=FULL");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_non_null(strstr(notice_with("message/rfc822\r\n")->content, "At noon?\r\n"));
	all_is_done();
}

static void a_larger_message_comes_back_as_its_header(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "bounce_size_max = 10\n");
	queued_begin();
	sent("carol@local.test", "fail-bob@far.test +ret=FULL");
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_null(strstr(notice_with("text/rfc822-headers")->content, "At noon?"));
	all_is_done();
}

static size_t n_notices(const char *words)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_seen; i++)
		n += strcmp(w->seen[i].to, "carol@local.test") == 0 && strstr(w->seen[i].content, words) != NULL;
	return n;
}

/* Goes on hour by hour; each hour what is due is tried. */
static void hours_pass(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		advance(HOUR_MS);
		settle();
	}
}

static void a_delay_is_told_once_after_four_hours(void **state)
{
	struct seen *notice;

	(void)state;
	queued_begin();
	sent("carol@local.test", "defer-bob@far.test defer-eve@far.test ~DELAY defer-dan@far.test ~FAILURE ann@local.test");
	hours_pass(3);
	assert_int_equal(n_notices("Action: delayed"), 0);
	hours_pass(3);
	notice = notice_with("Action: delayed");
	assert_non_null(strstr(notice->content, "Final-Recipient: rfc822; defer-bob@far.test"));
	assert_non_null(strstr(notice->content, "Final-Recipient: rfc822; defer-eve@far.test"));
	assert_non_null(strstr(notice->content, "Will-Retry-Until: "));
	assert_null(strstr(notice->content, "defer-dan@far.test\r\nAction"));
	assert_null(strstr(notice->content, "Final-Recipient: rfc822; ann@local.test"));
	hours_pass(20);
	assert_int_equal(n_notices("Action: delayed"), 1);
	assert_int_equal(log_count(" warned "), 1);
}

/* It stands in line on the disk, and nothing is tried; the sender is told all the same, by what the destination's last answer was. */
static void a_delay_is_told_of_what_waits_for_a_dead_host(void **state)
{
	(void)state;
	w->dead = "dead.test";
	queued_begin();
	for (unsigned i = 0; i < 10; i++)
		sent("carol@local.test", "bob@dead.test");
	hours_pass(3);
	assert_int_equal(n_notices("Action: delayed"), 0);
	hours_pass(2);
	assert_int_equal(n_notices("Action: delayed"), 10);
	hours_pass(20);
	assert_int_equal(n_notices("Action: delayed"), 10);
}

static void a_restart_does_not_tell_of_a_delay_again(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "defer-bob@far.test");
	hours_pass(6);
	assert_int_equal(n_notices("Action: delayed"), 1);
	queued_kill();
	queued_begin();
	hours_pass(20);
	assert_int_equal(n_notices("Action: delayed"), 1);
}

static void a_delay_is_not_told_where_it_is_not_wanted(void **state)
{
	(void)state;
	queued_begin();
	sent("carol@local.test", "defer-bob@far.test ~FAILURE,SUCCESS");
	sent("", "defer-bob@far.test");
	hours_pass(20);
	assert_int_equal(n_notices("Action: delayed"), 0);
	queued_kill();
	settings_take(PLAIN_SETTINGS "queue_delay_warning = 0s\n");
	queued_begin();
	sent("carol@local.test", "defer-bob@far.test");
	hours_pass(20);
	assert_int_equal(n_notices("Action: delayed"), 0);
}

/* With the folder of notices gone no notice can be made. */
static void while_no_success_can_be_told_the_message_stays(void **state)
{
	char path[160];
	struct mail *m;

	(void)state;
	queued_begin();
	(void)snprintf(path, sizeof(path), "%s/queue/notices", w->dir);
	assert_int_equal(rmdir(path), 0);
	m = mail_send("carol@local.test", "bob@far.test ~SUCCESS");
	UNTIL(is_queued(m) && schedule_n_waiting(w->q.schedule) == 1);
	queued_kill();
	queued_begin(); /* makes the folder anew */
	hours_pass(1);
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_int_equal(n_delivered_to("bob@far.test"), 1); /* it was not delivered again */
	assert_non_null(strstr(notice_with("Action: relayed")->content, "Final-Recipient: rfc822; bob@far.test"));
	all_is_done();
	assert_false(is_anywhere(m));
	mail_free(m);
}

static void a_notice_that_fails_goes_to_double_bounce_once(void **state)
{
	struct seen *told;

	(void)state;
	settings_take(PLAIN_SETTINGS "double_bounce = fail-postmaster@far.test\n");
	queued_begin();
	sent("fail-carol@far.test", "fail-bob@far.test");
	UNTIL(n_delivered_to("fail-postmaster@far.test") == 1);
	told = seen_to("fail-postmaster@far.test");
	assert_string_equal(told->reverse_path, "");
	assert_non_null(strstr(told->content, "To: <fail-postmaster@far.test>\r\n"));
	assert_non_null(strstr(told->content, "Final-Recipient: rfc822; fail-carol@far.test\r\n"));
	assert_non_null(strstr(told->content, "Final-Recipient: rfc822; fail-bob@far.test\r\n")); /* of the notice within */
	all_is_done();
	settle();
	assert_int_equal(w->n_seen, 3); /* the message, the notice, the double bounce */
	assert_int_equal(log_count(" double_bounced "), 1);
	assert_int_equal(log_count(" notice_dropped "), 1);
}

static void without_double_bounce_it_ends_with_the_notice(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "double_bounce = none\n");
	queued_begin();
	sent("fail-carol@far.test", "fail-bob@far.test");
	UNTIL(n_delivered_to("fail-carol@far.test") == 1);
	all_is_done();
	settle();
	assert_int_equal(w->n_seen, 2);
	assert_int_equal(log_count(" notice_dropped "), 1);
}

static void a_notice_of_a_success_that_fails_ends_there(void **state)
{
	(void)state;
	queued_begin();
	sent("fail-carol@far.test", "ann@local.test ~SUCCESS");
	UNTIL(n_delivered_to("fail-carol@far.test") == 1);
	all_is_done();
	settle();
	assert_int_equal(w->n_seen, 2);
	assert_int_equal(log_count(" double_bounced "), 0);
}

static void a_null_sender_from_elsewhere_goes_to_nobody(void **state)
{
	(void)state;
	queued_begin();
	sent("", "fail-bob@far.test ~SUCCESS,FAILURE ann@local.test ~SUCCESS");
	all_is_done();
	settle();
	assert_int_equal(w->n_seen, 2);
	assert_int_equal(log_count(" double_bounced "), 0);
	assert_int_equal(log_count(" notice_dropped "), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_asks_hears_that_a_mailbox_has_it),
		TEST(who_does_not_ask_hears_nothing),
		TEST(a_host_without_dsn_makes_a_relayed_notice),
		TEST(a_host_with_dsn_tells_the_sender_itself),
		TEST(a_list_is_expanded_and_success_goes_no_further),
		TEST(success_and_failure_are_two_notices),
		TEST(never_means_never),
		TEST(the_whole_message_comes_back_with_ret_full),
		TEST(a_larger_message_comes_back_as_its_header),
		TEST(a_delay_is_told_once_after_four_hours),
		TEST(a_delay_is_told_of_what_waits_for_a_dead_host),
		TEST(a_restart_does_not_tell_of_a_delay_again),
		TEST(a_delay_is_not_told_where_it_is_not_wanted),
		TEST(while_no_success_can_be_told_the_message_stays),
		TEST(a_notice_that_fails_goes_to_double_bounce_once),
		TEST(without_double_bounce_it_ends_with_the_notice),
		TEST(a_notice_of_a_success_that_fails_ends_there),
		TEST(a_null_sender_from_elsewhere_goes_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
