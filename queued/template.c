#include "queued/template.h"

#include <stdint.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/number.h"
#include "common/log/log.h"

#define PACK_MAX ((size_t)4 << 20) /* copies of all texts */

struct template_entry {
	struct template_entry *next;
	struct slice language;
	enum notice_kind kind;
	struct template words;
};

static const struct {
	struct slice word;
	size_t offset;
} words[] = {
#define W(member, word, english) {{word, sizeof(word) - 1}, offsetof(struct template, member)},
	TEMPLATE_WORDS(W)
#undef W
};

static const struct slice kinds[NOTICE_KINDS] = {
	[NOTICE_FAILURE] = {"failure", 7}, [NOTICE_DELAY] = {"delay", 5}, [NOTICE_SUCCESS] = {"success", 7}, [NOTICE_DOUBLE] = {"double", 6},
};

#define BODY(text) {text "\n%{recipients}\n", sizeof(text "\n%{recipients}\n") - 1}
#define W(member, word, english) .member = {english, sizeof(english) - 1},
static const struct template built_in[NOTICE_KINDS] = {
	[NOTICE_FAILURE] = {TEMPLATE_WORDS(W).body = BODY("Your message of %{date}\ncould not be delivered to:")},
	[NOTICE_DELAY] = {TEMPLATE_WORDS(W).body = BODY("Your message of %{date}\nis tried until %{until}.\nIt has not reached these recipients yet:")},
	[NOTICE_SUCCESS] = {TEMPLATE_WORDS(W).body = BODY("Your message of %{date}\nwas delivered:")},
	[NOTICE_DOUBLE] = {TEMPLATE_WORDS(W).body = BODY("A notice of %{date}\ncould not be delivered to:")},
};
#undef W

/* ---- one text ---- */

static bool refuse(struct fault *why, unsigned line, const char *what)
{
	fault_set(why, "5.3.5", "line %u: %s", line, what);
	return false;
}

static struct slice line_trim(struct slice line)
{
	return slice_ends(line, SLICE("\r")) ? slice_head(line, line.n - 1) : line;
}

static bool word_read(struct slice line, struct template *out)
{
	size_t colon = slice_find(line, ':');

	for (size_t i = 0; colon != SIZE_MAX && i < ARRAY_LENGTH(words); i++)
		if (slice_equal_nocase(slice_head(line, colon), words[i].word)) {
			*(struct slice *)(void *)((char *)out + words[i].offset) = slice_trim(slice_tail(line, colon + 1));
			return true;
		}
	return false;
}

bool template_read(struct slice text, struct template *out, struct fault *why)
{
	struct slice rest = text, line = SLICE_EMPTY;
	unsigned n = 0;
	bool in_body = false;

	*out = built_in[NOTICE_FAILURE];
	out->body = SLICE_EMPTY;
	while (rest.n > 0 && slice_cut(&rest, '\n', &line)) {
		n++;
		if (line.n > TEMPLATE_LINE_MAX)
			return refuse(why, n, "it has more than 500 octets");
		line = line_trim(line);
		for (size_t i = 0; i < line.n; i++)
			if (ascii_is_control(line.p[i]) && line.p[i] != '\t')
				return refuse(why, n, "a control character is in it");
		if (in_body)
			continue;
		if (line.n == 0) {
			in_body = true;
			out->body = rest;
		} else if (!word_read(line, out))
			return refuse(why, n, "before the first empty line stand lines as \"Subject: words\", with one of the names that tassis-queued(8) lists");
	}
	return out->body.n > 0 || refuse(why, n, "behind it an empty line and a text are missing");
}

/* ---- all ---- */

void templates_init(struct templates *t)
{
	*t = (struct templates){0};
	arena_init(&t->arena, PACK_MAX);
}

void templates_fini(struct templates *t)
{
	arena_reset(&t->arena);
	t->entries = NULL;
}

static bool kind_find(struct slice word, enum notice_kind *out)
{
	for (size_t i = 0; i < NOTICE_KINDS; i++)
		if (slice_equal(word, kinds[i])) {
			*out = (enum notice_kind)i;
			return true;
		}
	return false;
}

/* name: "de/failure". A kind that a later version knows is left out. */
static bool entry_add(struct templates *t, struct slice name, struct slice path, struct slice text, struct fault *why)
{
	size_t slash = slice_find(name, '/');
	struct template_entry *e;
	enum notice_kind kind;
	struct fault wrong = {0};
	struct template read;
	struct slice copy;

	if (slash == SIZE_MAX || !kind_find(slice_tail(name, slash + 1), &kind))
		return true;
	if (!arena_copy(&t->arena, text, &copy, why) || (e = arena_alloc(&t->arena, sizeof(*e), why)) == NULL ||
	    !arena_copy(&t->arena, slice_head(name, slash), &e->language, why))
		return false;
	if (!template_read(copy, &read, &wrong)) {
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&wrong));
		return true;
	}
	e->kind = kind;
	e->words = read;
	e->next = t->entries;
	t->entries = e;
	return true;
}

/* "template NAME LENGTH PATH", then LENGTH octets. */
static bool pack_next(struct slice *rest, struct slice *name, struct slice *path, struct slice *text)
{
	struct slice line, word;
	uint64_t length;

	if (!slice_cut(rest, '\n', &line) || !slice_cut(&line, ' ', &word) || !slice_equal(word, SLICE("template")) ||
	    !slice_cut(&line, ' ', name) || !slice_cut(&line, ' ', &word) || !number_u64(word, TEMPLATE_MAX, &length) ||
	    line.n == 0 || length > rest->n)
		return false;
	*path = line;
	*text = slice_head(*rest, length);
	*rest = slice_tail(*rest, length);
	return true;
}

bool templates_take(struct templates *t, struct slice pack, struct fault *why)
{
	struct slice name, path, text;
	struct templates new;

	templates_init(&new);
	while (pack.n > 0) {
		bool read = pack_next(&pack, &name, &path, &text);

		if (!read)
			fault_set(why, "5.3.0", "what master sent are no texts of notices");
		if (!read || !entry_add(&new, name, path, text, why)) {
			templates_fini(&new);
			return false;
		}
	}
	templates_fini(t);
	*t = new;
	return true;
}

static const struct template *find(const struct templates *t, struct slice language, enum notice_kind kind)
{
	for (const struct template_entry *e = t->entries; e != NULL; e = e->next)
		if (e->kind == kind && slice_equal_nocase(e->language, language))
			return &e->words;
	return NULL;
}

const struct template *templates_find(const struct templates *t, struct slice language, enum notice_kind kind)
{
	size_t dash = slice_find(language, '-');
	const struct template *found = find(t, language, kind);

	if (found == NULL && dash != SIZE_MAX)
		found = find(t, slice_head(language, dash), kind);
	if (found == NULL)
		found = find(t, SLICE("en"), kind);
	return found != NULL ? found : &built_in[kind];
}
