#include "common/conf/settings.h"

#include <assert.h>

#include "common/base/buf.h"
#include "common/base/mdoc.h"
#include "common/base/slice.h"

#define WIDTH 96

/* What people change. The rest is in main.conf(5) and `tassis config`. */
static const char *const template_names[] = {
	"hostname", "tls_certificate", "tls_key", "database", "mail_dir", "spool_dir", "log_to", "log_file", "dns_servers",
	"message_size_max", "smtp_workers", "smtp_max_connections", "smtp_max_connections_client", "queue_lifetime",
	"remote_concurrency", "remote_concurrency_destination", "postmaster",
};

/* Appends text in lines of WIDTH octets, each behind prefix. */
static void append_wrapped(struct buf *out, const char *prefix, const char *text)
{
	struct slice rest = slice_of_cstr(text), word;
	size_t column = 0;

	while (slice_word(&rest, &word)) {
		if (column == 0 || column + 1 + word.n > WIDTH) {
			buf_printf(out, "%s%s%.*s", column ? "\n" : "", prefix, SLICE_PRINTF(word));
			column = slice_of_cstr(prefix).n + word.n;
		} else {
			buf_printf(out, " %.*s", SLICE_PRINTF(word));
			column += 1 + word.n;
		}
	}
	buf_append_char(out, '\n');
}

static const struct setting_description *find(const char *name)
{
	size_t i = 0;

	while (i < n_setting_descriptions &&
	       !slice_equal(slice_of_cstr(setting_descriptions[i].name), slice_of_cstr(name)))
		i++;
	assert(i < n_setting_descriptions);
	return &setting_descriptions[i];
}

static void append_commented(struct buf *out, const struct setting_description *d)
{
	buf_append_char(out, '\n');
	append_wrapped(out, "# ", d->text);
	buf_printf(out, "#%s =%s%s\n", d->name, d->default_text[0] ? " " : "", d->default_text);
}

bool settings_print_template(struct buf *out)
{
	buf_append_cstr(out, "# main.conf: the configuration of tassis, as shipped. NAME = VALUE; what is not set has its\n"
			     "# default. `tassis check` says what is wrong with it, `tassis config` shows all settings,\n"
			     "# main.conf(5) explains them.\n\n"
			     "listen = 0.0.0.0:25 smtp starttls\n"
			     "listen = [::]:25 smtp starttls\n"
			     "listen = 0.0.0.0:587 submission required\n"
			     "listen = [::]:587 submission required\n"
			     "listen = 0.0.0.0:465 submission implicit\n"
			     "listen = [::]:465 submission implicit\n\n"
			     "# What people change, with its default.\n");
	for (size_t i = 0; i < ARRAY_LENGTH(template_names); i++)
		append_commented(out, find(template_names[i]));
	return !out->failed;
}

/* "One of a, b, c." */
static void append_words(struct buf *out, const char *choice)
{
	struct slice words = slice_of_cstr(choice), word;
	const char *before = "One of ";

	for (; slice_cut(&words, '|', &word); before = ", ")
		buf_printf(out, "%s%.*s", before, SLICE_PRINTF(word));
	buf_append_cstr(out, ".\n");
}

static void append_range(struct buf *out, const struct setting_description *d)
{
	switch (d->type) {
	case TEXT:
	case LINES:
		break;
	case BOOL:
		buf_append_cstr(out, "Yes or no.\n");
		break;
	case CHOICE:
		append_words(out, d->min);
		break;
	case NUMBER:
	case SIZE:
	case DURATION:
		buf_printf(out, "From %s to %s.\n", d->min, d->max);
		break;
	}
}

bool settings_print_mdoc(struct buf *out)
{
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		const struct setting_description *d = &setting_descriptions[i];

		buf_printf(out, ".It Ic %s = %s\n", d->name, d->default_text[0] ? d->default_text : "\\&");
		mdoc_append(out, d->text);
		append_range(out, d);
		buf_append_cstr(out, d->when == ON_RELOAD ? "Takes effect at a reload.\n" : "Takes effect at a restart.\n");
	}
	return !out->failed;
}
