#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"

/* One end is a channel (queued's, at the other end is master), the other end is a bare socket in the hand of the test. */
struct wire {
	struct loop *loop;
	struct ipc_channel *channel;
	int fd;   /* the test's end */
	int null; /* a descriptor to send */
	unsigned n_frames, n_fds, n_gone, n_descriptors_before;
	struct stat last_fd;
	bool destroy_in_handler, keep, over;
	struct ipc_request *kept[64];
	size_t n_kept;
	char text[64];
};

static unsigned n_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct wire *w = arg;

	w->n_frames++;
	if (*fd >= 0) {
		w->n_fds++;
		assert_int_equal(fstat(*fd, &w->last_fd), 0);
	}
	if (m->type == IPC_TYPE_folder)
		snprintf(w->text, sizeof(w->text), "%.*s", SLICE_PRINTF(m->folder.name));
	if (w->keep)
		w->kept[w->n_kept++] = request;
	else
		ipc_answer(request, &IPC_MESSAGE(done, .number = 1), -1);
	if (w->destroy_in_handler) {
		ipc_channel_destroy(w->channel);
		w->channel = NULL;
	}
}

static void gone(void *arg)
{
	struct wire *w = arg;

	w->n_gone++;
}

static void wire_init(struct wire *w)
{
	int fds[2];

	*w = (struct wire){.n_descriptors_before = n_descriptors()};
	w->loop = loop_create(NULL);
	w->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	w->fd = fds[1];
	w->channel = ipc_channel_create(w->loop, fds[0], IPC_ROLE_QUEUED, IPC_ROLE_MASTER, handler, gone, w, NULL);
	assert_non_null(w->channel);
}

/* No descriptor may be left over, whatever came. */
static void wire_fini(struct wire *w)
{
	ipc_channel_destroy(w->channel);
	for (size_t i = 0; i < w->n_kept; i++)
		ipc_answer(w->kept[i], &IPC_MESSAGE(done, .number = 1), -1);
	fd_close(&w->fd);
	fd_close(&w->null);
	loop_destroy(w->loop);
	assert_int_equal(n_descriptors(), w->n_descriptors_before);
}

static void turns(struct wire *w, int n)
{
	while (n--)
		loop_turn(w->loop, false);
}

static void append_frame(struct buf *out, const struct ipc_message *m, uint32_t request, unsigned marks)
{
	size_t at = buf_length(out);

	assert_true(ipc_encode(m, request, out, NULL));
	out->p[out->start + at + 4] = (char)(out->p[out->start + at + 4] | (char)marks);
}

#define MARKED_FD 0x80u
#define MARKED_ANSWER 0x40u

static void send_octets(struct wire *w, struct slice octets, size_t n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(20 * sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_len = octets.n};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fds[20];

	memcpy(&part.iov_base, &octets.p, sizeof(octets.p));
	for (size_t i = 0; i < n_fds; i++)
		fds[i] = w->null;
	if (n_fds) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(w->fd, &message, MSG_NOSIGNAL), octets.n);
}

static struct ipc_message folder(const char *name)
{
	return IPC_MESSAGE(folder, .name = slice_of_cstr(name));
}

static void assert_closed(struct wire *w)
{
	char octets[4096];
	ssize_t n;

	turns(w, 5);
	while ((n = recv(w->fd, octets, sizeof(octets), MSG_DONTWAIT)) > 0)
		;
	assert_true(n == 0 || errno == ECONNRESET);
	assert_int_equal(w->n_gone, 1);
}

/* ---- frames ---- */

static void a_frame_may_come_octet_by_octet_with_its_descriptor_at_the_first(void **state)
{
	struct ipc_message m = folder("one"), plain = folder("two");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1000);
	append_frame(&b, &m, 0, MARKED_FD);
	append_frame(&b, &plain, 0, 0);
	for (size_t i = 0; i < buf_length(&b); i++) {
		send_octets(&w, slice_head(slice_tail(buf_slice(&b), i), 1), i == 0);
		turns(&w, 1);
	}
	assert_int_equal(w.n_frames, 2);
	assert_int_equal(w.n_fds, 1);
	assert_string_equal(w.text, "two");
	assert_int_equal(w.n_gone, 0);
	buf_fini(&b);
	wire_fini(&w);
}

static void many_frames_are_taken_from_one_read(void **state)
{
	struct ipc_message m = folder("x");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 60000);
	for (int i = 0; i < 1000; i++)
		append_frame(&b, &m, 0, 0);
	send_octets(&w, buf_slice(&b), 0);
	turns(&w, 1);
	assert_int_equal(w.n_frames, 1000);
	buf_fini(&b);
	wire_fini(&w);
}

static void a_frame_of_megabytes_comes_in_pieces(void **state)
{
	char *octets = calloc(1, IPC_ENVELOPE_MAX);
	struct ipc_message m = IPC_MESSAGE(file, .name = SLICE("key"), .path = SLICE("p")), text;
	struct wire w;
	struct buf b;
	size_t sent = 0;

	(void)state;
	wire_init(&w);
	memset(octets, 'a', IPC_ENVELOPE_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	append_frame(&b, &m, 0, 0);
	/* master sends nothing that big; an answer may be: the size is dealt with before the permission. */
	text = IPC_MESSAGE(deliver_answer, .results = slice_of(octets, IPC_LIST_MAX));
	append_frame(&b, &text, 5, 0);
	assert_true(fd_nonblocking(w.fd, NULL));
	while (sent < buf_length(&b) && w.n_gone == 0) {
		ssize_t n = send(w.fd, buf_slice(&b).p + sent, buf_length(&b) - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		turns(&w, 1);
	}
	turns(&w, 2000);
	assert_int_equal(sent, buf_length(&b));
	assert_int_equal(w.n_frames, 1);
	assert_closed(&w); /* not permitted from master */
	buf_fini(&b);
	free(octets);
	wire_fini(&w);
}

/* Each of these is wrong, after a right one, and closes the connection; none reaches the handler. */
static void each_wrong_frame_closes_the_connection(void **state)
{
	struct ipc_message right = folder("x"), role = IPC_MESSAGE(rcpt_ask, .user = SLICE("u")), hello = IPC_MESSAGE(hello, .role = 1),
			   failed = IPC_MESSAGE(failed), done = IPC_MESSAGE(done);
	struct {
		const char *what;
		struct slice octets;
		const struct ipc_message *m;
		uint32_t request;
		unsigned marks;
		size_t n_fds;
	} wrong[] = {
		{"a length beyond the maximum", SLICE("\x01\x00\x00\x00\x00"), NULL, 0, 0, 0},
		{"a length below the header's", SLICE("\0\0\0\x05zzzzz"), NULL, 0, 0, 0},
		{"a type that is none", SLICE("\0\0\0\x06\0\x05\0\0\0\0"), NULL, 0, 0, 0},
		{"a message that master may not send", {0}, &role, 1, 0, 0},
		{"hello on a connection that knows its ends", {0}, &hello, 0, 0, 0},
		{"failed as a question", {0}, &failed, 3, 0, 0},
		{"done as a notice", {0}, &done, 0, 0, 0},
		{"an answer that nobody awaits", {0}, &done, 3, MARKED_ANSWER, 0},
		{"a mark without a descriptor", {0}, &right, 0, MARKED_FD, 0},
		{"a descriptor without a mark", {0}, &right, 0, 0, 1},
		{"two descriptors", {0}, &right, 0, MARKED_FD, 2},
		{"three descriptors", {0}, &right, 0, MARKED_FD, 3},
		{"more descriptors than the kernel hands over", {0}, &right, 0, MARKED_FD, 20},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct wire w;
		struct buf b;

		wire_init(&w);
		buf_init(&b, 1000);
		append_frame(&b, &right, 0, 0);
		send_octets(&w, buf_slice(&b), 0);
		turns(&w, 2);
		assert_int_equal(w.n_frames, 1);
		buf_reset(&b);
		if (wrong[i].m)
			append_frame(&b, wrong[i].m, wrong[i].request, wrong[i].marks);
		else
			buf_append(&b, wrong[i].octets);
		send_octets(&w, buf_slice(&b), wrong[i].n_fds);
		turns(&w, 3);
		if (w.n_gone != 1)
			fail_msg("%s does not close the connection", wrong[i].what);
		/* With two descriptors the frame itself was right; what is over is seen behind it. */
		if (wrong[i].n_fds < 1)
			assert_int_equal(w.n_frames, 1);
		assert_closed(&w);
		buf_fini(&b);
		wire_fini(&w);
	}
}

static void two_descriptors_for_a_frame_that_has_only_begun_are_refused_at_once(void **state)
{
	struct ipc_message m = folder("x");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1000);
	append_frame(&b, &m, 0, MARKED_FD);
	send_octets(&w, slice_head(buf_slice(&b), 7), 2);
	turns(&w, 2);
	assert_int_equal(w.n_gone, 1);
	buf_fini(&b);
	wire_fini(&w);
}

static void a_descriptor_for_a_frame_that_never_ends_is_closed_with_the_connection(void **state)
{
	struct ipc_message m = folder("x");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1000);
	append_frame(&b, &m, 0, MARKED_FD);
	send_octets(&w, slice_head(buf_slice(&b), 7), 1);
	turns(&w, 2);
	fd_close(&w.fd);
	turns(&w, 2);
	assert_int_equal(w.n_gone, 1);
	assert_int_equal(w.n_frames, 0);
	buf_fini(&b);
	wire_fini(&w);
}

static void what_was_sent_before_the_end_is_still_taken(void **state)
{
	struct ipc_message m = folder("last");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1000);
	append_frame(&b, &m, 0, 0);
	send_octets(&w, buf_slice(&b), 0);
	fd_close(&w.fd);
	turns(&w, 3);
	assert_string_equal(w.text, "last");
	assert_int_equal(w.n_gone, 1);
	buf_fini(&b);
	wire_fini(&w);
}

static void more_questions_than_the_window_close_the_connection(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ping, .at_ms = 1);
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	w.keep = true;
	buf_init(&b, 10000);
	for (uint32_t i = 1; i <= 65; i++)
		append_frame(&b, &m, i, 0);
	send_octets(&w, buf_slice(&b), 0);
	turns(&w, 3);
	assert_int_equal(w.n_frames, 64);
	assert_closed(&w);
	buf_fini(&b);
	wire_fini(&w);
}

static void a_handler_may_destroy_the_channel_it_is_called_from(void **state)
{
	struct ipc_message m = folder("x");
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	w.destroy_in_handler = true;
	buf_init(&b, 1000);
	append_frame(&b, &m, 0, MARKED_FD);
	append_frame(&b, &m, 0, 0);
	send_octets(&w, buf_slice(&b), 1);
	turns(&w, 3);
	assert_int_equal(w.n_frames, 1);
	assert_int_equal(w.n_gone, 0);
	buf_fini(&b);
	wire_fini(&w);
}

/* ---- sending ---- */

/* One recvmsg, which counts and closes the descriptors that come with it. */
static ssize_t receive_some(struct wire *w, char *octets, size_t size, unsigned *n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(20 * sizeof(int))];
	} control;
	struct iovec part = {octets, size};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(w->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
		int fd;

		assert_int_equal(h->cmsg_len, CMSG_LEN(sizeof(int))); /* one a call */
		memcpy(&fd, CMSG_DATA(h), sizeof(int));
		fd_close(&fd);
		++*n_fds;
	}
	return n;
}

static void read_all(struct wire *w, struct buf *b, unsigned *n_fds)
{
	ssize_t n;

	while ((n = receive_some(w, buf_reserve(b, 65536), 65536, n_fds)) > 0)
		buf_commit(b, (size_t)n);
}

static void many_notices_with_descriptors_all_go_out(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ready, .pid = 1);
	unsigned n_fds = 0, n = 0, marked = 0;
	struct wire w;
	struct buf b;
	struct slice rest;
	size_t length;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1u << 20);
	for (int i = 0; i < 300; i++)
		assert_true(ipc_channel_send(w.channel, &m, i % 3 ? w.null : -1, NULL));
	turns(&w, 1);
	read_all(&w, &b, &n_fds);
	for (int i = 0; i < 20; i++) {
		turns(&w, 1);
		read_all(&w, &b, &n_fds);
	}
	for (rest = buf_slice(&b); ipc_frame_length(rest, &length, NULL) && length; rest = slice_tail(rest, length)) {
		n++;
		marked += rest.p[4] & 0x80 ? 1 : 0;
	}
	assert_int_equal(n, 300);
	assert_int_equal(n_fds, 200);
	assert_int_equal(marked, 200);
	buf_fini(&b);
	wire_fini(&w);
}

static void a_descriptor_goes_with_the_first_octet_of_its_frame(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ready, .pid = 1);
	struct wire w;

	(void)state;
	wire_init(&w);
	for (int i = 0; i < 9; i++)
		assert_true(ipc_channel_send(w.channel, &m, i % 3 == 1 ? w.null : -1, NULL));
	turns(&w, 1);
	for (unsigned i = 0; i < 9 * 14; i++) {
		unsigned n_fds = 0;
		char octet;

		assert_int_equal(receive_some(&w, &octet, 1, &n_fds), 1);
		assert_int_equal(n_fds, i % 14 == 0 && i / 14 % 3 == 1);
	}
	wire_fini(&w);
}

static void on_timer(void *arg)
{
	struct wire *w = arg;

	w->over = true;
}

static void a_full_socket_is_waited_for(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ready, .pid = 7);
	unsigned n_fds = 0, n = 100000;
	struct loop_timer timer;
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 8u << 20);
	for (unsigned i = 0; i < n; i++)
		assert_true(ipc_channel_send(w.channel, &m, i == n / 2 ? w.null : -1, NULL));
	turns(&w, 3);
	for (int i = 0; i < 1000; i++) {
		read_all(&w, &b, &n_fds);
		turns(&w, 1);
	}
	assert_int_equal(buf_length(&b), n * 14);
	assert_int_equal(n_fds, 1);
	/* And no more waited for once it is empty: the loop would turn round and round. */
	loop_timer_init(&timer, w.loop, on_timer, &w);
	loop_timer_set(&timer, 50);
	for (n = 0; !w.over; n++)
		loop_turn(w.loop, true);
	assert_in_range(n, 1, 20);
	buf_fini(&b);
	wire_fini(&w);
}

static void what_was_queued_is_tried_once_when_a_channel_is_destroyed(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ready, .pid = 7);
	unsigned n_fds = 0;
	struct wire w;
	struct buf b;

	(void)state;
	wire_init(&w);
	buf_init(&b, 1000000);
	assert_true(ipc_channel_send(w.channel, &m, -1, NULL));
	ipc_channel_destroy(w.channel);
	w.channel = NULL;
	read_all(&w, &b, &n_fds);
	assert_int_equal(buf_length(&b), 14);
	buf_fini(&b);
	wire_fini(&w);
}

static void a_notice_on_a_dead_channel_is_refused(void **state)
{
	struct ipc_message m = IPC_MESSAGE(ready, .pid = 7);
	struct fault why = {0};
	struct wire w;

	(void)state;
	wire_init(&w);
	fd_close(&w.fd);
	assert_true(ipc_channel_send(w.channel, &m, -1, NULL)); /* nobody knows yet */
	turns(&w, 3);
	assert_int_equal(w.n_gone, 1);
	assert_false(ipc_channel_send(w.channel, &m, -1, &why));
	assert_true(why.text[0]);
	wire_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_may_come_octet_by_octet_with_its_descriptor_at_the_first),
		cmocka_unit_test(many_frames_are_taken_from_one_read),
		cmocka_unit_test(a_frame_of_megabytes_comes_in_pieces),
		cmocka_unit_test(each_wrong_frame_closes_the_connection),
		cmocka_unit_test(two_descriptors_for_a_frame_that_has_only_begun_are_refused_at_once),
		cmocka_unit_test(a_descriptor_for_a_frame_that_never_ends_is_closed_with_the_connection),
		cmocka_unit_test(what_was_sent_before_the_end_is_still_taken),
		cmocka_unit_test(more_questions_than_the_window_close_the_connection),
		cmocka_unit_test(a_handler_may_destroy_the_channel_it_is_called_from),
		cmocka_unit_test(many_notices_with_descriptors_all_go_out),
		cmocka_unit_test(a_descriptor_goes_with_the_first_octet_of_its_frame),
		cmocka_unit_test(a_full_socket_is_waited_for),
		cmocka_unit_test(what_was_queued_is_tried_once_when_a_channel_is_destroyed),
		cmocka_unit_test(a_notice_on_a_dead_channel_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
