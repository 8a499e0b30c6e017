/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/relay.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH		64u
#define ROUNDS		4	/* batches per wakeup, then others' turn */
#define FRAME_SIZE	2048u
#define TX_HEADROOM	GRE_HDR_MAX
#define ACK_TICK_US	25000u	/* acks are looked after this often */
#define FAST_BUSY_US	10000u	/* the fast path is looked after so often, */
#define FAST_IDLE_US	100000u	/* or so, while it has nothing to do */
#define TO_FREE_MAX	256u
#define CHUNK		64u	/* buffers allocated at once */
#define CHUNKS_MAX	128u	/* 16 MB for all calls together */

/* A received packet; held ones are named by their index. */
struct buf {
	uint16_t off, len;
	uint32_t next_free;
	uint8_t data[FRAME_SIZE];
};
#define NO_BUF		UINT32_MAX

struct pktinfo_control {
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* What leaves in the next sendmmsg on the raw socket. */
struct tx_batch {
	unsigned n;
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in to[BATCH];
	struct pktinfo_control control[BATCH];
	struct flow *flow[BATCH];
	uint8_t own[BATCH][TX_HEADROOM + FRAME_SIZE];	/* when copied */
};

struct relay {
	sd_event *loop;
	sd_event_source *gre_io, *udp_io, *timer;
	int gre_fd, udp_fd;
	uint64_t timer_at;	/* us; UINT64_MAX: off */
	uint64_t now;		/* us, of this wakeup */
	uint64_t ack_at;	/* us, next look at acks; 0: none owed */
	uint64_t fast_at;	/* us, next look at the fast path; 0: off */
	struct fast fast;
	flow_first_fn first;
	flow_claim_fn claim;	/* NULL: all may log in */
	void *arg;
	struct state *table;	/* NULL: nobody comes after us */
	struct l2tp l2tp;
	struct flow *flow[UINT16_MAX + 1];
	TAILQ_HEAD(flow_list, flow) acks, gaps, dirties, fasts, gives;
	struct buf *chunk[CHUNKS_MAX];
	unsigned n_chunks;
	uint32_t free_buf;
	/* delivered, but still in a batch */
	uint32_t to_free[TO_FREE_MAX];
	unsigned n_to_free;
	/* receiving */
	uint32_t rx_buf[BATCH];
	struct mmsghdr rx_msg[BATCH];
	struct iovec rx_iov[BATCH];
	uint8_t udp_buf[BATCH][TX_HEADROOM + FRAME_SIZE];
	struct tx_batch tx;
	struct relay_counts counts;
};

const char *const flow_drop_names[DROP_KINDS] = {
	"short", "plaintext", "oversize", "protocol", "mppe", "late",
	"duplicate", "far", "no-buffer", "from-pppd", "send", "login",
};

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* --- buffers ------------------------------------------------------------ */

static struct buf *
buf_at(struct relay *r, uint32_t i)
{
	return &r->chunk[i / CHUNK][i % CHUNK];
}

static void
buf_put(struct relay *r, uint32_t i)
{
	buf_at(r, i)->next_free = r->free_buf;
	r->free_buf = i;
}

static uint32_t
buf_get(struct relay *r)
{
	uint32_t i = r->free_buf;

	if (i == NO_BUF) {
		struct buf *chunk;

		if (r->n_chunks == CHUNKS_MAX)
			return NO_BUF;
		chunk = malloc(CHUNK * sizeof(*chunk));
		if (!chunk)
			return NO_BUF;
		r->chunk[r->n_chunks] = chunk;
		for (uint32_t k = 0; k < CHUNK; k++)
			buf_put(r, r->n_chunks * CHUNK + k);
		r->n_chunks++;
		i = r->free_buf;
	}
	r->free_buf = buf_at(r, i)->next_free;
	return i;
}

static void
prepare_rx(struct relay *r, unsigned i)
{
	r->rx_iov[i].iov_base = buf_at(r, r->rx_buf[i])->data;
	r->rx_iov[i].iov_len = FRAME_SIZE;
}

/* --- to the network ----------------------------------------------------- */

static void
tx_flush(struct relay *r)
{
	struct tx_batch *tx = &r->tx;
	unsigned sent = 0;

	while (sent < tx->n) {
		int n = sendmmsg(r->gre_fd, tx->msg + sent, tx->n - sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			sent += (unsigned)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* ICMP errors, a full queue, a firewall's EPERM, EMSGSIZE:
		 * this packet is lost, the call is not. */
		tx->flow[sent]->counts.drop[DROP_SEND]++;
		sent++;
	}
	tx->n = 0;
}

/* A packet whose bytes stay until tx_flush. */
static void
tx_add(struct relay *r, struct flow *f, uint8_t *packet, size_t len)
{
	struct tx_batch *tx = &r->tx;
	unsigned i = tx->n++;
	struct msghdr *mh = &tx->msg[i].msg_hdr;
	struct in_pktinfo info = { .ipi_spec_dst = f->own };
	struct cmsghdr *cm;

	tx->flow[i] = f;
	tx->iov[i].iov_base = packet;
	tx->iov[i].iov_len = len;
	tx->to[i].sin_family = AF_INET;
	tx->to[i].sin_addr = f->peer;
	memset(mh, 0, sizeof(*mh));
	mh->msg_name = &tx->to[i];
	mh->msg_namelen = sizeof(tx->to[i]);
	mh->msg_iov = &tx->iov[i];
	mh->msg_iovlen = 1;
	/* Leave from the address that the client talks to. */
	mh->msg_control = tx->control[i].buf;
	mh->msg_controllen = sizeof(tx->control[i].buf);
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = IPPROTO_IP;
	cm->cmsg_type = IP_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cm), &info, sizeof(info));
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
	tx_add(r, f, frame - n, len + n);
	f->counts.tx_frames++;
	f->counts.tx_bytes += len;
	f->live->tx_frames = f->counts.tx_frames;
	f->live->tx_bytes = f->counts.tx_bytes;
}

/* The ack that is due at the latest at when, if there is one. */
static void
tx_lone_ack(struct relay *r, struct flow *f, uint64_t when)
{
	struct gre_pkt pkt = { .call_id = f->peer_id };
	uint8_t *at;

	if (!gre_flow_lone_ack(&f->gre, &pkt, when))
		return;
	fast_acked(f, pkt.ack);
	if (r->tx.n == BATCH)
		tx_flush(r);
	at = r->tx.own[r->tx.n];
	tx_add(r, f, at, gre_build(at, &pkt));
	r->counts.acks_sent++;
}

/* --- to pppd ------------------------------------------------------------ */

static void
mark_dirty(struct relay *r, struct flow *f)
{
	if (f->dirty || f->channel.kind == CHANNEL_L2TP)
		return;
	f->dirty = true;
	TAILQ_INSERT_TAIL(&r->dirties, f, dirties);
}

static void
flush_channels(struct relay *r)
{
	struct flow *f;

	l2tp_flush(&r->l2tp);
	while ((f = TAILQ_FIRST(&r->dirties))) {
		TAILQ_REMOVE(&r->dirties, f, dirties);
		f->dirty = false;
		channel_flush(&f->channel);
	}
	while (r->n_to_free > 0)
		buf_put(r, r->to_free[--r->n_to_free]);
}

static void
hold(struct flow *f, unsigned slot, const uint8_t *frame, size_t len)
{
	struct held_frame *h = &f->held[slot];
	uint8_t *copy = malloc(CHANNEL_HEADROOM + len);

	if (!copy) {
		f->counts.drop[DROP_NO_BUFFER]++;
		return;
	}
	memcpy(copy + CHANNEL_HEADROOM, frame, len);
	free(h->data);
	h->data = copy;
	h->len = len;
}

static void
release_held(struct relay *r, struct flow *f)
{
	flush_channels(r);
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
	uint8_t step[CHANNEL_HEADROOM + PPP_STEP_LEN];
	bool any = false;
	size_t n;

	while ((n = pppfilter_step(&f->filter, step + CHANNEL_HEADROOM,
	    PPP_STEP_LEN)) > 0) {
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
		struct buf *b = buf_at(r, h);

		deliver(r, f, b->data + b->off, b->len, seq);
		if (r->n_to_free == TO_FREE_MAX)
			flush_channels(r);
		r->to_free[r->n_to_free++] = h;
	}
}

/* --- for whoever comes after us ------------------------------------------ */

static void
keep_numbers(struct flow *f)
{
	struct flow_live *live = f->live;

	live->rx_expected = f->reorder.expected;
	live->rx_high = f->gre.rx_high;
	live->flags = f->reorder.started ? FLOW_LIVE_RX : 0;
	live->mppe = pppfilter_word(&f->filter);
	live->rx_frames = f->counts.rx_frames;
	live->rx_bytes = f->counts.rx_bytes;
}

void
flow_set_live(struct flow *f, struct flow_live *live, uint32_t key,
    bool resume)
{
	f->live = live;
	f->key = key;
	if (!resume) {
		live->tx_next = f->gre.tx_next;
		live->tx_frames = f->counts.tx_frames;
		live->tx_bytes = f->counts.tx_bytes;
		keep_numbers(f);
		return;
	}
	gre_flow_resume(&f->gre, live->tx_next, live->flags & FLOW_LIVE_RX,
	    live->rx_high);
	if (live->flags & FLOW_LIVE_RX)
		reorder_resume(&f->reorder, live->rx_expected);
	pppfilter_resume(&f->filter, live->mppe);
	f->counts.rx_frames = live->rx_frames;
	f->counts.rx_bytes = live->rx_bytes;
	f->counts.tx_frames = live->tx_frames;
	f->counts.tx_bytes = live->tx_bytes;
}

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

void
relay_set_table(struct relay *r, struct state *table)
{
	r->table = table;
}

/* --- what is due when --------------------------------------------------- */

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

/* A timer that is early anyway is left alone: it looks again, and re-arming
 * costs a system call. */
static void
arm_timer(struct relay *r)
{
	uint64_t at = r->ack_at != 0 ? r->ack_at : UINT64_MAX;
	struct flow *f;

	if (r->fast_at != 0 && r->fast_at < at)
		at = r->fast_at;
	TAILQ_FOREACH(f, &r->gaps, gaps) {
		uint64_t d = reorder_deadline(&f->reorder);

		if (d != 0 && d < at)
			at = d;
	}
	if (at >= r->timer_at)
		return;
	r->timer_at = at;
	sd_event_source_set_time(r->timer, at);
	sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

/* --- from the network --------------------------------------------------- */

static void
count_order_drop(struct flow *f, enum reorder_verdict v)
{
	enum flow_drop kind = v == REORDER_LATE ? DROP_LATE :
	    v == REORDER_DUP ? DROP_DUP : DROP_FAR;

	f->counts.drop[kind]++;
}

/* Keep the frame in receive buffer i until its turn and put another buffer
 * in its place; when there is none left, this flow's held frames go. */
static void
keep(struct relay *r, struct flow *f, unsigned i, const struct gre_pkt *pkt)
{
	struct buf *b = buf_at(r, r->rx_buf[i]);
	uint32_t spare, h;

	b->off = (uint16_t)(pkt->payload - b->data);
	b->len = (uint16_t)pkt->payload_len;
	reorder_put(&f->reorder, pkt->seq, r->rx_buf[i]);
	for (;;) {
		spare = buf_get(r);
		if (spare != NO_BUF || !reorder_steal(&f->reorder, &h))
			break;
		f->counts.drop[DROP_NO_BUFFER]++;
		buf_put(r, h);
	}
	r->rx_buf[i] = spare;
	prepare_rx(r, i);
}

/* A frame of a flow that the fast path knows came to us. */
static void
take(struct relay *r, struct flow *f)
{
	fast_take(f, r->now);
	if (f->give_listed)
		return;
	f->give_listed = true;
	TAILQ_INSERT_TAIL(&r->gives, f, gives);
}

static void
give(struct relay *r)
{
	struct flow *f, *next;

	if (r->fast.sent != r->l2tp.n_sent) {
		r->fast.sent = r->l2tp.n_sent;
		r->fast.sent_at = r->now;
	}
	for (f = TAILQ_FIRST(&r->gives); f; f = next) {
		next = TAILQ_NEXT(f, gives);
		fast_give(&r->fast, f, r->now);
		if (f->fast.ours)
			continue;
		TAILQ_REMOVE(&r->gives, f, gives);
		f->give_listed = false;
	}
}

/* A data frame of an attached flow, in receive buffer i. */
static void
data_frame(struct relay *r, struct flow *f, unsigned i,
    const struct gre_pkt *pkt)
{
	struct buf *b = buf_at(r, r->rx_buf[i]);
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
		tx_lone_ack(r, f, r->now);
	list_flow(r, f);
}

static void
packet(struct relay *r, unsigned i, size_t len)
{
	struct buf *b = buf_at(r, r->rx_buf[i]);
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
		take(r, f);
	begin(r, f);
	data_frame(r, f, i, &pkt);
	keep_numbers(f);
	end(r);
}

static void
receive(struct relay *r)
{
	r->now = now_us();
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
		flush_channels(r);
		if (n < (int)BATCH)
			break;
	}
	tx_flush(r);
	give(r);
}

static int
on_gre(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)fd;
	(void)revents;
	receive(r);
	arm_timer(r);
	return 0;
}

/* --- timers ------------------------------------------------------------- */

static void
do_acks(struct relay *r)
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
		tx_lone_ack(r, f, due);
	}
	r->ack_at = TAILQ_EMPTY(&r->acks) ? 0 : r->now + ACK_TICK_US;
	tx_flush(r);
}

static void
do_gaps(struct relay *r)
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
			keep_numbers(f);
		}
		if (reorder_deadline(&f->reorder) == 0) {
			TAILQ_REMOVE(&r->gaps, f, gaps);
			f->gap_listed = false;
		}
	}
	flush_channels(r);
}

/* Acknowledge what the program passed on while nothing was sent, and give
 * back what could not be given before. */
static void
do_fast(struct relay *r)
{
	bool busy = false;
	struct flow *f;

	if (r->fast_at == 0 || r->fast_at > r->now)
		return;
	TAILQ_FOREACH(f, &r->fasts, fasts) {
		if (fast_look(f, r->now))
			busy = true;
		keep_numbers(f);
		f->live->tx_next = f->gre.tx_next;
		f->live->tx_frames = f->counts.tx_frames;
		f->live->tx_bytes = f->counts.tx_bytes;
		tx_lone_ack(r, f, r->now);
	}
	tx_flush(r);
	give(r);
	busy = busy || !TAILQ_EMPTY(&r->gives);
	r->fast_at = TAILQ_EMPTY(&r->fasts) ? 0 :
	    r->now + (busy ? FAST_BUSY_US : FAST_IDLE_US);
}

static int
on_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)usec;
	r->timer_at = UINT64_MAX;
	/* A gap's missing frame may lie in the socket already. */
	receive(r);
	do_gaps(r);
	do_acks(r);
	do_fast(r);
	give(r);
	arm_timer(r);
	return 0;
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

static int
on_udp(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)revents;
	r->now = now_us();
	for (int round = 0; round < ROUNDS; round++) {
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
			bool release;

			/* Only the kernel sends here: the pair is
			 * connected. */
			if (len <= L2TP_HEADER || p[0] != 0 || p[1] != 2)
				continue;
			f = r->flow[p[4] << 8 | p[5]];
			if (!f) {
				r->counts.no_session++;
				continue;
			}
			p += L2TP_HEADER;
			len -= L2TP_HEADER;
			if (!look_at_output(f, p, len, &release))
				continue;
			tx_frame(r, f, p, len);
			if (release)
				release_held(r, f);
		}
		tx_flush(r);
		if (n < (int)BATCH)
			break;
	}
	arm_timer(r);
	return 0;
}

static void
on_pty_frame(void *arg, const uint8_t *frame, size_t len)
{
	struct flow *f = arg;
	struct relay *r = f->relay;
	uint8_t *at;
	bool release;

	if (!frame) {
		tx_flush(r);
		return;
	}
	if (!look_at_output(f, frame, len, &release))
		return;
	if (r->tx.n == BATCH)
		tx_flush(r);
	at = r->tx.own[r->tx.n] + TX_HEADROOM;
	memcpy(at, frame, len);
	tx_frame(r, f, at, len);
	if (release)
		release_held(r, f);
}

/* --- flows -------------------------------------------------------------- */

void
flow_init(struct flow *f, uint16_t own_id, uint16_t peer_id,
    struct in_addr peer, struct in_addr own)
{
	memset(f, 0, sizeof(*f));
	f->own_id = own_id;
	f->peer_id = peer_id;
	f->peer = peer;
	f->own = own;
	gre_flow_init(&f->gre);
	reorder_init(&f->reorder);
	pppfilter_init(&f->filter);
	channel_init(&f->channel);
	f->live = &f->own_live;
}

static void
attach(struct relay *r, struct flow *f)
{
	f->relay = r;
	r->flow[f->own_id] = f;
}

void
relay_attach_l2tp(struct relay *r, struct flow *f, uint16_t tunnel)
{
	channel_l2tp(&f->channel, &r->l2tp, tunnel, f->own_id);
	attach(r, f);
}

int
relay_attach_pty(struct relay *r, struct flow *f, int fd)
{
	int e = channel_pty(&f->channel, r->loop, fd, on_pty_frame,
	    f);

	if (e == 0)
		attach(r, f);
	return e;
}

void
relay_up(struct flow *f)
{
	struct relay *r = f->relay;

	if (!r || f->fast.st)
		return;
	fast_start(&r->fast, f);
	if (!f->fast.st)
		return;
	TAILQ_INSERT_TAIL(&r->fasts, f, fasts);
	f->give_listed = true;
	TAILQ_INSERT_TAIL(&r->gives, f, gives);
	r->now = now_us();
	r->fast_at = r->now + FAST_BUSY_US;
	arm_timer(r);
}

void
relay_look(struct flow *f)
{
	if (f->relay)
		fast_look(f, now_us());
}

void
relay_detach(struct relay *r, struct flow *f)
{
	uint32_t h;

	if (!f->relay)
		return;
	if (f->fast.st) {
		TAILQ_REMOVE(&r->fasts, f, fasts);
		fast_stop(f, now_us());
	}
	if (f->give_listed)
		TAILQ_REMOVE(&r->gives, f, gives);
	f->give_listed = false;
	/* Nothing in a batch may point to this flow. */
	tx_flush(r);
	r->flow[f->own_id] = NULL;
	f->relay = NULL;
	if (f->ack_listed)
		TAILQ_REMOVE(&r->acks, f, acks);
	if (f->gap_listed)
		TAILQ_REMOVE(&r->gaps, f, gaps);
	if (f->dirty)
		TAILQ_REMOVE(&r->dirties, f, dirties);
	f->ack_listed = f->gap_listed = f->dirty = false;
	while (reorder_steal(&f->reorder, &h))
		buf_put(r, h);
	for (unsigned i = 0; i < PPP_HOLD_SLOTS; i++) {
		free(f->held[i].data);
		f->held[i].data = NULL;
	}
	channel_close(&f->channel);
}

struct relay *
relay_new(sd_event *loop, int gre_fd, int udp_fd, int offload_fd,
    flow_first_fn first, void *arg)
{
	struct relay *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return NULL;
	r->loop = loop;
	r->gre_fd = gre_fd;
	r->udp_fd = udp_fd;
	r->first = first;
	r->arg = arg;
	r->free_buf = NO_BUF;
	r->timer_at = UINT64_MAX;
	TAILQ_INIT(&r->acks);
	TAILQ_INIT(&r->gaps);
	TAILQ_INIT(&r->dirties);
	TAILQ_INIT(&r->fasts);
	TAILQ_INIT(&r->gives);
	e = fast_init(&r->fast, offload_fd);
	if (e < 0) {
		relay_free(r);
		errno = -e;
		return NULL;
	}
	l2tp_init(&r->l2tp, udp_fd);
	for (unsigned i = 0; i < BATCH; i++) {
		r->rx_buf[i] = buf_get(r);
		if (r->rx_buf[i] == NO_BUF) {
			relay_free(r);
			errno = ENOMEM;
			return NULL;
		}
		prepare_rx(r, i);
		r->rx_msg[i].msg_hdr.msg_iov = &r->rx_iov[i];
		r->rx_msg[i].msg_hdr.msg_iovlen = 1;
	}
	e = sd_event_add_io(loop, &r->gre_io, gre_fd, EPOLLIN, on_gre, r);
	if (e >= 0 && udp_fd >= 0)
		e = sd_event_add_io(loop, &r->udp_io, udp_fd, EPOLLIN,
		    on_udp, r);
	/* 1 us: the default accuracy of 250 ms would be the hold time. */
	if (e >= 0)
		e = sd_event_add_time(loop, &r->timer, CLOCK_MONOTONIC,
		    UINT64_MAX, 1, on_timer, r);
	if (e < 0) {
		relay_free(r);
		errno = -e;
		return NULL;
	}
	return r;
}

void
relay_on_claim(struct relay *r, flow_claim_fn claim)
{
	r->claim = claim;
}

void
relay_free(struct relay *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->gre_io);
	sd_event_source_disable_unref(r->udp_io);
	sd_event_source_disable_unref(r->timer);
	fast_free(&r->fast);
	for (unsigned i = 0; i < r->n_chunks; i++)
		free(r->chunk[i]);
	free(r);
}

const struct relay_counts *
relay_counts(const struct relay *r)
{
	return &r->counts;
}
