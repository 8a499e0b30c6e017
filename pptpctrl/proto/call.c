/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/call.h"

static void
ended(struct call *call, enum call_end why)
{
	if (call->end == CALL_END_NONE)
		call->end = why;
}

/* The channel cannot be given back before it is there: what ends the call
 * here is told to the client at once, and the STOP comes with OPENED. */
static unsigned
step_opening(struct call *call, enum call_event ev, enum call_end why)
{
	switch (ev) {
	case CALL_EV_OPENED:
		if (call->told) {
			call->state = CALL_ENDING;
			return CALL_DO_STOP_GONE;
		}
		call->state = CALL_WAITING;
		return CALL_DO_ACCEPT;
	case CALL_EV_NOT_OPENED:
	case CALL_EV_EXITED:
		ended(call, CALL_END_REFUSED);
		call->exited = true;
		call->state = CALL_FREE;
		return call->told ? CALL_DO_FREE :
		    CALL_DO_REFUSE | CALL_DO_FREE;
	case CALL_EV_CLEARED:
		ended(call, why);
		return call->told ? 0 : CALL_DO_CDN;
	case CALL_EV_END:
		ended(call, why);
		return call->told ? 0 : CALL_DO_REFUSE;
	case CALL_EV_GONE:
		ended(call, why);
		call->told = true;
		return 0;
	case CALL_EV_REQUEST:
	case CALL_EV_SLI:
	case CALL_EV_GRE:
	case CALL_EV_UP:
	case CALL_EV_DEADLINE:
		break;
	}
	return 0;
}

/* The same in all states in which the channel is open and the call lives. */
static unsigned
step_open(struct call *call, enum call_event ev, enum call_end why)
{
	switch (ev) {
	case CALL_EV_CLEARED:
		ended(call, why);
		call->state = CALL_ENDING;
		return CALL_DO_CDN | CALL_DO_STOP_GONE;
	case CALL_EV_GONE:
		ended(call, why);
		call->told = true;
		call->state = CALL_ENDING;
		return CALL_DO_STOP_GONE;
	case CALL_EV_END:
		ended(call, why);
		call->state = CALL_ENDING;
		return CALL_DO_STOP;
	case CALL_EV_EXITED:
		ended(call, why);
		call->exited = true;
		call->state = CALL_FREE;
		return CALL_DO_CDN | CALL_DO_FREE;
	case CALL_EV_SLI:
		call->sli_seen = true;
		break;
	case CALL_EV_GRE:
		call->gre_seen = true;
		break;
	case CALL_EV_REQUEST:
	case CALL_EV_OPENED:
	case CALL_EV_NOT_OPENED:
	case CALL_EV_UP:
	case CALL_EV_DEADLINE:
		break;
	}
	return 0;
}

static unsigned
step_starting(struct call *call, enum call_event ev, enum call_end why)
{
	if (ev == CALL_EV_UP) {
		call->state = CALL_UP;
		return 0;
	}
	return step_open(call, ev == CALL_EV_DEADLINE ? CALL_EV_END : ev, why);
}

/* Windows drops what PPP sends before its own first frame: pppd waits for a
 * sign of life, but not for ever (95 and 98 send no SLI). */
static unsigned
step_waiting(struct call *call, enum call_event ev, enum call_end why)
{
	switch (ev) {
	case CALL_EV_SLI:
		call->sli_seen = true;
		call->state = CALL_STARTING;
		return CALL_DO_START;
	case CALL_EV_GRE:
		call->gre_seen = true;
		call->state = CALL_STARTING;
		return CALL_DO_START_GRE;
	case CALL_EV_DEADLINE:
		call->state = CALL_STARTING;
		return CALL_DO_START;
	case CALL_EV_REQUEST:
	case CALL_EV_OPENED:
	case CALL_EV_NOT_OPENED:
	case CALL_EV_UP:
	case CALL_EV_CLEARED:
	case CALL_EV_GONE:
	case CALL_EV_END:
	case CALL_EV_EXITED:
		break;
	}
	return step_open(call, ev, why);
}

static unsigned
step_ending(struct call *call, enum call_event ev)
{
	switch (ev) {
	case CALL_EV_EXITED:
		call->exited = true;
		call->state = CALL_FREE;
		return call->told ? CALL_DO_FREE : CALL_DO_CDN | CALL_DO_FREE;
	case CALL_EV_CLEARED:
	case CALL_EV_DEADLINE:
		return call->told ? 0 : CALL_DO_CDN;
	case CALL_EV_GONE:
		call->told = true;
		break;
	case CALL_EV_SLI:
		call->sli_seen = true;
		break;
	case CALL_EV_GRE:
		call->gre_seen = true;
		break;
	case CALL_EV_REQUEST:
	case CALL_EV_OPENED:
	case CALL_EV_NOT_OPENED:
	case CALL_EV_UP:
	case CALL_EV_END:
		break;
	}
	return 0;
}

unsigned
call_step(struct call *call, enum call_event ev, enum call_end why)
{
	unsigned todo = 0;

	switch (call->state) {
	case CALL_FREE:
		if (ev == CALL_EV_REQUEST) {
			call->state = CALL_OPENING;
			todo = CALL_DO_OPEN;
		}
		break;
	case CALL_OPENING:
		todo = step_opening(call, ev, why);
		break;
	case CALL_WAITING:
		todo = step_waiting(call, ev, why);
		break;
	case CALL_STARTING:
		todo = step_starting(call, ev, why);
		break;
	case CALL_UP:
		todo = step_open(call, ev, why);
		break;
	case CALL_ENDING:
		todo = step_ending(call, ev);
		break;
	}
	if (todo & (CALL_DO_REFUSE | CALL_DO_CDN))
		call->told = true;
	if (todo & (CALL_DO_STOP | CALL_DO_STOP_GONE))
		call->asked_stop = true;
	return todo;
}

const char *
call_end_text(enum call_end end)
{
	switch (end) {
	case CALL_END_NONE:
		return "call goes on";
	case CALL_END_CCR:
		return "client cleared the call";
	case CALL_END_STOPCCRQ:
		return "client closed the control connection";
	case CALL_END_EOF:
		return "client closed the TCP connection";
	case CALL_END_TCP:
		return "TCP connection to the client broke";
	case CALL_END_PROTOCOL:
		return "client broke the protocol";
	case CALL_END_ECHO:
		return "client did not answer the echo request";
	case CALL_END_SETUP:
		return "network did not come up in time";
	case CALL_END_NO_GRE:
		return "no GRE packet came from the client";
	case CALL_END_ADMIN:
		return "ended by the administrator";
	case CALL_END_SHUTDOWN:
		return "server was stopped";
	case CALL_END_PPPD:
		return "pppd ended";
	case CALL_END_LOST:
		return "server lost the channel or the process of the call";
	case CALL_END_REFUSED:
		return "call was refused";
	case CALL_END_BANNED:
		return "banned after failed logins (ban-after)";
	case CALL_END_USER_LIMIT:
		return "the user has as many calls as allowed";
	case CALL_END_REPLACED:
		return "the user called again (single-session)";
	case CALL_END_GAVE_WAY:
		return "did not log in, and gave way to a newer connection";
	}
	return "unknown";
}

const char *
call_state_name(enum call_state state)
{
	switch (state) {
	case CALL_FREE:
		return "free";
	case CALL_OPENING:
		return "opening";
	case CALL_WAITING:
		return "waiting";
	case CALL_STARTING:
		return "starting";
	case CALL_UP:
		return "up";
	case CALL_ENDING:
		return "ending";
	}
	return "unknown";
}
