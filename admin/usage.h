/* admin/usage.h: the line that says how a command is called, read by the program itself: from it come the parser of the command line, the help and
 * the completion, so that none of them can say something else.
 *
 *	ADDRESS              must be there            [TARGET…]         may be there, any number of times
 *	--host HOST          must be there            [--mx]            an option without a value
 *	[--port PORT]        an option with a value   [--to ADDRESS…]   may be there any number of times
 *
 * A value is a word in capitals for what it is, or the words themselves: local|relay. Words of the command line come in any order; "--" ends the
 * options; "--name=value" is as good as "--name value".
 * Touches: the heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

struct usage_part {
	struct slice name;  /* "--port" or "ADDRESS" */
	struct slice value; /* of an option: "PORT", "local|relay"; empty: it has none */
	bool option, optional, repeated;
};

/* The next part of *rest, which goes on behind it. False: there is none. */
bool usage_next(struct slice *rest, struct usage_part *out);

/* A command line as its usage reads it. Borrows argv. */
struct arguments {
	char **argv;
	size_t argc;
	unsigned char *role; /* of each: a word, an option, an option's value */
	struct slice usage;
};

/* argv[0] is not looked at. Fails, permanent, 5.5.4: a word too many or too few, an option that is none, twice, without its value, or with one that is not
 * among those named. The caller calls arguments_fini either way. */
MUST_USE bool arguments_parse(struct arguments *a, const char *usage, int argc, char **argv, struct fault *why);
void arguments_fini(struct arguments *a);
/* The i-th word, from 0; NULL: there are not so many. */
char *arguments_word(const struct arguments *a, size_t i);
bool arguments_has(const struct arguments *a, const char *option);
/* The option's value; NULL: it is not there. */
char *arguments_value(const struct arguments *a, const char *option);
/* The values of an option that may be repeated, one after the other; *at begins with 0. NULL: no more. */
char *arguments_next(const struct arguments *a, const char *option, size_t *at);
