/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers and times of any kind.  Each step: what, and two bytes for it.
 *
 * Beside the module runs a model that sees what its caller sees and nothing
 * of its state: a plain list of what waits, and rules about what may happen
 * to it.  Where the path's history decides (how wide the window is, how long
 * a gap waits) it knows bounds; all else it knows exactly.
 */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/reorder.h"

#define N_STEPS		1024u
#define NONE		UINT32_MAX	/* no handle */

/* What the module promises beyond its header: three ascending numbers as
 * close as this are a new numbering, after a silence of the old one. */
#define RUN_STEP	64u
#define SILENT_US	2000000u
/* After less, if so many frames could have been sent in it, one per us. */
#define BURST_MAX	65536u
#define BURST_US	(4 * REORDER_HOLD_MIN_US)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct frame {
	uint32_t seq;
	uint64_t at;
};

static struct reorder r;

static struct {
	bool any;
	uint64_t now;
	uint64_t timer;			/* when it went off last */
	/* The next number: from..to.  They differ only when a full window
	 * moved on and its width is not known. */
	uint32_t from, to;
	uint32_t window_max;		/* REORDER_WINDOW is the least */
	uint32_t highest;		/* of those taken */
	struct frame frame[N_STEPS];	/* by handle */
	uint32_t n_frames;
	uint32_t waiting[N_STEPS];	/* handles */
	uint32_t n_waiting;
	uint32_t stray[N_STEPS];	/* refused since one was taken */
	uint32_t n_stray, n_refused;
	uint64_t taken_at;
	bool gap_counted;
	unsigned gaps;			/* since one of them was filled */
} m;

static bool
before(uint32_t a, uint32_t b)
{
	return a - b > INT32_MAX;
}

static bool
waits(uint32_t seq)
{
	for (uint32_t i = 0; i < m.n_waiting; i++)
		if (m.frame[m.waiting[i]].seq == seq)
			return true;
	return false;
}

/* Index of the one whose turn it is.  One that begins a new numbering behind
 * the old one is the last. */
static uint32_t
first_waiting(void)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < m.n_waiting; i++)
		if (m.frame[m.waiting[i]].seq - m.from <
		    m.frame[m.waiting[best]].seq - m.from)
			best = i;
	return best;
}

static uint64_t
oldest(void)
{
	uint64_t at = UINT64_MAX;

	for (uint32_t i = 0; i < m.n_waiting; i++)
		if (m.frame[m.waiting[i]].at < at)
			at = m.frame[m.waiting[i]].at;
	return at;
}

static bool
ascending_strays(uint32_t seq)
{
	for (uint32_t i = 0; i < m.n_stray; i++)
		for (uint32_t k = 0; k < i &&
		    seq - m.stray[i] - 1 < RUN_STEP; k++)
			if (m.stray[i] - m.stray[k] - 1 < RUN_STEP)
				return true;
	return false;
}

static bool
may_be_new_numbering(uint32_t seq)
{
	uint64_t silent = m.now - m.taken_at;
	uint32_t ahead = before(seq, m.to) ? 0 : seq - m.to;

	if (!ascending_strays(seq))
		return false;
	return silent >= SILENT_US || (!before(seq, m.from) &&
	    ahead <= BURST_MAX && ahead <= silent && silent >= BURST_US);
}

static bool
must_be_new_numbering(uint32_t seq)
{
	return m.n_stray == 2 && m.stray[0] == seq - 2 &&
	    m.stray[1] == seq - 1 && m.now - m.taken_at >= SILENT_US;
}

/* seq came so far behind others: there may be more room from now on. */
static void
came_behind(uint32_t seq)
{
	uint32_t depth = m.highest + 1 - seq;

	if (depth <= 2 * REORDER_SLOTS && depth > m.window_max / 2 &&
	    m.window_max < REORDER_SLOTS)
		m.window_max *= 2;
}

static void
count_gap(void)
{
	if (!m.gap_counted)
		m.gaps++;
	m.gap_counted = true;
}

static void
passed_on(uint32_t seq)
{
	m.from = m.to = seq + 1;
	m.gap_counted = false;
}

/* The module passes on handle.  What is missing before it may be given up
 * when jump, if that is a frame's, may begin a new numbering, up to room when
 * the window must reach further, when it waited its time, or at once on a
 * path that keeps order. */
static void
out(uint32_t handle, uint32_t seq, uint32_t jump, uint32_t room)
{
	uint32_t i = first_waiting();

	assert(m.n_waiting > 0);
	if (m.waiting[i] != handle && m.waiting[i] == jump) {
		/* So the next number was behind that already. */
		m.from = m.frame[jump].seq + 1;
		i = first_waiting();
	}
	assert(m.waiting[i] == handle && m.frame[handle].seq == seq);
	assert(jump != NONE || !before(seq, m.from));
	if (before(m.to, seq)) {
		count_gap();
		assert(jump != NONE || !before(room, seq) ||
		    m.timer >= oldest() + REORDER_HOLD_MIN_US ||
		    (seq - m.to <= REORDER_SHORT_GAP &&
		    m.gaps > REORDER_ORDERLY));
	}
	m.waiting[i] = m.waiting[--m.n_waiting];
	passed_on(seq);
}

/* A full window moved on to between least and most, which no frame shows. */
static void
moved_on(uint32_t least, uint32_t most)
{
	uint32_t first = m.frame[m.waiting[first_waiting()]].seq;

	if (before(m.from, least))
		m.from = least;
	if (before(m.to, most))
		m.to = most;
	if (!before(m.to, first))
		m.to = first - 1;
	assert(!before(m.to, m.from));
}

/* What waits, and until when, is as it must be. */
static void
check_rest(void)
{
	uint64_t deadline = reorder_deadline(&r);

	assert((deadline != 0) == (m.n_waiting > 0));
	assert(reorder_settled(&r) == (m.any && m.n_waiting == 0));
	if (m.n_waiting == 0) {
		assert(m.from == m.to);
		return;
	}
	assert(m.n_waiting < m.window_max);
	for (uint32_t i = 0; i < m.n_waiting; i++)
		assert(m.frame[m.waiting[i]].seq - m.from - 1 <
		    2 * m.window_max);
	assert(deadline >= oldest() + REORDER_HOLD_MIN_US);
	assert(deadline <= oldest() + REORDER_HOLD_MAX_US);
	assert(deadline > m.timer);
	count_gap();
}

static void
drain(uint32_t jump, uint32_t room)
{
	uint32_t handle, seq;

	while (reorder_next(&r, &handle, &seq))
		out(handle, seq, jump, room);
}

static void
taken(uint32_t seq)
{
	m.taken_at = m.now;
	m.n_stray = 0;
	if (before(m.highest, seq))
		m.highest = seq;
}

static void
deliver(uint32_t seq)
{
	if (!m.any)
		m.from = m.to = m.highest = seq;
	m.any = true;
	assert(seq - m.from <= m.to - m.from);
	if (m.n_waiting > 0) {
		came_behind(seq);
		if (m.now - oldest() <= REORDER_HOLD_MAX_US)
			m.gaps = 0;
	}
	taken(seq);
	passed_on(seq);
	drain(NONE, m.from);
	check_rest();
}

static void
hold(uint32_t seq)
{
	uint32_t reach = m.n_waiting > 0 ? 2 * m.window_max : m.window_max;
	bool inside = before(m.from, seq) &&
	    (before(seq, m.to) || seq - m.to < reach);
	bool jump = may_be_new_numbering(seq);
	uint32_t n_stray = m.n_stray, handle = m.n_frames++;

	assert(!waits(seq) && (inside || jump));
	taken(seq);
	if (jump) {
		m.n_stray = n_stray;
		m.stray[m.n_stray++] = seq;
	}
	m.frame[handle] = (struct frame){ seq, m.now };
	m.waiting[m.n_waiting++] = handle;
	reorder_put(&r, seq, handle);
	drain(jump ? handle : NONE, inside ? seq - (REORDER_WINDOW - 1) : m.from);
	if (!inside) {
		assert(m.n_waiting == 0 && m.from == seq + 1);
		m.highest = seq;
	} else if (m.n_waiting > 0) {
		moved_on(seq - (m.window_max - 1),
		    seq - (REORDER_WINDOW - 1));
	}
	check_rest();
}

static void
refuse(uint32_t seq)
{
	assert(!waits(seq) && !must_be_new_numbering(seq));
	m.stray[m.n_stray++] = seq;
	m.n_refused++;
}

static void
input(uint32_t seq)
{
	switch (reorder_input(&r, seq, m.now)) {
	case REORDER_DELIVER:
		deliver(seq);
		break;
	case REORDER_HOLD:
		hold(seq);
		break;
	case REORDER_DUP:
		assert(waits(seq));
		taken(seq);
		m.n_refused++;
		break;
	case REORDER_LATE:
		assert(before(seq, m.to));
		if (!before(seq, m.from))
			m.from = seq + 1;
		came_behind(seq);
		refuse(seq);
		break;
	case REORDER_FAR:
		assert(!before(seq, m.from) && seq - m.from >=
		    (m.n_waiting > 0 ? 2 : 1) * REORDER_WINDOW);
		refuse(seq);
		break;
	}
}

static void
expire(void)
{
	reorder_expire(&r, m.now);
	m.timer = m.now;
	drain(NONE, m.from);
	check_rest();
}

/* Somebody else takes the next n. */
static void
others_passed(uint32_t n)
{
	if (!m.any || m.n_waiting > 0)
		return;
	reorder_passed(&r, n, m.now);
	taken(m.from + n - 1);
	m.from = m.to = m.from + n;
	check_rest();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t seq = 0, handle;

	reorder_init(&r);
	memset(&m, 0, sizeof(m));
	m.now = 1000;
	m.window_max = REORDER_WINDOW;
	for (unsigned n = 0; size >= 3 && n < N_STEPS; n++, data += 3,
	    size -= 3) {
		uint32_t v = (uint32_t)data[1] << 8 | data[2];

		switch (data[0] % 8) {
		case 0:
			seq = v << (data[0] >> 3) % 17;
			break;
		case 1:
			seq -= v % 200;
			break;
		case 2:
			m.now += (uint64_t)v * 50;
			break;
		case 3:
			m.now += v % 1000;
			break;
		case 4:
			expire();
			continue;
		case 5:
			seq += v % 200;
			break;
		case 6:
			if (v == 0xffff) {
				others_passed(data[0] >> 3);
				continue;
			}
			seq++;
			break;
		default:
			seq++;
		}
		input(seq);
	}
	assert(r.n_late + r.n_dup + r.n_far == m.n_refused);
	while (reorder_steal(&r, &handle)) {
		uint32_t i = 0;

		while (i < m.n_waiting && m.waiting[i] != handle)
			i++;
		assert(i < m.n_waiting);
		m.waiting[i] = m.waiting[--m.n_waiting];
	}
	assert(m.n_waiting == 0);
	return 0;
}
