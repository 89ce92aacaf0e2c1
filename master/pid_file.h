/* master/pid_file.h: master.pid in spool_dir, locked as long as a master works on that spool.
 * Touches: that file. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

/* Locks it and writes our pid. *after_a_crash: the master before us did not end as it should. The caller owns *fd. Fails: another master has it (why names its pid). */
MUST_USE bool pid_file_take(const struct settings *s, int *fd, bool *after_a_crash, struct fault *why);
/* Removes it and gives the lock back. */
void pid_file_remove(const struct settings *s, int *fd);
