/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The data path in user space: one raw GRE socket for all calls on one side,
 * each call's channel on the other, in batches both ways.  Owns the sockets,
 * the buffers and the clock; the decisions are proto/'s.
 */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "net/channel.h"
#include "net/fast.h"
#include "proto/gre.h"
#include "proto/pppfilter.h"
#include "proto/reorder.h"
#include "state.h"

struct relay;
struct flow;

/* The first data frame of the client arrived.  Once per flow. */
typedef void (*flow_first_fn)(struct flow *f, void *arg);

/* Before the flow's .trusted is set: the client claims name to log in.
 * False: the frame is dropped. */
typedef bool (*flow_claim_fn)(struct flow *f, const char *name, void *arg);

enum flow_drop {
	DROP_SHORT, DROP_PLAIN, DROP_OVERSIZE, DROP_PROTOCOL, DROP_MPPE,
	DROP_LATE, DROP_DUP, DROP_FAR, DROP_NO_BUFFER, DROP_OUT, DROP_SEND,
	DROP_LOGIN,
	DROP_KINDS
};
extern const char *const flow_drop_names[DROP_KINDS];

struct flow_counts {
	uint64_t rx_frames, rx_bytes;	/* PPP frames from the client */
	uint64_t tx_frames, tx_bytes;	/* to the client */
	uint32_t fast_rx, fast_tx;	/* frames among them that the kernel
					 * forwarded by itself */
	uint32_t drop[DROP_KINDS];
};

/*
 * What must be known of a flow by a process that goes on with it: words in
 * shared memory (state.h), each written whole; tx_next before the frame is
 * sent, so that it is never behind.
 */
struct flow_live {
	uint32_t tx_next;
	uint32_t rx_expected;	/* with FLOW_LIVE_RX */
	uint32_t rx_high;	/* with FLOW_LIVE_RX */
	uint32_t flags;
	uint64_t mppe;		/* pppfilter_word */
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
};
#define FLOW_LIVE_RX	1u

/* One call in the relay; embedded in its session. */
struct flow {
	struct relay *relay;		/* NULL: not attached */
	uint16_t own_id, peer_id;
	struct in_addr peer, own;
	struct gre_flow gre;
	struct reorder reorder;
	struct pppfilter filter;
	struct channel channel;
	struct flow_counts counts;
	struct flow_live *live;		/* borrowed; own_live where none is */
	struct flow_live own_live;
	uint32_t key;			/* slot in the relay's state table */
	struct held_frame {
		uint8_t *data;		/* with CHANNEL_HEADROOM before */
		size_t len;
	} held[PPP_HOLD_SLOTS];
	bool first_seen;
	bool trusted;		/* logged in: its logins are not looked at */
	bool client_gone;	/* answer pppd's Terminate-Request for it */
	bool ack_listed, gap_listed, dirty;
	TAILQ_ENTRY(flow) acks, gaps, dirties;
	struct fast_call fast;
	bool give_listed;
	TAILQ_ENTRY(flow) fasts, gives;
};

/* Serve gre_fd and, where udp_fd >= 0, the L2TP pair's end; offload_fd is
 * the fast path's map, or -1.  NULL with errno. */
struct relay *relay_new(sd_event *loop, int gre_fd, int udp_fd,
    int offload_fd, flow_first_fn first, void *arg);

/* Ask claim about logins, with relay_new's arg. */
void relay_on_claim(struct relay *r, flow_claim_fn claim);
void relay_free(struct relay *r);

/* Fill in ids and addresses (network order) and start with no channel. */
void flow_init(struct flow *f, uint16_t own_id, uint16_t peer_id,
    struct in_addr peer, struct in_addr own);

/* Keep the flow's numbers in live from now on: go on from what is there
 * (resume), or begin with what the flow has.  key: of its state_begin. */
void flow_set_live(struct flow *f, struct flow_live *live, uint32_t key,
    bool resume);

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

/* Forget the flow and close its channel.  Harmless when not attached. */
void relay_detach(struct relay *r, struct flow *f);

struct relay_counts {
	uint64_t gre_packets, not_pptp, bad, short_, unknown_call, spoofed,
	    truncated, acks_sent, no_session;
};
const struct relay_counts *relay_counts(const struct relay *r);

#endif
