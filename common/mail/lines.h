/* common/mail/lines.h: the line rules of DATA (RFC 5321 2.3.8, 4.5.2), octet by octet, on
 * whatever pieces come.
 * Touches: nothing. The state is one enum; no content octet is copied.
 *
 * CR LF . CR LF alone ends a message. A CR without LF or an LF without CR anywhere in it is
 * LINES_BARE: what another server takes for the end of data must not pass here as content, nor
 * the other way round. A line may be of any length: nothing here or behind it holds a line, and
 * the message's size has its own limit. */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"

enum lines_place {
	LINES_START, /* behind CR LF, or at the very beginning */
	LINES_WITHIN,
	LINES_AFTER_CR,
	LINES_AFTER_DOT, /* behind a dot that stood at LINES_START */
	LINES_AFTER_DOT_CR,
	LINES_OVER, /* after LINES_END or LINES_BARE */
};

struct lines {
	enum lines_place place;
};

enum lines_found {
	LINES_MORE,    /* the input is used up */
	LINES_CONTENT, /* *content is the next run, as long as there is one: it may hold many lines.
			  It may be empty. */
	LINES_END,     /* the end of data; *input goes on behind it */
	LINES_BARE,    /* a bare CR or LF: the connection must not go on (521 5.5.2) */
};

static inline void lines_init(struct lines *l)
{
	l->place = LINES_START;
}
/* Takes the next run of content, without stuffed dots, off *input; *content points into it and
 * stands directly before *input. To be called until it says something else than LINES_CONTENT. */
enum lines_found lines_next(struct lines *l, struct slice *input, struct slice *content);
