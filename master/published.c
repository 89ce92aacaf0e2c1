#include "master/published.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"

static bool append(const struct settings *s, struct slice name, struct buf *out)
{
	return buf_append(out, name) && buf_append_cstr(out, " = ") &&
	       settings_print_one(s, name, out);
}

static bool put(const char *path, struct slice text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool ok = fd >= 0 && fchmod(fd, 0644) == 0 && fd_write_all(fd, text.p, text.n, -1);

	fd_close(&fd);
	return ok;
}

bool published_write(const struct settings *s, struct fault *why)
{
	char path[PATH_MAX], new[PATH_MAX];
	struct buf text;
	bool ok = false;

	buf_init(&text, 4096);
	if (!append(s, SLICE("hostname"), &text) || !append(s, SLICE("message_size_max"), &text) ||
	    !append(s, SLICE("smtp_max_recipients"), &text)) {
		fault_set(why, "4.3.1", "no memory for " LAYOUT_PUBLIC_SETTINGS);
		goto out;
	}
	if (!layout_path(s->spool_dir, LAYOUT_PUBLIC_SETTINGS, path, sizeof(path), why) ||
	    !layout_path(s->spool_dir, LAYOUT_PUBLIC_SETTINGS ".new", new, sizeof(new), why))
		goto out;
	ok = put(new, buf_slice(&text)) && rename(new, path) == 0;
	if (!ok)
		fault_errno(why, "4.3.0", "cannot write %s", path);
out:
	buf_fini(&text);
	return ok;
}
