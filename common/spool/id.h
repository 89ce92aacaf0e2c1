/* common/spool/id.h: the id of a message: 22 characters that sort by time and are unique across hosts.
 * Touches: /etc/machine-id, once, at the init of a source. 52 bits microseconds since 1970, 8 bits worker, 20 bits random, 30 bits host, five a character,
 * alphabet 0-9 a-z without i, l, o, u. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

#define SPOOL_ID_LENGTH 22

struct spool_id_source {
	uint64_t last_us;
	uint32_t host;   /* of the host's name and machine id; where there is none (a chroot, a container), random */
	uint8_t worker;
};

/* hostname: the configured one. */
void spool_id_source_init(struct spool_id_source *s, struct slice hostname, unsigned worker);
/* A new id, later than any before of this source; terminated. */
void spool_id_make(struct spool_id_source *s, uint64_t wall_us, char out[SPOOL_ID_LENGTH + 1]);
/* The id that is made of these parts, always the same; rest: its lowest 50 bits count. For what must be found again by what it was made from. */
void spool_id_compose(uint64_t time_us, unsigned worker, uint64_t rest, char out[SPOOL_ID_LENGTH + 1]);
/* Is it one? Anything else may be no file name of ours. */
bool spool_id_is_valid(struct slice id);
/* When it was made; 0 for one that is not valid. */
uint64_t spool_id_time_us(struct slice id);
/* The folder below queue/ that holds it: one character. */
char spool_id_hash(struct slice id);
