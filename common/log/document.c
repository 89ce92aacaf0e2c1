/* What the tables of events.h say, for tassis-log(5). */
#include "common/log/log.h"

#include "common/base/buf.h"
#include "common/base/mdoc.h"

static void append_event(struct buf *out, const char *name, const char *level, const char *text)
{
	buf_printf(out, ".It Sy %s Pq %s\n", name, level);
	mdoc_append(out, text);
}

static void append_key(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, ".It Va %s\n", name);
	mdoc_append(out, text);
}

#define LEVEL_NAME_ERROR "error"
#define LEVEL_NAME_WARNING "warning"
#define LEVEL_NAME_INFO "info"
#define LEVEL_NAME_DEBUG "debug"

bool log_print_mdoc(struct buf *out)
{
	buf_append_cstr(out, ".Ss Events\n.Bl -tag -width Ds\n");
#define EVENT(name, level, text) append_event(out, #name, LEVEL_NAME_##level, text);
	LOG_EVENTS(EVENT)
#undef EVENT
	buf_append_cstr(out, ".El\n.Ss Keys\n.Bl -tag -width Ds\n");
#define KEY(name, text) append_key(out, #name, text);
	LOG_KEYS(KEY)
#undef KEY
	buf_append_cstr(out, ".El\n");
	return !out->failed;
}
