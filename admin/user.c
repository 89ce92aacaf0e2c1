/* `tassis user …`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "admin/secret.h"
#include "common/auth/password.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"

#define HASH_MAX 1024

/* The mailboxes that a user begins with. */
static const char *const first_mailboxes[] = {"inbox", "sent", "spam"};

struct user_values {
	struct names_address name;
	char bytes[TASK_QUANTITY_MAX], messages[TASK_QUANTITY_MAX];
	const char *quota_bytes, *quota_messages, *folder; /* NULL: none */
};

static bool no_user(const struct task *t, const struct names_address *name, struct fault *why)
{
	return task_not_there(t, "user", name->whole, why);
}

static bool read_values(const struct task *t, struct user_values *u, struct fault *why)
{
	u->folder = arguments_value(&t->args, "--folder");
	if (u->folder != NULL && strcmp(u->folder, "none") == 0)
		u->folder = NULL;
	return names_address(task_word(t, 0), 0, &u->name, why) &&
	       task_quantity(t, "--quota", true, u->bytes, &u->quota_bytes, why) &&
	       task_quantity(t, "--quota-messages", false, u->messages, &u->quota_messages, why);
}

/* ---- passwords ---- */

static bool take_hash(const char *hash, struct buf *out, struct fault *why)
{
	if (hash[0] == '{' && password_verify(slice_of_cstr(hash), SLICE("")) != PASSWORD_UNUSABLE && buf_append_cstr(out, hash))
		return true;
	fault_set(why, "5.5.4", "--password-hash: what is there is no {SCHEME}hash that can be checked; tassis-schema(7) lists the schemes");
	return false;
}

/* What is to stand in users.password; *none: NULL is. */
static bool read_password(const struct task *t, struct buf *out, bool *none, struct fault *why)
{
	const char *hash = arguments_value(&t->args, "--password-hash");
	bool from_input = arguments_has(&t->args, "--password-stdin");
	struct buf password;
	bool ok;

	*none = arguments_has(&t->args, "--no-password");
	if ((hash != NULL) + from_input + *none > 1) {
		fault_set(why, "5.5.4", "--password-stdin, --password-hash and --no-password: only one of them");
		return false;
	}
	if (*none)
		return true;
	if (hash != NULL)
		return take_hash(hash, out, why);
	buf_init_secret(&password, SECRET_MAX);
	ok = (from_input ? secret_read(&password, why) : secret_ask("Password: ", &password, why)) &&
	     password_make(buf_slice(&password), out, why);
	buf_fini(&password);
	return ok;
}

bool user_password(struct task *t, struct fault *why)
{
	struct names_address name;
	struct buf password;
	char *id = NULL;
	uint64_t n = 0;
	bool none, ok;

	buf_init_secret(&password, HASH_MAX);
	ok = names_address(task_word(t, 0), 0, &name, why) && task_needs_user(t, name.local_part, name.domain, &id, why) &&
	     read_password(t, &password, &none, why) &&
	     database_change(&t->db, &n, why, "UPDATE users SET password = $2, password_fixed = false WHERE id = $1::bigint",
			     PARAMS(id, none ? NULL : buf_cstr(&password)));
	buf_fini(&password);
	free(id);
	if (!ok)
		return false;
	if (n == 0)
		return no_user(t, &name, why);
	task_say(none ? "user %s can no longer log in" : "set the password of user %s", name.whole);
	return true;
}

/* ---- add and change ---- */

static bool add_mailboxes(struct task *t, const char *id, struct fault *why)
{
	for (size_t i = 0; i < ARRAY_LENGTH(first_mailboxes); i++)
		if (!database_run(&t->db, NULL, why, "INSERT INTO mailboxes (user_id, name) VALUES ($1::bigint, $2) ON CONFLICT DO NOTHING",
				  PARAMS(id, first_mailboxes[i])))
			return false;
	return true;
}

static bool each_sender(struct task *t, const char *option, const char *sql, const char *id, struct fault *why)
{
	struct names_address sender;
	const char *text;

	for (size_t at = 0; (text = arguments_next(&t->args, option, &at)) != NULL;)
		if (!names_address(text, NAMES_CATCH_ALL, &sender, why) || !database_run(&t->db, NULL, why, sql, PARAMS(id, sender.whole)))
			return false;
	return true;
}

static bool change_senders(struct task *t, const char *id, struct fault *why)
{
	return each_sender(t, "--send-as", "INSERT INTO sender_addresses (user_id, address) VALUES ($1::bigint, $2) ON CONFLICT DO NOTHING", id, why) &&
	       each_sender(t, "--no-send-as", "DELETE FROM sender_addresses WHERE user_id = $1::bigint AND address = $2", id, why);
}

/* A name that comes again finds the mail of its predecessor. */
static void note_old_mail(const struct task *t, const struct user_values *u)
{
	char path[4096];

	if (u->folder != NULL)
		(void)snprintf(path, sizeof(path), "%.*s/%s", SLICE_PRINTF(t->settings->mail_dir), u->folder);
	else
		(void)snprintf(path, sizeof(path), "%.*s/%s/%s", SLICE_PRINTF(t->settings->mail_dir), u->name.domain, u->name.local_part);
	if (access(path, F_OK) == 0)
		task_note("note: %s is there already; user %s will read the mail in it", path, u->name.whole);
}

static bool add_user(struct task *t, const struct user_values *u, const char *password, char **id, struct fault *why)
{
	return database_begin(&t->db, why) &&
	       database_ask(&t->db, id, why,
			    "INSERT INTO users (local_part, domain, password, folder, quota_bytes, quota_messages) "
			    "VALUES ($1, $2, $3, $4, $5::bigint, $6::bigint) ON CONFLICT (domain, local_part) DO NOTHING RETURNING id",
			    PARAMS(u->name.local_part, u->name.domain, password, u->folder, u->quota_bytes, u->quota_messages)) &&
	       (*id == NULL || (change_senders(t, *id, why) &&
				(arguments_has(&t->args, "--no-mailboxes") || add_mailboxes(t, *id, why)))) &&
	       database_commit(&t->db, why);
}

bool user_add(struct task *t, struct fault *why)
{
	struct user_values u = {0};
	struct buf password;
	char *id = NULL;
	uint64_t there = 0;
	bool none, ok;

	/* What would be in vain is told before anybody is asked for a password. */
	if (!read_values(t, &u, why) || !task_needs_domain(t, u.name.domain, why) ||
	    !database_ask_number(&t->db, &there, why, "SELECT count(*) FROM users WHERE local_part = $1 AND domain = $2",
				 PARAMS(u.name.local_part, u.name.domain)))
		return false;
	if (there > 0)
		return task_there(t, "user", u.name.whole, why);
	buf_init_secret(&password, HASH_MAX);
	ok = read_password(t, &password, &none, why) && add_user(t, &u, none ? NULL : buf_cstr(&password), &id, why);
	buf_fini(&password);
	if (ok && id == NULL)
		return task_there(t, "user", u.name.whole, why);
	free(id);
	if (!ok)
		return false;
	task_say("added user %s", u.name.whole);
	note_old_mail(t, &u);
	return true;
}

static bool change_user(struct task *t, const struct user_values *u, const char *id, struct fault *why)
{
	const char *quota = arguments_has(&t->args, "--quota") ? "t" : "f", *messages = arguments_has(&t->args, "--quota-messages") ? "t" : "f",
		   *folder = arguments_has(&t->args, "--folder") ? "t" : "f";

	return database_begin(&t->db, why) &&
	       database_run(&t->db, NULL, why,
			    "UPDATE users SET quota_bytes = CASE WHEN $2::boolean THEN $3::bigint ELSE quota_bytes END, "
			    "quota_messages = CASE WHEN $4::boolean THEN $5::bigint ELSE quota_messages END, "
			    "folder = CASE WHEN $6::boolean THEN $7 ELSE folder END WHERE id = $1::bigint",
			    PARAMS(id, quota, u->quota_bytes, messages, u->quota_messages, folder, u->folder)) &&
	       change_senders(t, id, why) && database_commit(&t->db, why);
}

bool user_change(struct task *t, struct fault *why)
{
	struct user_values u = {0};
	char *id = NULL;
	bool ok;

	if (!arguments_has(&t->args, "--quota") && !arguments_has(&t->args, "--quota-messages") && !arguments_has(&t->args, "--folder") &&
	    !arguments_has(&t->args, "--send-as") && !arguments_has(&t->args, "--no-send-as")) {
		fault_set(why, "5.5.4", "nothing to change; an option says what");
		return false;
	}
	ok = read_values(t, &u, why) && task_needs_user(t, u.name.local_part, u.name.domain, &id, why) && change_user(t, &u, id, why);
	free(id);
	if (!ok)
		return false;
	task_say("changed user %s", u.name.whole);
	if (u.folder != NULL)
		note_old_mail(t, &u);
	return true;
}

static bool switch_user(struct task *t, const char *enabled, struct fault *why)
{
	struct names_address name;
	uint64_t n;

	if (!names_address(task_word(t, 0), 0, &name, why) ||
	    !database_change(&t->db, &n, why, "UPDATE users SET enabled = $3::boolean WHERE local_part = $1 AND domain = $2",
			     PARAMS(name.local_part, name.domain, enabled)))
		return false;
	if (n == 0)
		return no_user(t, &name, why);
	task_say("%sd user %s", t->verb, name.whole);
	return true;
}

bool user_enable(struct task *t, struct fault *why)
{
	return switch_user(t, "true", why);
}

bool user_disable(struct task *t, struct fault *why)
{
	return switch_user(t, "false", why);
}

/* ---- deleting ---- */

/* Addresses whose mail went to the user, straight or by other aliases, as a WITH. A loop ends at the depth where lookupd gives up, too. */
#define WAY                                                                                                    \
	"WITH RECURSIVE way (address, depth) AS (SELECT ($1 || '@' || $2) COLLATE \"C\", 0 UNION "                     \
	"SELECT a.local_part || '@' || a.domain, l.depth + 1 FROM way l JOIN aliases a ON lower(a.target) = l.address " \
	"WHERE a.enabled AND l.depth < 10) "

bool user_delete(struct task *t, struct fault *why)
{
	struct names_address name;
	char *folder = NULL, *aliases = NULL;
	bool ok;

	ok = names_address(task_word(t, 0), 0, &name, why) &&
	     database_ask(&t->db, &aliases, why,
			  WAY "SELECT coalesce(string_agg(DISTINCT address, ', '), '') FROM way WHERE depth = 1 AND address <> $1 || '@' || $2",
			  PARAMS(name.local_part, name.domain)) &&
	     database_ask(&t->db, &folder, why,
			  "DELETE FROM users WHERE local_part = $1 AND domain = $2 RETURNING coalesce(folder, domain || '/' || local_part)",
			  PARAMS(name.local_part, name.domain));
	if (ok && folder == NULL)
		ok = no_user(t, &name, why);
	else if (ok) {
		task_say("deleted user %s; the mail stays in %.*s/%s", name.whole, SLICE_PRINTF(t->settings->mail_dir), folder);
		if (aliases != NULL && aliases[0] != '\0')
			task_note("note: aliases still lead there: %s", aliases);
	}
	free(aliases);
	free(folder);
	return ok;
}

/* ---- looking ---- */

bool user_list(struct task *t, struct fault *why)
{
	struct names_filter filter;

	if (!names_filter(task_word(t, 0), &filter, why))
		return false;
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT local_part || '@' || domain AS address, enabled, substring(password FROM '^{([^}]*)}') AS password, quota_bytes, "
			     "quota_messages, coalesce(folder, domain || '/' || local_part) AS folder FROM users "
			     "WHERE ($1::text IS NULL OR domain = $1) AND ($2::text IS NULL OR local_part || '@' || domain LIKE $2) "
			     "ORDER BY domain, local_part",
			     PARAMS(filter.domain, filter.pattern));
}

bool user_show(struct task *t, struct fault *why)
{
	struct names_address name;
	char mail_dir[4096];
	bool found;

	if (!names_address(task_word(t, 0), 0, &name, why) || !slice_cstr(t->settings->mail_dir, mail_dir, sizeof(mail_dir), why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       WAY "SELECT u.local_part || '@' || u.domain AS address, u.id, u.enabled, d.enabled AS domain_enabled, "
			       "d.kind AS domain_kind, substring(u.password FROM '^{([^}]*)}') AS password, u.password_fixed, "
			       "$3 || '/' || coalesce(u.folder, u.domain || '/' || u.local_part) AS folder, u.quota_bytes, u.quota_messages, "
			       "u.created_at::text, "
			       "ARRAY(SELECT m.name::text FROM mailboxes m WHERE m.user_id = u.id ORDER BY m.id) AS mailboxes, "
			       "ARRAY(SELECT s.address::text FROM sender_addresses s WHERE s.user_id = u.id ORDER BY 1) AS send_as, "
			       "ARRAY(SELECT DISTINCT l.address FROM way l WHERE l.depth > 0 AND l.address <> $1 || '@' || $2 ORDER BY 1) AS aliases "
			       "FROM users u JOIN domains d ON d.name = u.domain WHERE u.local_part = $1 AND u.domain = $2",
			       PARAMS(name.local_part, name.domain, mail_dir)))
		return false;
	return found || no_user(t, &name, why);
}
