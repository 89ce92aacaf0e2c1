/* admin/queue_files.h: the queue as the files say it, for when queued does not run.
 * Touches: the spool, reading. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;
struct settings;
struct spool_summary;

/* Calls fn for each message of the spool that can be read, the oldest first, or for the one of that id (empty: all); next_attempt_us is its file's
 * time, held its mode. What cannot be read is told on standard
 * error. Fails: the spool cannot be read at all, or there is no message of that id. */
typedef void queue_file_fn(void *arg, struct spool_summary *s, uint64_t next_attempt_us, bool held);
MUST_USE bool queue_files_each(const struct settings *settings, struct slice id, queue_file_fn *fn, void *arg, struct fault *why);
/* The message's file, open for reading, wherever in the spool it lies. -1: why; permanent, it is not there. */
int queue_file_open(const struct settings *settings, struct slice id, struct fault *why);
