/* deliverd/remote/avoided.h: addresses at which delivery_smtps_port failed: for a day it is not
 * tried there again (delivery_secure = smtps-first).
 * Touches: the heap. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/table.h"

struct ip;

enum { AVOIDED_MAX = 10000, AVOIDED_MS = 24 * 60 * 60 * 1000 };

struct avoided {
	struct table addresses;
	struct list by_age; /* the oldest first */
};

void avoided_init(struct avoided *a);
void avoided_fini(struct avoided *a);
/* From now on for AVOIDED_MS. Of more than AVOIDED_MAX the oldest are forgotten; so is this one
 * when memory is out. */
void avoided_add(struct avoided *a, const struct ip *ip, uint64_t now_ms);
bool avoided_has(const struct avoided *a, const struct ip *ip, uint64_t now_ms);
