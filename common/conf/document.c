#include "common/conf/settings.h"

#include "common/base/buf.h"
#include "common/base/slice.h"

#define WIDTH 96

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

bool settings_print_template(struct buf *out)
{
	buf_append_cstr(out, "# main.conf: the configuration of tassis, as shipped. NAME = VALUE; what is not set has its default.\n"
			     "# `tassis check` reads it and says what is wrong; main.conf(5) explains every setting.\n\n"
			     "listen = 0.0.0.0:25 smtp starttls\n"
			     "listen = [::]:25 smtp starttls\n"
			     "listen = 0.0.0.0:587 submission required\n"
			     "listen = [::]:587 submission required\n"
			     "listen = 0.0.0.0:465 submission implicit\n"
			     "listen = [::]:465 submission implicit\n\n"
			     "# What follows shows the defaults.\n");
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		const struct setting_description *d = &setting_descriptions[i];

		if (slice_equal(slice_of_cstr(d->name), SLICE("listen")))
			continue;
		buf_append_char(out, '\n');
		append_wrapped(out, "# ", d->text);
		buf_printf(out, "#%s =%s%s\n", d->name, d->default_text[0] ? " " : "", d->default_text);
	}
	return !out->failed;
}

static void append_range(struct buf *out, const struct setting_description *d)
{
	switch (d->type) {
	case TEXT:
	case LINES:
		break;
	case BOOL:
		buf_append_cstr(out, "yes or no. ");
		break;
	case CHOICE:
		buf_printf(out, "One of %s. ", d->min);
		break;
	case NUMBER:
	case SIZE:
	case DURATION:
		buf_printf(out, "From %s to %s. ", d->min, d->max);
		break;
	}
}

/* In mdoc a backslash, and a dot or an apostrophe at the beginning of a line, would be a request. */
static void append_mdoc_text(struct buf *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (p == text && (*p == '.' || *p == '\''))
			buf_append_cstr(out, "\\&");
		if (*p == '\\')
			buf_append_cstr(out, "\\e");
		else
			buf_append_char(out, *p);
		if (*p == '.' && p[1] == ' ') {
			buf_append_char(out, '\n');
			p++;
		}
	}
	buf_append_char(out, '\n');
}

bool settings_print_mdoc(struct buf *out)
{
	for (size_t i = 0; i < n_setting_descriptions; i++) {
		const struct setting_description *d = &setting_descriptions[i];

		buf_printf(out, ".It Ic %s = %s\n", d->name, d->default_text[0] ? d->default_text : "\\&");
		append_mdoc_text(out, d->text);
		append_range(out, d);
		buf_append_cstr(out, d->when == ON_RELOAD ? "Takes effect at a reload.\n" : "Takes effect at a restart.\n");
	}
	return !out->failed;
}
