/* admin/objects.h: the commands for domains and people, once: object, verb, what follows on the command line (usage.h), one line of help, an example. From
 * this list come the prototypes, the parser, the help, the completion and the list in tassis(8).
 * A verb stands in its object's file: user_add in admin/user.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "admin/commands.h"
#include "admin/database.h"
#include "admin/usage.h"
#include "common/base/attributes.h"

struct buf;
struct fault;
struct settings;

#define OBJECTS(O)                                                                                 \
	O(domain, "Domains whose mail is taken: local ones, and those that are relayed on.")        \
	O(user, "People: address, password, quota, what they may send as.")                         \
	O(alias, "Addresses that lead to other addresses.")                                         \
	O(mailbox, "The mailboxes that a user is meant to have.")                                   \
	O(relay, "Networks whose hosts may send without a password.")                               \
	O(route, "Where mail for other domains goes, if not to their MX.")                          \
	O(dkim, "The keys that sign a domain's mail.")

/* The examples work as they stand, in this order, beginning with an empty database.
 *	V(object, verb, usage, help, example) */
#define VERBS(V)											\
	V(domain, add,											\
	  "DOMAIN [--kind local|relay] [--recipients list|any] [--if-not-exists]",			\
	  "Takes mail for a domain.",									\
	  "tassis domain add example.org")								\
	V(domain, change,										\
	  "DOMAIN [--kind local|relay] [--recipients list|any]",					\
	  "Changes what is given, and nothing else.",							\
	  "tassis domain change example.org --kind local")						\
	V(domain, delete,										\
	  "DOMAIN [--yes] [--if-exists]",								\
	  "Deletes a domain with its users, aliases, relays and keys; mail on the disk stays.",		\
	  "tassis domain delete old.example --yes --if-exists")						\
	V(domain, disable,										\
	  "DOMAIN",											\
	  "Refuses its mail and its users' logins; all rows stay.",					\
	  "tassis domain disable example.org")								\
	V(domain, enable,										\
	  "DOMAIN",											\
	  "Takes its mail again.",									\
	  "tassis domain enable example.org")								\
	V(domain, list,											\
	  "[DOMAIN|PATTERN] [--json]",									\
	  "Lists domains.",										\
	  "tassis domain list '*.org'")									\
	V(domain, show,											\
	  "DOMAIN [--json]",										\
	  "Shows all of a domain.",									\
	  "tassis domain show example.org")								\
	V(domain, dns,											\
	  "DOMAIN [--json]",										\
	  "Prints the records that the domain should have in DNS, as a zone file.",			\
	  "tassis domain dns example.org")								\
	V(domain, check,										\
	  "DOMAIN [--json]",										\
	  "Compares them with what DNS says now, and says the mend of each that is wrong; then the "	\
	  "exit status is 1.",										\
	  "tassis domain check example.org")							\
	V(user, add,											\
	  "ADDRESS [--password-stdin] [--password-hash HASH] [--no-password] [--quota SIZE|none] "	\
	  "[--quota-messages NUMBER|none] [--folder PATH] [--send-as ADDRESS…] [--no-mailboxes] "	\
	  "[--if-not-exists]",										\
	  "Makes a user; asks for the password unless told where it comes from.",			\
	  "tassis user add ann@example.org --quota 1G")							\
	V(user, change,											\
	  "ADDRESS [--quota SIZE|none] [--quota-messages NUMBER|none] [--folder PATH|none] "		\
	  "[--send-as ADDRESS…] [--no-send-as ADDRESS…]",						\
	  "Changes what is given, and nothing else.",							\
	  "tassis user change ann@example.org --quota 2G --send-as sales@example.org")			\
	V(user, password,										\
	  "ADDRESS [--password-stdin] [--password-hash HASH] [--no-password]",				\
	  "Sets a user's password; asks for it unless told where it comes from.",			\
	  "tassis user password ann@example.org")							\
	V(user, disable,										\
	  "ADDRESS",											\
	  "Refuses mail and login; all rows stay.",							\
	  "tassis user disable ann@example.org")							\
	V(user, enable,											\
	  "ADDRESS",											\
	  "Takes mail and login again.",								\
	  "tassis user enable ann@example.org")								\
	V(user, delete,											\
	  "ADDRESS [--if-exists]",									\
	  "Deletes a user; the mail on the disk stays.",						\
	  "tassis user delete bob@example.org --if-exists")						\
	V(user, list,											\
	  "[DOMAIN|PATTERN] [--json]",									\
	  "Lists users.",										\
	  "tassis user list example.org")								\
	V(user, show,											\
	  "ADDRESS [--json]",										\
	  "Shows all of a user, and the aliases that lead there.",					\
	  "tassis user show ann@example.org")								\
	V(alias, add,											\
	  "ADDRESS TARGET… [--if-not-exists]",								\
	  "Adds targets to an alias; @DOMAIN is the domain's catch-all.",				\
	  "tassis alias add sales@example.org ann@example.org bob@far.example")				\
	V(alias, change,										\
	  "ADDRESS TARGET…",										\
	  "Makes these the alias's targets, and no others.",						\
	  "tassis alias change sales@example.org ann@example.org")					\
	V(alias, disable,										\
	  "ADDRESS",											\
	  "Makes an alias lead nowhere; its targets stay.",						\
	  "tassis alias disable sales@example.org")							\
	V(alias, enable,										\
	  "ADDRESS",											\
	  "Makes an alias lead somewhere again.",							\
	  "tassis alias enable sales@example.org")							\
	V(alias, delete,										\
	  "ADDRESS [TARGET…] [--if-exists]",								\
	  "Deletes targets, or the alias with all of them.",						\
	  "tassis alias delete info@example.org --if-exists")						\
	V(alias, list,											\
	  "[DOMAIN|PATTERN] [--json]",									\
	  "Lists aliases, a line for each target.",							\
	  "tassis alias list 'sales@*'")								\
	V(alias, show,											\
	  "ADDRESS [--json]",										\
	  "Shows all of an alias.",									\
	  "tassis alias show sales@example.org")							\
	V(mailbox, add,											\
	  "ADDRESS NAME… [--if-not-exists]",								\
	  "Adds mailboxes to a user.",									\
	  "tassis mailbox add ann@example.org archive/2026 lists")					\
	V(mailbox, change,										\
	  "ADDRESS NAME --name NAME",									\
	  "Gives a mailbox another name.",								\
	  "tassis mailbox change ann@example.org lists --name news")					\
	V(mailbox, delete,										\
	  "ADDRESS NAME… [--if-exists]",								\
	  "Deletes mailboxes; the mail on the disk stays.",						\
	  "tassis mailbox delete ann@example.org news")							\
	V(mailbox, list,										\
	  "[ADDRESS|DOMAIN|PATTERN] [--json]",								\
	  "Lists mailboxes.",										\
	  "tassis mailbox list ann@example.org")							\
	V(mailbox, show,										\
	  "ADDRESS NAME [--json]",									\
	  "Shows all of a mailbox.",									\
	  "tassis mailbox show ann@example.org inbox")							\
	V(relay, add,											\
	  "NETWORK [--domain DOMAIN…] [--if-not-exists]",						\
	  "Lets a network send as a domain of ours; without --domain as all of them.",			\
	  "tassis relay add 192.0.2.0/24 --domain example.org")						\
	V(relay, change,										\
	  "NETWORK [--domain DOMAIN…]",									\
	  "Makes these the network's domains, and no others.",						\
	  "tassis relay change 192.0.2.0/24")								\
	V(relay, delete,										\
	  "NETWORK [--domain DOMAIN…] [--if-exists]",							\
	  "Takes domains from a network, or all of them.",						\
	  "tassis relay delete 198.51.100.7 --if-exists")						\
	V(relay, list,											\
	  "[DOMAIN|ADDRESS] [--json]",									\
	  "Lists relays: all, of a domain, or those that a client is one of.",				\
	  "tassis relay list 192.0.2.9")								\
	V(relay, show,											\
	  "NETWORK [--json]",										\
	  "Shows all of a network.",									\
	  "tassis relay show 192.0.2.0/24")								\
	V(route, add,											\
	  "DOMAIN|* --host HOST [--port PORT] [--mx] [--tls optional|starttls|implicit|none] "		\
	  "[--sender-domain DOMAIN] [--user NAME] [--password-stdin] [--if-not-exists]",		\
	  "Sends mail for a domain (*: for all that have no route) to a host.",				\
	  "tassis route add '*' --host smtp.provider.example --port 587 --user me")			\
	V(route, change,										\
	  "DOMAIN|* [--sender-domain DOMAIN] [--host HOST] [--port PORT|none] [--mx] [--no-mx] "	\
	  "[--tls optional|starttls|implicit|none] [--user NAME] [--password-stdin] [--no-user]",	\
	  "Changes what is given, and nothing else.",							\
	  "tassis route change '*' --port 465 --tls implicit")						\
	V(route, delete,										\
	  "DOMAIN|* [--sender-domain DOMAIN] [--if-exists]",						\
	  "Lets the mail go to the domain's MX again.",							\
	  "tassis route delete far.example --if-exists")						\
	V(route, list,											\
	  "[DOMAIN|*] [--json]",									\
	  "Lists routes, without their passwords.",							\
	  "tassis route list")										\
	V(route, show,											\
	  "DOMAIN|* [--sender-domain DOMAIN] [--json]",							\
	  "Shows all of a route but its password.",							\
	  "tassis route show '*'")									\
	V(dkim, create,											\
	  "DOMAIN [--algorithm rsa|ed25519] [--bits NUMBER] [--selector NAME] [--if-not-exists] "	\
	  "[--json]",											\
	  "Makes keys: one of RSA and one of Ed25519, or the one that is named.",			\
	  "tassis dkim create example.org")								\
	V(dkim, list,											\
	  "[DOMAIN] [--json]",										\
	  "Lists keys and their state: made, published, active, retired.",				\
	  "tassis dkim list example.org")								\
	V(dkim, publish,										\
	  "DOMAIN [--json]",										\
	  "Prints the records that DNS must have, as lines of a zone file and as one string.",		\
	  "tassis dkim publish example.org")								\
	V(dkim, activate,										\
	  "DOMAIN [SELECTOR] [--unchecked]",								\
	  "Lets keys sign, once DNS has their records; --unchecked does not ask DNS.",			\
	  "tassis dkim activate example.org --unchecked")						\
	V(dkim, retire,											\
	  "DOMAIN SELECTOR [--if-exists]",								\
	  "Lets a key sign no more; it stays in the table.",						\
	  "tassis dkim retire example.org old --if-exists")						\
	V(dkim, delete,											\
	  "DOMAIN SELECTOR [--if-exists]",								\
	  "Deletes a key that does not sign.",								\
	  "tassis dkim delete example.org old --if-exists")						\
	V(dkim, rotate,											\
	  "DOMAIN [--algorithm rsa|ed25519] [--bits NUMBER] [--selector NAME] [--if-not-exists] "	\
	  "[--json]",											\
	  "Makes new keys and prints their records; said again once DNS has them, lets these sign and "	\
	  "retires the old ones.",									\
	  "tassis dkim rotate example.org")

#define O(object, help) admin_command_fn command_##object;
OBJECTS(O)
#undef O

/* One command on its way. */
struct task {
	const struct settings *settings;
	struct database db;
	struct arguments args;
	const char *object, *verb;
};

/* Does it, and says so on standard output. Fails: the sentence; status 5.5.4 is a wrong command line. */
typedef bool verb_fn(struct task *t, struct fault *why);
#define V(object, verb, ...) MUST_USE verb_fn object##_##verb;
VERBS(V)
#undef V

struct verb_description {
	const char *object, *verb, *usage, *help, *example;
};
extern const struct verb_description verb_descriptions[];
extern const size_t n_verb_descriptions;
/* Appends the list of the commands as tassis(8) has it. False: no room. */
bool objects_print_mdoc(struct buf *out);

/* The i-th word of the command line; "" where there is none. */
const char *task_word(const struct task *t, size_t i);
/* A line for the administrator: what was done, on standard output; what is worth knowing, on standard error. */
PRINTF_LIKE(1, 2) void task_say(const char *template, ...);
PRINTF_LIKE(1, 2) void task_note(const char *template, ...);
/* It is there already (not there): success with --if-not-exists (--if-exists), else why says so. */
MUST_USE bool task_there(const struct task *t, const char *what, const char *name, struct fault *why);
MUST_USE bool task_not_there(const struct task *t, const char *what, const char *name, struct fault *why);
/* Fails when domains has no such row, with the command that makes it. */
MUST_USE bool task_needs_domain(struct task *t, const char *domain, struct fault *why);
/* The id of the user as text, which the caller frees. Fails where there is none. */
MUST_USE bool task_needs_user(struct task *t, const char *local_part, const char *domain, char **id, struct fault *why);
/* A size or number of an option as digits; NULL where it is not given, or "none". */
#define TASK_QUANTITY_MAX 24
MUST_USE bool task_quantity(const struct task *t, const char *option, bool size, char out[TASK_QUANTITY_MAX], const char **value,
			    struct fault *why);
