/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All clients of one process: one epoll set, one raw GRE socket, batches
 * both ways.
 */
#ifndef PPTPLOAD_LOAD_H
#define PPTPLOAD_LOAD_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "call.h"
#include "hist.h"
#include "pptpload.h"

#define LOAD_BATCH	64u
#define PACKET_MAX	2048u

struct load {
	const struct options *o;
	int epoll, gre;
	uint64_t now;
	struct call *calls;
	uint16_t first_id;
	struct call *by_id[UINT16_MAX + 1];
	unsigned started, up, over, broken;
	uint64_t lost_at;	/* when the first of all was lost; 0: none is */
	bool none_told;		/* that none is up since then */
	bool working;		/* traffic may be sent */
	uint64_t asked_at;	/* when SIGUSR1 came; 0: it was answered */
	struct hist stage[STAGES], rtt;
	uint64_t foreign;	/* GRE that is no call's of ours */
	uint64_t send_errors;
	/* to be sent */
	unsigned tx_n;
	struct mmsghdr tx_msg[LOAD_BATCH];
	struct iovec tx_iov[LOAD_BATCH];
	struct sockaddr_in to;
	struct load_control {
		_Alignas(struct cmsghdr)
		char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} tx_control[LOAD_BATCH];
	uint8_t tx_data[LOAD_BATCH][PACKET_MAX];
	/* receiving */
	struct mmsghdr rx_msg[LOAD_BATCH];
	struct iovec rx_iov[LOAD_BATCH];
	uint8_t rx_data[LOAD_BATCH][PACKET_MAX];
};

/* Room for the next GRE packet of a call (source as in c); send it by
 * load_sent with its length. */
uint8_t *load_packet(struct load *l);
void load_sent(struct load *l, const struct call *c, size_t len);

/* What happened to a call. */
void load_up(struct load *l, struct call *c);
void load_over(struct load *l, struct call *c);
void load_ip(struct load *l, struct call *c, uint8_t *packet, size_t len);

/* --- traffic.c ---------------------------------------------------------- */

/* One echo in each call, again and again until it comes back: the server's
 * end is often set up later than ours.  True while one is missing. */
bool traffic_proving(struct load *l);

/* Begin the mode's traffic of all calls that are up, and go on with it. */
void traffic_start(struct load *l);
void traffic_run(struct load *l, uint64_t since);

/* End it: true while an answer is missing. */
bool traffic_stopping(struct load *l);

/* Has an echo that was sent after that time come back in every call that is
 * up? */
bool traffic_heard(const struct load *l, uint64_t since);

/* Add, for each call that is up, the longest time in which no echo came back
 * since this was called for the last time. */
void traffic_gaps(struct load *l, struct hist *ret);

/* A decrypted packet. */
void traffic_input(struct load *l, struct call *c, uint8_t *packet,
    size_t len);

#endif
