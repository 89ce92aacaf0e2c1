/* common/base/fd.h: descriptors: closing, and reading and writing all of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"

struct fault;
struct stat;

/* Closes *fd when it is not negative and makes it -1. errno is kept. */
void fd_close(int *fd);
MUST_USE bool fd_nonblocking(int fd, struct fault *why);
/* Writes all n octets, going on after EINTR and short writes; at offset (pwrite) when it is not negative. False: errno is set, ENOSPC and
 * EDQUOT included. Blocks: not for a loop's sockets. */
MUST_USE bool fd_write_all(int fd, const void *p, size_t n, off_t offset);
/* Reads exactly n octets, at offset when it is not negative. False with errno 0 when the file ends before. */
MUST_USE bool fd_read_all(int fd, void *p, size_t n, off_t offset);
/* Is a descriptor that came from another process what it must be: a regular file, open for reading alone? Fails, permanent. */
MUST_USE bool fd_is_file_to_read(int fd, struct fault *why);
/* Appends the whole file, from its beginning (pread). Fails: temporary; also when it would pass b's maximum. */
MUST_USE bool fd_slurp(int fd, struct buf *b, struct fault *why);
/* fd_slurp of the file of that path, which must be a regular one: a FIFO or a terminal in its place holds nobody up. st gets what fstat says; it may be NULL.
 * Fails: temporary, 4.3.5, with the path. */
MUST_USE bool fd_slurp_path(const char *path, struct buf *b, struct stat *st, struct fault *why);
