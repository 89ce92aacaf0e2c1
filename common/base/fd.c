#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"

void fd_close(int *fd)
{
	int error = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = error;
}

bool fd_nonblocking(int fd, struct fault *why)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		fault_errno(why, "4.3.0", "cannot make a descriptor non-blocking");
		return false;
	}
	return true;
}

bool fd_write_all(int fd, const void *p, size_t n, off_t offset)
{
	const char *from = p;

	while (n > 0) {
		ssize_t k = offset < 0 ? write(fd, from, n) : pwrite(fd, from, n, offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k == 0)
			errno = EIO;
		if (k <= 0)
			return false;
		from += k;
		n -= (size_t)k;
		if (offset >= 0)
			offset += k;
	}
	return true;
}

bool fd_read_all(int fd, void *p, size_t n, off_t offset)
{
	char *to = p;

	while (n > 0) {
		ssize_t k = offset < 0 ? read(fd, to, n) : pread(fd, to, n, offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k == 0)
			errno = 0;
		if (k <= 0)
			return false;
		to += k;
		n -= (size_t)k;
		if (offset >= 0)
			offset += k;
	}
	return true;
}

bool fd_is_file_to_read(int fd, struct fault *why)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (fd >= 0 && flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	fault_set(why, "5.5.4", "no read-only descriptor of a regular file came with the message");
	return false;
}

bool fd_slurp(int fd, struct buf *b, struct fault *why)
{
	off_t offset = 0;

	for (;;) {
		size_t room = b->max - buf_length(b) < 8192 ? b->max - buf_length(b) : 8192;
		char past, *to = room ? buf_reserve(b, room) : &past;
		ssize_t k;

		if (to == NULL) {
			fault_set(why, "4.3.1", "out of memory");
			return false;
		}
		k = pread(fd, to, room ? room : 1, offset);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			fault_errno(why, "4.3.0", "cannot read the file");
			return false;
		}
		if (k == 0)
			return true;
		if (room == 0) {
			fault_set(why, "4.3.0", "the file is larger than %zu octets", b->max);
			return false;
		}
		buf_commit(b, (size_t)k);
		offset += k;
	}
}

bool fd_slurp_path(const char *path, struct buf *b, struct stat *st, struct fault *why)
{
	struct stat own;
	bool ok = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (st == NULL)
		st = &own;
	if (fd < 0 || fstat(fd, st) != 0)
		fault_errno(why, "4.3.5", "cannot open %s", path);
	else if (!S_ISREG(st->st_mode))
		fault_set(why, "4.3.5", "%s is no file", path);
	else if (!(ok = fd_slurp(fd, b, why)))
		fault_add(why, "%s", path);
	fd_close(&fd);
	return ok;
}
