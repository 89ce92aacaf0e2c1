#include "sendmail/options.h"

#include <string.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

/* Letters whose argument follows, in the same word or the next; only in the same word; and that
 * have none. */
#define WITH_ARGUMENT "ABCFLNORVXbefhopr"
#define WITH_REST "dq"
#define ALONE "GIUimntvx"

static bool set_mode(struct options *o, const char *word, struct fault *why)
{
	if (strcmp(word, "m") == 0)
		o->mode = MODE_SUBMIT;
	else if (strcmp(word, "s") == 0)
		o->mode = MODE_SMTP;
	else if (strcmp(word, "p") == 0)
		o->mode = MODE_QUEUE;
	else if (strcmp(word, "i") == 0)
		o->mode = MODE_NOTHING;
	else {
		fault_set(why, "5.5.4",
			  "-b%s is not done here; -bm, -bs, -bp and -bi are (`tassis start` starts "
			  "the daemons)",
			  word);
		return false;
	}
	return true;
}

/* RFC 3461 4.1, 4.3, 4.4. */
static bool set_notice(struct options *o, char letter, const char *word, struct fault *why)
{
	struct slice value = slice_of_cstr(word), rest = value, one;
	bool good = value.n > 0;

	if (letter == 'V') {
		o->envid = word;
		good = good && value.n <= 100; /* RFC 3461 4.4 */
		for (size_t i = 0; i < value.n; i++)
			good = good && value.p[i] >= ' ' && value.p[i] <= '~';
	} else if (letter == 'R') {
		o->ret = word;
		good = slice_equal_nocase(value, SLICE("full")) ||
		       slice_equal_nocase(value, SLICE("hdrs"));
	} else {
		o->notify = word;
		while (!slice_equal_nocase(value, SLICE("never")) && slice_cut(&rest, ',', &one))
			good = good && (slice_equal_nocase(one, SLICE("success")) ||
					slice_equal_nocase(one, SLICE("failure")) ||
					slice_equal_nocase(one, SLICE("delay")));
	}
	if (!good)
		fault_set(why, "5.5.4",
			  "-%c %s: right would be -N never or -N success,failure,delay; -R full or "
			  "-R hdrs; -V and printable ASCII",
			  letter, word);
	return good;
}

static bool take_argument(struct options *o, char letter, const char *word, struct fault *why)
{
	switch (letter) {
	case 'b':
		return set_mode(o, word, why);
	case 'C':
		o->conf = word;
		return true;
	case 'F':
		o->full_name = word;
		return true;
	case 'f':
	case 'r':
		o->sender = word;
		return true;
	case 'N':
	case 'R':
	case 'V':
		return set_notice(o, letter, word, why);
	case 'o':
		o->dot_is_text |= strcmp(word, "i") == 0;
		return true;
	case 'O':
		o->dot_is_text |= strncmp(word, "IgnoreDots", 10) == 0 &&
				  strcmp(word, "IgnoreDots=False") != 0;
		return true;
	default: /* what mattered to another sendmail: -B, -h, -L, -oem, -X … */
		return true;
	}
}

static void take_flag(struct options *o, char letter)
{
	if (letter == 't')
		o->from_header = true;
	else if (letter == 'i')
		o->dot_is_text = true;
	else if (letter == 'I')
		o->mode = MODE_NOTHING;
}

/* One word of options, which may hold several letters: -ti, -oem, -fann@example.org. *words stands
 * at the next, which it may take. */
static bool take_word(struct options *o, const char *letters, char ***words, struct fault *why)
{
	for (; *letters != '\0'; letters++) {
		if (strchr(WITH_REST, *letters) != NULL) {
			/* "-q" alone asks for a run of the queue, which runs by itself. */
			if (*letters == 'q')
				o->mode = MODE_NOTHING;
			return true;
		}
		if (strchr(WITH_ARGUMENT, *letters) != NULL) {
			const char *argument = letters[1] != '\0' ? letters + 1 : **words;

			if (argument == NULL) {
				fault_set(why, "5.5.4", "-%c wants something behind it", *letters);
				return false;
			}
			*words += letters[1] == '\0';
			return take_argument(o, *letters, argument, why);
		}
		if (strchr(ALONE, *letters) == NULL) {
			fault_set(why, "5.5.4", "there is no option -%c; see tassis-sendmail(1)",
				  *letters);
			return false;
		}
		take_flag(o, *letters);
	}
	return true;
}

static bool is_called(const char *program, const char *name)
{
	return slice_ends(slice_of_cstr(program), slice_of_cstr(name));
}

bool options_parse(char **argv, struct options *out, struct fault *why)
{
	char **words = argv[0] != NULL ? argv + 1 : argv;

	*out = (struct options){.mode = MODE_SUBMIT};
	if (argv[0] != NULL && is_called(argv[0], "mailq"))
		out->mode = MODE_QUEUE;
	else if (argv[0] != NULL && is_called(argv[0], "newaliases"))
		out->mode = MODE_NOTHING;
	while (*words != NULL && **words == '-' && (*words)[1] != '\0') {
		const char *word = *words++;

		if (strcmp(word, "--") == 0)
			break;
		if (!take_word(out, word + 1, &words, why))
			return false;
	}
	out->operands = words;
	return true;
}
