#include "common/ipc/request.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/slice.h"

struct ipc_request {
	struct list node;
	struct ipc_requests *from; /* NULL: the connection has ended */
	uint32_t number;
	enum ipc_role role;
	unsigned worker;
};

void ipc_requests_init(struct ipc_requests *r, struct ipc_connection *c, enum ipc_role role, size_t window)
{
	*r = (struct ipc_requests){.connection = c, .role = role, .window = window};
	list_init(&r->list);
}

/* A question without a number to answer to would be a request that is NULL to its handler; what is only ever an answer, or opens a connection, is no
 * question. */
static bool is_in_order(enum ipc_type type, uint32_t number)
{
	static const struct {
		enum ipc_type type;
		const char *name;
	} types[] = {
#define M(number, name, from, to, fields) {IPC_TYPE_##name, #name},
		IPC_MESSAGES(M)
#undef M
	};

	if (type == IPC_TYPE_hello || type == IPC_TYPE_welcome || type == IPC_TYPE_failed || type == IPC_TYPE_done)
		return false;
	for (size_t i = 0; number == 0 && i < ARRAY_LENGTH(types); i++)
		if (types[i].type == type)
			return !slice_ends(slice_of_cstr(types[i].name), SLICE("_ask"));
	return true;
}

bool ipc_requests_take(struct ipc_requests *r, const struct ipc_message *m, uint32_t number, int *fd, ipc_handler_fn *fn, void *arg, struct fault *why)
{
	struct ipc_request *request;

	if (!is_in_order(m->type, number)) {
		fault_set(why, "5.5.1", "message type %d with request %u is no question and no notice", (int)m->type, number);
		return false;
	}
	if (number == 0) {
		fn(arg, NULL, m, fd);
		return true;
	}
	if (r->n >= r->window) {
		fault_set(why, "5.5.1", "more than the %zu asks that may wait", r->window);
		return false;
	}
	if ((request = memory_alloc(1, sizeof(*request), why)) == NULL)
		return false;
	*request = (struct ipc_request){.from = r, .number = number, .role = r->role, .worker = r->worker};
	list_append(&r->list, &request->node);
	r->n++;
	fn(arg, request, m, fd);
	return true;
}

void ipc_requests_orphan(struct ipc_requests *r)
{
	LIST_EACH(node, &r->list) {
		LIST_ENTRY(node, struct ipc_request, node)->from = NULL;
		list_remove(node);
	}
	r->n = 0;
}

void ipc_answer(struct ipc_request *request, const struct ipc_message *m, int fd)
{
	struct fault why = {0};

	if (request == NULL)
		return;
	if (request->from) {
		list_remove(&request->node);
		request->from->n--;
		if (!ipc_connection_send(request->from->connection, m, request->number, true, fd, &why)) {
			/* The asker must not wait for ever: it hears at least that there was something, be it the connection's end. That an answer of ours
			 * does not fit is nobody's mistake but ours: temporary. */
			struct ipc_message failed = IPC_MESSAGE(failed);

			fault_set(&failed.failed.why, "4.3.0", "%s", why.text);
			if (!ipc_connection_send(request->from->connection, &failed, request->number, true, -1, NULL))
				ipc_connection_break(request->from->connection);
		}
	}
	free(request);
}

void ipc_answer_fault(struct ipc_request *request, const struct fault *why)
{
	struct ipc_message m = IPC_MESSAGE(failed, .why = *why);

	ipc_answer(request, &m, -1);
}

enum ipc_role ipc_request_role(const struct ipc_request *request)
{
	return request->role;
}

unsigned ipc_request_worker(const struct ipc_request *request)
{
	return request->worker;
}
