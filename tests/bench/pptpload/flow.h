/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test traffic: datagrams whose every byte follows from flow and number, so
 * that both ends can tell loss, order, duplicates and damage.  The same
 * content is used in UDP, between pptpload and its sink, and in ICMP echoes.
 */
#ifndef PPTPLOAD_FLOW_H
#define PPTPLOAD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_PORT	5999
#define FLOW_MIN	32u	/* bytes of content at least */
#define FLOW_ACK_EVERY	8u
#define FLOW_STALL_US	200000u	/* no acknowledgment: the window is lost */

enum flow_kind {
	FLOW_DATA = 1,
	FLOW_ACK,		/* number: highest seen; a: received, b: bad */
	FLOW_START,		/* please send; a: size, b: window */
	FLOW_STOP,		/* stamp 0, as that of its FLOW_ACK */
};

struct flow_head {
	enum flow_kind kind;
	uint32_t flow, number, a, b;
	uint64_t stamp;		/* us, sender's clock */
};

/* Write the content of a datagram of len >= FLOW_MIN bytes. */
void flow_write(uint8_t *at, size_t len, const struct flow_head *h);

/* Read it; false when a byte is not as it should be. */
bool flow_read(const uint8_t *at, size_t len, struct flow_head *ret);

/* What one end received. */
struct flow_rx {
	bool any;
	uint32_t highest;
	uint64_t window;	/* bit n: highest - n was seen */
	uint64_t received, bytes, bad, reordered, duplicate;
};

void flow_received(struct flow_rx *r, uint32_t number, size_t bytes);

#endif
