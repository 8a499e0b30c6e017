/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/gre.h"

#include <string.h>

#include "proto/wire.h"

#define IP_HDR_MIN	20u
#define IP_FRAGMENT	0x3fffu	/* more-fragments bit and offset */
#define IP_PROTO_GRE	47u

#define FLAG_K		0x2000u
#define FLAG_S		0x1000u
#define FLAG_A		0x0080u
#define VERSION_MASK	0x0007u
#define VERSION_PPTP	0x0001u
/* Checksum, routing, strict route, recursion and the reserved flags. */
#define FLAGS_ZERO	(0xffffu & ~(FLAG_K | FLAG_S | FLAG_A | VERSION_MASK))

bool
gre_strip_ip(const uint8_t *buf, size_t len, uint32_t *ret_src,
    uint32_t *ret_dst, const uint8_t **ret_gre, size_t *ret_len)
{
	struct rd r = { .p = buf, .left = len };
	uint8_t version_ihl = rd_u8(&r);
	size_t hdr_len = (size_t)(version_ihl & 0x0f) * 4;
	const uint8_t *addrs;
	size_t total;
	uint16_t fragment;
	uint8_t proto;

	rd_u8(&r);				/* type of service */
	total = rd_u16(&r);
	rd_u16(&r);				/* identification */
	fragment = rd_u16(&r);
	rd_u8(&r);				/* time to live */
	proto = rd_u8(&r);
	rd_u16(&r);				/* checksum: kernel's work */
	addrs = rd_bytes(&r, 8);
	if (addrs == NULL || version_ihl >> 4 != 4 || hdr_len < IP_HDR_MIN)
		return false;
	/* Ethernet pads short packets: total may be less than len. */
	if (total < hdr_len || total > len)
		return false;
	if (proto != IP_PROTO_GRE || (fragment & IP_FRAGMENT) != 0)
		return false;

	memcpy(ret_src, addrs, 4);
	memcpy(ret_dst, addrs + 4, 4);
	*ret_gre = buf + hdr_len;
	*ret_len = total - hdr_len;
	return true;
}

enum gre_status
gre_parse(const uint8_t *buf, size_t len, struct gre_pkt *ret_pkt)
{
	struct rd r = { .p = buf, .left = len };
	uint16_t flags = rd_u16(&r);
	uint16_t proto = rd_u16(&r);
	struct gre_pkt pkt = { 0 };

	if (r.bad)
		return GRE_SHORT;
	/* A raw socket also delivers GRE version 0 and the like. */
	if ((flags & VERSION_MASK) != VERSION_PPTP || proto != GRE_PROTO_PPP)
		return GRE_NOT_PPTP;
	if ((flags & FLAG_K) == 0 || (flags & FLAGS_ZERO) != 0)
		return GRE_BAD;

	pkt.payload_len = rd_u16(&r);
	pkt.call_id = rd_u16(&r);
	pkt.has_seq = (flags & FLAG_S) != 0;
	pkt.has_ack = (flags & FLAG_A) != 0;
	if (pkt.has_seq)
		pkt.seq = rd_u32(&r);
	if (pkt.has_ack)
		pkt.ack = rd_u32(&r);
	pkt.payload = rd_bytes(&r, pkt.payload_len);
	if (r.bad)
		return GRE_SHORT;
	/* A payload without a number could not be put in order. */
	if (!pkt.has_seq && pkt.payload_len > 0)
		return GRE_BAD;
	*ret_pkt = pkt;
	return GRE_OK;
}

size_t
gre_build(uint8_t *buf, const struct gre_pkt *pkt)
{
	struct wr w = { .p = buf, .left = GRE_HDR_MAX };
	unsigned flags = FLAG_K | VERSION_PPTP;

	if (pkt->has_seq)
		flags |= FLAG_S;
	if (pkt->has_ack)
		flags |= FLAG_A;
	wr_u16(&w, (uint16_t)flags);
	wr_u16(&w, GRE_PROTO_PPP);
	/* Android drops a packet whose length field is not exact. */
	wr_u16(&w, (uint16_t)pkt->payload_len);
	wr_u16(&w, pkt->call_id);
	if (pkt->has_seq)
		wr_u32(&w, pkt->seq);
	if (pkt->has_ack)
		wr_u32(&w, pkt->ack);
	return GRE_HDR_MAX - w.left;
}

void
gre_flow_init(struct gre_flow *f)
{
	memset(f, 0, sizeof(*f));
	f->peer_acked = UINT32_MAX;
}

void
gre_flow_resume(struct gre_flow *f, uint32_t tx_next, bool rx_any,
    uint32_t rx_high)
{
	gre_flow_init(f);
	f->tx_next = tx_next;
	f->tx_any = tx_next != 0;
	f->peer_acked = tx_next - 1;
	f->rx_any = rx_any;
	f->rx_high = rx_high;
}

void
gre_flow_acked(struct gre_flow *f, uint32_t ack)
{
	uint32_t outstanding = f->tx_next - (f->peer_acked + 1);

	/* Unsigned distances: right across the wrap, and also when a peer
	 * that never acknowledges (Android) leaves billions outstanding. */
	if (ack - (f->peer_acked + 1) < outstanding) {
		f->peer_acked = ack;
		f->peer_acked_any = true;
		return;
	}
	if (!f->peer_acked_any || f->peer_acked - ack > INT32_MAX)
		f->bad_acks++;
}

void
gre_flow_received(struct gre_flow *f, uint32_t seq, uint64_t now_us)
{
	uint64_t due = now_us + GRE_ACK_DELAY_US;

	if (!f->rx_any || seq - f->rx_high - 1 < INT32_MAX) {
		f->rx_high = seq;
		f->rx_any = true;
	}
	f->unacked++;
	/* Apple's sender stops at half the window it was offered. */
	if (f->unacked >= GRE_ACK_EVERY)
		due = now_us > 0 ? now_us : 1;
	if (f->ack_due == 0 || due < f->ack_due)
		f->ack_due = due;
}

void
gre_flow_rebase(struct gre_flow *f)
{
	f->rx_any = false;
}

static void
ack_sent(struct gre_flow *f)
{
	f->ack_due = 0;
	f->unacked = 0;
}

void
gre_flow_passed(struct gre_flow *f, uint32_t high, uint32_t acked,
    uint64_t now_us)
{
	if (!f->rx_any || high - f->rx_high - 1 < INT32_MAX) {
		f->rx_high = high;
		f->rx_any = true;
	}
	if (f->rx_high - acked - 1 >= INT32_MAX) {
		ack_sent(f);
		return;
	}
	f->unacked = f->rx_high - acked;
	f->ack_due = now_us > 0 ? now_us : 1;
}

void
gre_flow_send(struct gre_flow *f, struct gre_pkt *pkt)
{
	pkt->has_seq = true;
	pkt->seq = f->tx_next++;
	f->tx_any = true;
	pkt->has_ack = f->ack_due != 0;
	if (pkt->has_ack) {
		pkt->ack = f->rx_high;
		ack_sent(f);
	}
}

bool
gre_flow_lone_ack(struct gre_flow *f, struct gre_pkt *pkt, uint64_t now_us)
{
	if (f->ack_due == 0 || now_us < f->ack_due)
		return false;
	pkt->has_seq = false;
	pkt->seq = 0;
	pkt->has_ack = true;
	pkt->ack = f->rx_high;
	pkt->payload = NULL;
	pkt->payload_len = 0;
	ack_sent(f);
	return true;
}

uint64_t
gre_flow_deadline(const struct gre_flow *f)
{
	return f->ack_due;
}
