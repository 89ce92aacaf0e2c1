/* admin/commands.h: the subcommands of the admin program, once: name, whether main.conf is read for it first, what follows the name
 * on the command line, and one line of help. From this list come the prototypes, the table, the help and the completion.
 * Each stands in a file of its own: command_queue in admin/queue.c. Those for domains and people are listed in objects.h. */
#pragma once

#include <stdbool.h>

#include "admin/queue_verbs.h"

struct settings;

#define SETUP_USAGE                                                                                                  \
	"[--yes] [--hostname NAME] [--domain DOMAIN] [--user ADDRESS] [--password-stdin] [--certificate FILE] [--key FILE] " \
	"[--certificate-password-stdin] [--self-signed] [--database DATABASE] [--database-lookup CONNINFO] "         \
	"[--smtp-port PORT] [--submission-port PORT] [--smtps-port PORT] [--address ADDRESS] [--folder FOLDER] [--force]"

/*	C(name, reads_settings, usage, help) */
#define ADMIN_COMMANDS(C)                                                                                          \
	C(check, false, "[--json]", "Looks for what is wrong with main.conf, folders, ports, certificate, database and DNS.") \
	C(config, false, "[-n | NAME | --template | --mdoc | --mdoc-log | --mdoc-commands]", "Shows all settings, what differs (-n), or one.") \
	C(status, true, "", "Shows the processes.")                                                                  \
	C(queue, true, QUEUE_USAGE, "Shows what waits, and steers it.")                                                    \
	C(explain, true, "[--json] ADDRESS", "Shows every row and setting that decides what happens to mail for it, from it and by it.") \
	C(schema, true, "upgrade [--from DIR] | status [--from DIR] | compat [--from DIR]", \
	  "Brings the database's schema up to date, says how it stands, or adds the views of netty-smtp-server.") \
	C(test, false, "spf [--json] [--dns HOST:PORT] --ip IP --helo NAME --from ADDRESS | dkim [--json] … FILE | arc [--json] … FILE | dmarc [--json] … FILE", \
	  "Checks who may send as whom, as smtpd does, and tells step by step.")                                      \
	C(setup, false, SETUP_USAGE, "Asks five questions, or takes them as options, and ends with a mail delivered and the DNS records to publish.") \
	C(control, false, "VERB [ARGUMENT]", "Tells master something: reload, stop, reopen (the log), ping, status.")

/* What the script `tassis` (master/tassis) does itself; here for the help alone.
 *	S(name, help) */
#define ADMIN_SCRIPT_COMMANDS(S)                                                                     \
	S(start, "Starts master, which starts the rest; ends when all are ready.")                    \
	S(stop, "Stops all; ends when they have ended.")                                              \
	S(restart, "Stops and starts; for the settings that a reload does not change.")               \
	S(reload, "Takes a changed main.conf; with mistakes in it the running configuration stays.")  \
	S(version, "Says which version this is.")

/* Exit statuses, the same for every subcommand. */
enum { ADMIN_DONE = 0, ADMIN_FAILED = 1, ADMIN_USAGE = 2, ADMIN_NOT_RUNNING = 3, ADMIN_COMPLETE_FILES = 10 };

/* What a subcommand gets beside its arguments. */
struct admin {
	const char *main_conf;           /* the file's path */
	const struct settings *settings; /* NULL where reads_settings is false */
};

/* argv[0] is the subcommand's name. Prints its result on standard output, what went wrong as a sentence on standard error; returns the exit status. */
typedef int admin_command_fn(const struct admin *a, int argc, char **argv);
#define C(name, reads_settings, usage, help) admin_command_fn command_##name;
ADMIN_COMMANDS(C)
#undef C
/* How the command line may go on, a line each; ADMIN_COMPLETE_FILES: so may names of files. argv[0] is the subcommand's name. */
int admin_complete(const char *main_conf, int argc, char **argv);
/* Says how the subcommand is called; returns ADMIN_USAGE. */
int admin_usage(const char *command);
/* Asks the daemon at the socket control/NAME and prints its answer, or why there is none; the exit status (ADMIN_NOT_RUNNING when nobody is there). */
int admin_control(const struct admin *a, const char *name, const char *verb, const char *argument);
/* Does a master answer on this spool? */
bool admin_is_running(const struct settings *s);
/* Reads main.conf; every mistake stands on standard error. The caller owns *out. */
bool admin_read_settings(const char *main_conf, struct settings **out);
