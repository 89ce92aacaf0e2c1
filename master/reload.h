/* master/reload.h: a new configuration, and changed files, for those that run.
 * Touches: main.conf; the processes, through slot.h and batch.h. */
#pragma once

#include <stdbool.h>

struct buf;
struct master;

/* Reads and checks main.conf and the files it names. With a mistake nothing has changed. answer gets a sentence, or every mistake, a line each. */
bool reload(struct master *m, struct buf *answer);
/* A lookupd has answered the ping behind its new key. */
void reload_key_known(struct master *m);
/* Opens the log anew (rotation), for all. */
void reload_log(struct master *m);
/* From now on looks once a minute what has changed on disk, checks it and hands it on. */
void reload_watch(struct master *m);
void reload_unwatch(struct master *m);
