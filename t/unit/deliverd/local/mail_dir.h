/* t/unit/deliverd/local/mail_dir.h: a mail_dir below /tmp for a test, and the calls of the disk
 * made to fail. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fd.h"

struct mail_dir {
	char path[64];
	int fd;
};

/* Which call fails, with which errno (0: none); how often fsync was asked. */
static struct {
	int fsync, linkat, renameat2, write;
	unsigned n_fsyncs, n_writes;
} disk;

/* These take the place of the C library's in this program. */
int fsync(int fd)
{
	disk.n_fsyncs++;
	errno = disk.fsync;
	return disk.fsync ? -1 : (int)syscall(SYS_fsync, fd);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	errno = disk.linkat;
	return disk.linkat ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	errno = disk.renameat2;
	return disk.renameat2 ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

ssize_t write(int fd, const void *octets, size_t n)
{
	disk.n_writes++;
	errno = disk.write;
	return disk.write ? -1 : syscall(SYS_write, fd, octets, n);
}

static inline void mail_dir_begin(struct mail_dir *m)
{
	memset(&disk, 0, sizeof(disk));
	snprintf(m->path, sizeof(m->path), "/tmp/mail_dir.XXXXXX");
	assert_non_null(mkdtemp(m->path));
	m->fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(m->fd >= 0);
}

static inline int mail_dir_remove(const char *path, const struct stat *st, int flag,
				  struct FTW *place)
{
	(void)st;
	(void)flag;
	(void)place;
	return remove(path);
}

static inline void mail_dir_end(struct mail_dir *m)
{
	memset(&disk, 0, sizeof(disk));
	fd_close(&m->fd);
	assert_int_equal(nftw(m->path, mail_dir_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* How many files are in folder; the name of the last one read goes to name. */
static inline size_t mail_dir_count(const struct mail_dir *m, const char *folder, char name[256])
{
	int fd = openat(m->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t n = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (name)
			snprintf(name, 256, "%s", entry->d_name);
	}
	closedir(dir);
	return n;
}

/* Reads the only file of folder. */
static inline void mail_dir_read(const struct mail_dir *m, const char *folder, char *out,
				 size_t size)
{
	char name[256], path[512];
	ssize_t n;
	int fd;

	assert_int_equal(mail_dir_count(m, folder, name), 1);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = openat(m->fd, path, O_RDONLY | O_CLOEXEC);
	n = read(fd, out, size - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	fd_close(&fd);
}
