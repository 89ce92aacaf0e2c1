#include "common/mail/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/attributes.h"

#define AT_US 1795622415000000u

static struct received sample(void)
{
	struct received r = {.helo = SLICE("mail.example.org"),
			     .client_name = SLICE("mx.example.org"),
			     .by = SLICE("mx.test.com"),
			     .extended = true,
			     .id = SLICE("06edp3yhs00000000000aa"),
			     .at_us = AT_US};

	if (!ip_parse(SLICE("192.0.2.1"), &r.client))
		abort();
	return r;
}

static void expect(const struct received *r, const char *wanted)
{
	struct buf out;

	buf_init(&out, 8192);
	assert_true(received_append(r, &out));
	assert_string_equal(buf_cstr(&out), wanted);
	buf_fini(&out);
}

static void received_tells_from_by_with_id_and_date(void **state)
{
	struct received r = sample();

	(void)state;
	expect(&r, "Received: from mail.example.org (mx.example.org [192.0.2.1])\r\n\tby "
		   "mx.test.com with ESMTP\r\n"
		   "\tid 06edp3yhs00000000000aa;\r\n\tWed, 25 Nov 2026 16:00:15 +0000\r\n");
}

static void received_names_the_one_recipient_and_the_cipher(void **state)
{
	struct received r = sample();

	(void)state;
	r.client_name = SLICE_EMPTY;
	r.forward_path = SLICE("bob@test.com");
	r.encrypted = true;
	r.tls = SLICE("(TLSv1.3:TLS_AES_256_GCM_SHA384:256)");
	assert_true(ip_parse(SLICE("2001:db8::1"), &r.client));
	expect(&r, "Received: from mail.example.org ([IPv6:2001:db8::1])\r\n"
		   "\tby mx.test.com with ESMTPS (TLSv1.3:TLS_AES_256_GCM_SHA384:256)\r\n"
		   "\tid 06edp3yhs00000000000aa for <bob@test.com>;\r\n\tWed, 25 Nov 2026 16:00:15 "
		   "+0000\r\n");
}

static void a_client_cannot_write_into_received(void **state)
{
	struct received r = sample();

	(void)state;
	r.helo = SLICE("a(b)\r\n;\"<x>");
	expect(&r, "Received: from a?b??????x? (mx.example.org [192.0.2.1])\r\n\tby mx.test.com "
		   "with ESMTP\r\n"
		   "\tid 06edp3yhs00000000000aa;\r\n\tWed, 25 Nov 2026 16:00:15 +0000\r\n");
}

static void a_message_made_here_has_no_from_clause(void **state)
{
	struct received r = sample();

	(void)state;
	r.client = (struct ip){0};
	expect(&r, "Received: by mx.test.com with ESMTP\r\n"
		   "\tid 06edp3yhs00000000000aa;\r\n\tWed, 25 Nov 2026 16:00:15 +0000\r\n");
}

static void a_local_user_is_named_by_uid(void **state)
{
	struct received r = sample();

	(void)state;
	r.client = (struct ip){0};
	r.local = true;
	r.uid = 1000;
	expect(&r, "Received: by mx.test.com (from uid 1000) with ESMTP\r\n"
		   "\tid 06edp3yhs00000000000aa;\r\n\tWed, 25 Nov 2026 16:00:15 +0000\r\n");
	r.helo = SLICE_EMPTY;
	expect(&r, "Received: by mx.test.com (from uid 1000)\r\n"
		   "\tid 06edp3yhs00000000000aa;\r\n\tWed, 25 Nov 2026 16:00:15 +0000\r\n");
}

static void protocols_are_those_of_rfc_3848(void **state)
{
	struct received r = {0};

	(void)state;
	assert_string_equal(received_protocol(&r), "SMTP");
	r.extended = true;
	assert_string_equal(received_protocol(&r), "ESMTP");
	r.authenticated = true;
	assert_string_equal(received_protocol(&r), "ESMTPA");
	r.encrypted = true;
	assert_string_equal(received_protocol(&r), "ESMTPSA");
	r.authenticated = false;
	assert_string_equal(received_protocol(&r), "ESMTPS");
}

static void return_path_holds_the_reverse_path(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_true(return_path_append(SLICE_EMPTY, &out));
	assert_true(return_path_append(SLICE("ann@example.org"), &out));
	assert_string_equal(buf_cstr(&out),
			    "Return-Path: <>\r\nReturn-Path: <ann@example.org>\r\n");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(received_tells_from_by_with_id_and_date),
		cmocka_unit_test(received_names_the_one_recipient_and_the_cipher),
		cmocka_unit_test(a_client_cannot_write_into_received),
		cmocka_unit_test(a_message_made_here_has_no_from_clause),
		cmocka_unit_test(a_local_user_is_named_by_uid),
		cmocka_unit_test(protocols_are_those_of_rfc_3848),
		cmocka_unit_test(return_path_holds_the_reverse_path),
	};

	if (setenv("TZ", "UTC", 1) != 0)
		return 1;
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
