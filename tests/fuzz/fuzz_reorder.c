/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and times of any kind.  Each step: what, and two bytes for it. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/reorder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct reorder r;
static uint8_t live[1 << 16];
static uint32_t n_live, n_handles, last, jumps;
static bool any;

static void
pass_on(uint32_t seq)
{
	/* Numbers rise, but for the frame that begins a new numbering. */
	if (any && seq - last - 1 >= INT32_MAX) {
		assert(r.n_jump == jumps + 1);
		assert(n_live == 0);
	}
	last = seq;
	any = true;
}

static void
drain(void)
{
	uint32_t handle, seq;

	while (reorder_next(&r, &handle, &seq)) {
		assert(handle < n_handles && live[handle] == 1);
		live[handle] = 2;
		n_live--;
		pass_on(seq);
	}
	jumps = r.n_jump;
	assert(n_live < REORDER_SLOTS && n_live == r.held);
	assert((reorder_deadline(&r) != 0) == (n_live > 0));
	assert(r.hold_us >= REORDER_HOLD_MIN_US &&
	    r.hold_us <= REORDER_HOLD_MAX_US);
}

static void
input(uint32_t seq, uint64_t now)
{
	switch (reorder_input(&r, seq, now)) {
	case REORDER_DELIVER:
		pass_on(seq);
		break;
	case REORDER_HOLD:
		live[n_handles] = 1;
		n_live++;
		reorder_put(&r, seq, n_handles++);
		break;
	case REORDER_LATE:
		assert(seq - r.expected > INT32_MAX);
		return;
	case REORDER_DUP:
		assert(seq - r.expected < REORDER_SLOTS);
		return;
	case REORDER_FAR:
		assert(seq - r.expected >= REORDER_WINDOW);
		return;
	}
	drain();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1000;
	uint32_t seq = 0, handle;

	reorder_init(&r);
	n_live = n_handles = jumps = 0;
	any = false;
	for (; size >= 3 && n_handles < sizeof(live); data += 3, size -= 3) {
		uint32_t v = (uint32_t)data[1] << 8 | data[2];

		switch (data[0] % 8) {
		case 0:
			seq = v << (data[0] >> 3) % 17;
			break;
		case 1:
			seq -= v % 200;
			break;
		case 2:
			now += (uint64_t)v * 50;
			break;
		case 3:
			now += v % 1000;
			break;
		case 4:
			reorder_expire(&r, now);
			drain();
			continue;
		case 5:
			seq += v % 200;
			break;
		default:
			seq++;
		}
		input(seq, now);
	}
	while (reorder_steal(&r, &handle)) {
		assert(live[handle] == 1);
		live[handle] = 2;
		n_live--;
	}
	assert(n_live == 0);
	return 0;
}
