/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least that a PPTP server can be, to measure others against: answers the
 * two requests of each control connection and starts pppd on the kernel's
 * PPTP socket.  It checks nothing.
 */
#include "pptpload.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_pppox.h>

#include "bytes.h"
#include "control.h"

#define OPTIONS_FILE	"/etc/ppp/options.pptpd"
#define LOCAL		"192.168.0.1"
#define FIRST_REMOTE	0xc0a80101u	/* 192.168.1.1 */

static bool
receive(int fd, uint8_t *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* The call's channel, or -1. */
static int
channel(struct in_addr own, struct in_addr peer, uint16_t own_id,
    uint16_t peer_id)
{
	struct sockaddr_pppox at = { .sa_family = AF_PPPOX,
	    .sa_protocol = PX_PROTO_PPTP };
	int fd = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_PPTP);

	at.sa_addr.pptp.call_id = own_id;
	at.sa_addr.pptp.sin_addr = own;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -1;
	at.sa_addr.pptp.call_id = peer_id;
	at.sa_addr.pptp.sin_addr = peer;
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? -1 : fd;
}

/* One connection, in a process of its own, until the client closes it. */
static void
serve(int fd, uint16_t id)
{
	struct sockaddr_in own, peer;
	socklen_t len = sizeof(own);
	struct in_addr remote = { .s_addr = htonl(FIRST_REMOTE + id) };
	char addresses[40], client[INET_ADDRSTRLEN];
	uint8_t buf[CONTROL_MAX_LEN];
	uint16_t peer_id;
	int chan;
	pid_t pppd;

	getsockname(fd, (struct sockaddr *)&own, &len);
	getpeername(fd, (struct sockaddr *)&peer, &len);
	if (!receive(fd, buf, 156))
		return;
	(void)!send(fd, buf, control_sccrp(buf), MSG_NOSIGNAL);
	if (!receive(fd, buf, 168))
		return;
	peer_id = get16(buf + 12);
	chan = channel(own.sin_addr, peer.sin_addr, id, peer_id);
	if (chan < 0)
		return;
	(void)!send(fd, buf, control_ocrp(buf, id, peer_id), MSG_NOSIGNAL);
	inet_ntop(AF_INET, &peer.sin_addr, client, sizeof(client));
	snprintf(addresses, sizeof(addresses), LOCAL ":%s", inet_ntoa(remote));
	pppd = fork();
	if (pppd == 0) {
		/* For "pptp_sock 3". */
		dup2(chan, 3);
		execlp("pppd", "pppd", "local", "file", OPTIONS_FILE,
		    addresses, "plugin", "pptpctrl.so", "pptp_client", client,
		    "pptp_sock", "3", "nodetach", "nopersist", "maxfail", "1",
		    (char *)NULL);
		_exit(127);
	}
	close(chan);
	while (recv(fd, buf, sizeof(buf), 0) >= (ssize_t)CONTROL_HEADER &&
	    control_type_of(buf) != CCRQ)
		;
	close(fd);
	kill(pppd, SIGTERM);
	waitpid(pppd, NULL, 0);
}

int
bare_main(const struct options *o)
{
	struct sockaddr_in own = { .sin_family = AF_INET,
	    .sin_addr = o->server, .sin_port = htons(CONTROL_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	signal(SIGCHLD, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    listen(fd, 1024) < 0) {
		perror("pptpload: listen");
		return 2;
	}
	for (uint16_t id = 1;; id++) {
		int conn = accept(fd, NULL, NULL);

		if (conn >= 0 && fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve(conn, id % 250);
			_exit(1);
		}
		if (conn >= 0)
			close(conn);
	}
}
