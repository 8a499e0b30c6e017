/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/fast.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/offload.h"
#include "net/flow.h"

#define MAP_SIZE	(OFFLOAD_CALLS * sizeof(struct offload_state))
#define LEARN_US	1000000u	/* after a gap was given up */
#define MISSING_US	1000000u	/* a frame from the tunnel is lost then */

int
fast_init(struct fast *x, int fd)
{
	void *p;

	if (fd < 0)
		return 0;
	p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	close(fd);
	x->state = p;
	x->arrived_base = __atomic_load_n(&x->state[0].arrived,
	    __ATOMIC_ACQUIRE);
	return 0;
}

void
fast_free(struct fast *x)
{
	if (x->state)
		munmap(x->state, MAP_SIZE);
	x->state = NULL;
}

uint32_t
fast_falls(const struct fast *x)
{
	return x->state ? __atomic_load_n(&x->state[0].falls,
	    __ATOMIC_RELAXED) : 0;
}

/* --- what the program did ----------------------------------------------- */

static void
enter_numbers(struct flow *f, uint32_t expected)
{
	struct fast_call *c = &f->fast;
	uint32_t n = expected - f->reorder.expected;

	if (n == 0)
		return;
	reorder_passed(&f->reorder, n, __atomic_load_n(&c->st->last_in,
	    __ATOMIC_RELAXED) / 1000u);
	if (c->counted)
		pppfilter_passed(&f->filter, expected - 1, c->delta);
	f->counts.rx_frames += n;
	f->counts.fast_rx += n;
}

static void
enter_counts(struct flow *f)
{
	struct offload_state *st = f->fast.st;
	uint64_t rx_bytes = __atomic_load_n(&st->rx_bytes, __ATOMIC_RELAXED);
	uint64_t tx_bytes = __atomic_load_n(&st->tx_bytes, __ATOMIC_RELAXED);
	uint32_t tx = __atomic_load_n(&st->tx_frames, __ATOMIC_RELAXED);
	uint32_t late = __atomic_load_n(&st->late, __ATOMIC_RELAXED);

	f->counts.rx_bytes += rx_bytes - st->rx_bytes_seen;
	f->counts.tx_bytes += tx_bytes - st->tx_bytes_seen;
	f->counts.tx_frames += tx - st->tx_frames_seen;
	f->counts.fast_tx += tx - st->tx_frames_seen;
	f->counts.drop[DROP_LATE] += late - st->late_seen;
	f->reorder.n_late += late - st->late_seen;
	st->rx_bytes_seen = rx_bytes;
	st->tx_bytes_seen = tx_bytes;
	st->tx_frames_seen = tx;
	st->late_seen = late;
}

/* The program acknowledges with what it sends; the rest is left to us. */
static void
enter_acks(struct flow *f, uint64_t now_us)
{
	uint32_t acked = __atomic_load_n(&f->fast.st->acked,
	    __ATOMIC_RELAXED);

	gre_flow_passed(&f->gre, f->reorder.expected - 1, acked, now_us);
}

bool
fast_look(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint32_t before = f->reorder.expected;
	uint64_t sent = f->counts.tx_frames;

	if (!c->st)
		return false;
	f->gre.tx_next = __atomic_load_n(&c->st->tx_next, __ATOMIC_RELAXED);
	enter_counts(f);
	if (!c->ours) {
		uint64_t word = __atomic_load_n(&c->st->word,
		    __ATOMIC_ACQUIRE);

		enter_numbers(f, OFFLOAD_EXPECTED(word));
		enter_acks(f, now_us);
	}
	return f->reorder.expected != before || f->counts.tx_frames != sent;
}

/* --- from the peer ------------------------------------------------------ */

/* Are we on that CPU?  Then it does nothing else now: what it had begun to
 * pass on is with PPP, or in its queue. */
static bool
here(const struct fast *x, int cpu)
{
	int now = sched_getcpu();

	return x->state[0].cpus <= 1 || (now >= 0 && now == cpu);
}

static bool
all_settled(const struct fast *x, const struct flow *f, uint64_t now_us)
{
	const struct fast_call *c = &f->fast;

	if (c->cpu == OFFLOAD_NO_CPU ||
	    now_us >= c->taken_at + OFFLOAD_SETTLE_US)
		return true;
	return (uint16_t)__atomic_load_n(&c->st->arrived, __ATOMIC_ACQUIRE) ==
	    (uint16_t)f->reorder.expected && here(x, c->cpu);
}

bool
fast_take(const struct fast *x, struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint64_t word;

	if (!c->st)
		return true;
	c->used_at = now_us;
	if (!c->ours) {
		word = __atomic_fetch_and(&c->st->word,
		    ~(OFFLOAD_FAST | OFFLOAD_LEARN), __ATOMIC_ACQ_REL);
		c->ours = true;
		c->settled = false;
		c->taken_at = now_us;
		c->cpu = (int)OFFLOAD_CPU(word);
		enter_numbers(f, OFFLOAD_EXPECTED(word));
		enter_acks(f, now_us);
	}
	c->settled = c->settled || all_settled(x, f, now_us);
	return c->settled;
}

/* Is all that we sent to the tunnel with PPP? */
static bool
all_arrived(struct fast *x, uint64_t now_us)
{
	uint32_t arrived = __atomic_load_n(&x->state[0].arrived,
	    __ATOMIC_ACQUIRE);

	if (!here(x, x->cpu)) {
		x->cpu = sched_getcpu();
		x->cpu_since = now_us;
	}
	if (now_us < x->cpu_since + OFFLOAD_SETTLE_US)
		return false;
	if (arrived - x->arrived_base == x->sent - x->sent_base)
		return true;
	if (now_us < x->sent_at + OFFLOAD_SETTLE_US)
		return false;
	x->arrived_base = arrived;
	x->sent_base = x->sent;
	return true;
}

void
fast_give(struct fast *x, struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint32_t expected = f->reorder.expected;
	uint64_t flags = OFFLOAD_FAST;
	uint16_t protocol;

	if (!c->st || !c->ours || !c->settled ||
	    !reorder_settled(&f->reorder) ||
	    f->client_gone || !pppfilter_simple(&f->filter, expected,
	    &protocol, &c->counted, &c->delta))
		return;
	if (!all_arrived(x, now_us) &&
	    now_us < c->used_at + OFFLOAD_SETTLE_US)
		return;
	if (c->lost_seen != f->reorder.n_lost) {
		c->lost_seen = f->reorder.n_lost;
		c->lost_at = now_us;
	}
	if (c->lost_at != 0 && now_us < c->lost_at + LEARN_US)
		flags |= OFFLOAD_LEARN;
	c->st->protocol = protocol;
	c->st->check_count = c->counted;
	c->st->delta = c->delta;
	__atomic_store_n(&c->st->arrived, (uint16_t)expected,
	    __ATOMIC_RELAXED);
	c->ours = false;
	__atomic_store_n(&c->st->word,
	    OFFLOAD_WORD(expected, OFFLOAD_NO_CPU, flags), __ATOMIC_RELEASE);
}

/* --- to the peer -------------------------------------------------------- */

void
fast_take_out(struct fast *x, uint16_t id, struct flow *f)
{
	if (!x->state)
		return;
	__atomic_fetch_add(&x->state[id].out_seen, OFFLOAD_OUT_FRAME,
	    __ATOMIC_RELAXED);
	/* The program has let go already, unless the frame came past it. */
	if (f && f->fast.st)
		__atomic_fetch_and(&f->fast.st->out, ~OFFLOAD_OUT_FAST,
		    __ATOMIC_RELAXED);
}

bool
fast_may_give_out(struct flow *f)
{
	struct fast_call *c = &f->fast;

	c->out = __atomic_load_n(&c->st->out, __ATOMIC_ACQUIRE);
	c->may_give = !f->client_gone && !(c->out & OFFLOAD_OUT_FAST);
	return c->may_give;
}

void
fast_give_out(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint32_t missing = c->out - c->st->out_seen;

	if (!c->may_give)
		return;
	if (missing == 0) {
		/* Fails when another frame is on its way to us. */
		__atomic_compare_exchange_n(&c->st->out, &c->out,
		    c->out | OFFLOAD_OUT_FAST, false, __ATOMIC_ACQ_REL,
		    __ATOMIC_RELAXED);
	} else if (missing != c->missing) {
		c->missing_since = now_us;
	} else if (now_us >= c->missing_since + MISSING_US) {
		__atomic_fetch_add(&c->st->out_seen, missing,
		    __ATOMIC_RELAXED);
		missing = 0;
	}
	c->missing = missing;
}

uint32_t
fast_tx_number(struct flow *f)
{
	return __atomic_fetch_add(&f->fast.st->tx_next, 1, __ATOMIC_RELAXED);
}

void
fast_acked(struct flow *f, uint32_t ack)
{
	if (f->fast.st)
		__atomic_store_n(&f->fast.st->acked, ack, __ATOMIC_RELAXED);
}

/* --- beginning and end -------------------------------------------------- */

/* A worker before us started it, and the program went on without one. */
static void
resume(struct flow *f, struct offload_state *st)
{
	struct fast_call *c = &f->fast;
	uint64_t word = __atomic_load_n(&st->word, __ATOMIC_ACQUIRE);

	c->st = st;
	c->ours = (word & OFFLOAD_FAST) == 0;
	c->settled = true;
	c->counted = st->check_count;
	c->delta = st->delta;
	f->filter.ncp_out = true;
	f->gre.tx_next = st->tx_next;
}

void
fast_start(struct fast *x, struct flow *f)
{
	struct fast_call *c = &f->fast;
	struct offload_state *st;
	uint16_t protocol;
	uint32_t delta;
	bool check;

	if (!x->state || c->st || f->channel.kind != CHANNEL_L2TP)
		return;
	st = &x->state[f->own_id];
	if (st->started) {
		resume(f, st);
		return;
	}
	if (!f->filter.known || !f->filter.ncp_out)
		return;
	/* What is sent needs no rule but its protocol. */
	(void)pppfilter_simple(&f->filter, f->reorder.expected, &protocol,
	    &check, &delta);
	st->protocol = protocol;
	st->acked = f->gre.rx_high - f->gre.unacked;
	st->tx_next = f->gre.tx_next;
	c->st = st;
	c->ours = c->settled = true;
	c->lost_seen = f->reorder.n_lost;
	__atomic_store_n(&st->started, 1, __ATOMIC_RELEASE);
}

void
fast_stop(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;

	if (!c->st)
		return;
	__atomic_fetch_and(&c->st->word, ~OFFLOAD_FAST, __ATOMIC_ACQ_REL);
	__atomic_fetch_and(&c->st->out, ~OFFLOAD_OUT_FAST, __ATOMIC_ACQ_REL);
	fast_look(f, now_us);
	__atomic_store_n(&c->st->started, 0, __ATOMIC_RELEASE);
	c->st = NULL;
}
