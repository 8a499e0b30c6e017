/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call's data path: its numbers both ways, what it counts, and the words
 * from which another process can go on with it.
 */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/bufs.h"
#include "net/channel.h"
#include "net/fast.h"
#include "proto/gre.h"
#include "proto/pppfilter.h"
#include "proto/pppout.h"
#include "proto/reorder.h"

struct relay;

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
	struct pppout out;
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

/* Fill in ids and addresses (network order) and start with no channel. */
void flow_init(struct flow *f, uint16_t own_id, uint16_t peer_id,
    struct in_addr peer, struct in_addr own);

/* Keep the flow's numbers in live from now on: go on from what is there
 * (resume), or begin with what the flow has.  key: of its state_begin. */
void flow_set_live(struct flow *f, struct flow_live *live, uint32_t key,
    bool resume);

/* A packet to the peer was refused by the kernel; of any thread. */
void flow_count_unsent(struct flow *f);

/* Write to live what packets from the peer have moved on. */
void flow_keep_numbers(struct flow *f);

#endif
