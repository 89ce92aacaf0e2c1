/* common/tls/errors.h: OpenSSL's queue of errors made a fault. For this room alone.
 * Touches: the queue of the calling thread. */
#pragma once

struct fault;

/* Fills why with what and OpenSSL's first reason behind it, and empties the queue. */
void tls_errors_to_fault(struct fault *why, const char *status, const char *what);
