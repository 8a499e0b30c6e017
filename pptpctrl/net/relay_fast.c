/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/relay_impl.h"

#define GIVE_TRIES	4

/* Look after the fast path that soon. */
static void
look_in(struct relay *r, uint64_t us)
{
	if (r->fast_at > r->now + us)
		r->fast_at = r->now + us;
}

void
relay_take(struct relay *r, struct flow *f)
{
	fast_take(f, r->now);
	if (!f->give_listed) {
		f->give_listed = true;
		TAILQ_INSERT_TAIL(&r->gives, f, gives);
	}
}

void
relay_take_out(struct relay *r, uint16_t id, struct flow *f)
{
	fast_take_out(&r->fast, id, f);
	if (f && f->fast.st)
		look_in(r, FAST_BUSY_US);
}

void
relay_give(struct relay *r)
{
	struct flow *f, *next;

	for (f = TAILQ_FIRST(&r->gives); f; f = next) {
		next = TAILQ_NEXT(f, gives);
		fast_give(f, r->now);
		if (f->fast.ours)
			continue;
		TAILQ_REMOVE(&r->gives, f, gives);
		f->give_listed = false;
	}
}

static bool
any_to_give_out(struct relay *r)
{
	bool any = false;
	struct flow *f;

	TAILQ_FOREACH(f, &r->fasts, fasts)
		if (fast_may_give_out(f))
			any = true;
	return any;
}

/* The same for frames to the peers; one that comes meanwhile makes it fail,
 * and in a download there often is one.  True: there was one to give. */
static bool
give_out(struct relay *r)
{
	bool any = false;
	struct flow *f;

	for (int i = 0; i < GIVE_TRIES && any_to_give_out(r); i++) {
		any = true;
		relay_on_udp(NULL, r->udp_fd, 0, r);
		relay_tx_flush(r);
		TAILQ_FOREACH(f, &r->fasts, fasts)
			fast_give_out(f, r->now);
	}
	return any;
}

void
relay_do_fast(struct relay *r)
{
	struct flow *f;
	bool busy;

	if (r->fast_at == 0 || r->fast_at > r->now)
		return;
	busy = give_out(r);
	TAILQ_FOREACH(f, &r->fasts, fasts) {
		if (fast_look(f, r->now))
			busy = true;
		flow_keep_numbers(f);
		f->live->tx_next = f->gre.tx_next;
		f->live->tx_frames = f->counts.tx_frames;
		f->live->tx_bytes = f->counts.tx_bytes;
		relay_lone_ack(r, f, r->now);
	}
	relay_tx_flush(r);
	busy = busy || !TAILQ_EMPTY(&r->gives);
	r->fast_at = TAILQ_EMPTY(&r->fasts) ? 0 :
	    r->now + (busy ? FAST_BUSY_US : FAST_IDLE_US);
}

void
relay_up(struct flow *f)
{
	struct relay *r = f->relay;

	if (!r || f->fast.st)
		return;
	fast_start(&r->fast, f);
	if (!f->fast.st)
		return;
	TAILQ_INSERT_TAIL(&r->fasts, f, fasts);
	f->give_listed = true;
	TAILQ_INSERT_TAIL(&r->gives, f, gives);
	r->now = relay_now_us();
	r->fast_at = r->now + FAST_BUSY_US;
	relay_arm_timer(r);
}

void
relay_look(struct flow *f)
{
	if (f->relay)
		fast_look(f, relay_now_us());
}
