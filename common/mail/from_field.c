#include "common/mail/from_field.h"

#include "common/mail/address_list.h"
#include "common/mail/path.h"

enum { FIELD_BYTES = 65536 };

void from_field_init(struct from_field *f)
{
	*f = (struct from_field){0};
	buf_init(&f->first, PATH_MAX_BYTES);
	buf_init(&f->sender, PATH_MAX_BYTES);
}

void from_field_fini(struct from_field *f)
{
	buf_fini(&f->first);
	buf_fini(&f->sender);
}

/* Reads the mailboxes in value; the first is kept, if it is one. Returns how many there are. */
static unsigned take_mailboxes(struct slice value, struct buf *first)
{
	enum address_found found;
	struct buf address;
	struct path p;
	unsigned n = 0;

	buf_init(&address, FIELD_BYTES);
	while ((found = address_list_next(&value, &address)) != ADDRESS_NONE) {
		if (n++ > 0 || found == ADDRESS_BAD ||
		    !mailbox_parse(buf_slice(&address), 0, &p, NULL))
			continue;
		if (!path_append(&p, first))
			buf_reset(first);
	}
	buf_fini(&address);
	return n;
}

void from_field_take(struct from_field *f, struct slice name, struct slice value, bool cut)
{
	if (slice_equal_nocase(name, SLICE("from"))) {
		if (f->n_from++ == 0 && !cut)
			f->n_mailboxes = take_mailboxes(value, &f->first);
	} else if (slice_equal_nocase(name, SLICE("sender"))) {
		if (f->n_sender++ == 0 && !cut)
			(void)take_mailboxes(value, &f->sender);
	}
}

struct slice from_field_mailbox(const struct from_field *f)
{
	if (f->n_from != 1)
		return SLICE_EMPTY;
	if (f->n_mailboxes > 1 && f->n_sender == 1 && buf_length(&f->sender) > 0)
		return buf_slice(&f->sender);
	return buf_slice(&f->first);
}
