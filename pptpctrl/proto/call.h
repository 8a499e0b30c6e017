/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call as its PAC: RFC 2637 section 3.2.4.1.  Its states, what happens in
 * them, and the texts for the ends; ctrl.c drives it.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_CALL_H
#define PROTO_CALL_H

#include <stdbool.h>
#include <stdint.h>

enum call_state {
	CALL_FREE,
	CALL_OPENING,		/* OCRQ came; channel and address asked for */
	CALL_WAITING,		/* OCRP sent; pppd starts at the first sign */
	CALL_STARTING,		/* pppd starts or negotiates */
	CALL_UP,		/* network up */
	CALL_ENDING,		/* CTRL_ACT_STOP given or CDN still to send */
};

/* Why a call ended; the first reason stands. */
enum call_end {
	CALL_END_NONE,
	CALL_END_CCR,		/* client cleared the call */
	CALL_END_STOPCCRQ,	/* client closed the control connection */
	CALL_END_EOF,		/* TCP closed by the client */
	CALL_END_TCP,		/* TCP reset, or could not be written to */
	CALL_END_PROTOCOL,	/* client broke the protocol */
	CALL_END_ECHO,		/* no answer to Echo-Request */
	CALL_END_SETUP,		/* not up within setup_ms */
	CALL_END_NO_GRE,	/* the same, and no GRE ever came */
	CALL_END_ADMIN,		/* pptpctrl terminate */
	CALL_END_SHUTDOWN,	/* the manager stops */
	CALL_END_PPPD,		/* pppd ended: its status says more */
	CALL_END_LOST,		/* channel or per-call parent was lost */
	CALL_END_REFUSED,	/* never opened: busy, no resource, policy */
	CALL_END_BANNED,	/* too many failed logins */
	CALL_END_USER_LIMIT,	/* the user has calls enough */
	CALL_END_REPLACED,	/* the user called again */
	CALL_END_GAVE_WAY,	/* not logged in, and others wait */
	CALL_END_LAST = CALL_END_GAVE_WAY
};

/* The launcher's answer about channel and address. */
enum call_open_result {
	CALL_OPENED,
	CALL_OPEN_BUSY,		/* no address or connection left: OCRP 4 */
	CALL_OPEN_NO_RESOURCE,	/* channel could not be made: OCRP 2/4 */
	CALL_OPEN_POLICY,	/* not wanted: OCRP 7 */
};

struct call {			/* read, do not write */
	enum call_state state;
	enum call_end end;
	enum call_open_result opened;	/* the launcher's answer, once there */
	uint16_t own_id;	/* assigned by us, 0 until opened */
	uint16_t peer_id;	/* the client's, may be 0 */
	uint16_t serial;
	uint32_t max_bps;
	uint16_t window;	/* the client's receive window */
	uint32_t send_accm, recv_accm;	/* from SLI; no effect on GRE */
	uint64_t opened_at;	/* when OCRP went out */
	uint64_t up_at;		/* 0: never was up */
	uint64_t deadline;	/* of the present state; 0: none */
	bool gre_seen;
	bool sli_seen;
	bool asked_stop;	/* CTRL_ACT_STOP was given */
	bool told;		/* the client knows the end (CDN, OCRP), or is
				 * gone: for it this call does not exist */
	bool exited;		/* ctrl_exited came */
};

/* What can happen to a call. */
enum call_event {
	CALL_EV_REQUEST,	/* OCRQ */
	CALL_EV_OPENED,		/* channel and address are there */
	CALL_EV_NOT_OPENED,	/* or not */
	CALL_EV_SLI,		/* Set-Link-Info */
	CALL_EV_GRE,		/* first GRE data frame */
	CALL_EV_UP,		/* network up */
	CALL_EV_CLEARED,	/* CCR or CDN from the client */
	CALL_EV_GONE,		/* the control connection is over */
	CALL_EV_END,		/* we end it */
	CALL_EV_EXITED,		/* pppd and channel are gone */
	CALL_EV_DEADLINE,	/* the state's deadline passed */
};

/* What has to be done then: bits, in the order in which it is done. */
enum call_do {
	CALL_DO_OPEN = 1 << 0,		/* ask for channel and address */
	CALL_DO_ACCEPT = 1 << 1,	/* OCRP, connected */
	CALL_DO_REFUSE = 1 << 2,	/* OCRP, not connected */
	CALL_DO_CDN = 1 << 3,
	CALL_DO_START = 1 << 4,		/* start pppd */
	CALL_DO_START_GRE = 1 << 5,	/* the same, GRE is here */
	CALL_DO_STOP = 1 << 6,
	CALL_DO_STOP_GONE = 1 << 7,	/* the same, client has hung up */
	CALL_DO_FREE = 1 << 8,
};

/*
 * The machine: changes call's state and flags and returns what has to be
 * done, enum call_do.  why is recorded if the call ends by this event and had
 * no reason yet.  Never touches ids, times and deadline.
 */
unsigned call_step(struct call *call, enum call_event ev, enum call_end why);

/* "client cleared the call", for logs; never NULL. */
const char *call_end_text(enum call_end end);

/* "free", "opening", "waiting", "starting", "up", "ending"; never NULL. */
const char *call_state_name(enum call_state state);

#endif
