/* master/sealed.h: octets as a file without a name that nobody can change any more: what master checked is what a daemon reads.
 * Touches: memory of the kernel (memfd_create). */
#pragma once

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

/* The caller owns *fd (close-on-exec, read-only where /proc is there). Fails: temporary. */
MUST_USE bool sealed_make(const char *name, struct slice octets, int *fd, struct fault *why);
