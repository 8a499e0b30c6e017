/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path in user space: one raw GRE socket for all calls on one side,
 * each call's channel on the other, in batches both ways.  Owns the sockets,
 * the buffers and the clock; the decisions are proto/'s.
 */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "net/flow.h"
#include "state.h"

struct relay;

/* The first data frame of the client arrived.  Once per flow. */
typedef void (*flow_first_fn)(struct flow *f, void *arg);

/* Before the flow's .trusted is set: the client claims name to log in.
 * False: the frame is dropped. */
typedef bool (*flow_claim_fn)(struct flow *f, const char *name, void *arg);

/* Serve gre_fd and, where udp_fd >= 0, the L2TP pair's end; offload_fd is
 * the fast path's map, or -1.  NULL with errno. */
struct relay *relay_new(sd_event *loop, int gre_fd, int udp_fd,
    int offload_fd, flow_first_fn first, void *arg);

/* Have these threads send on the relay's sockets. */
void relay_set_senders(struct relay *r, struct senders *senders);

/* Ask claim about logins, with relay_new's arg. */
void relay_on_claim(struct relay *r, flow_claim_fn claim);
void relay_free(struct relay *r);

/* Mark in table whose packet is being worked on. */
void relay_set_table(struct relay *r, struct state *table);

/*
 * Give the flow its channel and take frames for own_id from now on: over the
 * L2TP pair, or on pty master fd, which it owns then.  0 or -errno.
 */
void relay_attach_l2tp(struct relay *r, struct flow *f, uint16_t tunnel);
int relay_attach_pty(struct relay *r, struct flow *f, int fd);

/* The network is up: where there is a fast path, the flow may use it. */
void relay_up(struct flow *f);

/* Bring the flow's counts up to date with what the fast path did. */
void relay_look(struct flow *f);

/* pppd is gone: send what it said last, which the client may wait for. */
void relay_last(struct relay *r, struct flow *f);

/* Forget the flow and close its channel.  Harmless when not attached. */
void relay_detach(struct relay *r, struct flow *f);

struct relay_counts {
	uint64_t gre_packets, not_pptp, bad, short_, unknown_call, spoofed,
	    truncated, acks_sent, no_session;
};
const struct relay_counts *relay_counts(const struct relay *r);

/* How many frames were sent by threads. */
uint64_t relay_by_threads(const struct relay *r);

/* How often the fast path fell back to lo. */
uint32_t relay_falls(const struct relay *r);

#endif
