/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/fast.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/offload.h"
#include "net/flow.h"

#define MAP_SIZE	(OFFLOAD_CALLS * sizeof(struct offload_state))
#define LEARN_US	1000000u	/* after a gap was given up */
#define MISSING_US	1000000u	/* a frame from the tunnel is lost then, */
#define UNDERWAY_US	100000u		/* or one to it */

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

/* Frames of ours that have been underway to the tunnel for all of a while are
 * lost; if more arrived than were, those counted as lost were not. */
static void
look_underway(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint32_t underway = f->channel.n_put - c->lost -
	    __atomic_load_n(&c->st->arrived, __ATOMIC_ACQUIRE);

	if (underway < c->underway)
		c->underway = underway;
	if (now_us < c->underway_since + UNDERWAY_US)
		return;
	c->lost += c->underway;
	c->underway = UINT32_MAX;
	c->underway_since = now_us;
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
	look_underway(f, now_us);
	if (!c->ours) {
		uint64_t word = __atomic_load_n(&c->st->word,
		    __ATOMIC_ACQUIRE);

		enter_numbers(f, OFFLOAD_EXPECTED(word));
		enter_acks(f, now_us);
	}
	return f->reorder.expected != before || f->counts.tx_frames != sent;
}

/* --- from the peer ------------------------------------------------------ */

void
fast_take(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint64_t word;

	if (!c->st || c->ours)
		return;
	word = __atomic_fetch_and(&c->st->word,
	    ~(OFFLOAD_FAST | OFFLOAD_LEARN), __ATOMIC_ACQ_REL);
	c->ours = true;
	enter_numbers(f, OFFLOAD_EXPECTED(word));
	enter_acks(f, now_us);
}

void
fast_give(struct flow *f, uint64_t now_us)
{
	struct fast_call *c = &f->fast;
	uint32_t expected = f->reorder.expected;
	uint64_t flags = OFFLOAD_FAST;
	uint16_t protocol;

	if (!c->st || !c->ours || !reorder_settled(&f->reorder) ||
	    f->client_gone || !pppfilter_simple(&f->filter, expected,
	    &protocol, &c->counted, &c->delta))
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
	c->st->after = f->channel.n_put - c->lost;
	c->ours = false;
	flags |= c->st->word & OFFLOAD_HOME_MASK;
	__atomic_store_n(&c->st->word, OFFLOAD_WORD(expected, flags),
	    __ATOMIC_RELEASE);
}

/* --- to the peer -------------------------------------------------------- */

void
fast_take_out(const struct fast *x, uint16_t id, struct flow *f)
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
	uint32_t out = __atomic_load_n(&c->st->out, __ATOMIC_ACQUIRE);
	uint32_t missing;

	if (!c->may_give)
		return;
	/* More than the program left to us: they came past it, by lo. */
	if ((int32_t)(out - c->st->out_seen) < 0)
		c->st->out_seen = out;
	missing = c->out - c->st->out_seen;
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

/* What is underway already has arrived: before a call's first data frame, or
 * from a worker that is gone. */
static void
start_count(struct flow *f)
{
	struct fast_call *c = &f->fast;

	c->lost = f->channel.n_put - __atomic_load_n(&c->st->arrived,
	    __ATOMIC_ACQUIRE);
	c->underway = 0;
}

/* A worker before us started it, and the program went on without one. */
static void
resume(struct flow *f, struct offload_state *st)
{
	struct fast_call *c = &f->fast;
	uint64_t word = __atomic_load_n(&st->word, __ATOMIC_ACQUIRE);

	c->st = st;
	c->ours = (word & OFFLOAD_FAST) == 0;
	start_count(f);
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
	c->ours = true;
	start_count(f);
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
