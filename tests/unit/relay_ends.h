/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands for the network and the tunnel in a test of the relay.
 */
#ifndef UNIT_RELAY_ENDS_H
#define UNIT_RELAY_ENDS_H

/* A raw socket's place takes one that keeps messages apart, too; the tunnel's
 * must know UDP_SEGMENT.  [0] is the relay's. */
static void
relay_ends(int gre[2], int udp[2])
{
	struct sockaddr_in name[2] = { 0 };
	socklen_t len = sizeof(name[0]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
	    gre), 0);
	for (int i = 0; i < 2; i++) {
		name[i].sin_family = AF_INET;
		name[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		udp[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(udp[i], (struct sockaddr *)&name[i],
		    len), 0);
		assert_int_equal(getsockname(udp[i],
		    (struct sockaddr *)&name[i], &len), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(connect(udp[i],
		    (struct sockaddr *)&name[!i], len), 0);
}

#endif
