/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client: its control connection, its GRE numbers, its PPP, its times.
 */
#ifndef PPTPLOAD_CALL_H
#define PPTPLOAD_CALL_H

#include "control.h"
#include "flow.h"
#include "ppp.h"

#define USER_MAX	64u

enum call_state {
	CALL_IDLE,		/* its turn has not come */
	CALL_CONNECTING,
	CALL_SCCRQ,
	CALL_OCRQ,
	CALL_PPP,
	CALL_UP,
	CALL_ENDING,		/* we hang up */
	CALL_OVER,
};

/* Stages whose times are kept. */
enum stage {
	STAGE_SYN, STAGE_TCP, STAGE_SCCRP, STAGE_OCRP, STAGE_LCP, STAGE_AUTH,
	STAGE_UP, STAGES
};

struct load;

extern const struct ppp_io call_ppp_io;

struct call {
	struct load *load;
	enum call_state state;
	int fd;				/* -1: none */
	uint16_t index, id, peer_id;
	struct in_addr source;
	uint8_t in[CONTROL_MAX_LEN];
	size_t in_len;
	/* GRE */
	uint32_t tx_next, rx_high;
	bool rx_any;
	unsigned unacked;		/* received since our last ack */
	uint64_t gre_reordered, gre_lost;
	struct ppp ppp;
	char user[USER_MAX];
	uint64_t at[STAGES];		/* us; 0: not reached */
	uint64_t deadline;		/* of setting up, or of ending */
	uint64_t echo_at;		/* next Echo-Request */
	bool echo_open;			/* the last one is not answered */
	const char *failure;		/* why it never came up, or broke */
	unsigned again;			/* how often it logged in anew */
	/* traffic */
	bool proved;			/* a first echo came back */
	uint64_t prove_at;
	uint32_t flow;			/* its name in datagrams */
	uint32_t tx_number, acked;
	uint64_t sent, acked_at;
	uint64_t echo_sent, heard_at;	/* of the newest that came back, and when */
	uint64_t gap;			/* longest between two of them */
	uint32_t far_received, far_bad;	/* as the sink last said */
	uint64_t stop_at;		/* when to ask it to stop, again */
	bool settled;			/* it has */
	struct flow_rx rx;
	unsigned rx_unacked;
};

/* Connect. */
void call_start(struct call *c);

/* Its socket is readable, writable or broken. */
void call_ready(struct call *c);

/* A GRE packet for it arrived, without the IP header. */
void call_gre(struct call *c, uint8_t *gre, size_t len);

/* Look at what is due: repetitions, acks, echoes, deadlines. */
void call_tick(struct call *c);

/* Hang up politely; over at once when there is nothing to be polite to. */
void call_hang_up(struct call *c);

/* Send an IP packet of packet[0..len), PPP_HEADROOM before it. */
void call_send_ip(struct call *c, uint8_t *packet, size_t len);

#endif
