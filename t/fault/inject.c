/* t/fault/inject.c: a library to be preloaded (LD_PRELOAD) that stands before the calls by which a message becomes durable and goes on its way: it counts them,
 * kills the process at the N-th or makes it fail, and writes down what was done to the disk, in order.
 * Touches: the two files named in the environment, opened before the process goes into its chroot.
 *
 *	TASSIS_FAULT_CONTROL=FILE   4,096 octets: struct slot for each program of interest, changed by the test while all runs (t/fault/injector.py)
 *	TASSIS_FAULT_LOG=FILE       where operations on files are written down (struct record; t/fault/power.py reads it)
 *	TASSIS_FAULT_PROGRAMS=a:b   programs whose operations are written down
 *
 * Counted are writes to files and sockets, fsync and its like, rename, link, unlink, send. Not counted: writes to logs (O_APPEND), to pipes and eventfds.
 * A record is made with the lock held in which the call itself was made, so the order of records is that of the calls, across processes. fsync has two:
 * what stands before its beginning is durable once its end stands there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- counting, killing, failing ---- */

/* The last two wait for the first call from the N-th on that they can concern. */
enum fault_kind { KILL_BEFORE = 1, KILL_AFTER, FAIL_FILE, LOSE_PEER };

#define SLOTS 16

/* Shared by all processes of a program: the N-th call of all of them is met once. */
struct slot {
	char program[32];
	_Atomic uint64_t count; /* calls so far */
	_Atomic uint64_t at;    /* the call to be met; 0: none */
	_Atomic uint64_t fired; /* which call it was in the end */
	_Atomic uint32_t kind, error;
};

static struct slot *slot;
static int log_fd = -1;
static pthread_mutex_t in_process = PTHREAD_MUTEX_INITIALIZER;

static bool named(const char *list)
{
	size_t n = strlen(program_invocation_short_name);

	for (const char *p = list; p != NULL; p = (p = strchr(p, ':')) ? p + 1 : NULL)
		if (strncmp(p, program_invocation_short_name, n) == 0 && (p[n] == ':' || p[n] == '\0'))
			return true;
	return false;
}

static void control_open(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	struct slot *slots;

	if (fd < 0)
		return;
	slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	for (int i = 0; slots != MAP_FAILED && i < SLOTS; i++)
		if (strcmp(slots[i].program, program_invocation_short_name) == 0)
			slot = &slots[i];
}

/* A high number, out of the way of a program that closes or counts its descriptors. */
static void log_open(const char *path)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return;
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	syscall(SYS_close, fd);
}

__attribute__((constructor)) static void begin(void)
{
	if (getenv("TASSIS_FAULT_CONTROL") != NULL)
		control_open(getenv("TASSIS_FAULT_CONTROL"));
	if (getenv("TASSIS_FAULT_LOG") != NULL && named(getenv("TASSIS_FAULT_PROGRAMS")))
		log_open(getenv("TASSIS_FAULT_LOG"));
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* What a counted call on a file, or on a socket, is to do. */
static enum fault_kind counted(bool socket)
{
	uint64_t n, at, none = 0;
	enum fault_kind kind;

	if (slot == NULL)
		return 0;
	n = atomic_fetch_add(&slot->count, 1) + 1;
	at = atomic_load(&slot->at);
	kind = (enum fault_kind)atomic_load(&slot->kind);
	if (at == 0 || n < at || (kind < FAIL_FILE && n != at) || (kind == FAIL_FILE && socket) || (kind == LOSE_PEER && !socket))
		return 0;
	return atomic_compare_exchange_strong(&slot->fired, &none, n) ? kind : 0;
}

static bool is_file(int fd)
{
	struct stat st;
	int flags;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (flags = fcntl(fd, F_GETFL)) >= 0 && (flags & O_APPEND) == 0;
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* ---- the record ---- */

enum record_kind {
	RECORD_CREATE = 1, RECORD_MKDIR, RECORD_WRITE, RECORD_TRUNCATE, RECORD_SYNC_BEGIN, RECORD_SYNC_END, RECORD_RANGE, RECORD_RENAME, RECORD_LINK, RECORD_UNLINK,
	RECORD_ATTRIBUTES, RECORD_ACKNOWLEDGED
};

struct record {
	uint32_t magic, size, pid, kind;
	uint64_t at_ns;
	uint64_t inode, parent, parent2; /* of the object, of the folder of its name, of the second name */
	uint64_t offset;                 /* of a write; the length for a truncation */
	uint32_t mode, uid, gid, name_n, name2_n, data_n;
};

#define RECORD_MAGIC 0x314c4654u

/* A name that a call was given: its folder's inode and its last part. */
struct place {
	char path[PATH_MAX];
	const char *name;
	uint64_t parent;
};

/* Lets all others wait, in this process and in others; a process that is killed lets go. */
static void lock(void)
{
	pthread_mutex_lock(&in_process);
	while (flock(log_fd, LOCK_EX) != 0)
		;
}

static void unlock(void)
{
	flock(log_fd, LOCK_UN);
	pthread_mutex_unlock(&in_process);
}

/* name points into p itself, so p is filled where it lies. */
static void place_of(struct place *p, int folder, const char *path)
{
	struct stat st;
	char *slash;

	snprintf(p->path, sizeof(p->path), "%s", path);
	slash = strrchr(p->path, '/');
	p->name = slash ? slash + 1 : p->path;
	if (slash == NULL)
		p->parent = (folder == AT_FDCWD ? stat(".", &st) : fstat(folder, &st)) == 0 ? st.st_ino : 0;
	else {
		*slash = '\0';
		p->parent = fstatat(folder, slash == p->path ? "/" : p->path, &st, 0) == 0 ? st.st_ino : 0;
	}
}

static void put(enum record_kind kind, const struct stat *st, const struct place *a, const struct place *b, uint64_t offset, const struct iovec *data, int n_data,
		size_t data_n)
{
	struct timespec now;
	struct record r = {.magic = RECORD_MAGIC, .pid = (uint32_t)getpid(), .kind = kind, .offset = offset, .data_n = (uint32_t)data_n};
	struct iovec v[3 + 64] = {{&r, sizeof(r)}};
	int n = 1;

	clock_gettime(CLOCK_MONOTONIC, &now);
	r.at_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (st != NULL) {
		r.inode = st->st_ino;
		r.mode = st->st_mode;
		r.uid = st->st_uid;
		r.gid = st->st_gid;
	}
	if (a != NULL) {
		r.parent = a->parent;
		r.name_n = (uint32_t)strlen(a->name);
		v[n++] = (struct iovec){(void *)(uintptr_t)a->name, r.name_n};
	}
	if (b != NULL) {
		r.parent2 = b->parent;
		r.name2_n = (uint32_t)strlen(b->name);
		v[n++] = (struct iovec){(void *)(uintptr_t)b->name, r.name2_n};
	}
	for (int i = 0; i < n_data && data_n > 0; i++) {
		v[n] = data[i];
		if (v[n].iov_len > data_n)
			v[n].iov_len = data_n;
		data_n -= v[n++].iov_len;
	}
	for (int i = 0; i < n; i++)
		r.size += (uint32_t)v[i].iov_len;
	if (syscall(SYS_writev, log_fd, v, n) != (long)r.size)
		abort();
}

static void put_fd(enum record_kind kind, int fd, uint64_t offset, const struct iovec *data, int n_data, size_t data_n)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		put(kind, &st, NULL, NULL, offset, data, n_data, data_n);
}

/* ---- calls on descriptors ---- */

/* A disk has errors of its own; what fails a socket is that the other side is lost. */
static void fail(int socket)
{
	errno = (int)atomic_load(&slot->error);
	if (socket < 0)
		return;
	shutdown(socket, SHUT_RDWR);
	errno = ECONNRESET;
}

/* The call of a counted function: dies, fails (socket: the call's, or -1), or goes on to it. */
#define FAULT(socket, call)                                                                            \
	do {                                                                                           \
		enum fault_kind kind_ = counted((socket) >= 0);                                                    \
		if (kind_ == KILL_BEFORE)                                                              \
			die();                                                                         \
		if (kind_ >= FAIL_FILE) {                                                                   \
			fail(socket);                                                                  \
			return -1;                                                                     \
		}                                                                                      \
		call;                                                                                  \
		if (kind_ == KILL_AFTER)                                                               \
			die();                                                                         \
	} while (0)

static ssize_t file_writev(int fd, const struct iovec *v, int n, off_t offset)
{
	bool here = offset < 0;
	ssize_t result;

	if (log_fd < 0)
		return here ? syscall(SYS_writev, fd, v, n) : syscall(SYS_pwritev, fd, v, n, offset, 0);
	lock();
	if (here)
		offset = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
	result = here ? syscall(SYS_writev, fd, v, n) : syscall(SYS_pwritev, fd, v, n, offset, 0);
	if (result > 0) {
		int error = errno;

		put_fd(RECORD_WRITE, fd, (uint64_t)offset, v, n, (size_t)result);
		errno = error;
	}
	unlock();
	return result;
}

static ssize_t counted_writev(int fd, const struct iovec *v, int n, off_t offset)
{
	ssize_t result;

	FAULT(-1, result = file_writev(fd, v, n, offset));
	return result;
}

static ssize_t counted_socket_write(int fd, const void *p, size_t n)
{
	ssize_t result;

	FAULT(fd, result = syscall(SYS_write, fd, p, n));
	return result;
}

/* A program says that a message is acknowledged by a line on standard output. */
static void acknowledge(const char *p, size_t n)
{
	static const char word[] = "acknowledged ";
	struct iovec id = {(void *)(uintptr_t)(p + sizeof(word) - 1), n - sizeof(word)};

	if (log_fd < 0 || n < sizeof(word) || memcmp(p, word, sizeof(word) - 1) != 0)
		return;
	lock();
	put(RECORD_ACKNOWLEDGED, NULL, NULL, NULL, 0, &id, 1, id.iov_len);
	unlock();
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	if (is_file(fd))
		return counted_writev(fd, &v, 1, -1);
	if (is_socket(fd))
		return counted_socket_write(fd, p, n);
	if (fd == STDOUT_FILENO)
		acknowledge(p, n);
	return syscall(SYS_write, fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	ssize_t result;

	if (is_file(fd))
		return counted_writev(fd, v, n, -1);
	if (!is_socket(fd))
		return syscall(SYS_writev, fd, v, n);
	FAULT(fd, result = syscall(SYS_writev, fd, v, n));
	return result;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return counted_writev(fd, &v, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
	return counted_writev(fd, v, n, offset);
}

static int file_sync(int fd, long number)
{
	int result;

	if (log_fd < 0)
		return (int)syscall(number, fd);
	lock();
	put_fd(RECORD_SYNC_BEGIN, fd, 0, NULL, 0, 0);
	unlock();
	result = (int)syscall(number, fd);
	if (result == 0) {
		lock();
		put_fd(RECORD_SYNC_END, fd, 0, NULL, 0, 0);
		unlock();
	}
	return result;
}

int fsync(int fd)
{
	int result;

	FAULT(-1, result = file_sync(fd, SYS_fsync));
	return result;
}

int fdatasync(int fd)
{
	int result;

	FAULT(-1, result = file_sync(fd, SYS_fdatasync));
	return result;
}

int sync_file_range(int fd, off_t offset, off_t length, unsigned flags)
{
	int result;

	FAULT(-1, result = (int)syscall(SYS_sync_file_range, fd, offset, length, flags));
	return result;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	ssize_t result;

	FAULT(fd, result = syscall(SYS_sendto, fd, p, n, flags, NULL, 0));
	return result;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t result;

	FAULT(fd, result = syscall(SYS_sendmsg, fd, m, flags));
	return result;
}

int ftruncate(int fd, off_t length)
{
	int result;

	if (log_fd < 0)
		return (int)syscall(SYS_ftruncate, fd, length);
	lock();
	result = (int)syscall(SYS_ftruncate, fd, length);
	if (result == 0)
		put_fd(RECORD_TRUNCATE, fd, (uint64_t)length, NULL, 0, 0);
	unlock();
	return result;
}

/* What is copied inside the kernel is read and written instead, so that it is seen. */
ssize_t copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t n, unsigned flags)
{
	(void)in, (void)in_offset, (void)out, (void)out_offset, (void)n, (void)flags;
	errno = EOPNOTSUPP;
	return -1;
}

/* ---- calls on names ---- */

static int real_open(int folder, const char *path, int flags, mode_t mode)
{
	struct place p;
	struct stat st;
	bool was_there;
	int fd;

	if (log_fd < 0 || (flags & (O_CREAT | O_TRUNC)) == 0)
		return (int)syscall(SYS_openat, folder, path, flags, mode);
	lock();
	was_there = fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	fd = (int)syscall(SYS_openat, folder, path, flags, mode);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		place_of(&p, folder, path);
		if (!was_there)
			put(RECORD_CREATE, &st, &p, NULL, 0, NULL, 0, 0);
		else if (flags & O_TRUNC)
			put(RECORD_TRUNCATE, &st, NULL, NULL, 0, NULL, 0, 0);
	}
	unlock();
	return fd;
}

#define OPEN_MODE(flags)                                    \
	mode_t mode = 0;                                    \
	if ((flags) & O_CREAT) {                            \
		va_list args;                               \
		va_start(args, flags);                      \
		mode = va_arg(args, mode_t);                \
		va_end(args);                               \
	}

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return real_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return real_open(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return real_open(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return real_open(folder, path, flags, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
	struct place p;
	struct stat st;
	int result;

	if (log_fd < 0)
		return (int)syscall(SYS_mkdirat, folder, path, mode);
	lock();
	result = (int)syscall(SYS_mkdirat, folder, path, mode);
	if (result == 0 && fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		place_of(&p, folder, path);
		put(RECORD_MKDIR, &st, &p, NULL, 0, NULL, 0, 0);
	}
	unlock();
	return result;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

static int real_rename(int old_folder, const char *old, int new_folder, const char *new, unsigned flags)
{
	struct place a, b;
	struct stat st;
	int result;

	if (log_fd < 0)
		return (int)syscall(SYS_renameat2, old_folder, old, new_folder, new, flags);
	lock();
	place_of(&a, old_folder, old);
	place_of(&b, new_folder, new);
	result = (int)syscall(SYS_renameat2, old_folder, old, new_folder, new, flags);
	if (result == 0 && fstatat(new_folder, new, &st, AT_SYMLINK_NOFOLLOW) == 0)
		put(RECORD_RENAME, &st, &a, &b, 0, NULL, 0, 0);
	unlock();
	return result;
}

int renameat2(int old_folder, const char *old, int new_folder, const char *new, unsigned flags)
{
	int result;

	FAULT(-1, result = real_rename(old_folder, old, new_folder, new, flags));
	return result;
}

int renameat(int old_folder, const char *old, int new_folder, const char *new)
{
	return renameat2(old_folder, old, new_folder, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

static int real_link(int old_folder, const char *old, int new_folder, const char *new, int flags)
{
	struct place p;
	struct stat st;
	int result;

	if (log_fd < 0)
		return (int)syscall(SYS_linkat, old_folder, old, new_folder, new, flags);
	lock();
	result = (int)syscall(SYS_linkat, old_folder, old, new_folder, new, flags);
	if (result == 0 && fstatat(new_folder, new, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		place_of(&p, new_folder, new);
		put(RECORD_LINK, &st, &p, NULL, 0, NULL, 0, 0);
	}
	unlock();
	return result;
}

int linkat(int old_folder, const char *old, int new_folder, const char *new, int flags)
{
	int result;

	FAULT(-1, result = real_link(old_folder, old, new_folder, new, flags));
	return result;
}

int link(const char *old, const char *new)
{
	return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

static int real_unlink(int folder, const char *path, int flags)
{
	struct place p;
	struct stat st;
	bool was_there;
	int result;

	if (log_fd < 0)
		return (int)syscall(SYS_unlinkat, folder, path, flags);
	lock();
	was_there = fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	result = (int)syscall(SYS_unlinkat, folder, path, flags);
	if (result == 0 && was_there) {
		place_of(&p, folder, path);
		put(RECORD_UNLINK, &st, &p, NULL, 0, NULL, 0, 0);
	}
	unlock();
	return result;
}

int unlinkat(int folder, const char *path, int flags)
{
	int result;

	FAULT(-1, result = real_unlink(folder, path, flags));
	return result;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return real_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

/* ---- owner and mode ---- */

static int with_attributes(int result, int folder, const char *path)
{
	struct stat st;

	if (result == 0 && log_fd >= 0 && fstatat(folder, path, &st, path[0] == '\0' ? AT_EMPTY_PATH : 0) == 0) {
		lock();
		put(RECORD_ATTRIBUTES, &st, NULL, NULL, 0, NULL, 0, 0);
		unlock();
	}
	return result;
}

int fchmod(int fd, mode_t mode)
{
	return with_attributes((int)syscall(SYS_fchmod, fd, mode), fd, "");
}

int chmod(const char *path, mode_t mode)
{
	return with_attributes((int)syscall(SYS_fchmodat, AT_FDCWD, path, mode), AT_FDCWD, path);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return with_attributes((int)syscall(SYS_fchown, fd, uid, gid), fd, "");
}

int chown(const char *path, uid_t uid, gid_t gid)
{
	return with_attributes((int)syscall(SYS_fchownat, AT_FDCWD, path, uid, gid, 0), AT_FDCWD, path);
}

int fchownat(int folder, const char *path, uid_t uid, gid_t gid, int flags)
{
	return with_attributes((int)syscall(SYS_fchownat, folder, path, uid, gid, flags), folder, path);
}
