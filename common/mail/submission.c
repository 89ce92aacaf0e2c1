#include "common/mail/submission.h"

#include "common/base/clock.h"

bool submission_hides(struct slice name)
{
	return slice_equal_nocase(name, SLICE("bcc")) ||
	       slice_equal_nocase(name, SLICE("resent-bcc"));
}

struct submission submission_look(struct slice message)
{
	struct submission s = {0};
	struct slice rest = message, field, name;

	while (field_next(&rest, &field, &name)) {
		s.has_from |= slice_equal_nocase(name, SLICE("from"));
		s.has_date |= slice_equal_nocase(name, SLICE("date"));
		s.has_message_id |= slice_equal_nocase(name, SLICE("message-id"));
		s.has_bcc |= submission_hides(name);
	}
	s.header_bytes = message.n - rest.n;
	return s;
}

bool submission_append_missing(const struct submission *s, struct slice id, struct slice hostname,
			       uint64_t at_us, struct buf *out)
{
	bool ok = true;

	if (!s->has_date)
		ok = buf_append_cstr(out, "Date: ") && clock_append_rfc5322(out, at_us) &&
		     buf_append_cstr(out, "\r\n");
	if (!s->has_message_id)
		ok = ok && buf_printf(out, "Message-ID: <%.*s@%.*s>\r\n", SLICE_PRINTF(id),
				      SLICE_PRINTF(hostname));
	return ok;
}

bool submission_append_shown(struct slice header, struct buf *out)
{
	struct slice field, name;

	while (field_next(&header, &field, &name))
		if (!submission_hides(name) && !buf_append(out, field))
			return false;
	return true;
}
