#include "common/service/account.h"

#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fault.h"

/* libcap would be a dependency for one call. */
static bool keep_only(uint64_t mask, struct fault *why)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(mask >> (32 * i));
	if (syscall(SYS_capset, &header, data) != 0) {
		fault_errno(why, "4.3.0", "cannot give up capabilities");
		return false;
	}
	return true;
}

static bool enter(int root, struct fault *why)
{
	/* The zone's file is out of reach afterwards, and is read at first use. */
	tzset();
	if (fchdir(root) != 0 || chroot(".") != 0) {
		fault_errno(why, "4.3.0", "cannot go into the chroot");
		return false;
	}
	return true;
}

static bool become(const struct account *a, struct fault *why)
{
	if (prctl(PR_SET_KEEPCAPS, a->keep_fowner ? 1 : 0, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 ||
	    setresgid(a->gid, a->gid, a->gid) != 0 || setresuid(a->uid, a->uid, a->uid) != 0) {
		fault_errno(why, "4.3.0", "cannot take the account with uid %u", (unsigned)a->uid);
		return false;
	}
	return true;
}

bool account_take(const struct account *a, int root, struct fault *why)
{
	if (root >= 0 && a->change && !enter(root, why))
		return false;
	if (a->change && !become(a, why))
		return false;
	/* root who shall stay root has no other right to others' folders than these. */
	if ((a->change || geteuid() != 0) &&
	    !keep_only(a->change && a->keep_fowner ? 1ull << CAP_FOWNER : 0, why))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		fault_errno(why, "4.3.0", "cannot set no_new_privs");
		return false;
	}
	return true;
}

void account_limits(bool secrets)
{
	struct rlimit files, core = {0, 0};

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (secrets)
		(void)setrlimit(RLIMIT_CORE, &core);
}
