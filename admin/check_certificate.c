/* The certificate and its key: readable, a pair, in its time, for the host's name. And the file of authorities that delivery trusts.
 * Touches: those files; reads only. */
#include "admin/check.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/tls/pair.h"

#define PEM_MAX (1u << 20)
#define CA_MAX (16u << 20)
#define DAY_S 86400
#define SOON_DAYS 14

/* "2026-11-25" */
static const char *day(int64_t at_s, char out[16])
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
		(void)snprintf(out, 16, "?");
	return out;
}

static void check_facts(struct check *c, const char *path, const struct tls_facts *facts, bool self_made)
{
	const char *mend = self_made ? "remove it, and a restart of tassis makes another" : "renew it";
	int64_t now = (int64_t)time(NULL);
	char at[16];

	if (facts->ends_s <= now)
		check_error(c, "certificate", "the certificate %s expired on %s: %s", path, day(facts->ends_s, at), mend);
	else if (facts->ends_s - now < SOON_DAYS * DAY_S)
		check_warning(c, "certificate", "the certificate %s expires on %s: %s", path, day(facts->ends_s, at), mend);
	if (facts->begins_s > now)
		check_error(c, "certificate", "the certificate %s is not valid before %s: is the clock right?", path,
			    day(facts->begins_s, at));
	if (!facts->names_host)
		check_warning(c, "certificate", "the certificate %s is for %s and does not name hostname, %.*s: mail programs will "
			      "complain; %s", path, facts->name[0] != '\0' ? facts->name : "no name",
			      SLICE_PRINTF(c->settings->hostname),
			      self_made ? mend : "have one made with that name, or change hostname");
}

static void check_mode(struct check *c, const char *path, const struct stat *st)
{
	if ((st->st_mode & 077 & ~S_IRGRP) != 0)
		check_error(c, "certificate", "others may read the private key: `chmod 600 %s`", path);
}

/* master opens both as the user who starts it; whoever asks here may be another. */
static bool slurp(struct check *c, const char *setting, const char *path, struct buf *out, struct stat *st)
{
	struct fault why = {0};

	if (fd_slurp_path(path, out, st, &why))
		return true;
	check_error(c, "certificate", "%s: %s; master must be able to read it", setting, why.text);
	return false;
}

static void check_pair(struct check *c, const char *certificate, const char *key, bool self_made)
{
	struct buf first, second, chain, private;
	bool one = strcmp(certificate, key) == 0;
	struct stat st = {0};
	struct tls_facts facts;
	struct fault why = {0};

	buf_init_secret(&first, PEM_MAX); /* the key may stand beside it */
	buf_init_secret(&second, PEM_MAX);
	buf_init(&chain, PEM_MAX);
	buf_init_secret(&private, PEM_MAX);
	if (!slurp(c, "tls_certificate", certificate, &first, &st) ||
	    (!one && !slurp(c, "tls_key", key, &second, &st)))
		goto out;
	check_mode(c, key, &st);
	if (!one && buf_length(&second) == 0) {
		check_error(c, "certificate", "tls_key: %s is empty", key);
	} else if (!tls_pair_read(buf_slice(&first), buf_slice(&second), c->settings->tls_password, &chain, &private, &why) ||
		   !tls_facts_of(buf_slice(&chain), c->settings->hostname, &facts, &why)) {
		fault_add(&why, one ? "certificate %s" : "certificate %s, key %s", certificate, key);
		check_fault(c, "certificate", &why);
	} else {
		check_facts(c, certificate, &facts, self_made);
	}
out:
	buf_fini(&first);
	buf_fini(&second);
	buf_fini(&chain);
	buf_fini(&private);
}

/* What tassis made itself is made anew where it is broken; only what it would go on using is looked at. */
static void check_self_made(struct check *c)
{
	char certificate[PATH_MAX], key[PATH_MAX];

	if (layout_path(c->settings->state_dir, "tls/certificate.pem", certificate, sizeof(certificate), NULL) &&
	    layout_path(c->settings->state_dir, "tls/key.pem", key, sizeof(key), NULL) && access(certificate, R_OK) == 0 &&
	    access(key, R_OK) == 0)
		check_pair(c, certificate, key, true);
}

void check_certificate(struct check *c)
{
	const struct settings *s = c->settings;
	char certificate[PATH_MAX], key[PATH_MAX];
	struct fault why = {0};

	if (s->tls_certificate.n == 0)
		check_self_made(c);
	else if (!slice_cstr(s->tls_certificate, certificate, sizeof(certificate), &why) ||
		 !slice_cstr(s->tls_key.n > 0 ? s->tls_key : s->tls_certificate, key, sizeof(key), &why))
		check_fault(c, "certificate", &why);
	else
		check_pair(c, certificate, key, false);
}

void check_delivery_ca(struct check *c)
{
	char path[PATH_MAX];
	struct fault why = {0};
	struct buf text;
	unsigned n;

	if (c->settings->delivery_tls_trust != DELIVERY_TLS_TRUST_CA ||
	    !slice_cstr(c->settings->delivery_tls_ca, path, sizeof(path), NULL))
		return;
	buf_init(&text, CA_MAX);
	if (!fd_slurp_path(path, &text, NULL, &why))
		check_error(c, "delivery", "delivery_tls_ca: %s; with delivery_tls_trust = ca nothing is delivered without it: `apt-get "
			    "install ca-certificates`, or name another file", why.text);
	else if (!tls_roots_count(buf_slice(&text), &n, &why))
		check_error(c, "delivery", "delivery_tls_ca: %s: %s; it should hold the authorities' certificates in PEM", path, why.text);
	buf_fini(&text);
}
