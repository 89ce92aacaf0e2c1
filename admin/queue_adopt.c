/* `tassis queue adopt DIR`: the spool of another host, which is dead, into ours; while our tassis runs, or not.
 * Touches: both spools (adopt.h); locks on theirs, so that nobody begins to work there; the socket control/queued.0. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/adopt.h"
#include "admin/queue.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/spool/file.h"

#define PID_FILE "master.pid"
#define MARKER "queue/" SPOOL_ADOPTING

struct adopt {
	struct adoption a;
	const char *dir;
	int theirs, pid_file, queue, marker;
	uint64_t n[ADOPT_FAILED + 1];
	uint64_t dropped;
};

/* ---- both spools ---- */

/* Nobody works there, and nobody begins to while we hold these. A master locks its pid file, a queued its queue/. */
static bool lock_theirs(struct adopt *t, struct fault *why)
{
	if ((t->theirs = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fault_errno(why, "5.3.0", "cannot open %s", t->dir);
		return false;
	}
	if ((t->queue = openat(t->theirs, "queue", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fault_errno(why, "5.3.0", "%s is no spool_dir: cannot open its queue", t->dir);
		return false;
	}
	if ((t->pid_file = openat(t->theirs, PID_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)) < 0) {
		fault_errno(why, "5.3.0", "cannot open %s/" PID_FILE, t->dir);
		return false;
	}
	if (flock(t->pid_file, LOCK_EX | LOCK_NB) == 0 && flock(t->queue, LOCK_EX | LOCK_NB) == 0)
		return true;
	fault_set(why, "5.3.0", "tassis runs on %s: stop it there first", t->dir);
	return false;
}

/* An empty pid file says nothing, not even that somebody died. */
static void unlock_theirs(struct adopt *t)
{
	struct stat st;

	if (t->pid_file >= 0 && fstat(t->pid_file, &st) == 0 && st.st_size == 0)
		(void)unlinkat(t->theirs, PID_FILE, 0);
	fd_close(&t->pid_file);
	fd_close(&t->queue);
	fd_close(&t->theirs);
}

static bool ours_open(struct adopt *t, const struct settings *settings, struct fault *why)
{
	struct stat queue, maildrop, ours, theirs;
	char path[4096];

	if (!slice_cstr(settings->spool_dir, path, sizeof(path), why))
		return false;
	if ((t->a.spool = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || fstatat(t->a.spool, "queue", &queue, AT_SYMLINK_NOFOLLOW) != 0 ||
	    fstatat(t->a.spool, "maildrop", &maildrop, AT_SYMLINK_NOFOLLOW) != 0) {
		fault_errno(why, "5.3.0", "%s is not ready to take messages (tassis start makes it so)", path);
		return false;
	}
	t->a.owns = geteuid() == 0;
	t->a.queue_uid = queue.st_uid;
	t->a.queue_gid = queue.st_gid;
	t->a.maildrop_gid = maildrop.st_gid;
	if (fstat(t->a.spool, &ours) == 0 && stat(t->dir, &theirs) == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino) {
		fault_set(why, "5.3.0", "%s is our own spool_dir", t->dir);
		return false;
	}
	return true;
}

/* queued looks for it each minute: should we be killed, it knows that messages came. One that is not locked it removes, perhaps between our two calls. */
static bool marker_put(struct adopt *t, struct fault *why)
{
	struct stat st;

	for (;;) {
		t->marker = openat(t->a.spool, MARKER, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (t->marker < 0) {
			fault_errno(why, "5.3.0", "cannot make %s of our spool", MARKER);
			return false;
		}
		if (flock(t->marker, LOCK_EX | LOCK_NB) != 0) {
			fault_set(why, "5.3.0", "another tassis queue adopt runs");
			return false;
		}
		if (fchmod(t->marker, 0644) == 0 && fstat(t->marker, &st) == 0 && st.st_nlink > 0)
			return true;
		fd_close(&t->marker);
	}
}

/* ---- their folders ---- */

static void say(const struct adopt *t, const char *folder, const char *name, enum adopted fate, const struct fault *why)
{
	if (fate == ADOPT_BROKEN || fate == ADOPT_FAILED)
		(void)fprintf(stderr, "tassis queue adopt: %s/%s/%s is left there: %s\n", t->dir, folder, name, why->text);
	else if (fate == ADOPT_UNDONE)
		(void)fprintf(stderr, "tassis queue adopt: %s/%s/%s is left there: it was not received to its end, and its sender was told nothing\n", t->dir,
			      folder, name);
}

static bool folder_adopt(struct adopt *t, const char *folder, struct fault *why)
{
	bool drop = strcmp(folder, "maildrop") == 0, ok;
	int fd = openat(t->theirs, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t before = t->n[ADOPT_MOVED] + t->dropped;

	if (dir == NULL) {
		ok = errno == ENOENT || errno == ENOTDIR;
		if (!ok)
			fault_errno(why, "5.3.0", "cannot read %s/%s", t->dir, folder);
		fd_close(&fd);
		return ok;
	}
	while ((entry = readdir(dir)) != NULL) {
		struct slice name = slice_of_cstr(entry->d_name);
		struct fault reason = {0};
		enum adopted fate;

		if (!spool_id_is_valid(name))
			continue;
		fate = drop ? adopt_dropped(&t->a, fd, name, &reason) : adopt_message(&t->a, fd, name, &reason);
		say(t, folder, entry->d_name, fate, &reason);
		if (drop && fate == ADOPT_MOVED)
			t->dropped++;
		else
			t->n[fate]++;
	}
	ok = before == t->n[ADOPT_MOVED] + t->dropped || adopt_sync(&t->a, fd, why);
	(void)closedir(dir);
	return ok;
}

static bool folders_adopt(struct adopt *t, const char *parent, struct fault *why)
{
	int fd = openat(t->theirs, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char folder[320];
	bool ok = true;

	if (dir == NULL) {
		ok = errno == ENOENT;
		if (!ok)
			fault_errno(why, "5.3.0", "cannot read %s/%s", t->dir, parent);
		fd_close(&fd);
		return ok;
	}
	while (ok && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(folder, sizeof(folder), "%s/%s", parent, entry->d_name);
		ok = folder_adopt(t, folder, why);
	}
	(void)closedir(dir);
	return ok;
}

/* ---- the verb ---- */

/* True: queued knows, or will at its start. */
static bool queued_tell(const struct queue *q)
{
	struct ipc_message answer, ask = IPC_MESSAGE(control_ask, .verb = SLICE("adopted"), .argument = SLICE_EMPTY);
	struct buf frame = {0};
	struct fault why = {0};
	bool told = queue_ask(q, &ask, QUEUE_WITHIN_MS, IPC_TYPE_control_answer, &frame, &answer, &why);

	buf_fini(&frame);
	if (told)
		return true;
	if (strcmp(why.status, "4.4.1") == 0) {
		(void)puts("tassis does not run here; its next start takes them up.");
		return true;
	}
	(void)printf("queued could not be told (%s); it looks by itself within a minute.\n", why.text);
	return false;
}

static void say_counts(const struct adopt *t)
{
	(void)printf("%" PRIu64 " %s adopted from %s.\n", t->n[ADOPT_MOVED], t->n[ADOPT_MOVED] == 1 ? "message is" : "messages are", t->dir);
	if (t->dropped > 0)
		(void)printf("%" PRIu64 " that programs had left in maildrop.\n", t->dropped);
	if (t->n[ADOPT_HERE] > 0)
		(void)printf("%" PRIu64 " were here already, and are removed there.\n", t->n[ADOPT_HERE]);
	if (t->n[ADOPT_UNDONE] > 0)
		(void)printf("%" PRIu64 " were never received to their end, and are left there.\n", t->n[ADOPT_UNDONE]);
	if (t->n[ADOPT_BROKEN] + t->n[ADOPT_FAILED] > 0)
		(void)printf("%" PRIu64 " could not be adopted, and are left there.\n", t->n[ADOPT_BROKEN] + t->n[ADOPT_FAILED]);
}

bool queue_adopt(struct queue *q, struct fault *why)
{
	struct adopt t = {.a = {.spool = -1}, .dir = arguments_word(&q->args, 0), .theirs = -1, .pid_file = -1, .queue = -1, .marker = -1};
	bool ok = false;

	if (!ours_open(&t, q->settings, why) || !lock_theirs(&t, why) || !marker_put(&t, why))
		goto out;
	ok = folders_adopt(&t, "queue", why) && folders_adopt(&t, "incoming", why) && folder_adopt(&t, "maildrop", why);
	say_counts(&t);
	if (queued_tell(q))
		(void)unlinkat(t.a.spool, MARKER, 0);
	if (ok && t.n[ADOPT_BROKEN] + t.n[ADOPT_FAILED] > 0)
		ok = false; /* each was told */
out:
	fd_close(&t.marker);
	unlock_theirs(&t);
	fd_close(&t.a.spool);
	return ok;
}
