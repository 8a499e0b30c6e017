/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/relay_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

uint64_t
relay_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

void
relay_set_table(struct relay *r, struct state *table)
{
	r->table = table;
}

void
relay_set_senders(struct relay *r, struct senders *senders)
{
	r->senders = r->l2tp.senders = senders;
}

/* --- the loop ------------------------------------------------------------ */

/* A timer that is early anyway is left alone: it looks again, and re-arming
 * costs a system call. */
void
relay_arm_timer(struct relay *r)
{
	uint64_t at = r->ack_at != 0 ? r->ack_at : UINT64_MAX;
	struct flow *f;

	if (r->fast_at != 0 && r->fast_at < at)
		at = r->fast_at;
	TAILQ_FOREACH(f, &r->gaps, gaps) {
		uint64_t d = reorder_deadline(&f->reorder);

		if (d != 0 && d < at)
			at = d;
	}
	if (at >= r->timer_at)
		return;
	r->timer_at = at;
	sd_event_source_set_time(r->timer, at);
	sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static int
on_gre(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)fd;
	(void)revents;
	relay_receive(r);
	relay_arm_timer(r);
	return 0;
}

static int
on_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct relay *r = arg;

	(void)src;
	(void)usec;
	r->timer_at = UINT64_MAX;
	/* A gap's missing frame may lie in the socket already. */
	relay_receive(r);
	relay_do_gaps(r);
	relay_do_acks(r);
	relay_do_fast(r);
	relay_give(r);
	relay_arm_timer(r);
	return 0;
}

/* --- flows -------------------------------------------------------------- */

static void
attach(struct relay *r, struct flow *f)
{
	f->relay = r;
	r->flow[f->own_id] = f;
}

void
relay_attach_l2tp(struct relay *r, struct flow *f, uint16_t tunnel)
{
	channel_l2tp(&f->channel, &r->l2tp, tunnel, f->own_id);
	attach(r, f);
}

int
relay_attach_pty(struct relay *r, struct flow *f, int fd)
{
	int e = channel_pty(&f->channel, r->loop, fd, relay_on_pty_frame,
	    f);

	if (e == 0)
		attach(r, f);
	return e;
}

void
relay_last(struct relay *r, struct flow *f)
{
	if (!f->relay)
		return;
	if (r->udp_fd >= 0)
		relay_on_udp(NULL, r->udp_fd, 0, r);
	channel_read(&f->channel);
}

void
relay_detach(struct relay *r, struct flow *f)
{
	uint32_t h;

	if (!f->relay)
		return;
	if (f->fast.st) {
		TAILQ_REMOVE(&r->fasts, f, fasts);
		fast_stop(f, relay_now_us());
	}
	if (f->give_listed)
		TAILQ_REMOVE(&r->gives, f, gives);
	f->give_listed = false;
	/* Nothing in a batch may point to this flow. */
	relay_tx_flush(r);
	if (r->senders)
		senders_drain(r->senders, f->own_id);
	r->flow[f->own_id] = NULL;
	f->relay = NULL;
	if (f->ack_listed)
		TAILQ_REMOVE(&r->acks, f, acks);
	if (f->gap_listed)
		TAILQ_REMOVE(&r->gaps, f, gaps);
	if (f->dirty)
		TAILQ_REMOVE(&r->dirties, f, dirties);
	f->ack_listed = f->gap_listed = f->dirty = false;
	while (reorder_steal(&f->reorder, &h))
		bufs_put(&r->bufs, h);
	for (unsigned i = 0; i < PPP_HOLD_SLOTS; i++) {
		free(f->held[i].data);
		f->held[i].data = NULL;
	}
	channel_close(&f->channel);
}

/* --- all of it ----------------------------------------------------------- */

struct relay *
relay_new(sd_event *loop, int gre_fd, int udp_fd, int offload_fd,
    flow_first_fn first, void *arg)
{
	struct relay *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return NULL;
	r->loop = loop;
	r->gre_fd = gre_fd;
	r->udp_fd = udp_fd;
	r->first = first;
	r->arg = arg;
	bufs_init(&r->bufs);
	r->timer_at = UINT64_MAX;
	TAILQ_INIT(&r->acks);
	TAILQ_INIT(&r->gaps);
	TAILQ_INIT(&r->dirties);
	TAILQ_INIT(&r->fasts);
	TAILQ_INIT(&r->gives);
	e = fast_init(&r->fast, offload_fd);
	if (e < 0) {
		relay_free(r);
		errno = -e;
		return NULL;
	}
	l2tp_init(&r->l2tp, udp_fd, offload_fd >= 0);
	if (!relay_in_init(r)) {
		relay_free(r);
		errno = ENOMEM;
		return NULL;
	}
	e = sd_event_add_io(loop, &r->gre_io, gre_fd, EPOLLIN, on_gre, r);
	if (e >= 0 && udp_fd >= 0)
		e = sd_event_add_io(loop, &r->udp_io, udp_fd, EPOLLIN,
		    relay_on_udp, r);
	/* 1 us: the default accuracy of 250 ms would be the hold time. */
	if (e >= 0)
		e = sd_event_add_time(loop, &r->timer, CLOCK_MONOTONIC,
		    UINT64_MAX, 1, on_timer, r);
	if (e < 0) {
		relay_free(r);
		errno = -e;
		return NULL;
	}
	return r;
}

void
relay_on_claim(struct relay *r, flow_claim_fn claim)
{
	r->claim = claim;
}

void
relay_free(struct relay *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->gre_io);
	sd_event_source_disable_unref(r->udp_io);
	sd_event_source_disable_unref(r->timer);
	fast_free(&r->fast);
	bufs_free(&r->bufs);
	free(r);
}

const struct relay_counts *
relay_counts(const struct relay *r)
{
	return &r->counts;
}

uint64_t
relay_by_threads(const struct relay *r)
{
	return r->senders ? senders_taken(r->senders) : 0;
}

uint32_t
relay_falls(const struct relay *r)
{
	return fast_falls(&r->fast);
}
