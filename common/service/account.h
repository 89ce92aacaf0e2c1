/* common/service/account.h: from here on a daemon is who it shall be, where it shall be, and can no more than it shall.
 * Touches: root folder, account, capabilities, no_new_privs, limits of the process. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/attributes.h"

struct fault;

struct account {
	bool change; /* else it stays who it is, and in no chroot */
	uid_t uid;
	gid_t gid;
	bool keep_fowner; /* CAP_FOWNER stays, the one capability that does */
};

/* Goes into the folder root (-1: stays), takes the account for good, keeps at most CAP_FOWNER and sets no_new_privs. Without change, only what
 * takes nothing from root. There is no way back, so after a failure (temporary) the process must end. */
MUST_USE bool account_take(const struct account *a, int root, struct fault *why);
/* As many descriptors as may be; no core file where the process holds secrets. Never fails: what cannot be had is gone without. */
void account_limits(bool secrets);
