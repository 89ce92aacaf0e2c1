#include "common/base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"

/* Is there a whole UTF-8 sequence (RFC 3629 4) at s? Its length, or 0. */
static size_t utf8_sequence(const unsigned char *s)
{
	size_t n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void make_printable(char *text)
{
	while (*text) {
		size_t n = ascii_is_print(*text) ? 1 : utf8_sequence((unsigned char *)text);

		if (n == 0) {
			*text = '?';
			n = 1;
		}
		text += n;
	}
}

static void set_status(struct fault *why, const char *status)
{
	why->class = status[0] == '5' ? FAULT_PERMANENT : FAULT_TEMPORARY;
	snprintf(why->status, sizeof(why->status), "%s", status);
}

void fault_set(struct fault *why, const char *status, const char *template, ...)
{
	va_list args;

	if (why == NULL)
		return;
	set_status(why, status);
	va_start(args, template);
	vsnprintf(why->text, sizeof(why->text), template, args);
	va_end(args);
	make_printable(why->text);
}

void fault_errno(struct fault *why, const char *status, const char *template, ...)
{
	int error = errno;
	char words[128];
	va_list args;
	size_t n;

	if (why == NULL)
		return;
	set_status(why, error == ENOSPC || error == EDQUOT ? "4.3.1" : status);
	why->class = FAULT_TEMPORARY;
	if (why->status[0] == '5')
		why->status[0] = '4';
	va_start(args, template);
	vsnprintf(why->text, sizeof(why->text), template, args);
	va_end(args);
	n = strlen(why->text);
	snprintf(why->text + n, sizeof(why->text) - n, ": %s", strerror_r(error, words, sizeof(words)));
	make_printable(why->text);
	errno = error;
}

void fault_add(struct fault *why, const char *template, ...)
{
	char was[sizeof(why->text)];
	va_list args;
	size_t n;

	if (why == NULL)
		return;
	memcpy(was, why->text, sizeof(was));
	va_start(args, template);
	vsnprintf(why->text, sizeof(why->text), template, args);
	va_end(args);
	n = strlen(why->text);
	snprintf(why->text + n, sizeof(why->text) - n, ": %s", was);
	make_printable(why->text);
}

const char *fault_status(const struct fault *why)
{
	if (why->status[0])
		return why->status;
	return why->class == FAULT_PERMANENT ? "5.0.0" : "4.3.0";
}
