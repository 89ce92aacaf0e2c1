/* common/service/layout.h: the accounts and folders of tassis, once: master makes the folders, `tassis check` looks at them,
 * ARCHITECTURE.md shows them. And where the sockets are.
 * Touches: the folders below spool_dir, mail_dir and state_dir; the host's list of accounts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;
struct settings;

/*	A(name, account) */
#define LAYOUT_ACCOUNTS(A)                                                                                      \
	A(ROOT, "root")                                                                                         \
	A(IN, "tassis-in")                                                                                      \
	A(SUB, "tassis-sub")                                                                                    \
	A(LOOKUP, "tassis-lookup")                                                                              \
	A(DNS, "tassis-dns")                                                                                    \
	A(QUEUE, "tassis-queue")                                                                                \
	A(OUT, "tassis-out")                                                                                    \
	A(MAIL, "vmail")

enum layout_account {
#define A(name, account) ACCOUNT_##name,
	LAYOUT_ACCOUNTS(A)
#undef A
	N_LAYOUT_ACCOUNTS
};
struct accounts {
	bool change; /* else every entry is the caller */
	struct {
		uid_t uid;
		gid_t gid;
	} of[N_LAYOUT_ACCOUNTS];
};

/* The accounts that the settings and the caller's own ask for. Fails: which are missing, and the lines that make them. */
MUST_USE bool accounts_find(const struct settings *s, struct accounts *out, struct fault *why);

/* Makes what is missing and gives owner and mode to what is below spool_dir and state_dir. The three folders of main.conf themselves, once they are there, are only
 * looked at: a wrong line in main.conf must not change /tmp. Fails: which folder, why, and the mend. */
MUST_USE bool layout_make(const struct settings *s, const struct accounts *a, struct fault *why);
/* Changes nothing. Calls found for each folder that is there and not as it should be. */
typedef void layout_found_fn(void *arg, const struct fault *why);
void layout_check(const struct settings *s, const struct accounts *a, layout_found_fn *found, void *arg);

/* What everybody of this host may know of main.conf: the file public/settings, written by master. */
#define LAYOUT_PUBLIC_SETTINGS "public/settings"
/* The socket for programs of this host: its folder and name below spool_dir, and what master says of it where other listening sockets
 * have their line of main.conf. */
#define LAYOUT_SUBMIT_FOLDER "public"
#define LAYOUT_SUBMIT_NAME "submit"
#define LAYOUT_SUBMIT_LINE "public/submit submission none"

#define LAYOUT_SOCKET_PATH_MAX 108 /* what sockaddr_un holds, terminator included */
/* "SPOOL_DIR/FOLDER/NAME" as a C string; folder: "private", "control" or "public". Fails, permanent: spool_dir is too long. */
MUST_USE bool layout_socket_path(const struct settings *s, const char *folder, const char *name, char out[LAYOUT_SOCKET_PATH_MAX],
				 struct fault *why);
/* "DIR/NAME", name "" for the folder itself. Fails, permanent: too long. */
MUST_USE bool layout_path(struct slice dir, const char *name, char *out, size_t size, struct fault *why);
