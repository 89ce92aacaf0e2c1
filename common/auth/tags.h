/* common/auth/tags.h: tag lists, "v=1; a=rsa-sha256; …" (RFC 6376 3.2), as signatures, keys and
 * policies are written.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define TAGS_MAX 64

struct tag {
	struct slice name;
	struct slice value; /* without blanks around it; folds inside stay */
	struct slice whole; /* all between '=' and the next ';' or the end */
};

struct tags {
	struct tag all[TAGS_MAX];
	size_t n;
	bool twice; /* a name stands there more than once */
};

/* Reads all of s; what comes out points into it. False: it is no tag list. */
MUST_USE bool tags_read(struct slice s, struct tags *out);
/* The tag of that name (case counts), or NULL. */
const struct tag *tags_find(const struct tags *t, const char *name);

/* The next item of a list with colons, without blanks around it; folds count as blanks. */
MUST_USE bool tags_item(struct slice *rest, struct slice *item);
/* Is word among the items (case does not count)? */
bool tags_has(struct slice list, struct slice word);
/* Decodes base64 with folds and blanks anywhere in it. False: it is none, or empty, or there is no
 * room. */
MUST_USE bool tags_base64(struct slice value, struct buf *out);
/* A number of at most max digits. */
MUST_USE bool tags_number(struct slice value, unsigned digits, uint64_t *out);
/* Without SP, HT, CR, LF at either end. */
struct slice tags_trim(struct slice s);
