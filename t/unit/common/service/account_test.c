#include "common/service/account.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* Each test runs in a process of its own: there is no way back. */
static int in_a_process(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static uint64_t capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	return syscall(SYS_capget, &header, data) == 0 ? data[0].permitted | (uint64_t)data[1].permitted << 32 : UINT64_MAX;
}

static int take_with_fowner(void)
{
	struct account a = {.change = true, .uid = 54321, .gid = 54322, .keep_fowner = true};
	int root = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!account_take(&a, root, NULL))
		return 1;
	if (getuid() != 54321 || geteuid() != 54321 || getegid() != 54322 || getgroups(0, NULL) != 0)
		return 2;
	if (capabilities() != 1ull << CAP_FOWNER)
		return 3;
	if (setuid(0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	return access("/bin", F_OK) == 0 && access("/usr", F_OK) != 0 ? 0 : 5;
}

static int take_plain(void)
{
	struct account a = {.change = true, .uid = 54321, .gid = 54322};

	return account_take(&a, -1, NULL) && capabilities() == 0 && getuid() == 54321 ? 0 : 1;
}

static int take_nothing(void)
{
	struct account a = {.change = false, .uid = 54321, .gid = 54322};
	uid_t before = geteuid();

	return account_take(&a, -1, NULL) && geteuid() == before && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static void queued_keeps_one_capability_in_its_account_and_chroot(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_a_process(take_with_fowner), 0);
}

static void all_others_keep_none(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_a_process(take_plain), 0);
}

static void without_a_change_of_account_only_no_new_privs_is_set(void **state)
{
	(void)state;
	assert_int_equal(in_a_process(take_nothing), 0);
}

static int take_as_nobody(void)
{
	struct account a = {.change = true, .uid = 0, .gid = 0};
	struct fault why = {0};

	if (geteuid() == 0 && setresuid(54321, 54321, 54321) != 0)
		return 2;
	return account_take(&a, -1, &why) ? 1 : why.class == FAULT_TEMPORARY && why.text[0] != '\0' ? 0 : 3;
}

static void an_account_that_cannot_be_taken_is_a_failure(void **state)
{
	(void)state;
	assert_int_equal(in_a_process(take_as_nobody), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queued_keeps_one_capability_in_its_account_and_chroot),
		cmocka_unit_test(all_others_keep_none),
		cmocka_unit_test(without_a_change_of_account_only_no_new_privs_is_set),
		cmocka_unit_test(an_account_that_cannot_be_taken_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
