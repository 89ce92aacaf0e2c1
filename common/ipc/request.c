#include "common/ipc/request.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/log/log.h"

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

bool ipc_requests_take(struct ipc_requests *r, const struct ipc_message *m, uint32_t number, int *fd, ipc_handler_fn *fn, void *arg, struct fault *why)
{
	struct ipc_request *request;

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
			/* The asker must not wait for ever: it hears at least that there was something. */
			struct ipc_message failed = IPC_MESSAGE(failed, .why = why);

			if (!ipc_connection_send(request->from->connection, &failed, request->number, true, -1, NULL))
				log_event(frame_refused, F_TEXT(peer, ipc_role_name(request->role)), F_FAULT(&why));
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
