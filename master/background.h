/* master/background.h: into the background, with whoever started us waiting for the verdict.
 * Touches: fork, standard error. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;

/* Forks. Returns in the new process alone, a session of its own, with *verdict where the verdict goes. The old one shows what the new one (and its children) writes to standard
 * error until the verdict has come, and ends with it: nobody holds its terminal after that. */
MUST_USE bool background_enter(int *verdict, struct fault *why);
/* All is ready: says so to who waits, if somebody does, and closes *verdict. (That a start has failed is said by our end, when all is cleared away.) */
void background_verdict(int *verdict);
