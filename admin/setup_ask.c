/* The five questions of `tassis setup`: host name, domain, user, certificate, database; each with a default, and asked again after an answer that cannot be.
 * An option is an answer; with --yes, the default is.
 * Touches: standard input and output, the terminal; files of a certificate, PostgreSQL where one is named. */
#include "admin/setup.h"

#include <libpq-fe.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/secret.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/conf/settings.h"
#include "common/tls/pair.h"

#define ANSWER_MAX 4096
#define PEM_MAX (1u << 20)
#define MADE_LETTERS 16

/* Takes an answer; fails with what is wrong with it. */
typedef bool take_fn(struct setup *s, const char *answer, struct fault *why);

/* Asks until take is content. */
static bool ask(struct setup *s, const char *option, const char *question, const char *standard, take_fn *take, struct fault *why)
{
	const char *given = arguments_value(&s->args, option);
	char answer[ANSWER_MAX];

	if (given != NULL || s->yes) {
		struct fault wrong = {0};

		if (take(s, given != NULL ? given : standard, &wrong))
			return true;
		fault_set(why, "5.5.4", "%s: %s", option, wrong.text);
		return false;
	}
	for (;;) {
		struct fault wrong = {0};
		struct slice line;

		(void)printf("%s [%s]: ", question, standard);
		(void)fflush(stdout);
		if (fgets(answer, sizeof(answer), stdin) == NULL) {
			fault_set(why, "5.5.4", "nobody answers; --yes takes the defaults, and each question has an option");
			return false;
		}
		line = slice_trim(slice_of_cstr(answer));
		answer[(size_t)(line.p - answer) + line.n] = '\0';
		if (take(s, line.n > 0 ? line.p : standard, &wrong))
			return true;
		(void)printf("%s.\n", wrong.text);
	}
}

/* ---- host name, domain, user ---- */

static bool take_hostname(struct setup *s, const char *answer, struct fault *why)
{
	if (!names_domain(answer, s->hostname, why))
		return false;
	if (strchr(s->hostname, '.') != NULL)
		return true;
	fault_set(why, "5.5.4", "%s is not a full name; mail.example.org would be one", s->hostname);
	return false;
}

static bool take_domain(struct setup *s, const char *answer, struct fault *why)
{
	return names_domain(answer, s->domain, why);
}

static bool take_user(struct setup *s, const char *answer, struct fault *why)
{
	char whole[NAMES_WHOLE_MAX];

	(void)snprintf(whole, sizeof(whole), strchr(answer, '@') != NULL ? "%s" : "%s@%s", answer, s->domain);
	if (!names_address(whole, 0, &s->user, why))
		return false;
	if (strcmp(s->user.domain, s->domain) == 0)
		return true;
	fault_set(why, "5.5.4", "the first user is one of the domain %s", s->domain);
	return false;
}

static void standard_hostname(const struct setup *s, char out[NAMES_DOMAIN_MAX])
{
	if (!settings_hostname(s->settings, out, NAMES_DOMAIN_MAX, NULL))
		(void)snprintf(out, NAMES_DOMAIN_MAX, "mail.example.org");
}

/* The domain that postmaster has; or the host's name without its first label. */
static void standard_domain(const struct setup *s, char out[NAMES_DOMAIN_MAX])
{
	struct slice postmaster = s->settings->postmaster, before;
	const char *dot = strchr(s->hostname, '.');

	if (slice_find(postmaster, '@') != SIZE_MAX && slice_cut(&postmaster, '@', &before) &&
	    slice_cstr(postmaster, out, NAMES_DOMAIN_MAX, NULL))
		return;
	(void)snprintf(out, NAMES_DOMAIN_MAX, "%s", dot != NULL && strchr(dot + 1, '.') != NULL ? dot + 1 : s->hostname);
}

/* Who postmaster is; or who sits there. */
static void standard_user(const struct setup *s, char out[NAMES_WHOLE_MAX])
{
	struct slice postmaster = s->settings->postmaster, local;
	const char *name = getenv("SUDO_USER");
	struct passwd *pw = getpwuid(getuid());

	if (slice_cut(&postmaster, '@', &local) && slice_equal(postmaster, slice_of_cstr(s->domain))) {
		(void)snprintf(out, NAMES_WHOLE_MAX, "%.*s@%s", SLICE_PRINTF(local), s->domain);
		return;
	}
	if (name == NULL && pw != NULL && pw->pw_uid != 0)
		name = pw->pw_name;
	(void)snprintf(out, NAMES_WHOLE_MAX, "%s@%s", name != NULL && name[0] != '\0' ? name : "admin", s->domain);
}

/* ---- the password ---- */

/* 80 bits, without letters that look alike. */
static bool make_password(struct setup *s, struct fault *why)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789A";
	uint8_t octets[MADE_LETTERS];

	random_fill(octets, sizeof(octets));
	for (size_t i = 0; i < sizeof(octets); i++)
		buf_append_char(&s->password, letters[octets[i] & 31]);
	memory_wipe(octets, sizeof(octets));
	s->password_made = true;
	if (s->password.failed)
		fault_set(why, "4.3.1", "no memory for a password");
	return !s->password.failed;
}

static bool ask_password(struct setup *s, struct fault *why)
{
	char answer[ANSWER_MAX];

	if (arguments_has(&s->args, "--password-stdin"))
		return secret_read(&s->password, why);
	if (s->yes || isatty(STDIN_FILENO) == 0)
		return make_password(s, why);
	(void)printf("Password of %s: return for one that is made, t to type one [make one]: ", s->user.whole);
	(void)fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 't' && answer[0] != 'T'))
		return make_password(s, why);
	for (;;) {
		struct fault wrong = {0};

		buf_reset(&s->password);
		if (secret_ask("Password: ", &s->password, &wrong))
			return true;
		(void)printf("%s.\n", wrong.text);
	}
}

/* ---- the certificate ---- */

/* Where certbot puts it; "" where there is none. */
static void standard_certificate(const struct setup *s, char *out, size_t size)
{
	(void)snprintf(out, size, "/etc/letsencrypt/live/%s/fullchain.pem", s->hostname);
	if (access(out, R_OK) != 0)
		out[0] = '\0';
}

/* Beside FILE: privkey.pem as certbot calls it, or FILE with .key at its end; "" where the key stands in FILE. */
static void guess_key(const char *certificate, char *out, size_t size)
{
	const char *slash = strrchr(certificate, '/'), *dot = strrchr(certificate, '.');

	(void)snprintf(out, size, "%.*s/privkey.pem", slash != NULL ? (int)(slash - certificate) : 1, slash != NULL ? certificate : ".");
	if (access(out, R_OK) == 0)
		return;
	(void)snprintf(out, size, "%.*s.key", dot != NULL && dot > slash ? (int)(dot - certificate) : (int)strlen(certificate), certificate);
	if (access(out, R_OK) != 0)
		out[0] = '\0';
}

/* As master will read them. */
static bool read_pair(struct setup *s, struct fault *why)
{
	struct buf first, second, chain, key;
	bool ok;

	buf_init_secret(&first, PEM_MAX);
	buf_init_secret(&second, PEM_MAX);
	buf_init(&chain, PEM_MAX);
	buf_init_secret(&key, PEM_MAX);
	ok = fd_slurp_path(s->certificate_file, &first, NULL, why) &&
	     (s->key_file[0] == '\0' || fd_slurp_path(s->key_file, &second, NULL, why)) &&
	     tls_pair_read(buf_slice(&first), buf_slice(&second), buf_slice(&s->certificate_password), &chain, &key, why);
	buf_fini(&first);
	buf_fini(&second);
	buf_fini(&chain);
	buf_fini(&key);
	return ok;
}

/* The certificate's own password: a line of standard input, or asked. */
static bool ask_certificate_password(struct setup *s, struct fault *why)
{
	if (arguments_has(&s->args, "--certificate-password-stdin"))
		return secret_read(&s->certificate_password, why);
	if (s->yes || isatty(STDIN_FILENO) == 0)
		return false;
	return secret_ask("The certificate's password: ", &s->certificate_password, why);
}

/* The whole path: master is somewhere else. */
static bool take_path(const char *answer, char *out, struct fault *why)
{
	if (realpath(answer, out) != NULL && access(out, R_OK) == 0) {
		/* A link that certbot turns to the next certificate stays a link. */
		if (answer[0] == '/' && strlen(answer) < PATH_MAX)
			(void)snprintf(out, PATH_MAX, "%s", answer);
		return true;
	}
	fault_errno(why, "5.5.4", "cannot read %s", answer);
	return false;
}

static bool take_certificate(struct setup *s, const char *answer, struct fault *why)
{
	const char *key = arguments_value(&s->args, "--key");
	struct fault ignored = {0};

	s->key_file[0] = '\0';
	buf_reset(&s->certificate_password);
	s->certificate = strcmp(answer, "self-signed") == 0 ? SETUP_SELF_SIGNED
			 : strcmp(answer, "as it is") == 0  ? SETUP_AS_IS
							     : SETUP_FILES;
	if (s->certificate == SETUP_AS_IS && s->settings->tls_certificate.n == 0) {
		fault_set(why, "5.5.4", "main.conf names no certificate");
		return false;
	}
	if (s->certificate != SETUP_FILES)
		return true;
	if (!take_path(answer, s->certificate_file, why) || (key != NULL && !take_path(key, s->key_file, why)))
		return false;
	if (read_pair(s, why))
		return true;
	if (key == NULL) {
		guess_key(s->certificate_file, s->key_file, sizeof(s->key_file));
		if (s->key_file[0] != '\0' && read_pair(s, &ignored))
			return true;
		if (strstr(ignored.text, "password") == NULL)
			s->key_file[0] = '\0';
	}
	if (strstr(why->text, "password") == NULL && strstr(ignored.text, "password") == NULL)
		return false;
	return ask_certificate_password(s, why) && read_pair(s, why);
}

static bool ask_certificate(struct setup *s, struct fault *why)
{
	char standard[PATH_MAX];

	if (arguments_has(&s->args, "--self-signed")) {
		s->certificate = SETUP_SELF_SIGNED;
		return true;
	}
	standard_certificate(s, standard, sizeof(standard));
	return ask(s, "--certificate", "Certificate: a file (PEM or PKCS#12), or self-signed",
		   s->settings->tls_certificate.n > 0 ? "as it is" : standard[0] != '\0' ? standard : "self-signed", take_certificate, why);
}

/* ---- the database ---- */

/* The same server and database with another role; a password of one is not the other's. */
static bool with_role(const char *conninfo, const char *role, char out[SETUP_CONNINFO_MAX], struct fault *why)
{
	char *error = NULL;
	PQconninfoOption *options = PQconninfoParse(conninfo, &error);
	struct buf text;
	bool ok = false;

	if (options == NULL) {
		fault_set(why, "5.5.4", "%.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(error != NULL ? error : "out of memory"))));
		PQfreemem(error);
		return false;
	}
	buf_init_secret(&text, SETUP_CONNINFO_MAX);
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
		if (o->val == NULL || strcmp(o->keyword, "user") == 0 || strcmp(o->keyword, "password") == 0)
			continue;
		buf_printf(&text, "%s='", o->keyword);
		for (const char *p = o->val; *p != '\0'; p++) {
			if (*p == '\'' || *p == '\\')
				buf_append_char(&text, '\\');
			buf_append_char(&text, *p);
		}
		buf_append_cstr(&text, "' ");
	}
	buf_printf(&text, "user=%s", role);
	ok = !text.failed && slice_cstr(buf_slice(&text), out, SETUP_CONNINFO_MAX, why);
	PQconninfoFree(options);
	buf_fini(&text);
	return ok;
}

static bool try_database(const char *conninfo, struct fault *why)
{
	static const char *const names[] = {"dbname", "connect_timeout", NULL};
	const char *values[] = {conninfo, "5", NULL};
	PGconn *pg = PQconnectdbParams(names, values, 1);
	bool ok = PQstatus(pg) == CONNECTION_OK;

	if (!ok)
		fault_set(why, "5.5.4", "%.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(PQerrorMessage(pg)))));
	PQfinish(pg);
	return ok;
}

static bool take_database(struct setup *s, const char *answer, struct fault *why)
{
	const char *lookup = arguments_value(&s->args, "--database-lookup");

	s->database = strcmp(answer, "private") == 0   ? SETUP_PRIVATE
		      : strcmp(answer, "as it is") == 0 ? SETUP_DATABASE_AS_IS
							 : SETUP_GIVEN;
	if (s->database != SETUP_GIVEN)
		return true;
	return slice_cstr(slice_of_cstr(answer), s->conninfo_admin, sizeof(s->conninfo_admin), why) &&
	       try_database(s->conninfo_admin, why) &&
	       (lookup != NULL ? slice_cstr(slice_of_cstr(lookup), s->conninfo, sizeof(s->conninfo), why)
			       : with_role(s->conninfo_admin, "tassis_lookup", s->conninfo, why));
}

/* ---- all ---- */

bool setup_ask(struct setup *s, struct fault *why)
{
	char standard[NAMES_WHOLE_MAX];

	standard_hostname(s, standard);
	if (!ask(s, "--hostname", "Host name, as others call this host", standard, take_hostname, why))
		return false;
	standard_domain(s, standard);
	if (!ask(s, "--domain", "First domain whose mail is taken", standard, take_domain, why))
		return false;
	standard_user(s, standard);
	return ask(s, "--user", "First user", standard, take_user, why) && ask_password(s, why) && ask_certificate(s, why) &&
	       ask(s, "--database", "Database: private (tassis runs a PostgreSQL of its own), or the connection string of the tables' owner",
		   setup_conf_has(s, "database_admin") ? "as it is" : "private", take_database, why);
}
