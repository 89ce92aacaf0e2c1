/* queued/load.h: a message that is due is read from its file.
 * Touches: that file, in the pool. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"

struct queued;

/* Reads message n (taken before) and begins its attempt. One that cannot be read now waits again; one that is gone is forgotten; one that is
 * no spool file is set aside. q->n_loading counts those under way. */
void load_begin(struct queued *q, uint32_t n);
