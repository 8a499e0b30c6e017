/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/crossing.h"

#include <sys/socket.h>
#include <unistd.h>

#define UNREAD_MAX	8	/* late ones, ICMP errors */

static int
bound_to(struct in_addr near, struct sockaddr_in *ret_name)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = near };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*ret_name);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    getsockname(fd, (struct sockaddr *)ret_name, &len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int
crossing_open(struct crossing *c, struct in_addr near, struct in_addr far)
{
	struct sockaddr_in name[2];

	for (int i = 0; i < 2; i++)
		c->fd[i] = bound_to(near, &name[i]);
	for (int i = 0; i < 2; i++) {
		name[!i].sin_addr = far;
		if (c->fd[i] < 0 || connect(c->fd[i],
		    (struct sockaddr *)&name[!i], sizeof(name[!i])) < 0) {
			crossing_close(c);
			return -1;
		}
	}
	return 0;
}

void
crossing_close(struct crossing *c)
{
	for (int i = 0; i < 2; i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	c->fd[0] = c->fd[1] = -1;
}

void
crossing_send(struct crossing *c)
{
	c->sent++;
	/* One that cannot be sent does not arrive either. */
	for (int i = 0; i < 2; i++)
		(void)send(c->fd[i], &c->sent, sizeof(c->sent),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool
crossing_done(const struct crossing *c)
{
	bool done = true;

	for (int i = 0; i < 2; i++) {
		uint64_t got = 0, n;

		for (int k = 0; k < UNREAD_MAX; k++)
			if (recv(c->fd[i], &n, sizeof(n), MSG_DONTWAIT) ==
			    (ssize_t)sizeof(n))
				got = n;
		done = done && got == c->sent;
	}
	return done;
}
