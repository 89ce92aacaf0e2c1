#include "common/mail/lines.h"

#include <assert.h>
#include <string.h>

/* From p (within a line, or at the start of one that begins with no dot) on: the end of the longest
 * run without a bare CR or LF and without a dot at a line's start. l->place says what comes behind
 * it; LINES_OVER: a bare one. Two memchr a line find all. */
static const char *run(struct lines *l, const char *p, const char *end)
{
	for (;;) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		const char *stop = lf ? lf : end;
		const char *cr = memchr(p, '\r', (size_t)(stop - p));

		if (lf == NULL && cr == NULL) {
			l->place = LINES_WITHIN;
			return end;
		}
		if (lf == NULL && cr == end - 1) {
			l->place = LINES_AFTER_CR;
			return end;
		}
		if (lf == NULL || cr == NULL || cr != lf - 1) {
			l->place = LINES_OVER;
			return cr ? cr : lf;
		}
		p = lf + 1;
		if (p == end || *p == '.') {
			l->place = LINES_START;
			return p;
		}
	}
}

static enum lines_found bare(struct lines *l)
{
	l->place = LINES_OVER;
	return LINES_BARE;
}

/* The places where a single octet matters. True: what stands at **p and behind it goes on as a run;
 * false: *p was taken, or *found says what it ended. */
static bool step(struct lines *l, const char **p, enum lines_found *found)
{
	char c = **p;

	*found = LINES_MORE;
	if (l->place == LINES_START && c == '.') {
		l->place = LINES_AFTER_DOT;
	} else if (l->place == LINES_AFTER_DOT && c == '\r') {
		l->place = LINES_AFTER_DOT_CR;
	} else if (l->place == LINES_AFTER_DOT_CR) {
		*found = c == '\n' ? LINES_END : LINES_BARE;
		l->place = LINES_OVER;
	} else if (l->place == LINES_AFTER_CR && c != '\n') {
		*found = bare(l);
	} else {
		return true;
	}
	++*p;
	return false;
}

/* Where the run that begins at p ends. */
static const char *run_from(struct lines *l, const char *p, const char *end)
{
	if (l->place != LINES_AFTER_CR)
		return run(l, p, end);
	if (p + 1 < end && p[1] != '.')
		return run(l, p + 1, end);
	l->place = LINES_START;
	return p + 1;
}

enum lines_found lines_next(struct lines *l, struct slice *input, struct slice *content)
{
	const char *p = input->p, *end = p + input->n, *from;
	enum lines_found found = LINES_MORE;

	assert(l->place != LINES_OVER);
	while (p < end && found == LINES_MORE) {
		if (!step(l, &p, &found))
			continue;
		from = p;
		p = run_from(l, p, end);
		if (l->place == LINES_OVER) {
			found = LINES_BARE;
		} else {
			*content = slice_of(from, (size_t)(p - from));
			found = LINES_CONTENT;
		}
	}
	*input = slice_of(p, (size_t)(end - p));
	return found;
}
