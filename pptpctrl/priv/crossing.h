/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does UDP still get through the fast path's device, as the tunnel's frames
 * must?  Two sockets of our own, bound and connected as the tunnel's two, each
 * of which sends the other a datagram now and then: a packet filter that stops
 * the tunnel's stops these.
 */
#ifndef PRIV_CROSSING_H
#define PRIV_CROSSING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct crossing {
	int fd[2];
	uint64_t sent;		/* number of the newest pair of datagrams */
};
#define CROSSING_INIT { .fd = { -1, -1 } }

/* Both bound to near and connected to far.  0, or -1 with errno. */
int crossing_open(struct crossing *c, struct in_addr near, struct in_addr far);
void crossing_close(struct crossing *c);

/* One datagram each way. */
void crossing_send(struct crossing *c);

/* Have both of the newest arrived? */
bool crossing_done(const struct crossing *c);

#endif
