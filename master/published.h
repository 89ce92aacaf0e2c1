/* master/published.h: the settings that programs of this host's users need (sendmail), where
 * everybody may read them: main.conf itself may hold secrets.
 * Touches: spool_dir/public/settings.
 */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

/* Writes the file anew, in place of the old one. s: the effective settings. Fails: temporary. */
MUST_USE bool published_write(const struct settings *s, struct fault *why);
