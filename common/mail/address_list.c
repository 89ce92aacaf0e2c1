#include "common/mail/address_list.h"

#include "common/base/ascii.h"

struct element {
	struct slice rest;
	struct buf *out;
	bool in_angle, after_angle; /* within < >, behind it */
	bool gap;		    /* a blank came behind the last octet taken */
	bool bad;
};

static bool is_blank(char c)
{
	return ascii_is_space(c) || c == '\r' || c == '\n';
}

static char next(struct element *e)
{
	char c = e->rest.p[0];

	e->rest = slice_tail(e->rest, 1);
	return c;
}

/* Behind "(". Comments may lie in comments. */
static void skip_comment(struct element *e)
{
	unsigned depth = 1;

	while (depth > 0 && e->rest.n > 0) {
		char c = next(e);

		if (c == '\\' && e->rest.n > 0)
			(void)next(e);
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
	}
	e->bad |= depth > 0;
}

/* Behind its first quote, which was taken. A fold's line end goes, also behind a backslash. */
static void take_quoted(struct element *e)
{
	bool escaped = false;

	while (e->rest.n > 0) {
		char c = next(e);

		if (c == '\r' || c == '\n')
			continue;
		buf_append_char(e->out, c);
		if (c == '"' && !escaped)
			return;
		escaped = c == '\\' && !escaped;
	}
	e->bad = true;
}

/* Two words with a blank between them are no address unless a dot or an at sign joins them (RFC
 * 5322 4.4). A name before "<" may have as many as it likes. */
static void take(struct element *e, char c)
{
	struct slice so_far = buf_slice(e->out);
	char last = so_far.n > 0 ? so_far.p[so_far.n - 1] : '.';

	e->bad |= e->after_angle || (e->gap && last != '.' && last != '@' && c != '.' && c != '@');
	e->gap = false;
	buf_append_char(e->out, c);
	if (c == '"')
		take_quoted(e);
}

/* What was taken so far was a name. */
static void forget_name(struct element *e)
{
	buf_reset(e->out);
	e->gap = e->bad = false;
}

/* One octet that is neither blank nor comment. False: the element is over. */
static bool element_take(struct element *e, char c)
{
	if (!e->in_angle && (c == ',' || c == ';'))
		return false;
	if (c == '<') {
		if (e->in_angle || e->after_angle)
			e->bad = true;
		else
			forget_name(e);
		e->in_angle = true;
	} else if (c == '>') {
		e->bad |= !e->in_angle;
		e->in_angle = false;
		e->after_angle = true;
	} else if (c == ':' && !e->in_angle) {
		forget_name(e); /* a group's */
	} else {
		take(e, c);
	}
	return true;
}

/* Up to the comma or semicolon that ends it. */
static void element_read(struct element *e)
{
	while (e->rest.n > 0) {
		char c = next(e);

		if (is_blank(c))
			e->gap = buf_length(e->out) > 0;
		else if (c == '(')
			skip_comment(e);
		else if (!element_take(e, c))
			return;
	}
}

enum address_found address_list_next(struct slice *list, struct buf *out)
{
	while (list->n > 0) {
		struct element e = {.rest = *list, .out = out};

		buf_reset(out);
		element_read(&e);
		*list = e.rest;
		if (e.bad || e.in_angle || out->failed || (e.after_angle && buf_length(out) == 0))
			return ADDRESS_BAD;
		if (buf_length(out) > 0)
			return ADDRESS_ONE;
	}
	return ADDRESS_NONE;
}
