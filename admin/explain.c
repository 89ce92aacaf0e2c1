/* `tassis explain ADDRESS`: every row and setting that decides what happens to mail for it, from it
 * and by it, as lookupd finds them (lookupd/explain.h).
 * Touches: the socket control/lookupd.0. */
#include "admin/commands.h"

#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/ipc/link.h"
#include "common/service/layout.h"

#define WITHIN_MS 30000u
#define OUT_MAX (8u << 20)

/* The parts of the answer, in the order in which they are shown. */
static const struct part {
	const char *name, *json, *heading;
} parts[] = {
	{"to", "to", "Mail for it"},
	{"from", "from", "Mail from it"},
	{"by", "by", "Its user"},
	{"setting", "settings", "Settings"},
};

struct line {
	struct slice part, what, text;
};

static bool next_line(struct slice *rest, struct line *out)
{
	struct slice line;

	while (slice_cut(rest, '\n', &line)) {
		*out = (struct line){0};
		if (slice_cut(&line, '\t', &out->part) && slice_cut(&line, '\t', &out->what)) {
			out->text = line;
			return true;
		}
	}
	return false;
}

static struct slice address_in(struct slice answer)
{
	struct line line;

	while (next_line(&answer, &line)) {
		if (slice_equal(line.part, SLICE("address")))
			return line.text;
	}
	return SLICE_EMPTY;
}

static void put_text(struct buf *out, struct slice answer)
{
	buf_printf(out, "%.*s\n", SLICE_PRINTF(address_in(answer)));
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		struct slice rest = answer;
		struct line line;
		bool begun = false;

		while (next_line(&rest, &line)) {
			if (!slice_equal(line.part, slice_of_cstr(parts[i].name)))
				continue;
			if (!begun)
				buf_printf(out, "\n%s\n", parts[i].heading);
			begun = true;
			if (slice_equal(line.part, SLICE("setting")))
				buf_printf(out, "  %.*s =%s%.*s\n", SLICE_PRINTF(line.what),
					   line.text.n > 0 ? " " : "", SLICE_PRINTF(line.text));
			else
				buf_printf(out, "  %-10.*s %.*s\n", SLICE_PRINTF(line.what),
					   SLICE_PRINTF(line.text));
		}
	}
}

static void put_json(struct buf *out, struct slice answer)
{
	buf_append_char(out, '{');
	json_name(out, "address");
	json_string(out, address_in(answer));
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		struct slice rest = answer;
		struct line line;
		bool begun = false;

		json_name(out, parts[i].json);
		buf_append_char(out, '[');
		while (next_line(&rest, &line)) {
			if (!slice_equal(line.part, slice_of_cstr(parts[i].name)))
				continue;
			buf_append_cstr(out, begun ? ",{" : "{");
			begun = true;
			json_name(out, "what");
			json_string(out, line.what);
			json_name(out, "text");
			json_string(out, line.text);
			buf_append_char(out, '}');
		}
		buf_append_char(out, ']');
	}
	buf_append_cstr(out, "}\n");
}

static int explain(const struct admin *a, const char *address, bool json)
{
	struct ipc_message ask = IPC_MESSAGE(control_ask, .verb = SLICE("explain"),
					     .argument = slice_of_cstr(address));
	char path[LAYOUT_SOCKET_PATH_MAX];
	struct ipc_message answer;
	struct buf frame, out;
	struct fault why = {0};
	int status = ADMIN_FAILED;

	buf_init(&frame, IPC_FRAME_MAX);
	buf_init(&out, OUT_MAX);
	if (!layout_socket_path(a->settings, "control", "lookupd.0", path, &why) ||
	    !ipc_ask_once(path, &ask, WITHIN_MS, &frame, &answer, &why))
		goto out;
	if (answer.type != IPC_TYPE_control_answer) {
		fault_set(&why, "4.3.0", "lookupd answered another question");
		goto out;
	}
	if (answer.control_answer.refused) {
		(void)fprintf(stderr, "tassis: %.*s\n",
			      SLICE_PRINTF(slice_trim(answer.control_answer.text)));
		goto out;
	}
	if (json)
		put_json(&out, answer.control_answer.text);
	else
		put_text(&out, answer.control_answer.text);
	(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	status = ADMIN_DONE;
out:
	if (why.text[0] != '\0')
		(void)fprintf(stderr, "tassis: %s\n", why.text);
	buf_fini(&frame);
	buf_fini(&out);
	return status;
}

int command_explain(const struct admin *a, int argc, char **argv)
{
	const char *address = NULL;
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (address == NULL && argv[i][0] != '-')
			address = argv[i];
		else
			return admin_usage("explain");
	}
	if (address == NULL)
		return admin_usage("explain");
	if (!admin_is_running(a->settings)) {
		(void)fprintf(stderr, "tassis is not running\n");
		return ADMIN_NOT_RUNNING;
	}
	return explain(a, address, json);
}
