#include "queued/found.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/spool/file.h"
#include "queued/corrupt.h"

static void end_with(struct found *f, enum found_fate fate, const struct fault *why)
{
	struct fault full;

	f->fate = fate;
	if ((f->why = memory_alloc(1, sizeof(*f->why), &full)) != NULL)
		*f->why = *why;
}

/* Has the file a header of ours at all? One without is what a writer that died leaves; one with is acknowledged, and a person must see it when it is broken. */
static bool has_begun_header(int fd)
{
	static const char mark[] = "tassis-spool ";
	char p[sizeof(mark) - 1];

	return fd_read_all(fd, p, sizeof(p), 0) && memcmp(p, mark, sizeof(p)) == 0;
}

static bool is_committed(int fd, struct slice id, bool check, struct fault *why)
{
	struct spool_header header;
	struct buf envelope;
	bool ok;

	buf_init(&envelope, SPOOL_ENVELOPE_MAX);
	ok = spool_header_read(fd, id, &header, why) && spool_envelope_read(fd, &header, &envelope, why) &&
	     (!check || spool_content_check(fd, &header, why));
	buf_fini(&envelope);
	return ok;
}

static void set_aside_or_remove(struct found *f, int spool, place p, bool begun, struct fault *why)
{
	struct slice id = slice_of_cstr(f->id);
	char path[PLACE_PATH_SIZE];

	if (begun) {
		if (!corrupt_move(spool, p, id))
			fault_add(why, "cannot be set aside");
		end_with(f, FOUND_CORRUPT, why);
	} else if (unlinkat(spool, place_path(p, id, path), 0) == 0)
		f->fate = FOUND_REMOVED;
	else {
		fault_errno(why, "4.3.0", "cannot remove %s", path);
		end_with(f, FOUND_FAILED, why);
	}
}

void found_take(struct found *f, int spool, place p, bool is_dead, bool check)
{
	struct slice id = slice_of_cstr(f->id);
	char path[PLACE_PATH_SIZE];
	struct fault why = {0};
	int fd = openat(spool, place_path(p, id, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool begun;

	if (fd < 0) {
		if (errno == ENOENT || errno == ELOOP) /* gone: its message was handed over and handled meanwhile; or no file */
			return;
		fault_errno(&why, "4.3.0", "cannot open %s", path);
		end_with(f, FOUND_FAILED, &why);
		return;
	}
	if (!is_committed(fd, id, check, &why)) {
		begun = has_begun_header(fd);
		fd_close(&fd);
		if (why.class != FAULT_PERMANENT)
			end_with(f, FOUND_FAILED, &why);
		else if (is_dead)
			set_aside_or_remove(f, spool, p, begun, &why);
		return;
	}
	f->held = fstat(fd, &st) == 0 && (st.st_mode & SPOOL_HELD_MODE) != 0;
	fd_close(&fd);
	if (place_move_to_queue(spool, p, id))
		f->fate = FOUND_TAKEN;
	else if (errno != ENOENT) {
		fault_errno(&why, "4.3.0", "cannot move %s to queue/", path);
		end_with(f, FOUND_FAILED, &why);
	}
}
