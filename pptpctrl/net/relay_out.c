/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/relay_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void
relay_tx_flush(struct relay *r)
{
	if (r->senders)
		senders_take_tx(r->senders, &r->tx);
	else
		tx_send(&r->tx, r->gre_fd);
}

/* A frame from pppd, TX_HEADROOM bytes of room before it, which stays until
 * tx_flush. */
static void
tx_frame(struct relay *r, struct flow *f, uint8_t *frame, size_t len)
{
	struct gre_pkt pkt = { .call_id = f->peer_id, .payload_len = len };
	uint8_t head[GRE_HDR_MAX];
	size_t n;

	if (f->fast.st)
		f->gre.tx_next = fast_tx_number(f);
	gre_flow_send(&f->gre, &pkt);
	f->live->tx_next = f->gre.tx_next;
	if (pkt.has_ack)
		fast_acked(f, pkt.ack);
	n = gre_build(head, &pkt);
	memcpy(frame - n, head, n);
	tx_add(&r->tx, f, frame - n, len + n);
	f->counts.tx_frames++;
	f->counts.tx_bytes += len;
	f->live->tx_frames = f->counts.tx_frames;
	f->live->tx_bytes = f->counts.tx_bytes;
}

/* --- acks --------------------------------------------------------------- */

void
relay_lone_ack(struct relay *r, struct flow *f, uint64_t when)
{
	struct gre_pkt pkt = { .call_id = f->peer_id };
	uint8_t *at;

	if (!gre_flow_lone_ack(&f->gre, &pkt, when))
		return;
	fast_acked(f, pkt.ack);
	if (r->tx.n == BATCH)
		relay_tx_flush(r);
	at = r->tx.own[r->tx.n];
	tx_add(&r->tx, f, at, gre_build(at, &pkt));
	r->counts.acks_sent++;
}

void
relay_do_acks(struct relay *r)
{
	struct flow *f, *next;

	if (r->ack_at == 0 || r->ack_at > r->now)
		return;
	for (f = TAILQ_FIRST(&r->acks); f; f = next) {
		uint64_t due = gre_flow_deadline(&f->gre);

		next = TAILQ_NEXT(f, acks);
		if (due > r->now + ACK_TICK_US)
			continue;
		TAILQ_REMOVE(&r->acks, f, acks);
		f->ack_listed = false;
		relay_lone_ack(r, f, due);
	}
	r->ack_at = TAILQ_EMPTY(&r->acks) ? 0 : r->now + ACK_TICK_US;
	relay_tx_flush(r);
}

/* --- from pppd ---------------------------------------------------------- */

/* What a frame from pppd asks of us besides sending it; false: drop it. */
static bool
look_at_output(struct flow *f, const uint8_t *frame, size_t len,
    bool *ret_release)
{
	uint8_t ack[CHANNEL_HEADROOM + 16];
	size_t n;

	*ret_release = false;
	switch (pppfilter_out(&f->filter, frame, len)) {
	case PPP_OUT_PLAIN:
		break;
	case PPP_OUT_RELEASE:
		*ret_release = true;
		break;
	case PPP_OUT_TERM_REQ:
		if (!f->client_gone)
			break;
		n = pppfilter_term_ack(ack + CHANNEL_HEADROOM, 16, frame,
		    len);
		if (n > 0) {
			channel_put(&f->channel, ack + CHANNEL_HEADROOM, n);
			channel_flush(&f->channel);
		}
		break;
	case PPP_OUT_BAD:
		f->counts.drop[DROP_OUT]++;
		return false;
	}
	return true;
}

/* A batch from the tunnel in the order in which it is sent. */
struct from_tunnel {
	unsigned n;
	struct {
		struct flow *f;
		uint8_t *frame;
		size_t len;
		int count;	/* of pppout.h */
	} at[BATCH];
};

/* Where a frame that others have overtaken has its place; b->n: these were
 * sent already. */
static unsigned
place_before(const struct from_tunnel *b, const struct flow *f, int count)
{
	unsigned place = b->n;

	for (unsigned i = b->n; i-- > 0;)
		if (b->at[i].f == f && b->at[i].count != PPPOUT_NONE &&
		    pppout_before(count, b->at[i].count))
			place = i;
	return place;
}

static void
add_in_order(struct from_tunnel *b, struct flow *f, uint8_t *frame, size_t len)
{
	int count = PPPOUT_NONE;
	unsigned place = b->n;

	/* What the fast path sends itself is not known here; what it leaves
	 * to us has been in one CPU's queue. */
	if (!f->fast.st && pppout_late(&f->out, frame, len, &count)) {
		place = place_before(b, f, count);
		if (place == b->n) {
			f->counts.drop[DROP_OUT]++;
			return;
		}
	}
	memmove(&b->at[place + 1], &b->at[place],
	    (b->n - place) * sizeof(b->at[0]));
	b->at[place].f = f;
	b->at[place].frame = frame;
	b->at[place].len = len;
	b->at[place].count = count;
	b->n++;
}

static void
send_in_order(struct relay *r, const struct from_tunnel *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct flow *f = b->at[i].f;
		bool release;

		if (!look_at_output(f, b->at[i].frame, b->at[i].len, &release))
			continue;
		tx_frame(r, f, b->at[i].frame, b->at[i].len);
		if (release)
			relay_release_held(r, f);
	}
	relay_tx_flush(r);
}

int
relay_on_udp(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)revents;
	r->now = relay_now_us();
	for (int round = 0; round < ROUNDS; round++) {
		struct from_tunnel batch = { .n = 0 };
		struct mmsghdr msg[BATCH];
		struct iovec iov[BATCH];
		int n;

		memset(msg, 0, sizeof(msg));
		for (unsigned i = 0; i < BATCH; i++) {
			iov[i].iov_base = r->udp_buf[i] + TX_HEADROOM;
			iov[i].iov_len = FRAME_SIZE;
			msg[i].msg_hdr.msg_iov = &iov[i];
			msg[i].msg_hdr.msg_iovlen = 1;
		}
		n = recvmmsg(fd, msg, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			break;
		for (unsigned i = 0; i < (unsigned)n; i++) {
			uint8_t *p = r->udp_buf[i] + TX_HEADROOM;
			size_t len = msg[i].msg_len;
			struct flow *f;
			uint16_t id;

			/* Only the kernel sends here: the pair is
			 * connected. */
			if (len < L2TP_HEADER || p[0] != 0 || p[1] != 2)
				continue;
			id = (uint16_t)(p[4] << 8 | p[5]);
			f = r->flow[id];
			relay_take_out(r, id, f);
			if (f)
				add_in_order(&batch, f, p + L2TP_HEADER,
				    len - L2TP_HEADER);
			else
				r->counts.no_session++;
		}
		send_in_order(r, &batch);
		if (n < (int)BATCH)
			break;
	}
	relay_arm_timer(r);
	return 0;
}

void
relay_on_pty_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct flow *f = arg;
	struct relay *r = f->relay;
	uint8_t *at;
	bool release;

	if (!frame) {
		relay_tx_flush(r);
		return;
	}
	if (!look_at_output(f, frame, len, &release))
		return;
	if (r->tx.n == BATCH)
		relay_tx_flush(r);
	at = r->tx.own[r->tx.n] + TX_HEADROOM;
	memcpy(at, frame, len);
	tx_frame(r, f, at, len);
	if (release)
		relay_release_held(r, f);
}
