/* common/base/fault.h: why a call failed: class, enhanced status code, one sentence for people.
 * Touches: nothing. A fault is a value; it owns no memory. A zeroed fault is temporary, so a forgotten
 * class is never a wrong 5yz. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

enum fault_class {
	FAULT_TEMPORARY = 0, /* ours, or the peer's for now: try again later */
	FAULT_PERMANENT,     /* what the peer itself sent wrong, or a fact the database stated */
};

struct fault {
	enum fault_class class;
	char status[12]; /* enhanced status code, RFC 3463, without spaces: "4.3.1"; "" means 4.3.0 */
	char text[484];  /* one sentence without a full stop, cut to fit, never with CR, LF or NUL */
};

/* Fills why; a NULL why is allowed and ignored. The first digit of status says the class: '5' is permanent, all
 * else temporary. Octets outside printable ASCII become '?' unless they are UTF-8. */
void fault_set(struct fault *why, const char *status, const char *template, ...) PRINTF_LIKE(3, 4);
/* The same, with ": " and errno's text behind it. Read errno in the line after the call that set it. Always temporary
 * (status "4.x.x"): ENOSPC and EDQUOT make the status 4.3.1. */
void fault_errno(struct fault *why, const char *status, const char *template, ...) PRINTF_LIKE(3, 4);
/* Puts "…: " before the sentence: what the caller knows. */
void fault_add(struct fault *why, const char *template, ...) PRINTF_LIKE(2, 3);
/* The status, or "4.3.0" / "5.0.0" when none was set. */
const char *fault_status(const struct fault *why);
