/* admin/secret.h: passwords from people and from scripts; never from a command line, where every user of the host sees them.
 * Touches: the terminal (/dev/tty), standard input. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"

struct fault;

#define SECRET_MAX 1000

/* Asks at the terminal without echo, twice, and leaves the terminal as it was, also when a signal ends the program; appended to out, which is a secret's. Fails: there is no
 * terminal, the two differ, it is empty or too long. */
MUST_USE bool secret_ask(const char *prompt, struct buf *out, struct fault *why);
/* The first line of standard input, without its end. Fails: it is empty, too long, or holds a NUL. */
MUST_USE bool secret_read(struct buf *out, struct fault *why);
