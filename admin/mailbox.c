/* `tassis mailbox …`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "common/base/fault.h"

/* Runs sql for each name of the command line with the user's id and the name; *n is how many rows were changed. */
static bool each_name(struct task *t, const char *sql, struct names_address *user, uint64_t *n, struct fault *why)
{
	char *id = NULL;
	uint64_t one;
	bool ok = names_address(task_word(t, 0), 0, user, why) && task_needs_user(t, user->local_part, user->domain, &id, why) &&
		  database_begin(&t->db, why);

	*n = 0;
	for (size_t i = 1; ok && arguments_word(&t->args, i) != NULL; i++) {
		ok = database_change(&t->db, &one, why, sql, PARAMS(id, task_word(t, i)));
		*n += ok ? one : 0;
	}
	free(id);
	return ok && database_commit(&t->db, why);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "es";
}

bool mailbox_add(struct task *t, struct fault *why)
{
	struct names_address user;
	uint64_t n;

	if (!each_name(t, "INSERT INTO mailboxes (user_id, name) VALUES ($1::bigint, $2) ON CONFLICT DO NOTHING", &user, &n, why))
		return false;
	if (n == 0)
		return task_there(t, "mailbox", task_word(t, 1), why);
	task_say("added %llu mailbox%s to user %s", (unsigned long long)n, plural(n), user.whole);
	return true;
}

bool mailbox_delete(struct task *t, struct fault *why)
{
	struct names_address user;
	uint64_t n;

	if (!each_name(t, "DELETE FROM mailboxes WHERE user_id = $1::bigint AND name = $2", &user, &n, why))
		return false;
	if (n == 0)
		return task_not_there(t, "mailbox", task_word(t, 1), why);
	task_say("deleted %llu mailbox%s of user %s; the mail stays on the disk", (unsigned long long)n, plural(n), user.whole);
	return true;
}

bool mailbox_change(struct task *t, struct fault *why)
{
	const char *name = task_word(t, 1), *new_name = arguments_value(&t->args, "--name");
	struct names_address user;
	char *id = NULL;
	uint64_t old = 0, new = 0, n = 0;
	bool ok;

	ok = names_address(task_word(t, 0), 0, &user, why) && task_needs_user(t, user.local_part, user.domain, &id, why) &&
	     database_ask_number(&t->db, &old, why, "SELECT count(*) FROM mailboxes WHERE user_id = $1::bigint AND name = $2", PARAMS(id, name)) &&
	     database_ask_number(&t->db, &new, why, "SELECT count(*) FROM mailboxes WHERE user_id = $1::bigint AND name = $2", PARAMS(id, new_name));
	if (ok && old > 0 && new > 0 && strcmp(name, new_name) != 0) {
		fault_set(why, "4.3.0", "mailbox %s is there already", new_name);
		ok = false;
	} else if (ok && old == 0 && new == 0)
		ok = task_not_there(t, "mailbox", name, why);
	else if (ok && old > 0)
		ok = database_change(&t->db, &n, why, "UPDATE mailboxes SET name = $3 WHERE user_id = $1::bigint AND name = $2",
				     PARAMS(id, name, new_name));
	free(id);
	if (ok)
		task_say("changed mailbox %s of user %s to %s; the mail on the disk stays where it is", name, user.whole, new_name);
	return ok;
}

bool mailbox_list(struct task *t, struct fault *why)
{
	struct names_filter filter;

	if (!names_filter(task_word(t, 0), &filter, why))
		return false;
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT u.local_part || '@' || u.domain AS address, m.name AS mailbox FROM users u JOIN mailboxes m ON m.user_id = u.id "
			     "WHERE ($1::text IS NULL OR u.domain = $1) AND ($2::text IS NULL OR u.local_part || '@' || u.domain LIKE $2) "
			     "ORDER BY u.domain, u.local_part, m.id",
			     PARAMS(filter.domain, filter.pattern));
}

bool mailbox_show(struct task *t, struct fault *why)
{
	struct names_address user;
	bool found;

	if (!names_address(task_word(t, 0), 0, &user, why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       "SELECT u.local_part || '@' || u.domain AS address, m.name AS mailbox, m.id, m.user_id "
			       "FROM users u JOIN mailboxes m ON m.user_id = u.id WHERE u.local_part = $1 AND u.domain = $2 AND m.name = $3",
			       PARAMS(user.local_part, user.domain, task_word(t, 1))))
		return false;
	return found || task_not_there(t, "mailbox", task_word(t, 1), why);
}
