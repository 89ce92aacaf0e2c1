/* admin/queue_verbs.h: the verbs of `tassis queue` and what follows each on the command line (usage.h), once: parser, help and completion come from here.
 * Touches: nothing. */
#pragma once

#define QUEUE_LIST_USAGE "[--json] [--to PATTERN] [--from PATTERN] [--domain DOMAIN] [--older TIME] [--held]"
#define QUEUE_CHOICE_USAGE "[ID…] [--to PATTERN] [--from PATTERN] [--domain DOMAIN] [--older TIME] [--all]"
#define QUEUE_ASKING_USAGE QUEUE_CHOICE_USAGE " [--yes]"

/*	V(verb, usage) */
#define QUEUE_VERBS(V)                      \
	V(list, QUEUE_LIST_USAGE)           \
	V(show, "[--json] ID")              \
	V(cat, "ID")                        \
	V(hold, QUEUE_CHOICE_USAGE)         \
	V(release, QUEUE_CHOICE_USAGE)      \
	V(retry, QUEUE_CHOICE_USAGE)        \
	V(delete, QUEUE_ASKING_USAGE)       \
	V(bounce, QUEUE_ASKING_USAGE)       \
	V(flush, "[DOMAIN]")                \
	V(stats, "[--json]")                \
	V(adopt, "DIR")

/* As admin/commands.h wants it. */
#define QUEUE_USAGE                                                                                                          \
	"list " QUEUE_LIST_USAGE " | show [--json] ID | cat ID | hold " QUEUE_CHOICE_USAGE " | release " QUEUE_CHOICE_USAGE        \
	" | retry " QUEUE_CHOICE_USAGE " | delete " QUEUE_ASKING_USAGE " | bounce " QUEUE_ASKING_USAGE                             \
	" | flush [DOMAIN] | stats [--json] | adopt DIR"
