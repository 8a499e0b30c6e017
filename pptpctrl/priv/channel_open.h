/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel ends of the three data paths, opened with root's rights: the
 * L2TP tunnel on a loopback UDP pair and its sessions, a raw pty, the
 * kernel's PPTP socket; and the raw GRE socket.
 */
#ifndef PRIV_CHANNEL_OPEN_H
#define PRIV_CHANNEL_OPEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_WHY_MAX	400

/* One L2TP tunnel for all relay calls.  Initialise with TUNNEL_INIT. */
struct tunnel {
	int kernel_fd;		/* the tunnel's UDP socket: carries it */
	int relay_fd;		/* the relay's end, connected to kernel_fd */
	uint32_t id;		/* both tunnel ids */
	/* With the fast path both ends are bound to its device's address near
	 * and connected to far, each to the other's port: behind the device,
	 * or near itself, which goes by lo.  0: on loopback. */
	struct in_addr near, far;
};
#define TUNNEL_INIT { .kernel_fd = -1, .relay_fd = -1 }

/*
 * Make the UDP pair, test it both ways, make the tunnel.  0, or -1 with a
 * sentence for people in why.  With t->relay_fd already open, keeps it and
 * connects it to the new tunnel: whoever shares it goes on with it.
 */
int tunnel_open(struct tunnel *t, char why[CHANNEL_WHY_MAX]);

/* Fill in near and far of a tunnel that was taken over. */
void tunnel_locate(struct tunnel *t);

/* Connect both ends to far.  0, or -1 with errno. */
int tunnel_move(struct tunnel *t, struct in_addr far);

/* Are both ends still bound and connected to each other?  Whoever has a copy
 * of one can undo that. */
bool tunnel_alive(const struct tunnel *t);

/* Close both ends; sessions of living pppds keep the kernel's part. */
void tunnel_close(struct tunnel *t);

/* A session with id call (both ways), bound so that frames wait in it.  A
 * descriptor, or -1 with errno; EEXIST: the id is taken; ENOENT: the tunnel
 * was deleted under us. */
int tunnel_session(const struct tunnel *t, uint16_t call);

/* A pty, both ends raw and close-on-exec.  0, or -1 with errno. */
int pty_open(int *ret_master, int *ret_slave);

/* The kernel's PPTP socket, bound and connected.  A descriptor, or -1 with
 * errno; EBUSY: call is taken on this host; EALREADY: the client's call id
 * is connected already. */
int pptp_socket(uint16_t call, struct in_addr own, uint16_t peer_call,
    struct in_addr peer);

/* The one raw socket for PPTP's GRE, filtered, without DF.  A descriptor, or
 * -1 with errno. */
int gre_socket(void);

/* One that only sends: no packet of the network is for it. */
int gre_send_socket(void);

#endif
