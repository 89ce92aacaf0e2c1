/* common/base/crc32c.h: CRC-32C (Castagnoli, RFC 3720 12.1), with the processor's instruction where it has one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc (0 to begin); crc32c(crc32c(0, a), b) is that of a then b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
