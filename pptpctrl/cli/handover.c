/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "conf.h"
#include "ipc.h"
#include "log.h"
#include "net/status.h"
#include "priv/listen.h"

#define MIN_WORDS	6	/* DEBUG NOIPPARAM OPT SPEED LOCAL REMOTE */
#define WAIT_S		10
#define TRIES		3	/* two clients may start a server at once */

static bool
is_flag(const char *word)
{
	return strcmp(word, "0") == 0 || strcmp(word, "1") == 0;
}

bool
handover_is(int argc, char **argv)
{
	const char *slash = argc > 1 ? strrchr(argv[0], '/') : NULL;

	/* PoPToP starts it with blanks after the name. */
	return argc > 1 && strncmp(slash ? slash + 1 : argv[0], "pptpctrl",
	    8) == 0 && is_flag(argv[1]);
}

static int
connect_server(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = WAIT_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	listen_status_path(CONF_DEFAULT_PIDFILE, sun.sun_path,
	    sizeof(sun.sun_path));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* 1: taken, 0: refused, -1: there is no server. */
static int
give(int client)
{
	struct status_request req = { .version = STATUS_VERSION,
	    .op = STATUS_TAKE };
	struct status_record rec;
	int fd = connect_server();
	ssize_t n;

	if (fd < 0)
		return -1;
	n = ipc_send_now(fd, &req, sizeof(req), client);
	if (n >= 0)
		n = recv(fd, &rec, sizeof(rec), 0);
	close(fd);
	/* One that just ends answers nothing. */
	if (n <= 0)
		return -1;
	return n == sizeof(rec) && rec.version == STATUS_VERSION &&
	    rec.kind == STATUS_DONE && rec.count == 1;
}

/* The server goes into the background when it serves. */
static void
start_server(void)
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		for (int fd = 0; null >= 0 && fd <= 2; fd++)
			dup2(null, fd);
		close_range(3, ~0U, 0);
		setenv(LISTEN_NONE, "1", 1);
		/* What systemd said is about this process. */
		unsetenv("NOTIFY_SOCKET");
		unsetenv("LISTEN_FDS");
		unsetenv("LISTEN_PID");
		execl("/proc/self/exe", "pptpd", (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
}

int
handover_run(int argc, char **argv)
{
	int r = -1;

	log_open("pptpd", true);
	if (argc <= MIN_WORDS) {
		fprintf(stderr, "usage: %s DEBUG NOIPPARAM OPTIONS SPEED LOCAL "
		    "REMOTE [...], with a client's connection as standard "
		    "input; for administrators: pptpctrl help\n", argv[0]);
		return 2;
	}
	if (sd_is_socket_inet(STDIN_FILENO, AF_INET, SOCK_STREAM, 0, 0) <= 0) {
		fprintf(stderr, "pptpctrl: standard input is no TCP connection "
		    "of IPv4: is this started by inetd (nowait) or by a "
		    "socket unit with Accept=yes?\n");
		return 2;
	}
	/* Its arguments are PoPToP's for one client; here they are in
	 * pptpd.conf, which is read by the server. */
	fcntl(STDIN_FILENO, F_SETFL, O_RDWR | O_NONBLOCK);
	listen_tune(STDIN_FILENO);
	for (int i = 0; i < TRIES && r < 0; i++) {
		r = give(STDIN_FILENO);
		if (r < 0)
			start_server();
	}
	if (r < 0)
		r = give(STDIN_FILENO);
	if (r < 0)
		log_err("MGR: no server takes the client of inetd, and none "
		    "can be started: see the lines above, or start pptpd");
	return r > 0 ? 0 : 1;
}
