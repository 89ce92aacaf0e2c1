/* t/unit/vectors.h: cases as data, a line each; # begins a comment. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fd.h"
#include "common/base/slice.h"

/* Calls check for each case in the file, of which there must be at least so many: a file that was cut shows nothing. */
static inline void each_vector(const char *path, size_t at_least, void (*check)(struct slice line))
{
	struct slice rest, line;
	struct buf text;
	size_t n = 0;

	buf_init(&text, 1 << 20);
	assert_true(fd_slurp_path(path, &text, NULL, NULL));
	rest = buf_slice(&text);
	while (slice_cut(&rest, '\n', &line)) {
		if (line.n == 0 || line.p[0] == '#')
			continue;
		check(line);
		n++;
	}
	assert_true(n >= at_least);
	buf_fini(&text);
}

/* Appends what is written: \r, \n and \t stand for what they mean. */
static inline void vector_octets(struct slice written, struct buf *out)
{
	static const char letters[] = "rnt", meant[] = "\r\n\t";

	for (size_t i = 0; i < written.n; i++) {
		struct slice letter = slice_of(&written.p[i + 1], written.p[i] == '\\' && i + 1 < written.n);
		size_t at = letter.n > 0 ? slice_find(slice_of(letters, 3), letter.p[0]) : SIZE_MAX;

		assert_true(buf_append_char(out, at == SIZE_MAX ? written.p[i] : meant[at]));
		i += at != SIZE_MAX;
	}
}
