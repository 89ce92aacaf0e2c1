/* master/control.h: what an administrator may tell master at control/master: status, reload, stop, reopen, ping.
 * Touches: that socket. Answers are sentences for people. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct master;

MUST_USE bool control_open(struct master *m, struct fault *why);
void control_close(struct master *m);
