/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two modes that need no GRE of ours: a call whose PPP is pppd's, on the
 * kernel's PPTP socket (the fastest client there is), and control connections
 * without calls.
 */
#include "pptpload.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_pppox.h>

#include "control.h"
#include "hist.h"

#define ANSWER_MS	10000
#define SLOW_US		100000u	/* of one control connection: worth a line */

static int
fail(const char *what)
{
	fprintf(stderr, "pptpload: %s: %s\n", what, strerror(errno));
	return 2;
}

/* Send a message and wait for the next whole one; 0 when none came. */
static size_t
ask(int fd, uint8_t *buf, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t have = 0, cut;

	if (poll(&p, 1, ANSWER_MS) != 1 ||
	    send(fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		return 0;
	p.events = POLLIN;
	while ((cut = control_cut(buf, have)) == 0) {
		ssize_t n;

		if (poll(&p, 1, ANSWER_MS) != 1 ||
		    (n = recv(fd, buf + have, CONTROL_MAX_LEN - have, 0)) <= 0)
			return 0;
		have += (size_t)n;
	}
	return cut == SIZE_MAX ? 0 : cut;
}

static int
connect_and_greet(const struct options *o)
{
	uint8_t buf[CONTROL_MAX_LEN];
	int fd = control_connect(o->server, o->source);
	size_t n;

	if (fd < 0)
		return -1;
	n = ask(fd, buf, control_sccrq(buf));
	if (n > 0 && control_sccrp_ok(buf, n))
		return fd;
	close(fd);
	return -1;
}

/* A mean would hide one that waited for seconds among thousands. */
static void
tell_slow(uint64_t since, uint64_t from, bool ok)
{
	printf("{\"event\":\"slow\",\"at_ms\":%.1f,\"ms\":%.1f,"
	    "\"answered\":%s}\n", (double)(from - since) / 1e3,
	    (double)(now_us() - from) / 1e3, ok ? "true" : "false");
	fflush(stdout);
}

int
control_main(const struct options *o)
{
	static struct hist each;
	uint64_t begun = now_us(), now;
	unsigned long failed = 0;
	double seconds;

	do {
		uint64_t from = now_us();
		int fd = connect_and_greet(o);

		if (fd >= 0) {
			close(fd);
			hist_add(&each, now_us() - from);
		} else {
			failed++;
		}
		now = now_us();
		if (now - from > SLOW_US)
			tell_slow(begun, from, fd >= 0);
		seconds = (double)(now - begun) / 1e6;
	} while (seconds < o->seconds);
	printf("{\"event\":\"result\",\"done\":%llu,\"failed\":%lu,"
	    "\"seconds\":%.3f,\"per_second\":%.1f,",
	    (unsigned long long)each.n, failed, seconds,
	    (double)each.n / seconds);
	hist_print(stdout, "each_ms", &each);
	puts("}");
	return failed > 0;
}

static int
pptp_socket(const struct options *o, int control, uint16_t *ret_call_id)
{
	struct sockaddr_pppox at = { .sa_family = AF_PPPOX,
	    .sa_protocol = PX_PROTO_PPTP };
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	uint8_t buf[CONTROL_MAX_LEN];
	uint16_t id, peer_id;
	int fd = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_PPTP);

	if (fd < 0 || getsockname(control, (struct sockaddr *)&own, &len) < 0)
		return -1;
	do {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return -1;
		at.sa_addr.pptp.call_id = id;
		at.sa_addr.pptp.sin_addr = own.sin_addr;
	} while (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 &&
	    errno == EBUSY);
	if (!control_ocrp_ok(buf, ask(control, buf, control_ocrq(buf, id)), id,
	    &peer_id))
		return -1;
	at.sa_addr.pptp.call_id = peer_id;
	at.sa_addr.pptp.sin_addr = o->server;
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -1;
	*ret_call_id = peer_id;
	return fd;
}

/* Answer the server's Echo-Requests until it, or pppd, is through. */
static void
keep_control(int control, pid_t pppd)
{
	uint8_t buf[CONTROL_MAX_LEN];
	size_t have = 0, cut;

	while (waitpid(pppd, NULL, WNOHANG) == 0) {
		struct pollfd p = { .fd = control, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 200) <= 0)
			continue;
		n = recv(control, buf + have, sizeof(buf) - have, 0);
		if (n <= 0) {
			kill(pppd, SIGTERM);
			waitpid(pppd, NULL, 0);
			break;
		}
		have += (size_t)n;
		while ((cut = control_cut(buf, have)) > 0 && cut != SIZE_MAX) {
			uint8_t reply[CONTROL_MAX_LEN];

			if (control_type_of(buf) == ECHO_RQ)
				(void)!send(control, reply,
				    control_echo_rp(reply, buf), MSG_NOSIGNAL);
			memmove(buf, buf + cut, have - cut);
			have -= cut;
		}
	}
}

static pid_t child;

static void
pass_on(int sig)
{
	if (child > 0)
		kill(child, sig);
}

int
kernel_main(const struct options *o)
{
	struct sigaction act = { .sa_handler = pass_on,
	    .sa_flags = SA_RESTART };
	uint8_t buf[CONTROL_MAX_LEN];
	int control = connect_and_greet(o), fd;
	uint16_t peer_id;

	if (control < 0)
		return fail("no control connection");
	fd = pptp_socket(o, control, &peer_id);
	if (fd < 0)
		return fail("no call");
	(void)!send(control, buf, control_sli(buf, peer_id), MSG_NOSIGNAL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	child = fork();
	if (child == 0) {
		/* The channel, for "pptp_sock 3". */
		if (fd != 3 && dup2(fd, 3) != 3)
			_exit(127);
		if (fd == 3)
			fcntl(fd, F_SETFD, 0);
		execvp(o->command[0], o->command);
		_exit(127);
	}
	close(fd);
	keep_control(control, child);
	return 0;
}
