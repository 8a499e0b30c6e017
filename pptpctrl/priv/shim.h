/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The per-call parent: pppd's parent process, which keeps its exit status
 * and carries the plugin's events, whatever becomes of the manager.
 */
#ifndef PRIV_SHIM_H
#define PRIV_SHIM_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "plugin/event.h"
#include "priv/pppd.h"

/* Launcher to per-call parent. */
enum shim_op {
	SHIM_TERM = 1,		/* SIGTERM to pppd, SIGKILL PPPD_KILL_MS
				 * later */
	SHIM_ADDR,		/* answer to EV_ADDR: remote */
	SHIM_AGAIN,		/* launcher pid speaks from now on: say again
				 * what there is to know of the call */
	SHIM_HERE,		/* launcher pid will do so */
};

struct shim_cmd {
	uint32_t op;
	union {
		uint32_t remote;	/* network order */
		int32_t pid;
	};
};

/*
 * It answers with struct rep: REP_STARTED (pid: pppd's; with a copy of the
 * socket on which the plugin reports, for when this process dies), REP_EVENT,
 * REP_EXITED (wait_status; error when pppd could not be started).
 *
 * When the launcher is gone and nobody holds its end of the pair, the call is
 * ended.  When somebody does (systemd), another launcher has SHIM_WAIT_MS to
 * speak: as long as systemd lets a service take to start.
 */
#define SHIM_WAIT_MS	90000

/*
 * From SIGTERM to SIGKILL.  Where hundreds of calls end together, as when a
 * link is cut, each pppd waits long for the CPU, and radius.so asks a server
 * that is gone for half a minute; a pppd that is killed meanwhile runs no
 * ip-down and ends no accounting.  Below TimeoutStopSec= of the unit.
 */
#define PPPD_KILL_MS	60000

struct shim_args {
	struct pppd_args pppd;
	int channel;		/* to pppd, and to nobody else */
	int tunnel;		/* K, kept until the call ends; -1: none */
	int control;		/* its end of the pair to the launcher */
	struct in_addr client;
	uint16_t peer_call, own_call;
};

/* The next whole record of the plugin on its socket: 1 with *ret, 0 at its
 * end, -1 when there is none now. */
int shim_next_event(int fd, struct ev *ret);

/* Fork it.  The caller closes its copies of channel and control.  The pid,
 * or -1 with errno. */
pid_t shim_start(const struct shim_args *args);

#endif
