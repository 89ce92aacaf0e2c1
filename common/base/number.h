/* common/base/number.h: numbers from text, whole or not at all. No sign, no blanks, no overflow. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

/* All of s is a decimal (hexadecimal, octal) number of at most max. False: *out is untouched. */
MUST_USE bool number_u64(struct slice s, uint64_t max, uint64_t *out);
MUST_USE bool number_hex_u64(struct slice s, uint64_t max, uint64_t *out);
MUST_USE bool number_octal_u64(struct slice s, uint64_t max, uint64_t *out);
