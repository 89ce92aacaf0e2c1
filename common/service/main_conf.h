/* common/service/main_conf.h: main.conf from the disk, and the settings that the daemons really run with.
 * Touches: the one file. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct buf;
struct fault;
struct settings;

#define MAIN_CONF_MAX (1u << 20)

/* Reads and checks the file at path; the caller owns *out. False: every mistake is a line in problems. */
MUST_USE bool main_conf_read(const char *path, struct settings **out, struct buf *problems);
/* new with what it leaves to the host filled in: hostname, and how many workers one a core are. Where running is given, what changes with a restart
 * only stays as it is there, and the names of those that new has otherwise are appended to waiting, each with a space before it. The caller owns *out.
 * Fails: the host has no full name (permanent), memory. */
MUST_USE bool main_conf_effective(const struct settings *new, const struct settings *running, struct settings **out,
				  struct buf *waiting, struct fault *why);
