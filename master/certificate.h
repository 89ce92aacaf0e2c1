/* master/certificate.h: the certificate's chain and its private key, read and checked as a pair.
 * Touches: the two files; state_dir/tls where tassis makes them itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

/* Where they are: tls_certificate and tls_key, or the self-signed pair. Fails: a path is too long. */
MUST_USE bool certificate_paths(const struct settings *s, char *certificate, char *key, size_t size, struct fault *why);
/* Makes the self-signed pair where tls_certificate is empty and there is none, or a broken one. */
MUST_USE bool certificate_make(const struct settings *s, struct fault *why);
/* Sealed copies, the caller's: the certificates in PEM, and the private key in PEM, out of the two files or a PKCS#12 file that tls_password opens. key is certificate's path again
 * where the key stands there. Fails: in words, and nothing is open. */
MUST_USE bool certificate_load(const struct settings *s, const char *certificate, const char *key, int *certificate_fd, int *key_fd, struct fault *why);
