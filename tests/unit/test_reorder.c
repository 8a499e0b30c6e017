/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "proto/reorder.h"

#define HANDLE(seq)	((seq) ^ 0x5a5a0000u)

static struct reorder r;
static uint64_t now;
static uint32_t got[1024];	/* numbers passed on since clear() */
static size_t n_got;

static void
start(uint32_t first)
{
	reorder_init(&r);
	now = 1000000;
	n_got = 0;
	assert_int_equal(reorder_input(&r, first, now), REORDER_DELIVER);
}

static void
drain(void)
{
	uint32_t handle, seq;

	while (reorder_next(&r, &handle, &seq)) {
		assert_int_equal(handle, HANDLE(seq));
		got[n_got++ % 1024] = seq;
	}
}

/* As the relay does it. */
static enum reorder_verdict
input(uint32_t seq)
{
	enum reorder_verdict v = reorder_input(&r, seq, now);

	if (v == REORDER_HOLD)
		reorder_put(&r, seq, HANDLE(seq));
	if (v == REORDER_DELIVER)
		got[n_got++ % 1024] = seq;
	if (v == REORDER_DELIVER || v == REORDER_HOLD)
		drain();
	return v;
}

static void
expire(void)
{
	now = reorder_deadline(&r);
	assert_int_not_equal(now, 0);
	reorder_expire(&r, now);
	drain();
}

/* Numbers passed on since the last call: n of them, first up without a hole. */
static void
passed(size_t n, uint32_t first)
{
	assert_int_equal(n_got, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], first + (uint32_t)i);
	n_got = 0;
}

static void
quiet(uint32_t first)
{
	start(first);
	r.hold_us = REORDER_HOLD_MIN_US;
	r.eased_at = now;
}

static void
any_first_number_will_do(void **state)
{
	static const uint32_t first[] = { 0, 1, 77, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		start(first[i]);
		for (uint32_t k = 1; k < 100; k++)
			assert_int_equal(input(first[i] + k), REORDER_DELIVER);
		passed(99, first[i] + 1);
		assert_int_equal(reorder_deadline(&r), 0);
		assert_int_equal(r.n_reordered + r.n_late + r.n_dup + r.n_far +
		    r.n_jump + r.n_lost, 0);
	}
}

/* G14, G18 */
static void
swapped_frames_are_put_right_across_the_wrap(void **state)
{
	(void)state;
	start(0xfffffffd);
	assert_int_equal(input(0xffffffff), REORDER_HOLD);
	assert_int_equal(input(1), REORDER_HOLD);
	assert_int_equal(input(1), REORDER_DUP);
	assert_int_equal(input(0), REORDER_HOLD);
	passed(0, 0);
	assert_int_equal(reorder_deadline(&r), now + REORDER_HOLD_START_US);
	now += 100;
	assert_int_equal(input(0xfffffffe), REORDER_DELIVER);
	passed(4, 0xfffffffe);
	assert_int_equal(reorder_deadline(&r), 0);
	assert_int_equal(r.n_reordered, 1);
	assert_int_equal(r.n_dup, 1);
	assert_int_equal(r.n_lost, 0);
	/* Replayed (G15) and restarted in vain (G16). */
	assert_int_equal(input(1), REORDER_LATE);
	assert_int_equal(input(0xfffffffd), REORDER_LATE);
	assert_int_equal(input(0x80000002), REORDER_LATE);	/* G13: 2^31 */
	assert_int_equal(input(0x80000001), REORDER_FAR);
	assert_int_equal(input(0x80000003), REORDER_LATE);
	passed(0, 0);
	assert_int_equal(r.n_late, 4);
	assert_int_equal(r.n_far, 1);
}

static void
gap_is_given_up_at_its_time(void **state)
{
	(void)state;
	quiet(9);
	input(11);
	now += 400;
	input(12);
	assert_int_equal(reorder_deadline(&r), 1000000 + REORDER_HOLD_MIN_US);
	reorder_expire(&r, reorder_deadline(&r) - 1);
	drain();
	passed(0, 0);
	expire();
	passed(2, 11);
	assert_int_equal(r.n_lost, 1);
	assert_int_equal(reorder_deadline(&r), 0);
	assert_int_equal(input(10), REORDER_LATE);
	assert_int_equal(input(13), REORDER_DELIVER);
}

/* Each gap has its own time, that of the first frame behind it. */
static void
second_gap_waits_its_own_time(void **state)
{
	(void)state;
	quiet(0);
	input(2);
	now += 300;
	input(5);
	now += 100;
	input(4);
	expire();
	assert_int_equal(now, 1000000 + REORDER_HOLD_MIN_US);
	passed(1, 2);
	assert_int_equal(reorder_deadline(&r),
	    1000300 + REORDER_HOLD_MIN_US);
	expire();
	passed(2, 4);
	/* Two gaps that are both over go in one. */
	input(7);
	input(9);
	expire();
	assert_int_equal(n_got, 2);
	assert_int_equal(r.n_lost, 4);
}

/* A gap of several: its first coming does not start the clock anew. */
static void
filling_half_a_gap_keeps_the_time(void **state)
{
	(void)state;
	quiet(0);
	input(3);
	now += 200;
	assert_int_equal(input(1), REORDER_DELIVER);
	assert_int_equal(reorder_deadline(&r), 1000000 + REORDER_HOLD_MIN_US);
	assert_int_equal(input(2), REORDER_DELIVER);
	n_got = 0;
	assert_int_equal(reorder_deadline(&r), 0);
	assert_int_equal(r.n_reordered, 2);
}

/* G17: 63 wait; each further one moves the window by one. */
static void
full_window_moves_on(void **state)
{
	(void)state;
	quiet(0);
	for (uint32_t i = 2; i <= REORDER_WINDOW; i++)
		assert_int_equal(input(i), REORDER_HOLD);
	assert_int_equal(r.held, REORDER_WINDOW - 1);
	assert_int_equal(input(REORDER_WINDOW + 1), REORDER_HOLD);
	passed(REORDER_WINDOW, 2);
	assert_int_equal(r.n_lost, 1);
	assert_int_equal(r.held, 0);

	/* Two missing before a full window: the first alone is given up. */
	quiet(0);
	for (uint32_t i = 3; i <= REORDER_WINDOW + 1; i++)
		assert_int_equal(input(i), REORDER_HOLD);
	passed(0, 0);
	assert_int_equal(r.n_lost, 1);
	assert_int_equal(input(2), REORDER_DELIVER);
	passed(REORDER_WINDOW, 2);

	/* A hop over several: those that are there come in order. */
	quiet(0);
	input(2);
	input(20);
	input(40);
	input(63);
	assert_int_equal(input(REORDER_WINDOW + 20), REORDER_HOLD);
	assert_int_equal(n_got, 2);
	assert_int_equal(got[0], 2);
	assert_int_equal(got[1], 20);
	n_got = 0;
	assert_int_equal(r.expected, 21);
	assert_int_equal(r.held, 3);
	assert_int_equal(r.n_lost, 18);
	assert_int_equal(input(22), REORDER_HOLD);

	/* A hop that leaves nothing behind. */
	quiet(0);
	input(2);
	assert_int_equal(input(2 * REORDER_WINDOW), REORDER_HOLD);
	passed(1, 2);
	assert_int_equal(r.expected, REORDER_WINDOW + 1);
	assert_int_equal(r.held, 1);
	assert_int_equal(reorder_deadline(&r), now + REORDER_HOLD_MIN_US);
	/* One further on is too far. */
	assert_int_equal(input(3 * REORDER_WINDOW + 1), REORDER_FAR);
}

/* Frames that were given up by such a hop and come soon after do teach. */
static void
hop_remembers_when_the_gap_began(void **state)
{
	(void)state;
	quiet(0);
	input(2);
	now += 300;
	input(2 * REORDER_WINDOW);
	now += 1000;
	assert_int_equal(input(REORDER_WINDOW - 1), REORDER_LATE);
	assert_int_equal(r.hold_us, 1500);	/* seen only then */
	now -= 100;
	assert_int_equal(input(1), REORDER_LATE);
	assert_int_equal(r.hold_us, 1800);	/* seen with the first */
}

static void
real_loss_teaches_nothing(void **state)
{
	(void)state;
	quiet(0);
	for (uint32_t i = 2; i < 20000; i += 2) {
		assert_int_equal(input(i), REORDER_HOLD);
		if (i <= 2 * REORDER_ORDERLY)
			expire();
		else
			assert_int_equal(reorder_deadline(&r), 0);
	}
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	assert_int_equal(r.n_lost, 9999);
}

static void
lose_gaps(uint32_t n)
{
	while (n-- > 0) {
		now += 10;
		assert_int_equal(input(r.expected + 1), REORDER_HOLD);
		if (reorder_deadline(&r) != 0)
			expire();
	}
	n_got = 0;
}

/* Short gaps do not wait on a path that keeps order; a long one does, and all
 * do again as soon as one frame came out of order. */
static void
orderly_path_does_not_wait(void **state)
{
	uint32_t e;

	(void)state;
	quiet(0);
	lose_gaps(REORDER_ORDERLY);
	e = r.expected;
	input(e + REORDER_SHORT_GAP);
	passed(1, e + REORDER_SHORT_GAP);
	e = r.expected;
	input(e + REORDER_SHORT_GAP + 1);
	passed(0, 0);
	assert_int_equal(reorder_deadline(&r), now + REORDER_HOLD_MIN_US);
	expire();
	n_got = 0;
	/* One that is late after all, and of those that wait one in time. */
	e = r.expected;
	input(e + 1);
	passed(1, e + 1);
	now += 100;
	assert_int_equal(input(e), REORDER_LATE);
	input(e + 3);
	passed(0, 0);
	expire();
	n_got = 0;
	lose_gaps(REORDER_ORDERLY);
	e = r.expected;
	input(e + REORDER_SHORT_GAP + 1);
	for (uint32_t i = 0; i <= REORDER_SHORT_GAP; i++)
		input(e + i);
	passed(REORDER_SHORT_GAP + 2, e);
	input(e + REORDER_SHORT_GAP + 3);
	passed(0, 0);
	expire();
}

/* What waits longest is unlearned by losses as well as by time. */
static void
losses_unlearn_waiting(void **state)
{
	(void)state;
	start(0);
	r.hold_us = 8000;
	lose_gaps(1);
	assert_int_equal(r.hold_us, 8000);
	lose_gaps(1);
	assert_int_equal(r.hold_us, 7000);
	lose_gaps(30);
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
}

/* The window is as wide as twice what was seen to come out of order, and
 * shrinks when that is over. */
static void
window_follows_depth(void **state)
{
	uint32_t depth, e, windows = 0;

	(void)state;
	quiet(0);
	r.hold_us = REORDER_HOLD_MAX_US;
	for (depth = 8; depth < REORDER_SLOTS; depth += 8) {
		uint32_t before = r.window;

		e = r.expected;
		for (uint32_t i = 1; i < depth; i++) {
			now += 10;
			input(e + i);
		}
		input(e);
		assert_int_equal(r.window != before, depth > before / 2 &&
		    before < REORDER_SLOTS);
		windows += r.window != before;
		n_got = 0;
		assert_int_equal(r.held, 0);
	}
	assert_int_equal(windows, 3);
	assert_int_equal(r.window, REORDER_SLOTS);
	/* A forged number, even an early one, proves nothing. */
	quiet(0);
	input(REORDER_WINDOW - 1);
	expire();
	assert_int_equal(r.window, REORDER_WINDOW);
	r.window = REORDER_SLOTS;
	r.deep_at = now;
	for (uint32_t i = 0; i < 4; i++) {
		now += 5000000;
		lose_gaps(1);
	}
	assert_int_equal(r.window, REORDER_WINDOW);
}

static void
late_frames_teach_to_wait(void **state)
{
	(void)state;
	quiet(0);
	input(2);
	expire();
	now = 1000000 + 800;
	assert_int_equal(input(1), REORDER_LATE);
	assert_int_equal(r.hold_us, 1200);
	/* Its duplicate, much later, does not, nor one that was in time. */
	now += 20000;
	assert_int_equal(input(1), REORDER_LATE);
	assert_int_equal(input(2), REORDER_LATE);
	assert_int_equal(r.hold_us, 1200);
	/* Next time it is waited for, and that keeps the time up. */
	input(4);
	now += 1100;
	assert_int_equal(input(3), REORDER_DELIVER);
	assert_int_equal(r.hold_us, 1650);
	/* A quick one changes nothing. */
	input(6);
	now += 10;
	input(5);
	assert_int_equal(r.hold_us, 1650);
	assert_int_equal(r.n_reordered, 2);
	assert_int_equal(r.n_late, 3);
}

static void
one_straggler_teaches_a_little_and_many_up_to_the_limit(void **state)
{
	uint32_t seq = 0;
	static const uint32_t want[] = { 2000, 8000, 32000, 40000, 40000 };

	(void)state;
	quiet(0);
	for (size_t i = 0; i < 5; i++) {
		uint64_t then = now;

		input(seq + 2);
		expire();
		now = then + REORDER_HOLD_MAX_US;
		assert_int_equal(input(seq + 1), REORDER_LATE);
		assert_int_equal(r.hold_us, want[i]);
		seq += 2;
	}
	/* One that no wait of ours can serve does not lengthen it. */
	quiet(0);
	input(2);
	expire();
	now = 1000000 + REORDER_HOLD_MAX_US + 1;
	assert_int_equal(input(1), REORDER_LATE);
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
}

/* A number as old as the window remembers, and one older. */
static void
window_remembers_what_was_given_up(void **state)
{
	(void)state;
	for (uint32_t age = REORDER_SLOTS; age <= REORDER_SLOTS + 1; age++) {
		quiet(0);
		input(2);
		expire();
		for (uint32_t i = 3; r.expected < 1 + age; i++)
			assert_int_equal(input(i), REORDER_DELIVER);
		now = 1000900;
		assert_int_equal(input(1), REORDER_LATE);
		assert_int_equal(r.hold_us, age == REORDER_SLOTS ? 1350 : 500);
	}
}

static void
waiting_is_unlearned_on_a_quiet_path(void **state)
{
	uint32_t last = REORDER_HOLD_START_US;
	uint64_t began;

	(void)state;
	start(0);
	began = now;
	for (uint32_t seq = 2; r.hold_us > REORDER_HOLD_MIN_US; seq += 2) {
		now += 250000;
		input(seq);
		assert_true(r.hold_us < last);
		assert_true(r.hold_us >= last - last / 8);
		last = r.hold_us;
		reorder_expire(&r, now + last);
		drain();
	}
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	assert_in_range(now - began, 3000000, 10000000);
	/* and goes no further, even after a year. */
	now += (uint64_t)365 * 86400 * 1000000;
	input(r.expected + 1);
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	/* A step is a step: no fraction of it counts, none is lost. */
	start(0);
	r.hold_us = 8000;
	now += 249999;
	input(2);
	assert_int_equal(r.hold_us, 8000);
	expire();
	now = 1000000 + 250000;
	input(4);
	assert_int_equal(r.hold_us, 7000);
}

static void
lesson_counts_from_now(void **state)
{
	(void)state;
	quiet(0);
	now += 10000000;
	input(2);
	expire();
	now += 600;
	input(1);
	assert_int_equal(r.hold_us, 1650);
	input(4);
	assert_int_equal(r.hold_us, 1650);
	/* A gap of which a part has come waits for the rest the longer. */
	quiet(0);
	input(3);
	now += 450;
	input(1);
	assert_int_equal(reorder_deadline(&r), 1000000 + 675);
}

static void
what_is_still_needed_is_not_unlearned(void **state)
{
	(void)state;
	start(0);
	for (uint32_t seq = 1; seq < 4000; seq += 2) {
		now += 20000;
		assert_int_equal(input(seq + 1), REORDER_HOLD);
		now += 3000;
		assert_int_equal(input(seq), REORDER_DELIVER);
		n_got = 0;
		assert_in_range(r.hold_us, 3900, 5000);
	}
}

/* G12: a single forged frame, and single ones for ever beside traffic. */
static void
forged_far_frames_change_nothing(void **state)
{
	uint32_t seq = 1, x = 12345;

	(void)state;
	quiet(0);
	for (unsigned i = 0; i < 100000; i++) {
		now += 3000;
		assert_int_equal(input(seq++), REORDER_DELIVER);
		x = x * 1664525 + 1013904223;
		if (x - seq >= REORDER_WINDOW)
			assert_true(input(x) >= REORDER_LATE);
		/* the same number, a long way off, again and again */
		assert_int_equal(input(0x7fff0000), REORDER_FAR);
		n_got = 0;
	}
	assert_int_equal(r.n_jump, 0);
	/* An idle call: only silence, and no two that belong together. */
	now += 3600u * (uint64_t)1000000;
	for (unsigned i = 0; i < 1000; i++) {
		now += 1000000;
		assert_int_equal(input(seq + 0x1000000 + i * 1000),
		    REORDER_FAR);
		assert_int_equal(input(0x7fff0000), REORDER_FAR);
	}
	assert_int_equal(r.n_jump, 0);
	assert_int_equal(input(seq), REORDER_DELIVER);
}

/* Consecutive far frames do not count while the true ones go on. */
static void
live_traffic_keeps_its_window(void **state)
{
	(void)state;
	quiet(0);
	for (uint32_t i = 1; i < 1000; i++) {
		now += 1000;
		assert_int_equal(input(i), REORDER_DELIVER);
		assert_int_equal(input(5000 + i), REORDER_FAR);
		n_got = 0;
	}
	/* Nor do those before and after a true one add up. */
	now += 1000;
	input(7001);
	input(7002);
	input(1000);
	now += 100000;
	assert_int_equal(input(7003), REORDER_FAR);
	assert_int_equal(input(7004), REORDER_FAR);
	assert_int_equal(input(7005), REORDER_HOLD);
	assert_int_equal(r.n_jump, 1);
}

/* Lose n frames of a stream, one each gap_us; how many more until it runs? */
static uint32_t
burst(uint32_t n, uint64_t gap_us, bool every_tenth_lost, bool forger)
{
	uint32_t seq = 0xffffff00, wait = 0, x = 99;

	quiet(seq);
	for (unsigned i = 0; i < 300; i++) {
		now += gap_us;
		assert_int_equal(input(++seq), REORDER_DELIVER);
	}
	seq += n;
	now += gap_us * n;
	for (;;) {
		enum reorder_verdict v = REORDER_FAR;

		now += gap_us;
		seq++;
		if (forger) {
			x = x * 1664525 + 1013904223;
			assert_true(input(x) >= REORDER_LATE);
		}
		if (!every_tenth_lost || wait % 10 != 9)
			v = input(seq);
		if (v == REORDER_HOLD || v == REORDER_DELIVER)
			break;
		wait++;
		assert_true(wait < 100000);
	}
	n_got = 0;
	if (reorder_deadline(&r) != 0)
		expire();
	n_got = 0;
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(input(++seq), REORDER_DELIVER);
	assert_int_equal(r.n_lost, n + wait);
	return wait;
}

/* At 50 Mbit/s a frame of 1400 bytes takes 230 us; UML sends one each 50. */
static void
loss_bursts_are_survived(void **state)
{
	(void)state;
	assert_int_equal(burst(1, 230, false, false), 0);
	assert_int_equal(burst(62, 50, false, false), 0);
	for (uint32_t n = 64; n <= 10000; n = n * 5 / 4) {
		assert_int_equal(burst(n, 230, false, false), 2);
		assert_true(burst(n, 230, true, false) <= 3);
		assert_true(burst(n, 50, false, false) <= 2);
		assert_int_equal(burst(n, 230, false, true), 2);
	}
	assert_int_equal(burst(60000, 20, false, false), 2);
	/* A burst beyond 64 Ki: two seconds of silence prove it. */
	assert_int_equal(burst(70000, 50, false, false), 2);
	assert_in_range(burst(70000, 20, false, false), 29999 - 2, 30002);
}

/* All frames in flight are lost but a few, then TCP sends one by one. */
static void
frames_dropped_during_the_silence_count(void **state)
{
	(void)state;
	quiet(0);
	now += 100;
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(input(101 + i), REORDER_FAR);
	now += 200000;
	assert_int_equal(input(104), REORDER_HOLD);
	passed(1, 104);
	assert_int_equal(r.n_far, 3);
	assert_int_equal(r.n_lost, 103);
}

static void
far_distance_must_fit_the_silence(void **state)
{
	(void)state;
	for (uint32_t last = 4001; last <= 4002; last++) {
		quiet(0);
		now += 4000;
		input(last - 2);
		input(last - 1);
		assert_int_equal(input(last), last == 4001 ? REORDER_HOLD :
		    REORDER_FAR);
	}
	/* The silence must be longer than what reordering explains. */
	quiet(0);
	now += 1999;
	input(100);
	input(101);
	assert_int_equal(input(102), REORDER_FAR);
	now++;
	assert_int_equal(input(103), REORDER_HOLD);
}

/* Reordered and thinned out, up to the size of a window apart. */
static void
new_numbering_may_have_holes(void **state)
{
	(void)state;
	quiet(0);
	now += 1000000;
	input(1000);
	input(1000);				/* a duplicate */
	input(1000 + REORDER_WINDOW);
	input(999);				/* out of order */
	assert_int_equal(input(1000 + 2 * REORDER_WINDOW), REORDER_HOLD);
	passed(1, 1000 + 2 * REORDER_WINDOW);
	/* Farther apart they are none. */
	quiet(0);
	now += 1000000;
	input(1000);
	input(1000 + REORDER_WINDOW + 1);
	assert_int_equal(input(1000 + REORDER_WINDOW + 2), REORDER_FAR);
	assert_int_equal(input(1000 + REORDER_WINDOW + 3), REORDER_HOLD);
	/* One far below the run is no part of it. */
	quiet(0);
	now += 1000000;
	input(2000);
	input(1998 - REORDER_WINDOW);
	input(1999 - REORDER_WINDOW);
	assert_int_equal(input(2000 - REORDER_WINDOW), REORDER_HOLD);
	/* Nothing is special about 0. */
	quiet(0x1000);
	now += 3000000;
	input(0xfffffffa);
	input(0xfffffffb);
	assert_int_equal(input(0xfffffffc), REORDER_HOLD);
}

static void
forged_frames_do_not_displace_the_true_numbering(void **state)
{
	(void)state;
	quiet(0);
	now += 1000000;
	/* Three different ones between each two. */
	input(5000);
	for (uint32_t i = 1; i <= 3; i++)
		input(i * 1000000);
	input(5001);
	/* Once two belong together, any number. */
	for (uint32_t i = 4; i <= 40; i++)
		input(i * 1000000);
	assert_int_equal(input(5002), REORDER_HOLD);
	/* Two runs of two, and single ones: neither is displaced. */
	quiet(0);
	now += 1000000;
	for (uint32_t i = 0; i < 2; i++) {
		input(5000 + i);
		input(6000 + i);
		input(7000 + i);
	}
	for (uint32_t i = 4; i <= 40; i++)
		input(i * 1000000);
	assert_int_equal(input(6002), REORDER_HOLD);
}

static void
limits_of_belief_are_exact(void **state)
{
	(void)state;
	for (uint32_t over = 0; over < 2; over++) {
		quiet(0);
		now += 1900000;
		input(65535 + over);
		input(65536 + over);
		assert_int_equal(input(65537 + over), over ? REORDER_FAR :
		    REORDER_HOLD);
		quiet(0);
		now += 2000000 - over;
		input(0x10000000);
		input(0x10000001);
		assert_int_equal(input(0x10000002), over ? REORDER_FAR :
		    REORDER_HOLD);
	}
}

/* Right after a jump the new window counts as any: its gaps are waited for,
 * and it is not silent. */
static void
window_after_a_jump_is_a_window(void **state)
{
	(void)state;
	quiet(0);
	now += 3000000;
	input(5000);
	input(5001);
	assert_int_equal(input(5002), REORDER_HOLD);
	passed(1, 5002);
	assert_int_equal(input(9000), REORDER_FAR);
	assert_int_equal(input(9001), REORDER_FAR);
	assert_int_equal(input(9002), REORDER_FAR);
	assert_int_equal(input(5004), REORDER_HOLD);
	passed(0, 0);
	assert_int_equal(reorder_deadline(&r), now + REORDER_HOLD_MIN_US);
	assert_int_equal(input(5003), REORDER_DELIVER);
	passed(2, 5003);
}

/* The slots' memory of what was missing ends with the old numbering. */
static void
jump_forgets_what_was_missing(void **state)
{
	(void)state;
	for (uint32_t slot = 0; slot < REORDER_SLOTS; slot++) {
		quiet(slot - 1);
		input(slot + 1);		/* slot is missing */
		now += 3000;
		input(slot + 1000 * REORDER_SLOTS);
		input(slot + 1000 * REORDER_SLOTS + 1);
		now += 2000000;
		assert_int_equal(input(slot + 1000 * REORDER_SLOTS + 2),
		    REORDER_HOLD);
		r.slots[slot].missed_since = now;
		now += 1000;
		assert_int_equal(input(slot + 1000 * REORDER_SLOTS),
		    REORDER_LATE);
		assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	}
}

/* Held frames of the old numbering come before the new one's. */
static void
jump_passes_on_what_waits(void **state)
{
	(void)state;
	quiet(0);
	input(2);
	input(5);
	now += 3000;
	input(1000);
	input(1001);
	assert_int_equal(input(1002), REORDER_HOLD);
	assert_int_equal(n_got, 3);
	assert_int_equal(got[0], 2);
	assert_int_equal(got[1], 5);
	assert_int_equal(got[2], 1002);
	assert_int_equal(r.n_lost, 999);
	assert_int_equal(reorder_deadline(&r), 0);
	n_got = 0;
	/* Nothing of the old is remembered as missing. */
	assert_int_equal(input(1000), REORDER_LATE);
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	input(1003);
	passed(1, 1003);
}

/* The client begins at 0 or 1 again, or anywhere. */
static void
restart_is_believed_after_silence(void **state)
{
	static const uint32_t to[] = { 0, 1, 0x4000, 0x7fffffff };

	(void)state;
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		uint32_t seq = to[i];

		quiet(0x12345);
		now += 1998900;
		for (unsigned k = 0; k < 10; k++) {
			now += 100;
			assert_true(input(seq++) >= REORDER_LATE);
		}
		passed(0, 0);
		now += 100;
		assert_int_equal(input(seq), REORDER_HOLD);
		passed(1, seq);
		assert_int_equal(r.n_jump, 1);
		assert_int_equal(input(seq + 1), REORDER_DELIVER);
		assert_int_equal(r.n_lost, to[i] > 0x12345 ?
		    to[i] + 10 - 0x12346 : 0);
		n_got = 0;
	}
}

/* A batch that was on a slow way for a second is late, not a restart. */
static void
old_frames_in_order_are_no_restart(void **state)
{
	(void)state;
	quiet(1000);
	now += 1900000;
	for (uint32_t i = 500; i < 1000; i++) {
		now += 100;
		assert_int_equal(input(i), REORDER_LATE);
	}
	assert_int_equal(r.n_jump, 0);
	assert_int_equal(input(1001), REORDER_DELIVER);
}

/* A forger's three on an idle call: the true client gets back in. */
static void
call_recovers_from_a_forged_jump(void **state)
{
	uint32_t seq = 101;

	(void)state;
	quiet(100);
	now += 10000000;
	input(0x70000000);
	input(0x70000001);
	assert_int_equal(input(0x70000002), REORDER_HOLD);
	n_got = 0;
	now += 1;
	for (unsigned i = 0; i < 20 && n_got == 0; i++) {
		now += 200000;
		input(seq++);
	}
	assert_int_equal(n_got, 1);
	n_got = 0;
	assert_int_equal(input(seq), REORDER_DELIVER);
}

static void
all_held_frames_can_be_stolen(void **state)
{
	uint32_t handle, sum = 0, seq;

	(void)state;
	start(0);
	assert_false(reorder_steal(&r, &handle));
	input(2);
	input(3);
	input(9);
	/* and one beyond the window that was not drained yet */
	assert_int_equal(reorder_input(&r, REORDER_WINDOW + 5, now),
	    REORDER_HOLD);
	reorder_put(&r, REORDER_WINDOW + 5, HANDLE(REORDER_WINDOW + 5));
	while (reorder_steal(&r, &handle))
		sum += HANDLE(handle);
	assert_int_equal(sum, 2 + 3 + 9 + REORDER_WINDOW + 5);
	assert_false(reorder_steal(&r, &handle));
	assert_false(reorder_next(&r, &handle, &seq));
	assert_int_equal(reorder_deadline(&r), 0);
}

static void
clock_that_stands_or_steps_back_is_harmless(void **state)
{
	(void)state;
	quiet(0);
	now -= 500;
	input(2);
	now -= 500;
	input(1);
	assert_int_equal(r.hold_us, REORDER_HOLD_MIN_US);
	input(5000);
	input(5001);
	assert_int_equal(input(5002), REORDER_FAR);
}

/* xorshift64*, so that the numbers are the same everywhere. */
static uint64_t rng;

static uint32_t
rnd(uint32_t below)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (uint32_t)(rng * 0x2545f4914f6cdd1du >> 33) % below;
}

static void
seed(void)
{
	const char *s = getenv("SEED");

	/* The same each time, so that a failure is the last change's. */
	rng = s ? strtoull(s, NULL, 0) : 2654435761u;
	rng |= 1;
	printf("SEED=%" PRIu64 "\n", rng);
}

#define N_SENT	20000u

/* The model: numbers of 64 bits from 0, one flag each. */
static struct {
	uint32_t base;
	uint64_t expected;
	uint64_t held_at[N_SENT + 1024];	/* 0: not held */
	uint64_t missed_at[N_SENT + 1024];	/* 0: not given up */
	uint64_t gap, gap_since;	/* number that is waited for */
	bool at_once;
	unsigned orderly, n_held;
	uint64_t n_in, n_out, n_refused;
} m;

static void
model_out(uint64_t n)
{
	uint32_t handle, seq;

	assert_true(reorder_next(&r, &handle, &seq));
	assert_int_equal(seq, m.base + (uint32_t)n);
	assert_int_equal(handle, HANDLE(seq));
	m.held_at[n] = 0;
	m.n_held--;
	m.n_out++;
	m.expected = n + 1;
	m.gap = UINT64_MAX;
}

static uint64_t
model_oldest(void)
{
	uint64_t oldest = UINT64_MAX;

	for (uint64_t n = m.expected; n < m.expected + r.window; n++) {
		if (m.held_at[n] != 0 && m.held_at[n] < oldest)
			oldest = m.held_at[n];
	}
	return oldest;
}

/* A gap is met: is it one that waits? */
static void
model_gap(void)
{
	uint64_t first = m.expected + 1;

	if (m.gap == m.expected)
		return;
	while (m.held_at[first] == 0)
		first++;
	m.gap = m.expected;
	m.gap_since = model_oldest();
	m.at_once = m.orderly == REORDER_ORDERLY &&
	    first - m.expected <= REORDER_SHORT_GAP;
	if (m.orderly < REORDER_ORDERLY)
		m.orderly++;
}

static void
model_give_up(uint64_t since)
{
	m.missed_at[m.expected] = since;
	m.expected++;
	m.gap = m.expected;
}

/* What is in order, gaps up to floor or as old as over given up; a gap that
 * is found behind the first one is judged by what was learned since: later. */
static void
model_drain(uint64_t floor, uint64_t over, uint64_t later)
{
	uint32_t handle, seq;

	while (m.n_held > 0) {
		bool others = m.n_held > (floor > 0);

		if (m.held_at[m.expected] != 0) {
			model_out(m.expected);
			over = later;
			continue;
		}
		if (others || m.expected >= floor)
			model_gap();
		if (m.expected < floor)
			model_give_up(others ? m.gap_since : now);
		else if (m.at_once || model_oldest() <= over)
			model_give_up(m.gap_since);
		else
			break;
		if (m.expected == floor) {	/* it is one of them now */
			floor = 0;
			m.gap = others ? m.gap : UINT64_MAX;
		}
	}
	assert_false(reorder_next(&r, &handle, &seq));
	assert_int_equal(r.expected, m.base + (uint32_t)m.expected);
	if (m.n_held == 0)
		assert_int_equal(reorder_deadline(&r), 0);
	else
		assert_in_range(reorder_deadline(&r) - model_oldest(),
		    REORDER_HOLD_MIN_US, REORDER_HOLD_MAX_US);
}

static void
model_expire(void)
{
	uint64_t deadline = reorder_deadline(&r);

	if (deadline == 0 || deadline > now)
		return;
	reorder_expire(&r, now);
	/* The gap's first frame is older than now by the hold time or more;
	 * what the hold time was then is known from the deadline. */
	model_drain(0, now - (deadline - model_oldest()), now - r.hold_us);
}

static void
model_input(uint64_t n)
{
	uint32_t seq = m.base + (uint32_t)n;
	uint32_t window = r.window;
	enum reorder_verdict v = reorder_input(&r, seq, now);
	uint64_t floor = 0;

	m.n_in++;
	if (n < m.expected && m.expected - n <= REORDER_SLOTS &&
	    m.missed_at[n] != 0) {
		if (now - m.missed_at[n] <= REORDER_HOLD_MAX_US)
			m.orderly = 0;
		m.missed_at[n] = 0;
	}
	if (n < m.expected || m.held_at[n] != 0) {
		assert_int_equal(v, n < m.expected ? REORDER_LATE :
		    REORDER_DUP);
		m.n_refused++;
		return;
	}
	if (n - m.expected >= window && m.n_held == 0) {
		assert_int_equal(v, REORDER_FAR);
		m.n_refused++;
		return;
	}
	if (n == m.expected) {
		assert_int_equal(v, REORDER_DELIVER);
		if (m.n_held > 0 &&
		    now - m.gap_since <= REORDER_HOLD_MAX_US)
			m.orderly = 0;
		m.n_out++;
		m.expected++;
		m.gap = UINT64_MAX;
	} else {
		assert_int_equal(v, REORDER_HOLD);
		reorder_put(&r, seq, HANDLE(seq));
		m.held_at[n] = now;
		m.n_held++;
		if (n - m.expected >= window)
			floor = n - (window - 1);
	}
	/* A later hop does not make older gaps wait less. */
	model_drain(floor, 0, 0);
	assert_true(m.n_held <= r.window);
}

struct packet {
	uint64_t at;
	uint64_t n;
};

static int
by_time(const void *a, const void *b)
{
	const struct packet *pa = a, *pb = b;

	if (pa->at != pb->at)
		return pa->at < pb->at ? -1 : 1;
	return pa->n < pb->n ? -1 : pa->n > pb->n;
}

static void
one_random_stream(void)
{
	static struct packet p[2 * N_SENT];
	size_t k = 0;
	uint32_t gap = 1 + rnd(400), jitter = 1 + rnd(2) * rnd(20) * gap;
	uint32_t loss = rnd(30), dups = rnd(30), burst_left = 0, in_a_row = 0;
	uint32_t handle;

	if (rnd(4) == 0)
		jitter = jitter * 8;	/* more than the first window has */
	for (uint64_t n = 0; n < N_SENT; n++) {
		uint64_t at = 5000000 + n * gap;

		if (rnd(2000) == 0)
			burst_left = rnd(40);
		/* No more in a row than the window has: the model knows no
		 * jumps, they have tests of their own. */
		if (n > 0 && in_a_row < REORDER_WINDOW / 2 &&
		    (burst_left > 0 || rnd(100) < loss)) {
			burst_left -= burst_left > 0;
			in_a_row++;
			continue;
		}
		in_a_row = 0;
		p[k++] = (struct packet){ at + (n ? rnd(jitter) : 0), n };
		if (rnd(100) < dups)
			p[k++] = (struct packet){ at + 1 + rnd(3 * jitter), n };
	}
	qsort(p, k, sizeof(p[0]), by_time);
	memset(&m, 0, sizeof(m));
	m.gap = UINT64_MAX;
	reorder_init(&r);
	m.base = 0u - rnd(N_SENT);
	for (size_t i = 0; i < k; i++) {
		/* The timer goes off between two frames, or is late. */
		if (rnd(4) != 0) {
			now = reorder_deadline(&r);
			if (now != 0 && now <= p[i].at)
				model_expire();
		}
		now = p[i].at;
		if (rnd(8) == 0)
			model_expire();
		model_input(p[i].n);
	}
	while (reorder_steal(&r, &handle)) {
		uint32_t n = HANDLE(handle) - m.base;

		assert_true(m.held_at[n] != 0);
		m.held_at[n] = 0;
		m.n_held--;
		m.n_out++;
	}
	assert_int_equal(m.n_held, 0);
	assert_int_equal(m.n_in, m.n_out + m.n_refused);
	assert_int_equal(r.n_late + r.n_dup + r.n_far, m.n_refused);
	assert_int_equal(r.n_jump, 0);
}

static void
random_streams_agree_with_the_model(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++)
		one_random_stream();
}

/* Anything at all: between two jumps numbers rise, and no handle is lost or
 * given twice. */
static void
random_numbers_keep_the_invariants(void **state)
{
	static uint8_t live[1 << 16];
	uint32_t next = 0, n_live = 0, handle, seq, last = 0, jumps = 0;
	uint32_t at = rnd(UINT32_MAX);

	(void)state;
	reorder_init(&r);
	now = 1;
	for (unsigned i = 0; i < 400000; i++) {
		enum reorder_verdict v;

		now += rnd(8) == 0 ? rnd(3000000) : rnd(300);
		switch (rnd(40)) {
		case 0:
			at = rnd(UINT32_MAX);
			break;
		case 1:
			at += rnd(300);
			break;
		case 2:
			at -= rnd(300);
			break;
		default:
			at += 1;
		}
		if (reorder_deadline(&r) != 0 && reorder_deadline(&r) <= now)
			reorder_expire(&r, now);
		else {
			seq = at + rnd(4) - 2;
			v = reorder_input(&r, seq, now);
			if (v == REORDER_HOLD) {
				while (live[next % 65536])
					next++;
				live[next % 65536] = 1;
				n_live++;
				reorder_put(&r, seq, next % 65536);
			}
			if (v == REORDER_DELIVER) {
				assert_true(i == 0 || seq - last - 1 <
				    INT32_MAX);
				last = seq;
			}
		}
		while (reorder_next(&r, &handle, &seq)) {
			assert_int_equal(live[handle], 1);
			live[handle] = 0;
			n_live--;
			/* Only the frame that makes a jump may step back. */
			if (seq - last - 1 >= INT32_MAX) {
				assert_int_equal(r.n_jump, jumps + 1);
				assert_int_equal(n_live, 0);
			}
			last = seq;
		}
		jumps = r.n_jump;
		assert_int_equal(n_live, r.held);
		assert_true(n_live < REORDER_SLOTS);
		assert_int_equal(reorder_deadline(&r) != 0, n_live > 0);
		assert_in_range(r.hold_us, REORDER_HOLD_MIN_US,
		    REORDER_HOLD_MAX_US);
	}
	assert_true(jumps > 10);
	while (reorder_steal(&r, &handle))
		live[handle]--;
	for (size_t i = 0; i < sizeof(live); i++)
		assert_int_equal(live[i], 0);
}

/* Frames every 50 us, 1 % lost, each up to so many us later than the fastest:
 * how many of those that came were not passed on, how long they waited. */
static uint64_t
through_jitter(uint32_t jitter, uint64_t *ret_waited)
{
	static struct packet p[N_SENT];
	static uint64_t came[N_SENT];
	size_t k = 0, out = 0;
	uint64_t waited = 0;

	for (uint64_t n = 0; n < N_SENT; n++) {
		if (n == 0 || rnd(100) != 0)
			p[k++] = (struct packet){ 1000 + n * 50 + rnd(jitter),
			    n };
	}
	qsort(p, k, sizeof(p[0]), by_time);
	reorder_init(&r);
	r.hold_us = REORDER_HOLD_MIN_US;
	n_got = 0;
	for (size_t i = 0; i < k; i++) {
		came[p[i].n] = p[i].at;
		while (reorder_deadline(&r) != 0 &&
		    reorder_deadline(&r) <= p[i].at) {
			expire();
			out += n_got;
			for (size_t g = 0; g < n_got; g++)
				waited += now - came[got[g]];
			n_got = 0;
		}
		now = p[i].at;
		input((uint32_t)p[i].n);
		out += n_got;
		for (size_t g = 0; g < n_got; g++)
			waited += now - came[got[g]];
		n_got = 0;
	}
	*ret_waited = waited / out;
	return k - out;
}

static void
jitter_costs_no_frames(void **state)
{
	uint64_t waited;

	(void)state;
	/* 0.2 ms to either side. */
	assert_true(through_jitter(400, &waited) <= REORDER_WINDOW + 20);
	assert_true(waited < 300);
	assert_in_range(r.hold_us, REORDER_HOLD_MIN_US, 1000);
	assert_int_equal(r.window, REORDER_WINDOW);
	/* 5 ms: 200 frames are on their way at once.  Some are lost until
	 * window and time have grown, then none. */
	assert_true(through_jitter(10000, &waited) <= 600);
	assert_true(waited < 12000);
	assert_in_range(r.window, 256, REORDER_SLOTS);
}

/* What was passed on before does not pass again, a gap is still one. */
static void
another_process_goes_on(void **state)
{
	(void)state;
	now = 1000000;
	reorder_resume(&r, 500);
	assert_int_equal(reorder_input(&r, 499, now), REORDER_LATE);
	assert_int_equal(reorder_input(&r, 501, now), REORDER_HOLD);
	reorder_put(&r, 501, HANDLE(501));
	assert_int_equal(reorder_input(&r, 500, now), REORDER_DELIVER);
	n_got = 0;
	drain();
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0], 501);
}

/* What somebody else passed on is not missing, whatever was given up in its
 * slot before: its duplicate teaches nothing. */
static void
what_others_passed_is_not_missing(void **state)
{
	uint32_t hold;

	(void)state;
	start(0);
	assert_int_equal(input(2), REORDER_HOLD);
	expire();
	assert_int_equal(r.n_lost, 1);
	reorder_passed(&r, REORDER_SLOTS - 2, now);
	reorder_passed(&r, 1, now);	/* 1 + REORDER_SLOTS */
	hold = r.hold_us;
	now += REORDER_HOLD_MAX_US / 2;
	assert_int_equal(reorder_input(&r, 1 + REORDER_SLOTS, now),
	    REORDER_LATE);
	assert_int_equal(r.hold_us, hold);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_first_number_will_do),
		cmocka_unit_test(swapped_frames_are_put_right_across_the_wrap),
		cmocka_unit_test(gap_is_given_up_at_its_time),
		cmocka_unit_test(second_gap_waits_its_own_time),
		cmocka_unit_test(filling_half_a_gap_keeps_the_time),
		cmocka_unit_test(full_window_moves_on),
		cmocka_unit_test(hop_remembers_when_the_gap_began),
		cmocka_unit_test(real_loss_teaches_nothing),
		cmocka_unit_test(orderly_path_does_not_wait),
		cmocka_unit_test(losses_unlearn_waiting),
		cmocka_unit_test(window_follows_depth),
		cmocka_unit_test(late_frames_teach_to_wait),
		cmocka_unit_test(
		    one_straggler_teaches_a_little_and_many_up_to_the_limit),
		cmocka_unit_test(window_remembers_what_was_given_up),
		cmocka_unit_test(waiting_is_unlearned_on_a_quiet_path),
		cmocka_unit_test(lesson_counts_from_now),
		cmocka_unit_test(what_is_still_needed_is_not_unlearned),
		cmocka_unit_test(forged_far_frames_change_nothing),
		cmocka_unit_test(live_traffic_keeps_its_window),
		cmocka_unit_test(loss_bursts_are_survived),
		cmocka_unit_test(frames_dropped_during_the_silence_count),
		cmocka_unit_test(far_distance_must_fit_the_silence),
		cmocka_unit_test(new_numbering_may_have_holes),
		cmocka_unit_test(
		    forged_frames_do_not_displace_the_true_numbering),
		cmocka_unit_test(limits_of_belief_are_exact),
		cmocka_unit_test(window_after_a_jump_is_a_window),
		cmocka_unit_test(jump_forgets_what_was_missing),
		cmocka_unit_test(jump_passes_on_what_waits),
		cmocka_unit_test(restart_is_believed_after_silence),
		cmocka_unit_test(old_frames_in_order_are_no_restart),
		cmocka_unit_test(call_recovers_from_a_forged_jump),
		cmocka_unit_test(all_held_frames_can_be_stolen),
		cmocka_unit_test(clock_that_stands_or_steps_back_is_harmless),
		cmocka_unit_test(random_streams_agree_with_the_model),
		cmocka_unit_test(random_numbers_keep_the_invariants),
		cmocka_unit_test(jitter_costs_no_frames),
		cmocka_unit_test(another_process_goes_on),
		cmocka_unit_test(what_others_passed_is_not_missing),
	};

	seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
