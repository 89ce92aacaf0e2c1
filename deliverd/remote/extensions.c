#include "deliverd/remote/extensions.h"

#include "common/base/number.h"

static void read_mechanisms(struct slice words, struct extensions *e)
{
	struct slice word;

	while (slice_word(&words, &word)) {
		e->auth_plain = e->auth_plain || slice_equal_nocase(word, SLICE("PLAIN"));
		e->auth_login = e->auth_login || slice_equal_nocase(word, SLICE("LOGIN"));
	}
}

struct extensions extensions_read(struct slice text)
{
	struct slice line, word, value;
	struct extensions e = {0};

	(void)slice_cut(&text, '\n', &line); /* the far end's name */
	while (slice_cut(&text, '\n', &line)) {
		if (!slice_word(&line, &word))
			continue;
		e.pipelining = e.pipelining || slice_equal_nocase(word, SLICE("PIPELINING"));
		e.eight_bit_mime = e.eight_bit_mime || slice_equal_nocase(word, SLICE("8BITMIME"));
		e.starttls = e.starttls || slice_equal_nocase(word, SLICE("STARTTLS"));
		e.smtputf8 = e.smtputf8 || slice_equal_nocase(word, SLICE("SMTPUTF8"));
		e.dsn = e.dsn || slice_equal_nocase(word, SLICE("DSN"));
		if (slice_equal_nocase(word, SLICE("AUTH")))
			read_mechanisms(line, &e);
		else if (slice_starts_nocase(word, SLICE("AUTH="))) { /* as old hosts say it */
			read_mechanisms(slice_tail(word, 5), &e);
			read_mechanisms(line, &e);
		}
		if (slice_equal_nocase(word, SLICE("SIZE")) && slice_word(&line, &value) &&
		    !number_u64(value, UINT64_MAX, &e.size_max))
			e.size_max = 0;
	}
	return e;
}
