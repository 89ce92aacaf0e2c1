#include "common/base/mdoc.h"

#include <stdbool.h>

#include "common/base/buf.h"

void mdoc_append(struct buf *out, const char *text)
{
	bool at_beginning = true;

	for (const char *p = text; *p; p++) {
		if (at_beginning && (*p == '.' || *p == '\''))
			buf_append_cstr(out, "\\&");
		at_beginning = false;
		if (*p == '\\')
			buf_append_cstr(out, "\\e");
		else
			buf_append_char(out, *p);
		if (*p == '.' && p[1] == ' ') {
			buf_append_char(out, '\n');
			at_beginning = true;
			p++;
		}
	}
	buf_append_char(out, '\n');
}
