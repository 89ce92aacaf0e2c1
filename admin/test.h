/* admin/test.h: what the checks of `tassis test` share: options, DNS, the verdict.
 * Touches: the network (DNS), main.conf where --dns is not given. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/dns/resolver.h"

struct fault;
struct settings;

struct test_options {
	bool json;
	struct resolver_server servers[RESOLVER_SERVERS_MAX];
	size_t n_servers;
	uint64_t dns_timeout_ms;
	const char *ip, *helo, *from; /* NULL: not given */
	const char *org_domain, *file;
};

/* One run of a check: true when it needs no more answers. */
typedef bool test_run_fn(void *arg, struct answers *answers);
/* Runs check until it is done, asking DNS for what it wants, all at once. Fails, temporary: there
 * is no asking at all; a question without an answer is the check's own to judge. */
MUST_USE bool test_run(const struct test_options *o, struct answers *answers, test_run_fn *check,
		       void *arg, struct fault *why);

/* The name servers and the time limit of s; those of the system where it names none, or is NULL. */
void test_servers_of(struct test_options *o, const struct settings *s);

/* Each prints its result; the exit status: 0 pass, 1 another result, 2 the options or the input are
 * wrong (then one sentence on standard error alone). */
int test_spf(const struct test_options *o);
int test_dkim(const struct test_options *o);
int test_arc(const struct test_options *o);
int test_dmarc(const struct test_options *o);

/* The sentence on standard error; returns 2. */
PRINTF_LIKE(1, 2) int test_refuse(const char *template, ...);
/* "name": "value", or null where s is empty. */
void test_json_text(struct buf *out, const char *name, struct slice s);
/* The same with ASCII letters in lower case. */
void test_json_lower(struct buf *out, const char *name, struct slice s);
/* "steps": a list, a line of steps each. */
void test_json_lines(struct buf *out, const char *name, struct slice lines);
