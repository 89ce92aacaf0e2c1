/* master/incoming.h: the folders of smtpd's workers, incoming/N.
 * Touches: incoming/. A folder is locked (flock) as long as its worker lives: the lock is of the descriptor that the worker was given. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/service/layout.h"

struct fault;
struct settings;

/* Makes the folder with the lowest number that has none, for account, and locks it. The caller owns *fd; the lock lives with it and its duplicates. */
MUST_USE bool incoming_claim(const struct settings *s, const struct accounts *a, enum layout_account account,
			     unsigned *number, int *fd, struct fault *why);
/* Removes every folder that is empty and has no worker. */
void incoming_tidy(const struct settings *s);
