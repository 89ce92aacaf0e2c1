#include "common/conf/settings.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/conf/pattern.h"

#define TEXT_MAX_OCTETS (1u << 20)

const struct setting_description setting_descriptions[] = {
#define SETTING(name, type, def, min, max, when, who, text) {#name, def, min, max, text, type, when, who},
	SETTINGS(SETTING)
#undef SETTING
};
const size_t n_setting_descriptions = ARRAY_LENGTH(setting_descriptions);

enum {
#define SETTING(name, type, def, min, max, when, who, text) SETTING_##name,
	SETTINGS(SETTING)
#undef SETTING
	N_SETTINGS
};

static const size_t offsets[] = {
#define SETTING(name, type, def, min, max, when, who, text) offsetof(struct settings, name),
	SETTINGS(SETTING)
#undef SETTING
};

struct settings_private {
	struct arena arena;
	unsigned given[N_SETTINGS]; /* the line each was given in; 0: it has its default */
};

/* Where the value of the i-th setting lies; the table says which type it has. */
static void *field(const struct settings *s, size_t i)
{
	union {
		const void *constant;
		char *own;
	} p = {.constant = s};

	return p.own + offsets[i];
}

static size_t find_setting(struct slice name)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (slice_equal(name, slice_of_cstr(setting_descriptions[i].name)))
			return i;
	return N_SETTINGS;
}

/* Levenshtein's distance, for names no longer than the rows. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[64];

	if (a.n >= ARRAY_LENGTH(row) || b.n >= ARRAY_LENGTH(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b.n];
}

static const char *nearest_name(struct slice name)
{
	size_t best = name.n / 3 + 2;
	const char *nearest = NULL;

	for (size_t i = 0; i < N_SETTINGS; i++) {
		size_t d = distance(name, slice_of_cstr(setting_descriptions[i].name));

		if (name.n > 3 && slice_starts(slice_of_cstr(setting_descriptions[i].name), name))
			d = 0; /* tls_cert means tls_certificate, though tls_key is nearer */
		if (d < best) {
			best = d;
			nearest = setting_descriptions[i].name;
		}
	}
	return nearest;
}

/* A number with a unit, within the description's bounds. */
static bool parse_number(const struct setting_description *d, struct slice text, uint64_t *out, struct fault *why)
{
	uint64_t min = 0, max = UINT64_MAX;

	if (d->min[0] && !pattern_quantity(d->type, slice_of_cstr(d->min), &min))
		abort(); /* the table itself is wrong */
	if (d->max[0] && !pattern_quantity(d->type, slice_of_cstr(d->max), &max))
		abort();
	if (!pattern_quantity(d->type, text, out)) {
		fault_set(why, "5.5.4", "\"%.*s\" is no %s; right would be %s to %s", SLICE_PRINTF(text),
			  d->type == DURATION ? "duration" : d->type == SIZE ? "size" : "number", d->min, d->max);
		return false;
	}
	if (*out < min || *out > max) {
		fault_set(why, "5.5.4", "%.*s is out of range; right would be %s to %s", SLICE_PRINTF(text), d->min,
			  d->max);
		return false;
	}
	return true;
}

static bool parse_choice(const struct setting_description *d, struct slice text, unsigned *out, struct fault *why)
{
	struct slice words = slice_of_cstr(d->min), word;

	for (unsigned i = 0; slice_cut(&words, '|', &word); i++)
		if (slice_equal(word, text)) {
			*out = i;
			return true;
		}
	fault_set(why, "5.5.4", "\"%.*s\" is none of the words; right would be one of %s", SLICE_PRINTF(text), d->min);
	return false;
}

/* Only what is empty by default may be empty. */
static bool parse_text(const struct setting_description *d, struct slice text, struct slice *out, struct fault *why)
{
	if (text.n == 0 && d->default_text[0]) {
		fault_set(why, "5.5.4", "it is empty; right would be one such as %s", d->default_text);
		return false;
	}
	if (text.n && !pattern_matches(d->min, text, why))
		return false;
	*out = text;
	return true;
}

static bool parse_bool(struct slice text, bool *out, struct fault *why)
{
	*out = slice_equal(text, SLICE("yes"));
	if (*out || slice_equal(text, SLICE("no")))
		return true;
	fault_set(why, "5.5.4", "\"%.*s\" is no answer; right would be yes or no", SLICE_PRINTF(text));
	return false;
}

static bool add_line(struct settings *s, struct slices *lines, struct slice text, struct fault *why)
{
	struct slice *p = arena_alloc(&s->private->arena, (lines->n + 1) * sizeof(*p), why);

	if (p == NULL)
		return false;
	if (lines->n)
		memcpy(p, lines->p, lines->n * sizeof(*p));
	p[lines->n] = text;
	lines->p = p;
	lines->n++;
	return true;
}

/* Sets the i-th setting from text, which lives as long as s. */
static bool set_value(struct settings *s, size_t i, struct slice text, struct fault *why)
{
	const struct setting_description *d = &setting_descriptions[i];
	void *to = field(s, i);

	switch (d->type) {
	case TEXT:
		return parse_text(d, text, to, why);
	case LINES:
		if (text.n == 0)
			return true;
		return pattern_matches(d->min, text, why) && add_line(s, to, text, why);
	case NUMBER:
	case SIZE:
	case DURATION:
		return parse_number(d, text, to, why);
	case BOOL:
		return parse_bool(text, to, why);
	case CHOICE:
		return parse_choice(d, text, to, why);
	}
	return false;
}

static struct settings *settings_create(void)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (s && (s->private = calloc(1, sizeof(*s->private))) == NULL) {
		free(s);
		return NULL;
	}
	if (s)
		arena_init(&s->private->arena, 8 * TEXT_MAX_OCTETS);
	return s;
}

void settings_destroy(struct settings *s)
{
	if (s == NULL)
		return;
	arena_reset(&s->private->arena);
	free(s->private);
	free(s);
}

/* One line of the file; what is wrong with it goes to why. */
static bool take_line(struct settings *s, struct slice line, unsigned number, struct fault *why)
{
	size_t equals, i;
	struct slice name, value;
	const char *nearest;

	line = slice_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return true;
	equals = slice_find(line, '=');
	if (equals == SIZE_MAX || equals == 0) {
		fault_set(why, "5.5.4", "\"%.*s\" is no setting; right would be NAME = VALUE", SLICE_PRINTF(line));
		return false;
	}
	name = slice_trim(slice_head(line, equals));
	value = slice_trim(slice_tail(line, equals + 1));
	if ((i = find_setting(name)) == N_SETTINGS) {
		nearest = nearest_name(name);
		fault_set(why, "5.5.4", "%.*s is not a setting%s%s%s", SLICE_PRINTF(name),
			  nearest ? "; did you mean " : "; main.conf(5) lists them", nearest ? nearest : "",
			  nearest ? "?" : "");
		return false;
	}
	if (s->private->given[i] && setting_descriptions[i].type != LINES) {
		fault_set(why, "5.5.4", "%.*s is set in line %u already; one of the two must go", SLICE_PRINTF(name),
			  s->private->given[i]);
		return false;
	}
	s->private->given[i] = number;
	if (set_value(s, i, value, why))
		return true;
	fault_add(why, "%.*s", SLICE_PRINTF(name));
	return false;
}

static bool take_text(struct settings *s, struct slice text, const char *name, struct buf *problems)
{
	struct slice line;
	bool ok = true;

	for (unsigned number = 1; slice_cut(&text, '\n', &line); number++) {
		struct fault why = {0};

		if (!take_line(s, line, number, &why)) {
			buf_printf(problems, "%s line %u: %s\n", name, number, why.text);
			ok = false;
		}
	}
	return ok;
}

/* What is right alone and wrong together. */
static bool check_together(const struct settings *s, const char *name, struct buf *problems)
{
	bool ok = true;

	if (s->queue_retry_min > s->queue_retry_max) {
		buf_printf(problems, "%s: queue_retry_min is longer than queue_retry_max; right would be at most ", name);
		pattern_print_quantity(DURATION, s->queue_retry_max, problems);
		buf_append_char(problems, '\n');
		ok = false;
	}
	if (s->tls_key.n && s->tls_certificate.n == 0) {
		buf_printf(problems, "%s: tls_key is set without tls_certificate; right would be both or neither\n", name);
		ok = false;
	}
	return ok;
}

bool settings_parse(struct slice text, const char *name, struct settings **out, struct buf *problems)
{
	struct settings *s = settings_create();
	struct fault why = {0};
	struct slice copy;
	bool ok = false;

	if (text.n > TEXT_MAX_OCTETS) {
		buf_printf(problems, "%s: it is larger than %u octets\n", name, TEXT_MAX_OCTETS);
		goto out;
	}
	if (s == NULL || !arena_copy(&s->private->arena, text, &copy, &why)) {
		buf_printf(problems, "%s: %s\n", name, s ? why.text : "out of memory");
		goto out;
	}
	if (text.n && memchr(text.p, '\0', text.n)) {
		buf_printf(problems, "%s: it holds a NUL octet; it must be text\n", name);
		goto out;
	}
	ok = take_text(s, copy, name, problems);
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (s->private->given[i] == 0 &&
		    !set_value(s, i, slice_of_cstr(setting_descriptions[i].default_text), &why)) {
			buf_printf(problems, "%s: the default of %s: %s\n", name, setting_descriptions[i].name, why.text);
			ok = false;
		}
	ok = ok && check_together(s, name, problems);
	if (ok) {
		*out = s;
		s = NULL;
	}
out:
	settings_destroy(s);
	return ok;
}

static void append_choice(const struct setting_description *d, unsigned place, struct buf *out)
{
	struct slice words = slice_of_cstr(d->min), word;

	while (slice_cut(&words, '|', &word))
		if (place-- == 0)
			buf_append(out, word);
}

static void append_value(const struct settings *s, size_t i, struct buf *out)
{
	const struct setting_description *d = &setting_descriptions[i];
	const void *from = field(s, i);

	switch (d->type) {
	case TEXT:
		buf_append(out, *(const struct slice *)from);
		return;
	case NUMBER:
	case SIZE:
	case DURATION:
		pattern_print_quantity(d->type, *(const uint64_t *)from, out);
		return;
	case BOOL:
		buf_append_cstr(out, *(const bool *)from ? "yes" : "no");
		return;
	case CHOICE:
		append_choice(d, *(const unsigned *)from, out);
		return;
	case LINES:
		return; /* several values: print_setting */
	}
}

/* A line each: "NAME = VALUE", or the value alone. */
static void print_setting(const struct settings *s, size_t i, bool with_name, struct buf *out)
{
	const struct setting_description *d = &setting_descriptions[i];
	const struct slices *lines = field(s, i);
	const char *name = with_name ? d->name : "", *equals = with_name ? " = " : "";
	size_t before;

	if (d->type != LINES) {
		buf_printf(out, "%s%s", name, equals);
		before = buf_length(out);
		append_value(s, i, out);
		if (with_name && buf_length(out) == before)
			buf_truncate(out, before - 1); /* no blank at the end of a line */
		buf_append_char(out, '\n');
		return;
	}
	for (size_t n = 0; n < lines->n; n++)
		buf_printf(out, "%s%s%.*s\n", name, equals, SLICE_PRINTF(lines->p[n]));
}

/* Is the value another than the default's? */
static bool is_changed(const struct settings *s, const struct settings *defaults, size_t i)
{
	struct buf now, was;
	bool changed;

	buf_init(&now, TEXT_MAX_OCTETS);
	buf_init(&was, TEXT_MAX_OCTETS);
	print_setting(s, i, false, &now);
	print_setting(defaults, i, false, &was);
	changed = !slice_equal(buf_slice(&now), buf_slice(&was));
	buf_fini(&now);
	buf_fini(&was);
	return changed;
}

bool settings_print(const struct settings *s, enum settings_print_what what, struct buf *out)
{
	struct settings *defaults = NULL;
	struct buf problems;

	buf_init(&problems, 4096);
	if (!settings_parse(SLICE_EMPTY, "the defaults", &defaults, &problems)) {
		buf_fini(&problems);
		return false;
	}
	for (size_t i = 0; i < N_SETTINGS; i++) {
		if (what == SETTINGS_PRINT_PUBLIC && setting_descriptions[i].who == SECRET)
			continue;
		if (what == SETTINGS_PRINT_ALL || is_changed(s, defaults, i))
			print_setting(s, i, true, out);
	}
	settings_destroy(defaults);
	buf_fini(&problems);
	return !out->failed;
}

bool settings_print_one(const struct settings *s, struct slice name, struct buf *out)
{
	size_t i = find_setting(name);

	if (i == N_SETTINGS)
		return false;
	print_setting(s, i, false, out);
	return !out->failed;
}

bool settings_hostname(const struct settings *s, char *out, size_t size, struct fault *why)
{
	struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found = NULL;
	char name[256] = "";

	if (s->hostname.n)
		return slice_cstr(s->hostname, out, size, why);
	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	if (strchr(name, '.') == NULL && getaddrinfo(name, NULL, &hints, &found) == 0) {
		if (found->ai_canonname && strlen(found->ai_canonname) < sizeof(name))
			memcpy(name, found->ai_canonname, strlen(found->ai_canonname) + 1);
		freeaddrinfo(found);
	}
	if (strchr(name, '.') && pattern_matches("domain", slice_of_cstr(name), NULL))
		return slice_cstr(slice_of_cstr(name), out, size, why);
	fault_set(why, "5.3.5", "the system's name \"%s\" is no full domain name; set hostname in main.conf, mail.example.org say", name);
	return false;
}
