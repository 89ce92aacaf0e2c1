/* `tassis test`: runs one check of mail authentication as smtpd does, and tells how it went. What
 * it prints for scripts is in tassis-test(8).
 * Touches: the network (DNS), main.conf where --dns is
 * not given. */
#include "admin/test.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/json.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"

#define DNS_TIMEOUT_MS 10000u
#define RESOLV_CONF "/etc/resolv.conf"

int test_refuse(const char *template, ...)
{
	va_list args;

	va_start(args, template);
	(void)vfprintf(stderr, template, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return ADMIN_USAGE;
}

void test_json_text(struct buf *out, const char *name, struct slice s)
{
	json_name(out, name);
	if (s.n > 0)
		json_string(out, s);
	else
		buf_append_cstr(out, "null");
}

void test_json_lower(struct buf *out, const char *name, struct slice s)
{
	struct buf lower;

	buf_init(&lower, s.n + 1);
	for (size_t i = 0; i < s.n; i++)
		buf_append_char(&lower, ascii_lower(s.p[i]));
	test_json_text(out, name, buf_slice(&lower));
	buf_fini(&lower);
}

void test_json_lines(struct buf *out, const char *name, struct slice lines)
{
	struct slice line;
	bool first = true;

	json_name(out, name);
	buf_append_char(out, '[');
	while (slice_cut(&lines, '\n', &line)) {
		if (line.n == 0)
			continue;
		if (!first)
			buf_append_char(out, ',');
		first = false;
		json_string(out, line);
	}
	buf_append_char(out, ']');
}

/* ---- DNS ---- */

struct asking {
	struct loop *loop;
	struct resolver *resolver;
	struct answers *answers;
	unsigned n_open;
};

struct question {
	struct asking *asking;
	struct slice name;
	uint16_t type;
};

static void answered(void *arg, const struct dns_cached *answer, const struct fault *why)
{
	struct question *q = arg;
	struct answer a = {.outcome = answer->outcome,
			   .authentic = answer->authentic,
			   .records = answer->records};

	(void)why;
	answers_put(q->asking->answers, q->name, q->type, &a);
	q->asking->n_open--;
	free(q);
}

/* Begins every question that is wanted. */
static void ask_all(struct asking *asking)
{
	struct answer failed = {.outcome = DNS_FAILED};
	struct slice name;
	uint16_t type;

	while (answers_next(asking->answers, &name, &type)) {
		struct question *q = malloc(sizeof(*q));

		if (q != NULL)
			*q = (struct question){asking, name, type};
		if (q != NULL && resolver_ask(asking->resolver, name, type, answered, q, NULL)) {
			asking->n_open++;
			continue;
		}
		free(q);
		answers_put(asking->answers, name, type, &failed);
	}
}

bool test_run(const struct test_options *o, struct answers *answers, test_run_fn *check, void *arg,
	      struct fault *why)
{
	struct asking asking = {.answers = answers};
	bool ok = false;

	if ((asking.loop = loop_create(why)) == NULL ||
	    (asking.resolver = resolver_create(asking.loop, 1u << 20, o->dns_timeout_ms, why)) ==
		    NULL)
		goto out;
	resolver_configure(asking.resolver, o->servers, o->n_servers, 1u << 20, o->dns_timeout_ms);
	while (!check(arg, answers)) {
		ask_all(&asking);
		while (asking.n_open > 0)
			loop_turn(asking.loop, true);
	}
	ok = true;
out:
	resolver_destroy(asking.resolver);
	loop_destroy(asking.loop);
	return ok;
}

/* ---- options ---- */

static bool server_of_option(struct test_options *o, const char *text)
{
	struct fault why = {0};

	o->n_servers = resolver_server_parse(slice_of_cstr(text), &o->servers[0], &why);
	if (o->n_servers == 0)
		(void)test_refuse("--dns: %s", why.text);
	return o->n_servers > 0;
}

/* Seconds, with a fraction or not. */
static bool timeout_of_option(struct test_options *o, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 3600)) {
		(void)test_refuse(
			"--dns-timeout: \"%s\" is no number of seconds; right would be 5 or 0.5",
			text);
		return false;
	}
	o->dns_timeout_ms = (uint64_t)(seconds * 1000 + 0.5);
	return true;
}

/* The name servers of main.conf, or of the system where there are none or main.conf cannot be read.
 */
void test_servers_of(struct test_options *o, const struct settings *s)
{
	struct buf text;

	if (o->dns_timeout_ms == 0)
		o->dns_timeout_ms = s != NULL ? s->dns_timeout : DNS_TIMEOUT_MS;
	for (size_t i = 0; s != NULL && i < s->dns_servers.n && o->n_servers < RESOLVER_SERVERS_MAX;
	     i++)
		o->n_servers +=
			resolver_server_parse(s->dns_servers.p[i], &o->servers[o->n_servers], NULL);
	if (o->n_servers > 0)
		return;
	buf_init(&text, 65536);
	if (fd_slurp_path(RESOLV_CONF, &text, NULL, NULL))
		o->n_servers = resolver_servers_of_resolv_conf(buf_slice(&text), o->servers,
							       RESOLVER_SERVERS_MAX);
	buf_fini(&text);
}

static bool options_read(const struct admin *a, int argc, char **argv, struct test_options *o)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"dns", required_argument, NULL, 'd'},
						{"ip", required_argument, NULL, 'i'},
						{"helo", required_argument, NULL, 'h'},
						{"from", required_argument, NULL, 'f'},
						{"dns-timeout", required_argument, NULL, 't'},
						{"org-domain", required_argument, NULL, 'o'},
						{NULL, 0, NULL, 0}};
	struct settings *settings = NULL;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'd':
			ok = server_of_option(o, optarg);
			break;
		case 't':
			ok = timeout_of_option(o, optarg);
			break;
		case 'i':
			o->ip = optarg;
			break;
		case 'h':
			o->helo = optarg;
			break;
		case 'f':
			o->from = optarg;
			break;
		case 'o':
			o->org_domain = optarg;
			break;
		default:
			return false;
		}
	}
	if (ok && argc - optind <= 1)
		o->file = argv[optind];
	else
		ok = ok && (test_refuse("too many files are named; right would be one") == 0);
	if (ok && o->n_servers == 0) {
		if (!admin_read_settings(a->main_conf, &settings))
			settings = NULL;
		test_servers_of(o, settings);
		settings_destroy(settings);
	}
	if (o->dns_timeout_ms == 0)
		o->dns_timeout_ms = DNS_TIMEOUT_MS;
	return ok;
}

int command_test(const struct admin *a, int argc, char **argv)
{
	struct test_options o = {0};

	if (argc < 2)
		return admin_usage("test");
	if (!options_read(a, argc - 1, argv + 1, &o))
		return ADMIN_USAGE;
	if (strcmp(argv[1], "spf") == 0)
		return test_spf(&o);
	if (strcmp(argv[1], "dkim") == 0)
		return test_dkim(&o);
	if (strcmp(argv[1], "arc") == 0)
		return test_arc(&o);
	if (strcmp(argv[1], "dmarc") == 0)
		return test_dmarc(&o);
	return admin_usage("test");
}
