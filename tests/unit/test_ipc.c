/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc.h"
#include "unit/full.h"

#define MANY	20000u	/* more than a socket takes */

/* One end is an ipc in a loop, the other a bare socket. */
static sd_event *loop;
static struct ipc *ipc;
static int other;

/* What the handler saw. */
static struct {
	unsigned n, ended;
	unsigned char buf[IPC_MSG_MAX];
	size_t len;
	int fd;
	bool free_it;
} got;

static void
handler(void *arg, const void *buf, size_t len, int fd)
{
	assert_ptr_equal(arg, &got);
	if (len == 0) {
		assert_null(buf);
		assert_int_equal(fd, -1);
		got.ended++;
	} else {
		got.n++;
		got.len = len;
		memcpy(got.buf, buf, len);
	}
	if (got.fd >= 0)
		close(got.fd);
	got.fd = fd;
	if (got.free_it) {
		ipc_free(ipc);
		ipc = NULL;
	}
}

static int
fresh(void **state)
{
	int pair[2];

	(void)state;
	memset(&got, 0, sizeof(got));
	got.fd = -1;
	if (sd_event_new(&loop) < 0 || ipc_pair(pair) < 0)
		return -1;
	ipc = ipc_new(loop, pair[0], handler, &got);
	other = pair[1];
	return ipc ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	ipc_free(ipc);
	ipc = NULL;
	if (got.fd >= 0)
		close(got.fd);
	if (other >= 0)
		close(other);
	loop = sd_event_unref(loop);
	return 0;
}

/* Serve all that is there to serve. */
static void
run(void)
{
	int r;

	while ((r = sd_event_run(loop, 0)) > 0)
		;
	assert_int_equal(r, 0);
}

static unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static bool
same_file(int a, int b)
{
	struct stat s, t;

	return fstat(a, &s) == 0 && fstat(b, &t) == 0 &&
	    s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* Send from the bare end: len bytes and n descriptors, all copies of fd. */
static void
raw_send(const void *buf, size_t len, int fd, size_t n)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf,
	    .iov_len = len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} u;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(&u, 0, sizeof(u));
	if (n > 0) {
		struct cmsghdr *cm;

		mh.msg_control = u.buf;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	assert_int_equal(sendmsg(other, &mh, MSG_NOSIGNAL), len);
}

static void
a_pair_is_not_inherited(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(ipc_pair(pair), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(fcntl(pair[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(pair[i], F_GETFL) & O_NONBLOCK);
		close(pair[i]);
	}
	assert_true(ipc_fd(ipc) >= 0);
	ipc_free(NULL);
}

static void
messages_pass_both_ways(void **state)
{
	unsigned char big[IPC_MSG_MAX], back[IPC_MSG_MAX];
	int fd = 4711;

	(void)state;
	memset(big, 0xa5, sizeof(big));
	raw_send("x", 1, -1, 0);
	raw_send(big, sizeof(big), -1, 0);
	run();
	assert_int_equal(got.n, 2);
	assert_int_equal(got.len, sizeof(big));
	assert_memory_equal(got.buf, big, sizeof(big));
	assert_int_equal(got.fd, -1);
	assert_int_equal(ipc_send(ipc, big, sizeof(big), -1), 0);
	assert_int_equal(ipc_recv(other, back, sizeof(back), &fd),
	    sizeof(big));
	assert_int_equal(fd, -1);
	assert_memory_equal(back, big, sizeof(big));
	assert_int_equal(ipc_recv(other, back, sizeof(back), &fd), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
a_descriptor_goes_along(void **state)
{
	int pipefd[2], fd = -1;
	char buf[4];

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	assert_int_equal(ipc_send(ipc, "fd", 2, pipefd[1]), 0);
	/* The sender still has its own. */
	assert_true(fcntl(pipefd[1], F_GETFD) >= 0);
	assert_int_equal(ipc_recv(other, buf, sizeof(buf), &fd), 2);
	assert_true(fd >= 0 && same_file(fd, pipefd[1]));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	raw_send("fd", 2, pipefd[0], 1);
	run();
	assert_true(got.fd >= 0 && same_file(got.fd, pipefd[0]));
	close(pipefd[0]);
	close(pipefd[1]);
}

static void
more_descriptors_are_not_leaked(void **state)
{
	unsigned before = open_descriptors();

	(void)state;
	raw_send("fds", 3, STDIN_FILENO, 3);
	run();
	assert_int_equal(got.n, 1);
	assert_int_equal(open_descriptors(), before + 1);
	close(got.fd);
	got.fd = -1;
	assert_int_equal(open_descriptors(), before);
}

/* The control data is cut: what came of it is closed, the sender is done. */
static void
too_many_descriptors_end_it(void **state)
{
	unsigned before = open_descriptors();

	(void)state;
	raw_send("fds", 3, STDIN_FILENO, 8);
	raw_send("later", 5, -1, 0);
	run();
	assert_int_equal(got.n, 0);
	assert_int_equal(got.ended, 1);
	assert_int_equal(open_descriptors(), before);
}

static void
an_oversized_message_ends_it(void **state)
{
	unsigned char big[IPC_MSG_MAX + 1];
	unsigned before = open_descriptors();

	(void)state;
	memset(big, 0, sizeof(big));
	raw_send("fine", 4, -1, 0);
	raw_send(big, sizeof(big), STDIN_FILENO, 1);
	raw_send("later", 5, -1, 0);
	run();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.ended, 1);
	assert_int_equal(open_descriptors(), before);
}

/* It is taken for the end; what came with it is closed. */
static void
an_empty_message_leaks_no_descriptor(void **state)
{
	unsigned before = open_descriptors();

	(void)state;
	raw_send("", 0, STDIN_FILENO, 2);
	run();
	assert_int_equal(got.n, 0);
	assert_int_equal(got.ended, 1);
	assert_int_equal(open_descriptors(), before);
}

static void
the_other_ends_death_is_told_once(void **state)
{
	(void)state;
	raw_send("last words", 10, -1, 0);
	close(other);
	other = -1;
	run();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.ended, 1);
	/* Sending to it is no error, and no signal. */
	assert_int_equal(ipc_send(ipc, "x", 1, -1), 0);
	run();
	assert_int_equal(got.ended, 1);
}

/* Messages 0..MANY-1 are read in order; returns how many were. */
static unsigned
read_numbers(unsigned next)
{
	unsigned value;
	int fd;

	while (ipc_recv(other, &value, sizeof(value), &fd) ==
	    sizeof(value)) {
		assert_int_equal(value, next);
		assert_int_equal(fd >= 0, value % 1000 == 999);
		if (fd >= 0) {
			assert_true(same_file(fd, STDIN_FILENO));
			close(fd);
		}
		next++;
	}
	return next;
}

static void
what_the_socket_cannot_take_waits(void **state)
{
	unsigned before = open_descriptors(), seen;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(ipc_send(ipc, &i, sizeof(i),
		    i % 1000 == 999 ? STDIN_FILENO : -1), 0);
	run();
	/* A first part is in the socket, the rest with us, with copies of
	 * its descriptors. */
	assert_true(open_descriptors() > before);
	seen = read_numbers(0);
	assert_true(seen > 0 && seen < MANY);
	while (seen < MANY) {
		unsigned was = seen;

		run();
		seen = read_numbers(seen);
		assert_true(seen > was);
	}
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(got.ended, 0);
}

static void
the_queue_has_an_end(void **state)
{
	unsigned char buf[8] = { 0 };
	unsigned before, n = 0;

	(void)state;
	before = open_descriptors();
	while (n < 1000000 && ipc_send(ipc, buf, sizeof(buf),
	    n % 1000 == 999 ? STDIN_FILENO : -1) == 0)
		n++;
	assert_int_equal(errno, ENOBUFS);
	assert_true(n >= 65536 && n < 1000000);
	assert_true(open_descriptors() > before);
	/* The queue goes with its descriptors, and its socket. */
	ipc_free(ipc);
	ipc = NULL;
	assert_int_equal(open_descriptors(), before - 1);
}

static void
a_full_queue_and_a_dead_end(void **state)
{
	unsigned char buf[8] = { 0 };

	(void)state;
	while (ipc_send(ipc, buf, sizeof(buf), -1) == 0)
		;
	close(other);
	other = -1;
	run();
	assert_int_equal(got.ended, 1);
}

static void
the_handler_may_free_it(void **state)
{
	(void)state;
	got.free_it = true;
	raw_send("one", 3, -1, 0);
	raw_send("two", 3, -1, 0);
	run();
	assert_int_equal(got.n, 1);
	assert_null(ipc);
}

static void
the_handler_may_free_it_at_the_end(void **state)
{
	(void)state;
	got.free_it = true;
	close(other);
	other = -1;
	run();
	assert_int_equal(got.ended, 1);
	assert_null(ipc);
}

/* The per-call parent reports pppd's end and goes; a command that crossed its
 * report on the way must not hide it. */
static void
last_words_survive_an_unread_command(void **state)
{
	char buf[16];
	int pair[2], fd = -1;

	(void)state;
	assert_int_equal(ipc_pair(pair), 0);
	assert_int_equal(send(pair[0], "exited", 6, 0), 6);
	assert_int_equal(send(pair[1], "term", 4, 0), 4);
	close(pair[0]);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &fd), 6);
	assert_memory_equal(buf, "exited", 6);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &fd), 0);
	close(pair[1]);
}

/* Who has no room for a descriptor still gets the message, and is told. */
static void
a_descriptor_without_room_is_reported(void **state)
{
	struct rlimit old;
	char buf[16];
	int pair[2], fd = -1;

	(void)state;
	assert_int_equal(ipc_pair(pair), 0);
	assert_int_equal(ipc_send_now(pair[0], "keep", 4, pair[0]), 4);
	take_all_descriptors(&old);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &fd), 4);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_memory_equal(buf, "keep", 4);
	assert_int_equal(fd, IPC_FD_LOST);
	close(pair[0]);
	assert_int_equal(ipc_recv(pair[1], buf, sizeof(buf), &fd), 0);
	assert_int_equal(fd, -1);
	close(pair[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pair_is_not_inherited),
		TEST(messages_pass_both_ways),
		TEST(a_descriptor_goes_along),
		TEST(more_descriptors_are_not_leaked),
		TEST(too_many_descriptors_end_it),
		TEST(an_oversized_message_ends_it),
		TEST(an_empty_message_leaks_no_descriptor),
		TEST(the_other_ends_death_is_told_once),
		TEST(what_the_socket_cannot_take_waits),
		TEST(the_queue_has_an_end),
		TEST(a_full_queue_and_a_dead_end),
		TEST(the_handler_may_free_it),
		TEST(the_handler_may_free_it_at_the_end),
		cmocka_unit_test(last_words_survive_an_unread_command),
		cmocka_unit_test(a_descriptor_without_room_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
