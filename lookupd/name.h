/* lookupd/name.h: a mail address as it is looked up: local part and domain, as the schema keeps them.
 * Touches: libidn2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

#define NAME_LOCAL_MAX 255
#define NAME_DOMAIN_MAX 255

struct name {
	struct slice local;   /* without quotes, ASCII letters lower-case */
	struct slice base;    /* local up to the first '+' (not at its beginning); the same as local where there is none */
	struct slice domain;  /* A-labels (RFC 5890), lower-case, no dot at the end; or "[192.0.2.1]" */
	bool bare;            /* there was no domain; it is otherwise */
	char octets[NAME_LOCAL_MAX + 1 + NAME_DOMAIN_MAX + 1]; /* "local@domain"; the slices point here, so a struct name is not copied */
	size_t n;
};

/* path: what stands between < and > (RFC 5321 4.1.2). A path without '@' gets otherwise as its domain (empty: refused). False: it is no address, or not UTF-8, or holds
 * control characters, or is too long. */
MUST_USE bool name_parse(struct slice path, struct slice otherwise, struct name *out);
void name_copy(const struct name *from, struct name *to);
/* "local@domain", as it is compared. */
struct slice name_whole(const struct name *n);
bool name_is_literal(const struct name *n);
/* The path of a Maildir below mail_dir: no empty, "." or ".." step, no leading '/', no control character; ends in '/'. */
bool folder_is_sound(struct slice folder);
