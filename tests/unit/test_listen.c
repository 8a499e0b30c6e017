/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "priv/listen.h"
#include "priv/store.h"

#define CLIENTS	40	/* no accident leads them all to one of two */

/* As systemd binds it, with ReusePort=; *port 0: any, which is returned. */
static int
bind_it(uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(*port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t len = sizeof(sin);

	assert_true(fd > 2);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
	    sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 4 * CLIENTS), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

/* The sockets of a launcher that is given these: the unit's, and the one that
 * an earlier launcher kept (-1: none). */
static int
start(int unit, int kept, int ret_fd[LISTEN_MAX])
{
	char list[64], why[LISTEN_WHY_MAX];
	struct conf conf;
	int n;

	if (kept >= 0)
		snprintf(list, sizeof(list), "%d=+l0:%d=pptpd.socket", kept,
		    unit);
	else
		snprintf(list, sizeof(list), "%d=pptpd.socket", unit);
	setenv("PPTPCTRL_FDS", list, 1);
	assert_int_equal(store_init(), 0);
	conf_init(&conf);
	n = listen_sockets(&conf, ret_fd, why);
	conf_free(&conf);
	return n;
}

/* How many of CLIENTS connections come to a socket that does not block. */
static int
count(int fd)
{
	int n = 0, got;

	while ((got = accept(fd, NULL, NULL)) >= 0) {
		close(got);
		n++;
	}
	return n;
}

static void
call(uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (int i = 0; i < CLIENTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&sin,
		    sizeof(sin)), 0);
		close(fd);
	}
}

/* The store is one launcher's: each start is a process, which says how many
 * sockets it has. */
static int
sockets_of(int unit, int kept)
{
	int fd[LISTEN_MAX], status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(start(unit, kept, fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
the_first_socket_gets_all_clients(void **state)
{
	uint16_t port = 0;
	int first = bind_it(&port), later;

	(void)state;
	assert_int_equal(sockets_of(first, -1), 1);
	/* systemd's restart: another beside the one that is kept. */
	later = bind_it(&port);
	call(port);
	assert_int_equal(sockets_of(later, first), 2);
	call(port);
	assert_int_equal(count(first), 2 * CLIENTS);
	assert_int_equal(count(later), 0);
	close(first);
	/* Should it be lost, the other one is as good. */
	call(port);
	assert_int_equal(count(later), CLIENTS);
	close(later);
}

static void
what_is_kept_is_one_socket_for_each_of_the_units(void **state)
{
	uint16_t port = 0, other_port = 0;
	int first = bind_it(&port), other = bind_it(&other_port);
	int closed = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	/* The same after execve; of another address; no listening socket. */
	assert_int_equal(sockets_of(first, dup(first)), 1);
	assert_int_equal(sockets_of(other, first), 1);
	assert_int_equal(sockets_of(other, closed), 1);
	close(first);
	close(other);
	close(closed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_socket_gets_all_clients),
		cmocka_unit_test(
		    what_is_kept_is_one_socket_for_each_of_the_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
