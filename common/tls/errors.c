#include "common/tls/errors.h"

#include <openssl/err.h>
#include <string.h>

#include "common/base/fault.h"

void tls_errors_to_fault(struct fault *why, const char *status, const char *what)
{
	unsigned long first = ERR_peek_error();
	const char *reason = first ? ERR_reason_error_string(first) : NULL;

	if (first && ERR_SYSTEM_ERROR(first))
		reason = strerror(ERR_GET_REASON(first));
	fault_set(why, status, "%s: %s", what, reason ? reason : "no reason given");
	ERR_clear_error();
}
