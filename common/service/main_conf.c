#include "common/service/main_conf.h"

#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"

bool main_conf_read(const char *path, struct settings **out, struct buf *problems)
{
	struct fault why = {0};
	struct buf text;
	bool ok = false;

	buf_init_secret(&text, MAIN_CONF_MAX);
	if (fd_slurp_path(path, &text, NULL, &why))
		ok = settings_parse(buf_slice(&text), path, out, problems);
	else
		buf_printf(problems, "%s\n", why.text);
	buf_fini(&text);
	return ok;
}

static bool one_a_core(struct buf *out, const char *name, uint64_t configured)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return buf_printf(out, "%s = %llu\n", name,
			  (unsigned long long)(configured > 0 ? configured : cores > 0 && cores <= 256 ? (uint64_t)cores : 1));
}

/* Appends the lines of one setting, those of running where a reload does not change it. */
static bool print_effective(const struct setting_description *d, const struct settings *new, const struct settings *running,
			    struct buf *out, struct buf *waiting)
{
	struct slice name = slice_of_cstr(d->name), rest, line;
	struct buf ours, theirs;

	buf_init_secret(&ours, MAIN_CONF_MAX);
	buf_init_secret(&theirs, MAIN_CONF_MAX);
	settings_print_one(new, name, &ours);
	if (running != NULL && d->when == ON_RESTART) {
		settings_print_one(running, name, &theirs);
		if (!slice_equal(buf_slice(&ours), buf_slice(&theirs)))
			buf_printf(waiting, " %s", d->name);
	}
	rest = buf_slice(running != NULL && d->when == ON_RESTART ? &theirs : &ours);
	if (slice_ends(rest, SLICE("\n")))
		rest.n--;
	while (slice_cut(&rest, '\n', &line))
		if (line.n > 0 || d->type != LINES)
			buf_printf(out, "%s = %.*s\n", d->name, SLICE_PRINTF(line));
	buf_fini(&ours);
	buf_fini(&theirs);
	return !out->failed;
}

/* The three that the host decides where main.conf does not. */
static bool print_filled_in(const struct settings *new, const struct settings *running, struct buf *out, struct buf *waiting,
			    struct fault *why)
{
	const struct settings *workers = running != NULL ? running : new;
	char hostname[256];

	if (!settings_hostname(new, hostname, sizeof(hostname), why))
		return false;
	buf_printf(out, "hostname = %s\n", hostname);
	one_a_core(out, "smtp_workers", workers->smtp_workers);
	one_a_core(out, "remote_workers", workers->remote_workers);
	if (new->smtp_workers > 0 && new->smtp_workers != workers->smtp_workers)
		buf_append_cstr(waiting, " smtp_workers");
	if (new->remote_workers > 0 && new->remote_workers != workers->remote_workers)
		buf_append_cstr(waiting, " remote_workers");
	return true;
}

static bool is_filled_in(const char *name)
{
	return strcmp(name, "hostname") == 0 || strcmp(name, "smtp_workers") == 0 || strcmp(name, "remote_workers") == 0;
}

bool main_conf_effective(const struct settings *new, const struct settings *running, struct settings **out,
			 struct buf *waiting, struct fault *why)
{
	struct buf text, problems;
	bool ok = false;

	buf_init_secret(&text, MAIN_CONF_MAX);
	buf_init_secret(&problems, MAIN_CONF_MAX);
	if (!print_filled_in(new, running, &text, waiting, why))
		goto out;
	for (size_t i = 0; i < n_setting_descriptions; i++)
		if (!is_filled_in(setting_descriptions[i].name))
			print_effective(&setting_descriptions[i], new, running, &text, waiting);
	if (text.failed) {
		fault_set(why, "4.3.1", "no memory for the settings");
		goto out;
	}
	ok = settings_parse(buf_slice(&text), "the settings", out, &problems);
	if (!ok)
		fault_set(why, "4.3.5", "%.*s", SLICE_PRINTF(slice_trim(buf_slice(&problems))));
out:
	buf_fini(&text);
	buf_fini(&problems);
	return ok;
}
