/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Put the numbered frames of one call back in order: RFC 2637 section 4.3.
 * Decides about numbers only; frames that must wait stay in buffers of the
 * caller, named by a handle.
 *
 * Pure: no system calls, no allocation, no clock, no log.  Times are
 * microseconds of one monotonic clock.
 */
#ifndef PROTO_REORDER_H
#define PROTO_REORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Frames held at most, at the start and on paths that hardly reorder.  A
 * forged number within the window takes true frames' places, so that it is
 * only as wide as the path was seen to need.
 */
#define REORDER_WINDOW	64u
/* At the widest, a power of two: what a path with 10 ms between its fastest
 * and its slowest frame has under way at some 500 Mbit/s. */
#define REORDER_SLOTS	512u
#define REORDER_RUNS	4u	/* numberings outside the window, watched */

/* How long a gap waits for the missing frame: bounds, and the start. */
#define REORDER_HOLD_MIN_US	500u
#define REORDER_HOLD_MAX_US	40000u
/* After so many gaps in a row of which nothing ever came, the path is taken
 * for one that keeps order: short gaps wait no more, until one proves it
 * wrong.  Long ones still do: a forged number must not take many true frames'
 * places. */
#define REORDER_ORDERLY	32u
#define REORDER_SHORT_GAP 8u
/* A call begins with PPP's negotiation, where a frame lost to reordering
 * costs three seconds and a wait of some ms nothing. */
#define REORDER_HOLD_START_US	5000u

enum reorder_verdict {
	REORDER_DELIVER,	/* pass on now, then call reorder_next */
	REORDER_HOLD,		/* give it a buffer with reorder_put */
	REORDER_LATE,		/* older than what was passed on: drop */
	REORDER_DUP,		/* held already: drop */
	REORDER_FAR,		/* too far ahead and not confirmed: drop */
};

struct reorder_slot {
	uint32_t handle;
	bool held;		/* for a number of the window */
	bool missed;		/* for the number REORDER_SLOTS before: it
				 * was given up and has not come since */
	uint64_t held_at;
	uint64_t missed_since;	/* when its gap was first seen */
};

struct reorder_run {		/* ascending numbers outside the window */
	uint32_t next;		/* after the highest of them */
	uint32_t count;		/* 0: unused */
};

struct reorder {		/* private, but embedded by the caller */
	uint32_t expected;	/* next number to pass on */
	bool started;		/* expected is valid */
	bool jump;		/* pass on all held, then go on at over_seq */
	bool over;		/* one more frame, beyond the window, is held */
	uint32_t over_seq;
	uint32_t over_handle;
	uint64_t over_at;
	uint32_t window;	/* numbers from expected on that may wait */
	uint32_t highest;	/* after the highest number in the window */
	uint64_t deep_at;	/* when the window was last needed, or cut */
	uint32_t held;		/* slots in use */
	uint32_t skip;		/* numbers to be given up at once */
	uint64_t last_in;	/* last arrival in the window */
	uint64_t gap_since;	/* when the present gap was first seen */
	uint64_t deadline;	/* when to give the gap up; 0: no gap */
	uint64_t expired;	/* the caller's timer has reached this time */
	uint32_t hold_us;	/* how long a gap may wait, follows jitter */
	uint32_t orderly;	/* gaps since anything came to fill one */
	bool at_once;		/* the present gap shall not wait */
	uint64_t eased_at;	/* when hold_us was last shortened or proved */
	bool runs_any;
	uint32_t runs_turn;
	struct reorder_run runs[REORDER_RUNS];
	struct reorder_slot slots[REORDER_SLOTS];
	/* Counters, for the caller to read.  reordered: came in time to fill
	 * a gap; late: came too late, twice or from the past; lost: numbers
	 * given up or jumped over, those that came late after all included. */
	uint32_t n_reordered, n_late, n_dup, n_far, n_jump, n_lost;
};

void reorder_init(struct reorder *r);

/* Go on where another process stopped: it passed on all before expected. */
void reorder_resume(struct reorder *r, uint32_t expected);

/*
 * A frame with number seq arrived.  The first one sets the base, whatever
 * its number (0, 1 or any).  On REORDER_HOLD the caller must call
 * reorder_put before anything else.
 */
enum reorder_verdict reorder_input(struct reorder *r, uint32_t seq,
    uint64_t now_us);

/* Remember handle for the frame just judged REORDER_HOLD. */
void reorder_put(struct reorder *r, uint32_t seq, uint32_t handle);

/*
 * The next held frame that may be passed on now: true with its handle and
 * number.  Call until false after REORDER_DELIVER, REORDER_HOLD (a full
 * window gives up its gap) and after a deadline (reorder_expire).
 */
bool reorder_next(struct reorder *r, uint32_t *ret_handle, uint32_t *ret_seq);

/* The deadline passed: give up the gap.  Then call reorder_next.  What the
 * socket holds should be read first: the missing frame may be there. */
void reorder_expire(struct reorder *r, uint64_t now_us);

/* When reorder_expire must be called; 0 for never.  Valid after reorder_next
 * returned false. */
uint64_t reorder_deadline(const struct reorder *r);

/* The next n frames, the last at last_us, came in order and were passed on by
 * somebody else.  Only while nothing is held. */
void reorder_passed(struct reorder *r, uint32_t n, uint64_t last_us);

/* Started, and nothing held, missing or unsure: expected is all there is to
 * know. */
bool reorder_settled(const struct reorder *r);

/* Take any held frame, in no order, to free its buffer at the call's end;
 * false when none is left. */
bool reorder_steal(struct reorder *r, uint32_t *ret_handle);

#endif
