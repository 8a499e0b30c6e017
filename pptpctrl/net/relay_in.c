/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/relay_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* --- to pppd ------------------------------------------------------------ */

static void
mark_dirty(struct relay *r, struct flow *f)
{
	if (f->dirty || f->channel.kind == CHANNEL_L2TP)
		return;
	f->dirty = true;
	TAILQ_INSERT_TAIL(&r->dirties, f, dirties);
}

void
relay_flush_channels(struct relay *r)
{
	struct flow *f;

	l2tp_flush(&r->l2tp);
	while ((f = TAILQ_FIRST(&r->dirties))) {
		TAILQ_REMOVE(&r->dirties, f, dirties);
		f->dirty = false;
		channel_flush(&f->channel);
	}
	while (r->n_to_free > 0)
		bufs_put(&r->bufs, r->to_free[--r->n_to_free]);
}

static void
hold(struct flow *f, unsigned slot, const uint8_t *frame, size_t len)
{
	struct held_frame *h = &f->held[slot];
	uint8_t *copy = malloc(CHANNEL_HEADROOM +
	    (len < CHANNEL_MIN ? CHANNEL_MIN : len));

	if (!copy) {
		f->counts.drop[DROP_NO_BUFFER]++;
		return;
	}
	memcpy(copy + CHANNEL_HEADROOM, frame, len);
	free(h->data);
	h->data = copy;
	h->len = len;
}

void
relay_release_held(struct relay *r, struct flow *f)
{
	relay_flush_channels(r);
	for (unsigned i = 0; i < PPP_HOLD_SLOTS; i++) {
		struct held_frame *h = &f->held[i];

		if (!h->data)
			continue;
		channel_put(&f->channel, h->data + CHANNEL_HEADROOM, h->len);
		channel_flush(&f->channel);
		free(h->data);
		h->data = NULL;
	}
}

/* Move the kernel's keys on, over more lost frames than it can bridge by
 * itself.  False: that was not what was wrong. */
static bool
step_keys(struct flow *f)
{
	uint8_t step[CHANNEL_HEADROOM + CHANNEL_MIN];
	bool any = false;
	size_t n;

	while ((n = pppfilter_step(&f->filter, step + CHANNEL_HEADROOM,
	    CHANNEL_MIN)) > 0) {
		channel_put(&f->channel, step + CHANNEL_HEADROOM, n);
		channel_flush(&f->channel);
		any = true;
	}
	return any;
}

static bool
may_log_in(struct relay *r, struct flow *f, const uint8_t *frame, size_t len)
{
	char name[256];

	return f->trusted || !r->claim ||
	    !pppfilter_claim(frame, len, name, sizeof(name)) ||
	    r->claim(f, name, r->arg);
}

/* A frame whose turn it is: the filter's word, then on to pppd. */
static void
deliver(struct relay *r, struct flow *f, uint8_t *frame, size_t len,
    uint32_t seq)
{
	enum ppp_verdict verdict;
	unsigned slot = 0;

	verdict = pppfilter_in(&f->filter, frame, len, seq, &slot);
	if (verdict == PPP_DROP_MPPE && step_keys(f))
		verdict = pppfilter_in(&f->filter, frame, len, seq, &slot);
	switch (verdict) {
	case PPP_PASS:
		if (!may_log_in(r, f, frame, len)) {
			f->counts.drop[DROP_LOGIN]++;
			break;
		}
		f->counts.rx_frames++;
		f->counts.rx_bytes += len;
		channel_put(&f->channel, frame, len);
		mark_dirty(r, f);
		break;
	case PPP_HOLD:
		hold(f, slot, frame, len);
		break;
	case PPP_DROP_SHORT:
		f->counts.drop[DROP_SHORT]++;
		break;
	case PPP_DROP_PLAIN:
		f->counts.drop[DROP_PLAIN]++;
		break;
	case PPP_DROP_OVERSIZE:
		f->counts.drop[DROP_OVERSIZE]++;
		break;
	case PPP_DROP_PROTOCOL:
		f->counts.drop[DROP_PROTOCOL]++;
		break;
	case PPP_DROP_MPPE:
		f->counts.drop[DROP_MPPE]++;
		break;
	}
}

/* Held frames whose turn has come.  Their buffers are given back when the
 * batch has left. */
static void
deliver_held(struct relay *r, struct flow *f)
{
	uint32_t h, seq;

	while (reorder_next(&f->reorder, &h, &seq)) {
		struct buf *b = bufs_at(&r->bufs, h);

		deliver(r, f, b->data + b->off, b->len, seq);
		if (r->n_to_free == TO_FREE_MAX)
			relay_flush_channels(r);
		r->to_free[r->n_to_free++] = h;
	}
}

/* --- from the network --------------------------------------------------- */

/* Should what comes now bring us down, it is known whose it was. */
static void
begin(struct relay *r, const struct flow *f)
{
	if (r->table && f->key != 0)
		state_begin(r->table, f->key);
}

static void
end(struct relay *r)
{
	if (r->table)
		state_end(r->table);
}

static void
list_flow(struct relay *r, struct flow *f)
{
	if (!f->ack_listed && gre_flow_deadline(&f->gre) != 0) {
		f->ack_listed = true;
		TAILQ_INSERT_TAIL(&r->acks, f, acks);
		if (r->ack_at == 0)
			r->ack_at = r->now + ACK_TICK_US;
	}
	if (!f->gap_listed && reorder_deadline(&f->reorder) != 0) {
		f->gap_listed = true;
		TAILQ_INSERT_TAIL(&r->gaps, f, gaps);
	}
}

static void
count_order_drop(struct flow *f, enum reorder_verdict v)
{
	enum flow_drop kind = v == REORDER_LATE ? DROP_LATE :
	    v == REORDER_DUP ? DROP_DUP : DROP_FAR;

	f->counts.drop[kind]++;
}

static void
prepare_rx(struct relay *r, unsigned i)
{
	r->rx_iov[i].iov_base = bufs_at(&r->bufs, r->rx_buf[i])->data;
	r->rx_iov[i].iov_len = FRAME_SIZE;
}

bool
relay_in_init(struct relay *r)
{
	for (unsigned i = 0; i < BATCH; i++) {
		r->rx_buf[i] = bufs_get(&r->bufs);
		if (r->rx_buf[i] == NO_BUF)
			return false;
		prepare_rx(r, i);
		r->rx_msg[i].msg_hdr.msg_iov = &r->rx_iov[i];
		r->rx_msg[i].msg_hdr.msg_iovlen = 1;
	}
	return true;
}

/* Keep the frame in receive buffer i until its turn and put another buffer
 * in its place; when there is none left, this flow's held frames go. */
static void
keep(struct relay *r, struct flow *f, unsigned i, const struct gre_pkt *pkt)
{
	struct buf *b = bufs_at(&r->bufs, r->rx_buf[i]);
	uint32_t spare, h;

	b->off = (uint16_t)(pkt->payload - b->data);
	b->len = (uint16_t)pkt->payload_len;
	reorder_put(&f->reorder, pkt->seq, r->rx_buf[i]);
	for (;;) {
		spare = bufs_get(&r->bufs);
		if (spare != NO_BUF || !reorder_steal(&f->reorder, &h))
			break;
		f->counts.drop[DROP_NO_BUFFER]++;
		bufs_put(&r->bufs, h);
	}
	r->rx_buf[i] = spare;
	prepare_rx(r, i);
}

/* A data frame of an attached flow, in receive buffer i. */
static void
data_frame(struct relay *r, struct flow *f, unsigned i,
    const struct gre_pkt *pkt)
{
	struct buf *b = bufs_at(&r->bufs, r->rx_buf[i]);
	uint32_t jumps = f->reorder.n_jump;
	enum reorder_verdict v;

	if (!f->first_seen) {
		f->first_seen = true;
		r->first(f, r->arg);
	}
	v = reorder_input(&f->reorder, pkt->seq, r->now);
	if (f->reorder.n_jump != jumps)
		gre_flow_rebase(&f->gre);
	if (v != REORDER_FAR)
		gre_flow_received(&f->gre, pkt->seq, r->now);
	switch (v) {
	case REORDER_DELIVER:
		deliver(r, f, b->data + (pkt->payload - b->data),
		    pkt->payload_len, pkt->seq);
		deliver_held(r, f);
		break;
	case REORDER_HOLD:
		keep(r, f, i, pkt);
		deliver_held(r, f);
		break;
	case REORDER_LATE:
	case REORDER_DUP:
	case REORDER_FAR:
		count_order_drop(f, v);
		break;
	}
	/* A quarter of the window unacknowledged: at once. */
	if (gre_flow_deadline(&f->gre) != 0 &&
	    gre_flow_deadline(&f->gre) <= r->now)
		relay_lone_ack(r, f, r->now);
	list_flow(r, f);
}

static void
packet(struct relay *r, unsigned i, size_t len)
{
	struct buf *b = bufs_at(&r->bufs, r->rx_buf[i]);
	uint32_t src, dst;
	const uint8_t *gre;
	size_t gre_len;
	struct gre_pkt pkt;
	struct flow *f;

	r->counts.gre_packets++;
	if (!gre_strip_ip(b->data, len, &src, &dst, &gre, &gre_len)) {
		r->counts.short_++;
		return;
	}
	switch (gre_parse(gre, gre_len, &pkt)) {
	case GRE_OK:
		break;
	case GRE_NOT_PPTP:
		r->counts.not_pptp++;
		return;
	case GRE_BAD:
		r->counts.bad++;
		return;
	case GRE_SHORT:
		r->counts.short_++;
		return;
	}
	f = r->flow[pkt.call_id];
	if (!f) {
		r->counts.unknown_call++;
		return;
	}
	if (f->peer.s_addr != src || f->own.s_addr != dst) {
		r->counts.spoofed++;
		return;
	}
	if (f->fast.st)
		fast_look(f, r->now);
	if (pkt.has_ack)
		gre_flow_acked(&f->gre, pkt.ack);
	if (!pkt.has_seq || pkt.payload_len == 0)
		return;
	if (f->fast.st)
		relay_take(r, f);
	begin(r, f);
	data_frame(r, f, i, &pkt);
	flow_keep_numbers(f);
	end(r);
}

void
relay_receive(struct relay *r)
{
	r->now = relay_now_us();
	for (int round = 0; round < ROUNDS; round++) {
		int n = recvmmsg(r->gre_fd, r->rx_msg, BATCH, MSG_DONTWAIT,
		    NULL);

		if (n <= 0)
			break;	/* EAGAIN, or an ICMP error of some peer */
		for (unsigned i = 0; i < (unsigned)n; i++) {
			if (r->rx_msg[i].msg_hdr.msg_flags & MSG_TRUNC)
				r->counts.truncated++;
			else
				packet(r, i, r->rx_msg[i].msg_len);
		}
		relay_flush_channels(r);
		if (n < (int)BATCH)
			break;
	}
	relay_tx_flush(r);
	relay_give(r);
}

void
relay_do_gaps(struct relay *r)
{
	struct flow *f, *next;

	for (f = TAILQ_FIRST(&r->gaps); f; f = next) {
		uint64_t due = reorder_deadline(&f->reorder);

		next = TAILQ_NEXT(f, gaps);
		if (due > r->now)
			continue;
		if (due != 0) {
			reorder_expire(&f->reorder, r->now);
			deliver_held(r, f);
			flow_keep_numbers(f);
		}
		if (reorder_deadline(&f->reorder) == 0) {
			TAILQ_REMOVE(&r->gaps, f, gaps);
			f->gap_listed = false;
		}
	}
	relay_flush_channels(r);
}
