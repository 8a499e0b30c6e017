/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay's side of the fast path in the kernel (bpf/offload.h): whose turn
 * it is to pass on a call's frames, and what the programs did meanwhile.
 *
 * A call's frames are either the program's or ours, in each direction by
 * itself.  Any frame that comes to us makes them ours: what the program passed
 * on is entered into the call's numbers, and once nothing is held, missing or
 * on the way any more, they are the program's again.
 */
#ifndef NET_FAST_H
#define NET_FAST_H

#include <stdbool.h>
#include <stdint.h>

struct flow;
struct offload_state;

/* All calls; embedded by the relay. */
struct fast {
	struct offload_state *state;	/* NULL: there is no fast path */
};

/* One call; embedded by its flow. */
struct fast_call {
	struct offload_state *st;	/* NULL: not with this call */
	/* From the peer. */
	bool ours;
	uint32_t lost;		/* of our frames to the tunnel */
	uint32_t underway;	/* of them, the least at once since */
	uint64_t underway_since;	/* us */
	uint32_t delta;		/* of the rule that the program has */
	bool counted;		/* the rule counts MPPE frames */
	uint32_t lost_seen;
	uint64_t lost_at;	/* us; when frames were last given up */
	/* To the peer. */
	bool may_give;		/* fast_may_give_out's answer, */
	uint32_t out;		/* and the program's word then */
	uint32_t missing;	/* of its frames that should have come */
	uint64_t missing_since;	/* us */
};

/* Map the programs' state of all calls and close fd, the launcher's map; -1:
 * none.  0 or -errno. */
int fast_init(struct fast *x, int fd);
void fast_free(struct fast *x);

/* This call may be forwarded from now on; harmless when it is already. */
void fast_start(struct fast *x, struct flow *f);

/* Its frames are ours for good. */
void fast_stop(struct flow *f, uint64_t now_us);

/* How often the launcher found the fast path's device shut. */
uint32_t fast_falls(const struct fast *x);

/* Enter what the program did so far; true if there was anything. */
bool fast_look(struct flow *f, uint64_t now_us);

/* --- from the peer ------------------------------------------------------ */

/* A frame is to be judged by us. */
void fast_take(struct flow *f, uint64_t now_us);

/* Give the turn to the program, if it may have it now; all that was put into
 * the flow's channel has been sent. */
void fast_give(struct flow *f, uint64_t now_us);

/* --- to the peer -------------------------------------------------------- */

/* A frame of call id came from the tunnel's socket; f: whose it is, or NULL. */
void fast_take_out(const struct fast *x, uint16_t id, struct flow *f);

/* Would we give the turn?  Then read the socket empty, send all and give it:
 * nothing happens where the answer was no, or frames are missing. */
bool fast_may_give_out(struct flow *f);
void fast_give_out(struct flow *f, uint64_t now_us);

/* The number for the next frame to the peer must be taken from here. */
uint32_t fast_tx_number(struct flow *f);

/* We acknowledged up to ack. */
void fast_acked(struct flow *f, uint32_t ack);

#endif
