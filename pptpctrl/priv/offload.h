/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher's side of the relay's fast path in the kernel: a device of our
 * own that carries the L2TP tunnel, the programs of bpf/offload.bpf.c on it
 * and on the interfaces by which clients come, and each call's entry in their
 * maps.  What user space needs for it is one map's descriptor (net/fast.h).
 */
#ifndef PRIV_OFFLOAD_H
#define PRIV_OFFLOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define OFFLOAD_WHY_MAX	400	/* as CHANNEL_WHY_MAX */

struct offload;
struct tunnel;

/*
 * Make the device and load the programs, after removing what a run that was
 * killed left; then t->near and t->far are set, for tunnel_open.  With t open
 * already, taken over with its device, go on with the maps that were kept.
 * paused: nothing is to be forwarded.  t is borrowed: it is moved to lo while
 * the device lets nothing through.  NULL with one sentence that says what is
 * missing.
 */
struct offload *offload_open(struct tunnel *t, bool paused,
    char why[OFFLOAD_WHY_MAX]);

/* Detach everything and delete the device.  NULL is fine. */
void offload_close(struct offload *o);

/* The tunnel is open, or is another one now: forward to it. */
void offload_tunnel(struct offload *o);

/* Follow changes of routes, interfaces and IPsec policies, and look now and
 * then whether the device still lets frames through.  0 or -errno. */
int offload_watch(struct offload *o, sd_event *loop);

/* The map of struct offload_state, for the worker; o's own.  -1: no o. */
int offload_state_fd(const struct offload *o);

/* A call begins: its frames may be forwarded once the worker says so.  peer
 * and own in network order.  No o: nothing happens. */
void offload_call(struct offload *o, uint16_t id, struct in_addr peer,
    struct in_addr own, uint16_t peer_call);

/* A call that was taken over with the tunnel goes on. */
void offload_call_resume(struct offload *o, uint16_t id);

/* The call is over. */
void offload_call_end(struct offload *o, uint16_t id);

#endif
