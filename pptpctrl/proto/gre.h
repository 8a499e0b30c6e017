/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The enhanced GRE header of PPTP and when to acknowledge: RFC 2637
 * sections 4.1 and 4.2.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_GRE_H
#define PROTO_GRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRE_HDR_MIN	8u	/* without sequence and acknowledgment */
#define GRE_HDR_MAX	16u
#define GRE_PROTO_PPP	0x880bu
#define GRE_ACK_DELAY_US 100000u	/* a lone ack is at most this late */
#define GRE_ACK_EVERY	16u	/* frames that force one: a quarter of the 64
				 * we advertise at least */

enum gre_status {
	GRE_OK,			/* header fine; payload_len may be 0 */
	GRE_NOT_PPTP,		/* another GRE user's packet */
	GRE_BAD,		/* PPTP's, but flags the RFC forbids */
	GRE_SHORT,		/* truncated header or payload */
};

struct gre_pkt {
	uint16_t call_id;	/* receiver's, from the key */
	bool has_seq;
	bool has_ack;
	uint32_t seq;
	uint32_t ack;
	const uint8_t *payload;	/* into the caller's buffer */
	size_t payload_len;	/* by the header's length: trailing bytes cut */
};

/*
 * What a parsed packet may be: data (has_seq, payload_len > 0) with or
 * without ack; a lone ack; or, with payload_len 0 and nothing to
 * acknowledge, something to ignore but for its ack: has_seq without payload
 * uses no number (RFC 2637 4.1).
 */

/*
 * Strip an IPv4 header with options from a packet as a raw socket delivers
 * it.  *ret_src, *ret_dst are network order.  False: not a whole IPv4 packet
 * with protocol 47, or a fragment.
 */
bool gre_strip_ip(const uint8_t *buf, size_t len, uint32_t *ret_src,
    uint32_t *ret_dst, const uint8_t **ret_gre, size_t *ret_len);

/* Parse buf[0..len), which starts at the GRE header.  ret_pkt untouched
 * unless GRE_OK. */
enum gre_status gre_parse(const uint8_t *buf, size_t len,
    struct gre_pkt *ret_pkt);

/* Write the header for pkt (call_id is the peer's; payload is not read) to
 * buf[GRE_HDR_MAX].  Returns its length, 8, 12 or 16. */
size_t gre_build(uint8_t *buf, const struct gre_pkt *pkt);

/*
 * Numbers and acknowledgments of one call, both directions.  Times are
 * microseconds of one monotonic clock.
 */
struct gre_flow {
	uint32_t tx_next;	/* number of the next frame we send */
	uint32_t rx_high;	/* highest number received; valid if rx_any */
	uint32_t peer_acked;	/* highest of ours the peer acknowledged;
				 * tx_next's start - 1 before the first */
	uint64_t ack_due;	/* when a lone ack must leave; 0: none owed */
	uint32_t unacked;	/* frames received since our last ack */
	bool rx_any;
	bool tx_any;		/* something was sent */
	bool peer_acked_any;
	uint32_t bad_acks;	/* acknowledgments of what was never sent */
};

/* Start at number 0 (RFC 2637 4.1) with nothing received. */
void gre_flow_init(struct gre_flow *f);

/* Go on where another process stopped: tx_next is ahead of all that it sent;
 * rx_high counts only with rx_any. */
void gre_flow_resume(struct gre_flow *f, uint32_t tx_next, bool rx_any,
    uint32_t rx_high);

/* An ack field arrived.  One of a number that was not sent is counted and
 * ignored (Cisco starts with 0xffffffff, Apple with 0), one that repeats or
 * is older than the last, as it comes with every reordering, only ignored. */
void gre_flow_acked(struct gre_flow *f, uint32_t ack);

/* A frame with number seq was received, delivered or not (late and
 * duplicate ones are acknowledged too; frames refused as forged are not
 * passed here).  Makes an ack due. */
void gre_flow_received(struct gre_flow *f, uint32_t seq, uint64_t now_us);

/* The peer restarted its numbers (reorder's n_jump moved): call this before
 * gre_flow_received, which else never acknowledges a lower number again. */
void gre_flow_rebase(struct gre_flow *f);

/* All frames up to high were received by somebody else, who acknowledged up
 * to acked: what is left of it is due now. */
void gre_flow_passed(struct gre_flow *f, uint32_t high, uint32_t acked,
    uint64_t now_us);

/* Fill seq and, if one is owed, ack of the data frame to be sent now. */
void gre_flow_send(struct gre_flow *f, struct gre_pkt *pkt);

/* Fill pkt, all but call_id, as a lone ack if one is due at now_us; false,
 * and pkt untouched, if not. */
bool gre_flow_lone_ack(struct gre_flow *f, struct gre_pkt *pkt,
    uint64_t now_us);

/* When gre_flow_lone_ack must be called; 0 when nothing is owed. */
uint64_t gre_flow_deadline(const struct gre_flow *f);

#endif
