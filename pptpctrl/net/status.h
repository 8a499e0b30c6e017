/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status socket: list, terminate, status and unban, for root only (the peer's
 * credentials are asked for, whatever the file's mode).  Fixed-size structs
 * on SOCK_SEQPACKET; the command line makes text or JSON of them.
 */
#ifndef NET_STATUS_H
#define NET_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_VERSION	1u

enum status_op {
	STATUS_LIST = 1,	/* a STATUS_CALL each, then STATUS_DONE */
	STATUS_TERMINATE,	/* then STATUS_DONE with the number ended */
	STATUS_NUMBERS,		/* a STATUS_NUMBER or STATUS_BAN each, then
				 * STATUS_DONE */
	STATUS_UNBAN,		/* STATUS_ALL or _BY_USER; then STATUS_DONE */
	STATUS_DRAIN,		/* no new calls; STATUS_DONE with those there
				 * are */
	STATUS_RESUME,		/* the same for: new calls again */
	STATUS_TAKE,		/* a client's connection comes with it;
				 * STATUS_DONE, 1: it is served */
};

enum status_select {
	STATUS_ALL = 1,
	STATUS_BY_CALL,
	STATUS_BY_USER,
	STATUS_BY_IP,		/* client's or assigned address */
};

struct status_request {
	uint32_t version, op;
	uint32_t select;	/* STATUS_TERMINATE: enum status_select */
	uint32_t call;
	uint32_t ip;		/* network order */
	char user[256];
};

enum status_kind {
	STATUS_CALL = 1,
	STATUS_DONE,
	STATUS_DENIED,
	STATUS_BAD,		/* request not understood: other version? */
	STATUS_NUMBER,		/* user: what; value */
	STATUS_BAN,		/* user; client: its source; count: failures
				 * since; value: ms left, 0: not banned */
};

struct status_record {
	uint32_t version, kind;
	uint32_t count;		/* STATUS_DONE */
	uint32_t call, peer_call;
	uint32_t client, own;	/* network order */
	uint32_t local, remote;	/* network order, 0: none yet */
	uint32_t datapath;	/* enum conf_datapath */
	uint32_t state;		/* enum call_state */
	uint32_t auth;		/* enum ev_auth */
	uint32_t flags;		/* EV_F_*: MPPE in force */
	uint32_t pid;		/* per-call parent, 0: none */
	uint32_t hold_us;
	uint32_t draining;	/* STATUS_DONE: no new calls are taken */
	uint32_t fast_rx, fast_tx;	/* frames that the kernel forwarded */
	uint64_t age_ms;	/* since the call was asked for */
	uint64_t up_ms;		/* since the network is up, 0: is not */
	uint64_t rx_bytes, tx_bytes, rx_frames, tx_frames;
	uint64_t value;		/* STATUS_NUMBER, STATUS_BAN */
	uint32_t reordered, lost;
	uint32_t drop[16];	/* by enum flow_drop */
	char ifname[16];
	char user[256];
};

/* Is buf[0..len) a request that can be answered?  On true *ret is a copy. */
bool status_check(const void *buf, size_t len, struct status_request *ret);

struct worker;

/* Serve listening socket fd.  0 or -errno. */
int status_start(struct worker *w, int fd);

/* No more of that: close all that was listened on. */
void status_end(struct worker *w);

#endif
