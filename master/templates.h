/* master/templates.h: the texts of notices, read from two folders and put into one file for queued: those that come with tassis, then the administrator's,
 * which take their place.
 * Touches: SHAREDIR/templates and notice_templates, read-only.
 *
 * A text is LANGUAGE/KIND.txt below a folder. In the file stand for each: "template LANGUAGE/KIND LENGTH PATH", a line's end, and LENGTH octets. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

/* The texts as a sealed file; the caller owns *fd. What cannot be read, or is too long, is logged and left out. Fails: temporary. */
MUST_USE bool templates_seal(const struct settings *s, int *fd, struct fault *why);
