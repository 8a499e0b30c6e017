/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What worker and launcher say to each other: a handful of verbs with binary
 * fields, and the launcher's checks of what the worker asks.  A request that
 * fails the check comes from a worker that is no longer ours.
 *
 * A call is named by our call id, which the worker chooses; the launcher
 * never acts on anything else of the worker's.  Host byte order except
 * addresses.  Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PPTPCTRL_REQ_H
#define PPTPCTRL_REQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/event.h"

#define REQ_VERSION	1u

/* Worker to launcher. */
enum req_op {
	REQ_OPEN = 1,	/* channel and address for a new call: REP_OPENED */
	REQ_START,	/* its pppd: REP_STARTED, or REP_EXITED */
	REQ_STOP,	/* end it: always answered by REP_EXITED, unless that
			 * is under way already */
	REQ_TRAFFIC,	/* bytes of a kernel call's interface: REP_TRAFFIC */
	REQ_READY,	/* confined and serving; about no call, once */
	REQ_KEEP,	/* a control connection's socket comes with it: hold a
			 * copy under key, for the worker after this one */
	REQ_DROP,	/* close the copy under key */
	REQ_PONG,	/* answers REP_PING */
	REQ_DRAIN,	/* root asked for no new calls: REP_DRAIN */
	REQ_RESUME,	/* and for new ones */
};

struct req {
	uint32_t version;	/* REQ_VERSION */
	uint32_t op;		/* enum req_op */
	uint32_t call;		/* our call id, 1..65535; 0: about none */
	uint32_t peer_call;	/* REQ_OPEN: the client's call id, 0..65535 */
	uint32_t peer;		/* REQ_OPEN: client's address */
	uint32_t own;		/* REQ_OPEN: our address of its connection */
	uint32_t key;		/* REQ_KEEP, REQ_DROP: 1..REQ_KEYS() */
};

/* Launcher to worker. */
enum rep_op {
	REP_OPENED = 1,	/* status; then tunnel, local, remote, descriptor */
	REP_STARTED,	/* pid: the per-call parent's */
	REP_EVENT,	/* ev: from the plugin */
	REP_EXITED,	/* status; wait_status, plugin_status */
	REP_TRAFFIC,	/* ev.rx_bytes, ev.tx_bytes */
	REP_SHUTDOWN,	/* end all calls, then exit */
	REP_HANDOVER,	/* exit at once, another one goes on */
	REP_PING,	/* REQ_PONG, if all is well */
	REP_DRAIN,	/* status: 1: no new calls, 0: new ones again */
	/* To a worker that takes over from another: the calls there are, each
	 * with status, tunnel, local, remote, pid; then call 0. */
	REP_KEPT,
};

/* How far a call is that is kept. */
enum rep_kept_status {
	REP_KEPT_OPEN,		/* channel and address, not started */
	REP_KEPT_STARTED,
	REP_KEPT_ENDING,	/* REP_EXITED will come */
};

enum rep_open_status {
	REP_OPEN_OK,
	REP_OPEN_RETRY,		/* that id is taken on this host: another */
	REP_OPEN_FULL,		/* no address or slot left */
	REP_OPEN_FAILED,	/* error: errno of what failed */
};

enum rep_exit_status {
	REP_EXIT_PPPD,		/* pppd ended: wait_status is its */
	REP_EXIT_NO_PPPD,	/* there was none yet */
	REP_EXIT_LOST,		/* the per-call parent was lost */
	REP_EXIT_CHANNEL,	/* the channel was lost, pppd was ended */
	REP_EXIT_FAILED,	/* pppd could not be started: error */
};

struct rep {
	uint32_t version;	/* REQ_VERSION */
	uint32_t op;		/* enum rep_op */
	uint32_t call;
	uint32_t status;	/* enum rep_open_status or rep_exit_status */
	int32_t error;		/* errno */
	int32_t wait_status;	/* as waitpid gives it */
	int32_t plugin_status;	/* pppd's status when it began to end, or -1 */
	uint32_t tunnel;	/* L2TP tunnel id; the session id is the call */
	uint32_t local, remote;	/* addresses set aside, 0 with delegate */
	int32_t pid;
	uint32_t reserved;
	struct ev ev;
};

/* Is buf[0..len) a request the launcher may act on?  On true *ret is a
 * copy; on false the worker must be ended. */
bool req_check(const void *buf, size_t len, struct req *ret);

/* The same for the worker, which trusts the launcher but not its own bugs. */
bool rep_check(const void *buf, size_t len, struct rep *ret);

/* Is buf[0..len) a whole record of the plugin?  On true *ret is a copy with
 * its strings terminated. */
bool ev_check(const void *buf, size_t len, struct ev *ret);

/* How many control connections a server for so many calls may have: beside
 * those with a call those before it, and those that are ending. */
#define REQ_KEYS(calls)	((calls) + 512u)

/* May addr (network order) be the address of a client or of us?  Not 0,
 * loopback excepted, not multicast, not broadcast. */
bool req_unicast(uint32_t addr);

#endif
