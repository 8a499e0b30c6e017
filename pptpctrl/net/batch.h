/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GRE packets that leave in one sendmmsg on the raw socket.
 */
#ifndef NET_BATCH_H
#define NET_BATCH_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/bufs.h"
#include "proto/gre.h"

#define BATCH		64u
#define TX_HEADROOM	GRE_HDR_MAX

struct flow;

struct pktinfo_control {
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct tx_batch {
	unsigned n;
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in to[BATCH];
	struct pktinfo_control control[BATCH];
	struct flow *flow[BATCH];
	uint8_t own[BATCH][TX_HEADROOM + FRAME_SIZE];	/* when copied */
};

/* One more, to f's peer and from the address that this talks to; there must
 * be room.  Its bytes stay until tx_send. */
void tx_add(struct tx_batch *tx, struct flow *f, uint8_t *packet, size_t len);

/* Send all; what the kernel refuses is counted in its flow. */
void tx_send(struct tx_batch *tx, int fd);

#endif
