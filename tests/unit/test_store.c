/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "priv/proc.h"
#include "priv/store.h"

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd > 2);
	return fd;
}

/* As execve's other side gets them; one process, so one test of it. */
static void
what_was_handed_over_is_found_by_name(void **state)
{
	int shim = null(), table = null(), socket = null(), bad = null();
	int twice = null(), got[4];
	const char *name[4];
	char text[256];

	(void)state;
	snprintf(text, sizeof(text), "%d=+s1a2b:%d=+a7:%d=pptpd.socket:"
	    "%d=+s1a2b:%d=+?zz:0=+k0:nonsense", shim, table, socket, twice,
	    bad);
	setenv("PPTPCTRL_FDS", text, 1);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(store_init(), 0);
	assert_null(getenv("PPTPCTRL_FDS"));
	assert_true(store_inherited());
	assert_false(store_is_kept());
	assert_int_equal(store_others(got, name, 4), 1);
	assert_int_equal(got[0], socket);
	assert_string_equal(name[0], "pptpd.socket");
	/* The later of two with one name, and none that is no name. */
	assert_false(is_open(shim));
	assert_false(is_open(bad));
	assert_int_equal(store_last(STORE_SHIM), 0x1a2b);
	assert_int_equal(store_last(STORE_TUNNEL), -1);
	assert_int_equal(store_take(STORE_SHIM, 0x1a2b), twice);
	assert_int_equal(store_take(STORE_SHIM, 0x1a2b), -1);
	assert_int_equal(store_take(STORE_SHIM, STORE_NUMBERS), -1);
	/* One that was not taken gives way to a new one of its name. */
	store_put(STORE_CALLS, 7, twice);
	assert_false(is_open(table));
	store_drop_rest();
	assert_true(is_open(twice));
	assert_true(is_open(twice));
	assert_true(is_open(socket));
}

/* systemd's side: one datagram each, with the descriptor. */
static void
systemd_is_told(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd = null();
	char text[256];
	ssize_t n;

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/test-store.%d",
	    (int)getpid());
	assert_int_equal(bind(sock, (struct sockaddr *)&sun, sizeof(sun)), 0);
	setenv("NOTIFY_SOCKET", sun.sun_path, 1);
	assert_int_equal(store_init(), 0);
	assert_true(store_is_kept());
	store_put(STORE_TCP, 0x12, fd);
	n = recv(sock, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "FDSTORE=1\n"));
	assert_non_null(strstr(text, "FDPOLL=0\n"));
	assert_non_null(strstr(text, "FDNAME=+t12"));
	/* The same again is nothing new. */
	store_put(STORE_TCP, 0x12, fd);
	assert_int_equal(recv(sock, text, sizeof(text), MSG_DONTWAIT), -1);
	store_remove(STORE_TCP, 0x12);
	n = recv(sock, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "FDSTOREREMOVE=1\nFDNAME=+t12"));
	store_remove(STORE_TCP, 0x12);
	assert_int_equal(recv(sock, text, sizeof(text), MSG_DONTWAIT), -1);
	/* Out of range is nobody's. */
	store_put(STORE_TCP, STORE_NUMBERS, fd);
	store_remove(STORE_TCP, STORE_NUMBERS);
	assert_int_equal(recv(sock, text, sizeof(text), MSG_DONTWAIT), -1);
	unlink(sun.sun_path);
	unsetenv("NOTIFY_SOCKET");
	close(sock);
	close(fd);
}

static void
a_pid_is_a_process_only_with_its_start(void **state)
{
	uint64_t start = proc_start(getpid());
	pid_t child;
	int fd;

	(void)state;
	assert_true(start > 0);
	fd = proc_open(getpid(), start);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(proc_open(getpid(), start + 1), -1);
	assert_int_equal(proc_open(getpid(), 0), -1);
	assert_int_equal(proc_open(0, start), -1);
	assert_int_equal(proc_start(-1), 0);
	child = fork();
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(proc_start(child), 0);
	assert_int_equal(proc_open(child, start), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_handed_over_is_found_by_name),
		cmocka_unit_test(systemd_is_told),
		cmocka_unit_test(a_pid_is_a_process_only_with_its_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
