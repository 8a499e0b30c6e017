/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files relay*.c share and nobody else includes.
 *
 *	relay.c		life, the loop and its timer, attaching flows
 *	relay_in.c	from the network to pppd
 *	relay_out.c	from pppd, and acks, to the network
 *	relay_fast.c	turns of the fast path in the kernel
 */
#ifndef NET_RELAY_IMPL_H
#define NET_RELAY_IMPL_H

#include "net/batch.h"
#include "net/relay.h"
#include "net/senders.h"

#define ROUNDS		4	/* batches per wakeup, then others' turn */
#define ACK_TICK_US	25000u	/* acks are looked after this often */
#define FAST_BUSY_US	25000u	/* the fast path is looked after so often, */
#define FAST_IDLE_US	100000u	/* or so, while it has nothing to do */
#define TO_FREE_MAX	256u

struct relay {
	sd_event *loop;
	sd_event_source *gre_io, *udp_io, *timer;
	int gre_fd, udp_fd;
	struct senders *senders;	/* NULL: none */
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
	struct bufs bufs;
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

/* --- relay.c --------------------------------------------------------------- */

uint64_t relay_now_us(void);

/* Have the timer look at the latest when something is due. */
void relay_arm_timer(struct relay *r);

/* --- relay_in.c ------------------------------------------------------------ */

/* Buffers to receive into; false: no memory. */
bool relay_in_init(struct relay *r);

/* Take what lies in the GRE socket; sets .now. */
void relay_receive(struct relay *r);

/* Give up on missing frames that are due. */
void relay_do_gaps(struct relay *r);

/* Write what flows' channels have collected. */
void relay_flush_channels(struct relay *r);

/* Frames that waited for pppd's own: now. */
void relay_release_held(struct relay *r, struct flow *f);

/* --- relay_out.c ----------------------------------------------------------- */

/* Send what was collected. */
void relay_tx_flush(struct relay *r);

/* The ack that is due at the latest at when (us), if there is one. */
void relay_lone_ack(struct relay *r, struct flow *f, uint64_t when);

/* Acks that are due and had no frame to go with. */
void relay_do_acks(struct relay *r);

/* Frames from the tunnel, and from a flow's pty (a channel_rx_fn). */
int relay_on_udp(sd_event_source *src, int fd, uint32_t revents, void *arg);
void relay_on_pty_frame(void *arg, const uint8_t *frame, size_t len);

/* --- relay_fast.c ---------------------------------------------------------- */

/* A frame of a flow that the fast path knows came to us. */
void relay_take(struct relay *r, struct flow *f);

/* A frame of call id came from the tunnel; f: whose it is, or NULL. */
void relay_take_out(struct relay *r, uint16_t id, struct flow *f);

/* Give the program its turn with each flow that may be given; nothing that
 * was put into a channel is left there. */
void relay_give(struct relay *r);

/* Acknowledge what the program passed on while nothing was sent, and give
 * back what could not be given before. */
void relay_do_fast(struct relay *r);

#endif
