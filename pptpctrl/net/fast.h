/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay's side of the fast path in the kernel (bpf/offload.h): whose turn
 * it is to pass on a call's frames, and what the programs did meanwhile.
 *
 * A call's frames are either the program's or ours.  Any frame that comes to
 * us makes them ours: what the program passed on is entered into the call's
 * numbers, and once nothing is held, missing or on the way any more, they
 * are the program's again.
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
	uint32_t sent;		/* frames sent to the tunnel, ever */
	uint32_t sent_base;	/* of these, arrived or lost */
	uint32_t arrived_base;	/* the program's count then */
	uint64_t sent_at;	/* us; when the last one left */
};

/* One call; embedded by its flow. */
struct fast_call {
	struct offload_state *st;	/* NULL: not with this call */
	bool ours;
	uint32_t delta;		/* of the rule that the program has */
	bool counted;		/* the rule counts MPPE frames */
	uint32_t lost_seen;
	uint64_t lost_at;	/* us; when frames were last given up */
};

/* Map the programs' state of all calls and close fd, the launcher's map; -1:
 * none.  0 or -errno. */
int fast_init(struct fast *x, int fd);
void fast_free(struct fast *x);

/* This call may be forwarded from now on; harmless when it is already. */
void fast_start(struct fast *x, struct flow *f);

/* Its frames are ours for good. */
void fast_stop(struct flow *f, uint64_t now_us);

/* A frame is to be judged by us; those that the program passed on before
 * have arrived when this returns.  Harmless when it is our turn already. */
void fast_take(struct flow *f, uint64_t now_us);

/* Give the turn to the program, if it may have it now. */
void fast_give(struct fast *x, struct flow *f, uint64_t now_us);

/* Enter what the program did so far; true if there was anything. */
bool fast_look(struct flow *f, uint64_t now_us);

/* The number for the next frame to the peer must be taken from here. */
uint32_t fast_tx_number(struct flow *f);

/* We acknowledged up to ack. */
void fast_acked(struct flow *f, uint32_t ack);

#endif
