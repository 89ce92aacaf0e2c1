/* t/fuzz/aliases.c: the file of aliases: whatever stands there, no name without a target comes out,
 * no target without octets, and no limit is passed. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "lookupd/aliases.h"
#include "lookupd/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

static void note(void *arg, unsigned line, const struct fault *why)
{
	unsigned *last = arg;

	assert(line >= *last && why->text[0] != '\0');
	*last = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice text = slice_of(octets, n), rest = text, word;
	struct aliases *a = NULL;
	struct fault why = {0};
	unsigned line = 1;

	if (!aliases_parse(text, note, &line, &a, &why))
		return 0;
	while (slice_cut(&rest, ':', &word)) {
		const struct rows *rows = aliases_find(a, slice_trim(word));

		if (rows == NULL)
			continue;
		assert(rows->n_rows > 0 && rows->n_rows <= ALIASES_TARGETS_MAX);
		for (size_t i = 0; i < rows->n_rows; i++)
			assert(rows_cell(rows, i, 0).n > 0);
	}
	aliases_destroy(a);
	return 0;
}
