/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/reorder.h"

#include <string.h>

/*
 * A numbering outside the window counts once this many of its frames came
 * with ascending numbers close to each other: single forged frames never do.
 */
#define RUN_CONFIRM	3u

/*
 * After a burst of losses the window is silent, and every frame dropped
 * until that is believed costs TCP dearly.  So believe it soon, at a silence
 * of some hold times, but only if the frames that are missing can have been
 * sent in that silence at all: a million a second are more than 10 Gbit/s,
 * and a forger who does not know the number hardly hits that few.
 */
#define BURST_SILENT_HOLDS 4u
#define BURST_PER_US	1u
#define BURST_MAX	65536u

/*
 * A peer that starts its numbers anew can be anywhere, also behind.  Longer
 * than any path keeps frames, so that those it had on the way cannot pass for
 * a new start and get to PPP late.
 */
#define RESTART_SILENT_US 2000000u

/* The hold time loses 1/8 in each such step that did not need it, and with
 * each gap after one that was waited for in vain. */
#define EASE_STEP_US	250000u

/* The window is halved when half of it was not needed for this long. */
#define NARROW_US	5000000u

static struct reorder_slot *
slot_of(struct reorder *r, uint32_t seq)
{
	return &r->slots[seq % REORDER_SLOTS];
}

static uint64_t
since(uint64_t then, uint64_t now_us)
{
	return now_us > then ? now_us - then : 0;
}

void
reorder_init(struct reorder *r)
{
	memset(r, 0, sizeof(*r));
	r->hold_us = REORDER_HOLD_START_US;
	r->window = REORDER_WINDOW;
}

void
reorder_resume(struct reorder *r, uint32_t expected)
{
	reorder_init(r);
	r->started = true;
	r->expected = r->highest = expected;
}

/* A missing frame came so many numbers behind the foremost one: there should
 * be room for twice as many. */
static void
widen(struct reorder *r, uint32_t depth, uint64_t now_us)
{
	if (depth > r->window / 4)
		r->deep_at = now_us;
	if (depth > r->window / 2 && r->window < REORDER_SLOTS)
		r->window *= 2;
}

/* A missing frame came this late, before or after its gap was given up.
 * Real loss never gets here. */
static void
learn(struct reorder *r, uint32_t seq, uint64_t late_us, uint64_t now_us)
{
	uint64_t want = late_us + late_us / 2;

	if (late_us > REORDER_HOLD_MAX_US)
		return;
	r->orderly = 0;
	widen(r, r->highest - seq, now_us);
	if (want < r->hold_us)
		return;
	if (want > REORDER_HOLD_MAX_US)
		want = REORDER_HOLD_MAX_US;
	/* One straggler alone shall not make every loss wait for long. */
	if (want > 4 * (uint64_t)r->hold_us)
		want = 4 * (uint64_t)r->hold_us;
	r->hold_us = (uint32_t)want;
	r->eased_at = now_us;
}

/* Done when a gap opens, so that frames in order cost nothing, by a frame so
 * many numbers ahead. */
static void
ease(struct reorder *r, uint32_t ahead, uint64_t now_us)
{
	if (r->orderly > 0 && since(r->eased_at, now_us) < EASE_STEP_US)
		r->hold_us -= r->hold_us / 8;
	while (r->hold_us > REORDER_HOLD_MIN_US &&
	    since(r->eased_at, now_us) >= EASE_STEP_US) {
		r->hold_us -= r->hold_us / 8;
		r->eased_at += EASE_STEP_US;
	}
	if (r->hold_us < REORDER_HOLD_MIN_US)
		r->hold_us = REORDER_HOLD_MIN_US;
	if (r->window > REORDER_WINDOW && ahead < r->window / 2 &&
	    since(r->deep_at, now_us) >= NARROW_US) {
		r->window /= 2;
		r->deep_at = now_us;
	}
}

static void
forget_runs(struct reorder *r)
{
	memset(r->runs, 0, sizeof(r->runs));
	r->runs_any = false;
}

/* The run that seq belongs to, near its end on either side: frames of a new
 * numbering are reordered and lost like any others. */
static struct reorder_run *
run_of(struct reorder *r, uint32_t seq)
{
	for (uint32_t i = 0; i < REORDER_RUNS; i++) {
		struct reorder_run *run = &r->runs[i];

		if (run->count > 0 &&
		    seq - run->next + REORDER_WINDOW < 2 * REORDER_WINDOW)
			return run;
	}
	return NULL;
}

/* Watches a few numberings at once, so that forged frames strewn in between
 * do not keep the true one from being confirmed. */
static bool
run_confirmed(struct reorder *r, uint32_t seq)
{
	struct reorder_run *run = run_of(r, seq);

	if (run == NULL) {
		/* Single ones replace single ones, in turn. */
		uint32_t turn = r->runs_turn++;

		run = &r->runs[turn % REORDER_RUNS];
		for (uint32_t i = 1; i < REORDER_RUNS; i++) {
			uint32_t k = (turn + i) % REORDER_RUNS;

			if (r->runs[k].count < run->count)
				run = &r->runs[k];
		}
		run->count = 0;
	} else if (seq - run->next >= REORDER_WINDOW) {
		return false;		/* a duplicate, or out of order */
	}
	run->next = seq + 1;
	if (run->count < RUN_CONFIRM)
		run->count++;
	r->runs_any = true;
	return run->count == RUN_CONFIRM;
}

static bool
window_silent(const struct reorder *r, uint32_t ahead, uint64_t now_us)
{
	uint64_t silent = since(r->last_in, now_us);

	if (ahead <= BURST_MAX && ahead <= silent * BURST_PER_US &&
	    silent >= (uint64_t)r->hold_us * BURST_SILENT_HOLDS)
		return true;
	return silent >= RESTART_SILENT_US;
}

static enum reorder_verdict
outside(struct reorder *r, uint32_t seq, uint64_t now_us)
{
	uint32_t ahead = seq - r->expected;
	bool behind = ahead > INT32_MAX;
	struct reorder_slot *s = slot_of(r, seq);

	if (run_confirmed(r, seq) && window_silent(r, ahead, now_us)) {
		r->n_jump++;
		r->jump = true;
		r->last_in = now_us;
		return REORDER_HOLD;
	}
	if (!behind) {
		r->n_far++;
		return REORDER_FAR;
	}
	r->n_late++;
	if (r->expected - seq <= REORDER_SLOTS && s->missed) {
		s->missed = false;
		learn(r, seq, since(s->missed_since, now_us), now_us);
	}
	return REORDER_LATE;
}

enum reorder_verdict
reorder_input(struct reorder *r, uint32_t seq, uint64_t now_us)
{
	uint32_t ahead;

	if (!r->started) {
		r->started = true;
		r->expected = r->highest = seq;
		r->eased_at = now_us;
	}
	ahead = seq - r->expected;
	if (ahead >= 2 * r->window || (ahead >= r->window && r->held == 0))
		return outside(r, seq, now_us);

	r->last_in = now_us;
	if (seq - r->highest < INT32_MAX)
		r->highest = seq + 1;
	if (r->runs_any)
		forget_runs(r);
	if (ahead == 0) {
		slot_of(r, seq)->missed = false;
		r->expected++;
		if (r->held > 0) {
			r->n_reordered++;
			learn(r, seq, since(r->gap_since, now_us), now_us);
			r->deadline = 0;
		}
		return REORDER_DELIVER;
	}
	/* The window is full: it moves on as far as this frame needs. */
	if (ahead >= r->window) {
		r->skip = ahead - (r->window - 1);
		return REORDER_HOLD;
	}
	if (slot_of(r, seq)->held) {
		r->n_dup++;
		return REORDER_DUP;
	}
	return REORDER_HOLD;
}

static void
place(struct reorder *r, uint32_t seq, uint32_t handle, uint64_t at)
{
	struct reorder_slot *s = slot_of(r, seq);

	s->handle = handle;
	s->held = true;
	s->held_at = at;
	r->held++;
}

void
reorder_put(struct reorder *r, uint32_t seq, uint32_t handle)
{
	if (r->jump || r->skip > 0) {
		r->over = true;
		r->over_seq = seq;
		r->over_handle = handle;
		r->over_at = r->last_in;
		return;
	}
	if (r->held == 0)
		ease(r, seq - r->expected, r->last_in);
	place(r, seq, handle, r->last_in);
}

/* The gap at the window's start is as old as the oldest frame that waits
 * behind it. */
static void
measure_gap(struct reorder *r)
{
	uint64_t oldest = UINT64_MAX;
	uint32_t left = r->held, gap = 0;

	for (uint32_t i = 1; left > 0; i++) {
		const struct reorder_slot *s = slot_of(r, r->expected + i);

		if (!s->held)
			continue;
		if (gap == 0)
			gap = i;
		left--;
		if (s->held_at < oldest)
			oldest = s->held_at;
	}
	r->gap_since = oldest;
	r->deadline = oldest + r->hold_us;
	r->at_once = r->orderly == REORDER_ORDERLY &&
	    gap <= REORDER_SHORT_GAP;
	if (r->orderly < REORDER_ORDERLY)
		r->orderly++;
}

static void
give_up_one(struct reorder *r)
{
	struct reorder_slot *s = slot_of(r, r->expected);

	s->missed = true;
	s->missed_since = r->held > 0 ? r->gap_since : r->over_at;
	r->n_lost++;
	r->expected++;
	if (r->skip > 0)
		r->skip--;
}

/* Nothing is held any more: go on at the frame that was confirmed. */
static void
rebase(struct reorder *r)
{
	uint32_t ahead = r->over_seq - r->expected;

	if (ahead <= INT32_MAX)
		r->n_lost += ahead;
	for (uint32_t i = 0; i < REORDER_SLOTS; i++)
		r->slots[i].missed = false;
	r->expected = r->over_seq;
	r->highest = r->over_seq + 1;
	r->jump = false;
}

bool
reorder_next(struct reorder *r, uint32_t *ret_handle, uint32_t *ret_seq)
{
	struct reorder_slot *s;

	while (r->held > 0 || r->over) {
		s = slot_of(r, r->expected);
		if (s->held) {
			*ret_handle = s->handle;
			*ret_seq = r->expected++;
			s->held = false;
			s->missed = false;
			r->held--;
			r->deadline = 0;
			if (r->skip > 0)
				r->skip--;
			return true;
		}
		if (r->held > 0 && r->deadline == 0)
			measure_gap(r);
		if (r->skip > 0 || (r->held > 0 &&
		    (r->jump || r->at_once ||
		    r->deadline <= r->expired))) {
			give_up_one(r);
			continue;
		}
		if (!r->over)
			return false;
		if (r->jump)
			rebase(r);
		r->over = false;
		place(r, r->over_seq, r->over_handle, r->over_at);
	}
	r->deadline = 0;
	return false;
}

void
reorder_expire(struct reorder *r, uint64_t now_us)
{
	r->expired = now_us;
}

uint64_t
reorder_deadline(const struct reorder *r)
{
	return r->deadline;
}

void
reorder_passed(struct reorder *r, uint32_t n, uint64_t last_us)
{
	for (uint32_t i = 0; i < n && i < REORDER_SLOTS; i++)
		slot_of(r, r->expected + i)->missed = false;
	r->expected += n;
	if (r->expected - r->highest - 1 < INT32_MAX)
		r->highest = r->expected;
	r->last_in = last_us;
	if (r->runs_any)
		forget_runs(r);
}

bool
reorder_settled(const struct reorder *r)
{
	return r->started && r->held == 0 && !r->over && !r->jump &&
	    r->skip == 0 && r->deadline == 0;
}

bool
reorder_steal(struct reorder *r, uint32_t *ret_handle)
{
	if (r->over) {
		r->over = false;
		*ret_handle = r->over_handle;
		return true;
	}
	for (uint32_t i = 0; r->held > 0 && i < REORDER_SLOTS; i++) {
		if (r->slots[i].held) {
			r->slots[i].held = false;
			r->held--;
			*ret_handle = r->slots[i].handle;
			return true;
		}
	}
	return false;
}
