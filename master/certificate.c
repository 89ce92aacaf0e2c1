#include "master/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"
#include "common/tls/key.h"
#include "common/tls/pair.h"
#include "master/sealed.h"

#define PEM_MAX (1u << 20)

bool certificate_paths(const struct settings *s, char *certificate, char *key, size_t size, struct fault *why)
{
	if (s->tls_certificate.n == 0)
		return layout_path(s->state_dir, "tls/certificate.pem", certificate, size, why) &&
		       layout_path(s->state_dir, "tls/key.pem", key, size, why);
	return slice_cstr(s->tls_certificate, certificate, size, why) &&
	       slice_cstr(s->tls_key.n > 0 ? s->tls_key : s->tls_certificate, key, size, why);
}

/* The key's file counts only where it is another than the certificate's. */
static bool read_files(const char *certificate, const char *key, struct buf *first, struct buf *second, struct fault *why)
{
	if (!fd_slurp_path(certificate, first, NULL, why))
		return false;
	if (strcmp(certificate, key) == 0)
		return true;
	if (!fd_slurp_path(key, second, NULL, why))
		return false;
	if (buf_length(second) == 0)
		fault_set(why, "5.3.5", "the key's file %s is empty", key);
	return buf_length(second) > 0;
}

bool certificate_load(const struct settings *s, const char *certificate, const char *key, int *certificate_fd, int *key_fd,
		      struct fault *why)
{
	struct buf first, second, chain, private;
	bool ok = false;

	*certificate_fd = *key_fd = -1;
	buf_init_secret(&first, PEM_MAX);
	buf_init_secret(&second, PEM_MAX);
	buf_init(&chain, PEM_MAX);
	buf_init_secret(&private, PEM_MAX);
	if (!read_files(certificate, key, &first, &second, why))
		goto out;
	if (!tls_pair_read(buf_slice(&first), buf_slice(&second), s->tls_password, &chain, &private, why)) {
		if (strcmp(certificate, key) == 0)
			fault_add(why, "certificate %s", certificate);
		else
			fault_add(why, "certificate %s, key %s", certificate, key);
		goto out;
	}
	ok = sealed_make("certificate", buf_slice(&chain), certificate_fd, why) &&
	     sealed_make("key", buf_slice(&private), key_fd, why);
	if (!ok)
		fd_close(certificate_fd);
out:
	buf_fini(&first);
	buf_fini(&second);
	buf_fini(&chain);
	buf_fini(&private);
	return ok;
}

/* Under its name whole or not at all. */
static bool write_file(const char *path, struct slice octets, mode_t mode, struct fault *why)
{
	char temporary[PATH_MAX];
	bool ok = false;
	int fd = -1, n = snprintf(temporary, sizeof(temporary), "%s.new", path);

	if (n < 0 || (size_t)n >= sizeof(temporary)) {
		fault_set(why, "5.3.5", "the path %s is too long", path);
		return false;
	}
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	ok = fd >= 0 && fd_write_all(fd, octets.p, octets.n, -1) && fsync(fd) == 0 && rename(temporary, path) == 0;
	if (!ok)
		fault_errno(why, "4.3.5", "cannot write %s", path);
	fd_close(&fd);
	return ok;
}

bool certificate_make(const struct settings *s, struct fault *why)
{
	char certificate[PATH_MAX], key[PATH_MAX];
	struct buf certificate_pem, key_pem;
	int fds[2];
	bool ok;

	if (s->tls_certificate.n > 0)
		return true;
	if (!certificate_paths(s, certificate, key, sizeof(certificate), why))
		return false;
	if (certificate_load(s, certificate, key, &fds[0], &fds[1], NULL)) {
		fd_close(&fds[0]);
		fd_close(&fds[1]);
		return true;
	}
	buf_init(&certificate_pem, PEM_MAX);
	buf_init_secret(&key_pem, PEM_MAX);
	ok = tls_make_self_signed(s->hostname, &certificate_pem, &key_pem, why) &&
	     write_file(key, buf_slice(&key_pem), 0600, why) &&
	     write_file(certificate, buf_slice(&certificate_pem), 0644, why);
	buf_fini(&certificate_pem);
	buf_fini(&key_pem);
	return ok;
}
