/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/ctrl.h"

#include "proto/msg.h"

#include <string.h>

#define MINUTE_MS	60000u
#define TOKEN		1000u		/* buckets count in thousandths */
#define MIN_WINDOW	64u		/* Apple halves ours, 0 stalls it */
#define ANY_SPEED	100000000u	/* bps, for clients that offer 0 */

void
ctrl_conf_init(struct ctrl_conf *conf)
{
	*conf = (struct ctrl_conf){
		.sccrq_ms = 10000,
		.partial_ms = 10000,
		.idle_ms = 30000,
		.echo_ms = 60000,
		.echo_wait_ms = 60000,
		.start_ms = 1000,
		.setup_ms = 60000,
		.stop_ms = 3000,
		.max_calls = CTRL_MAX_CALLS,
		.calls_per_minute = 10,
		.msg_rate = 50,
		.msg_burst = 100,
		.echo_rate = 10,
	};
}

/* Actions. */

static void
push(struct ctrl_acts *out, const struct ctrl_act *a)
{
	/* Never full: ctrl.h.  The test only keeps a bug of ours harmless. */
	if (out->n < CTRL_ACTS_MAX)
		out->act[out->n++] = *a;
}

static void
act(struct ctrl_acts *out, enum ctrl_act_type type, uint8_t slot, uint32_t arg)
{
	push(out, &(struct ctrl_act){ .type = type, .slot = slot,
	    .arg = arg });
}

static void
note(struct ctrl_acts *out, enum ctrl_note what, uint32_t arg)
{
	push(out, &(struct ctrl_act){ .type = CTRL_ACT_NOTE, .note = what,
	    .arg = arg });
}

static void
send_msg(struct ctrl_acts *out, const struct msg *m)
{
	size_t len = msg_encode(m, out->buf + out->used,
	    sizeof(out->buf) - out->used);

	push(out, &(struct ctrl_act){ .type = CTRL_ACT_SEND,
	    .off = out->used, .len = len });
	out->used += len;
}

/* PoPToP's values, proven with 25 years of clients. */
static void
send_sccrp(struct ctrl_acts *out, uint8_t result)
{
	send_msg(out, &(struct msg){ .type = MSG_SCCRP, .scc = {
	    .version = MSG_VERSION, .result = result, .max_channels = 1,
	    .firmware = 1, .host = "local", .vendor = "linux" } });
}

static void
send_stopccrp(struct ctrl_acts *out)
{
	send_msg(out, &(struct msg){ .type = MSG_STOPCCRP, .stopccrp = {
	    .result = STOPCCRP_OK } });
}

/* Speed and window mean nothing to us, but neither may be 0. */
static void
send_ocrp(struct ctrl_acts *out, const struct call *call)
{
	send_msg(out, &(struct msg){ .type = MSG_OCRP, .ocrp = {
	    .call_id = call->own_id, .peer_id = call->peer_id,
	    .result = OCRP_OK,
	    .speed = call->max_bps != 0 ? call->max_bps : ANY_SPEED,
	    .window = call->window > MIN_WINDOW ? call->window :
	    MIN_WINDOW } });
}

static void
send_refusal(struct ctrl_acts *out, uint16_t peer_id, uint8_t result,
    uint8_t error)
{
	send_msg(out, &(struct msg){ .type = MSG_OCRP, .ocrp = {
	    .peer_id = peer_id, .result = result, .error = error } });
}

static void
send_not_opened(struct ctrl_acts *out, const struct call *call)
{
	switch (call->opened) {
	case CALL_OPEN_BUSY:
		send_refusal(out, call->peer_id, OCRP_BUSY, MSG_ERR_NONE);
		break;
	case CALL_OPEN_NO_RESOURCE:
		send_refusal(out, call->peer_id, OCRP_GENERAL,
		    MSG_ERR_NO_RESOURCE);
		break;
	case CALL_OPENED:		/* no answer yet: we ended the call */
	case CALL_OPEN_POLICY:
		send_refusal(out, call->peer_id, OCRP_NOT_ACCEPTED,
		    MSG_ERR_NONE);
		break;
	}
}

/* By the administrator, or by what he wrote into the configuration. */
static bool
ended_by_rule(enum call_end end)
{
	return end == CALL_END_ADMIN || end == CALL_END_SHUTDOWN ||
	    end == CALL_END_BANNED || end == CALL_END_USER_LIMIT ||
	    end == CALL_END_REPLACED || end == CALL_END_GAVE_WAY;
}

static void
send_cdn(struct ctrl_acts *out, uint16_t own_id, enum call_event ev,
    enum call_end end)
{
	struct msg m = { .type = MSG_CDN, .cdn = { .call_id = own_id,
	    .result = CDN_LOST_CARRIER } };

	if (ev == CALL_EV_CLEARED) {
		m.cdn.result = CDN_REQUEST;
	} else if (ended_by_rule(end)) {
		m.cdn.result = CDN_ADMIN;
	} else if (end == CALL_END_LOST) {
		m.cdn.result = CDN_GENERAL;
		m.cdn.error = MSG_ERR_PAC;
	}
	send_msg(out, &m);
}

/* Calls. */

/* In the client's eyes; those that are only dying here do not count. */
static unsigned
live_calls(const struct ctrl *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
		if (c->call[i].state != CALL_FREE && !c->call[i].told)
			n++;
	return n;
}

static struct call *
call_by_peer_id(struct ctrl *c, uint16_t id)
{
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		struct call *call = &c->call[i];

		if (call->state != CALL_FREE && !call->told &&
		    call->peer_id == id)
			return call;
	}
	return NULL;
}

static struct call *
call_by_own_id(struct ctrl *c, uint16_t id)
{
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		struct call *call = &c->call[i];

		if (call->state != CALL_FREE && call->state != CALL_OPENING &&
		    !call->told && call->own_id == id)
			return call;
	}
	return NULL;
}

/* A NAT may have changed the id (nDPI's capture): it can mean only the call
 * that is alone.  One that is dying forbids the guess, the message may be
 * a late one about that. */
static struct call *
only_call(struct ctrl *c)
{
	struct call *only = NULL;

	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		if (c->call[i].state == CALL_FREE)
			continue;
		if (only)
			return NULL;
		only = &c->call[i];
	}
	return only && !only->told ? only : NULL;
}

static void
request_stop(struct ctrl *c, enum call_end end, uint64_t now_ms,
    struct ctrl_acts *out)
{
	bool shutdown = end == CALL_END_SHUTDOWN ||
	    c->closing == CALL_END_SHUTDOWN;

	send_msg(out, &(struct msg){ .type = MSG_STOPCCRQ, .stopccrq = {
	    .reason = shutdown ? STOPCCRQ_SHUTDOWN : STOPCCRQ_NONE } });
	c->state = CTRL_WAIT_STOP;
	c->deadline_state = now_ms + c->conf->stop_ms;
}

/* The client was told that a call is over.  RFC 2637 section 3.1: who ends
 * the last one from our side ends the connection too (Apple and Android
 * clients see only that); who hung up himself may call again. */
static void
call_over(struct ctrl *c, enum call_end end, uint64_t now_ms,
    struct ctrl_acts *out)
{
	if (c->state != CTRL_ESTABLISHED || live_calls(c) > 0)
		return;
	if (end == CALL_END_CCR || end == CALL_END_REFUSED)
		c->deadline_state = now_ms + c->conf->idle_ms;
	else
		request_stop(c, end, now_ms, out);
}

/* Times of the state that was just entered. */
static void
call_entered(struct ctrl *c, struct call *call, uint64_t now_ms)
{
	call->deadline = 0;
	switch (call->state) {
	case CALL_WAITING:
		call->opened_at = now_ms;
		call->deadline = now_ms + c->conf->start_ms;
		break;
	case CALL_STARTING:
		call->deadline = call->opened_at + c->conf->setup_ms;
		break;
	case CALL_UP:
		call->up_at = now_ms;
		break;
	case CALL_ENDING:
		if (!call->told)
			call->deadline = now_ms + c->conf->stop_ms;
		break;
	case CALL_FREE:
	case CALL_OPENING:
		break;
	}
}

static void
step(struct ctrl *c, struct call *call, enum call_event ev, enum call_end why,
    uint64_t now_ms, struct ctrl_acts *out)
{
	uint8_t slot = (uint8_t)(call - c->call);
	enum call_state old_state = call->state;
	bool old_told = call->told;
	unsigned todo = call_step(call, ev, why);

	if (call->state != old_state || call->told != old_told)
		call_entered(c, call, now_ms);
	if (todo & CALL_DO_OPEN)
		act(out, CTRL_ACT_OPEN, slot, 0);
	if (todo & CALL_DO_ACCEPT)
		send_ocrp(out, call);
	if (todo & CALL_DO_REFUSE)
		send_not_opened(out, call);
	if (todo & CALL_DO_CDN)
		send_cdn(out, call->own_id, ev, call->end);
	if (todo & CALL_DO_START)
		act(out, CTRL_ACT_START, slot, 0);
	if (todo & CALL_DO_START_GRE)
		act(out, CTRL_ACT_START, slot, 1);
	if (todo & CALL_DO_STOP)
		act(out, CTRL_ACT_STOP, slot, 0);
	if (todo & CALL_DO_STOP_GONE)
		act(out, CTRL_ACT_STOP, slot, 1);
	if (todo & CALL_DO_FREE)
		act(out, CTRL_ACT_FREE, slot, 0);
	if (call->told && !old_told)
		call_over(c, call->end, now_ms, out);
}

/* The connection. */

/* From here on nothing is sent, and the calls have nobody to tell. */
static void
drop_calls(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out)
{
	c->state = CTRL_CLOSED;
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
		step(c, &c->call[i], CALL_EV_GONE, why, now_ms, out);
}

static void
close_conn(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out)
{
	drop_calls(c, why, now_ms, out);
	act(out, CTRL_ACT_CLOSE, 0, 0);
}

static void
bad_message(struct ctrl *c, uint32_t type, uint64_t now_ms,
    struct ctrl_acts *out)
{
	note(out, CTRL_NOTE_BAD_MESSAGE, type);
	close_conn(c, CALL_END_PROTOCOL, now_ms, out);
}

/* Token bucket of rate per second, at most burst at once. */
static bool
take_token(uint64_t *tokens, uint64_t *at, uint32_t rate, uint32_t burst,
    uint64_t now_ms)
{
	uint64_t full = (uint64_t)burst * TOKEN;
	uint64_t passed = now_ms > *at ? now_ms - *at : 0;

	if (passed > INT32_MAX)
		passed = INT32_MAX;	/* the product must fit */
	*tokens += passed * rate;
	if (*tokens > full)
		*tokens = full;
	*at = now_ms;
	if (*tokens < TOKEN)
		return false;
	*tokens -= TOKEN;
	return true;
}

static bool
take_call(struct ctrl *c, uint64_t now_ms)
{
	if (now_ms - c->minute_began >= MINUTE_MS) {
		c->minute_began = now_ms;
		c->minute_calls = 0;
	}
	if (c->minute_calls >= c->conf->calls_per_minute)
		return false;
	c->minute_calls++;
	return true;
}

/* Messages. */

static void
copy_name(char *to, const char *from)
{
	const char *nul = memchr(from, 0, MSG_NAME_LEN);

	memcpy(to, from, nul ? (size_t)(nul - from) : MSG_NAME_LEN);
}

/* RFC 2637 section 3.1.2: an older version we cannot speak is refused, a
 * newer one is answered with ours. */
static void
on_sccrq(struct ctrl *c, const struct msg_scc *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	if (m->version < MSG_VERSION) {
		send_sccrp(out, SCCRP_BAD_VERSION);
		note(out, CTRL_NOTE_OLD_VERSION, m->version);
		close_conn(c, CALL_END_PROTOCOL, now_ms, out);
		return;
	}
	c->peer_version = m->version;
	c->peer_firmware = m->firmware;
	copy_name(c->peer_host, m->host);
	copy_name(c->peer_vendor, m->vendor);
	c->state = CTRL_ESTABLISHED;
	c->deadline_state = now_ms + c->conf->idle_ms;
	send_sccrp(out, SCCRP_OK);
	note(out, CTRL_NOTE_ESTABLISHED, 0);
}

static void
on_echorq(struct ctrl *c, const struct msg_echorq *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	if (!take_token(&c->echo_tokens, &c->echo_tokens_at,
	    c->conf->echo_rate, c->conf->echo_rate, now_ms)) {
		note(out, CTRL_NOTE_RATE, 0);
		close_conn(c, CALL_END_PROTOCOL, now_ms, out);
		return;
	}
	send_msg(out, &(struct msg){ .type = MSG_ECHORP, .echorp = {
	    .id = m->id, .result = ECHORP_OK } });
}

static void
refuse(struct ctrl_acts *out, uint16_t peer_id, uint8_t result, uint8_t error)
{
	send_refusal(out, peer_id, result, error);
	note(out, CTRL_NOTE_REFUSED, result);
}

static void
on_ocrq(struct ctrl *c, const struct msg_ocrq *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	bool may_call = take_call(c, now_ms);
	struct call *call = NULL;

	if (c->closing != CALL_END_NONE) {
		refuse(out, m->call_id, OCRP_NOT_ACCEPTED, MSG_ERR_NONE);
		return;
	}
	if (call_by_peer_id(c, m->call_id)) {
		refuse(out, m->call_id, OCRP_GENERAL, MSG_ERR_BAD_CALL_ID);
		return;
	}
	for (size_t i = 0; i < CTRL_MAX_CALLS && !call; i++)
		if (c->call[i].state == CALL_FREE)
			call = &c->call[i];
	if (!call || !may_call || live_calls(c) >= c->conf->max_calls) {
		refuse(out, m->call_id, OCRP_GENERAL, MSG_ERR_NO_RESOURCE);
		return;
	}
	*call = (struct call){
		.peer_id = m->call_id,
		.serial = m->serial,
		.max_bps = m->max_bps,
		.window = m->window,
		.send_accm = 0xffffffff,	/* RFC 2637 section 2.15 */
		.recv_accm = 0xffffffff,
	};
	c->deadline_state = 0;
	step(c, call, CALL_EV_REQUEST, CALL_END_NONE, now_ms, out);
}

static void
on_clear(struct ctrl *c, struct call *call, uint16_t id, uint64_t now_ms,
    struct ctrl_acts *out)
{
	if (call)
		step(c, call, CALL_EV_CLEARED, CALL_END_CCR, now_ms, out);
	else
		note(out, CTRL_NOTE_CALL_ID, id);
}

/* The ACCMs mean nothing without HDLC: RFC 2637 section 4. */
static void
on_sli(struct ctrl *c, const struct msg_sli *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	struct call *call = call_by_own_id(c, m->peer_id);

	if (!call)
		call = only_call(c);
	if (!call || call->state == CALL_OPENING) {
		note(out, CTRL_NOTE_CALL_ID, m->peer_id);
		return;
	}
	call->send_accm = m->send_accm;
	call->recv_accm = m->recv_accm;
	step(c, call, CALL_EV_SLI, CALL_END_NONE, now_ms, out);
}

static void
on_stopccrq(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out)
{
	drop_calls(c, CALL_END_STOPCCRQ, now_ms, out);
	send_stopccrp(out);
	act(out, CTRL_ACT_CLOSE, 0, 0);
}

static void
in_established(struct ctrl *c, const struct msg *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	struct call *call;

	switch (m->type) {
	case MSG_SCCRQ:			/* again; its calls go on */
		note(out, CTRL_NOTE_UNEXPECTED, m->type);
		send_sccrp(out, SCCRP_EXISTS);
		break;
	case MSG_STOPCCRQ:
		on_stopccrq(c, now_ms, out);
		break;
	case MSG_ECHORQ:
		on_echorq(c, &m->echorq, now_ms, out);
		break;
	case MSG_ECHORP:
		if (c->echo_id == 0 || m->echorp.id != c->echo_id)
			note(out, CTRL_NOTE_UNEXPECTED, m->type);
		break;
	case MSG_OCRQ:
		on_ocrq(c, &m->ocrq, now_ms, out);
		break;
	case MSG_ICRQ:
		note(out, CTRL_NOTE_UNEXPECTED, m->type);
		send_msg(out, &(struct msg){ .type = MSG_ICRP, .icrp = {
		    .peer_id = m->icrq.call_id,
		    .result = ICRP_NOT_ACCEPTED } });
		break;
	case MSG_CCR:
		call = call_by_peer_id(c, m->ccr.call_id);
		on_clear(c, call ? call : only_call(c), m->ccr.call_id,
		    now_ms, out);
		break;
	case MSG_CDN:			/* not a client's, but clear enough */
		call = call_by_peer_id(c, m->cdn.call_id);
		on_clear(c, call ? call : call_by_own_id(c, m->cdn.call_id),
		    m->cdn.call_id, now_ms, out);
		break;
	case MSG_SLI:
		on_sli(c, &m->sli, now_ms, out);
		break;
	case MSG_SCCRP:
	case MSG_STOPCCRP:
	case MSG_OCRP:
	case MSG_ICRP:
	case MSG_ICCN:
	case MSG_WEN:
		note(out, CTRL_NOTE_UNEXPECTED, m->type);
		break;
	}
}

static void
in_wait_stop(struct ctrl *c, const struct msg *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	switch (m->type) {
	case MSG_STOPCCRQ:
		on_stopccrq(c, now_ms, out);
		break;
	case MSG_STOPCCRP:		/* whatever its result says */
		close_conn(c, CALL_END_STOPCCRQ, now_ms, out);
		break;
	case MSG_ECHORQ:
		on_echorq(c, &m->echorq, now_ms, out);
		break;
	case MSG_SCCRQ:
	case MSG_SCCRP:
	case MSG_ECHORP:
	case MSG_OCRQ:
	case MSG_OCRP:
	case MSG_ICRQ:
	case MSG_ICRP:
	case MSG_ICCN:
	case MSG_CCR:
	case MSG_CDN:
	case MSG_WEN:
	case MSG_SLI:
		break;
	}
}

static void
dispatch(struct ctrl *c, const struct msg *m, uint64_t now_ms,
    struct ctrl_acts *out)
{
	switch (c->state) {
	case CTRL_WAIT_SCCRQ:		/* RFC 2637 section 2.1 */
		if (m->type == MSG_SCCRQ)
			on_sccrq(c, &m->scc, now_ms, out);
		else
			bad_message(c, m->type, now_ms, out);
		break;
	case CTRL_ESTABLISHED:
		in_established(c, m, now_ms, out);
		break;
	case CTRL_WAIT_STOP:
		in_wait_stop(c, m, now_ms, out);
		break;
	case CTRL_CLOSED:
		break;
	}
}

/* Time. */

static bool
due(uint64_t deadline, uint64_t now_ms)
{
	return deadline != 0 && now_ms >= deadline;
}

static uint64_t
echo_deadline(const struct ctrl *c)
{
	if (c->state != CTRL_ESTABLISHED)
		return 0;
	return c->echo_due != 0 ? c->echo_due :
	    c->last_heard + c->conf->echo_ms -
	    c->echo_chance % (c->conf->echo_ms / 10 + 1);
}

static void
state_timeout(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out)
{
	switch (c->state) {
	case CTRL_WAIT_SCCRQ:
		note(out, CTRL_NOTE_TIMEOUT_SCCRQ, 0);
		close_conn(c, CALL_END_PROTOCOL, now_ms, out);
		break;
	case CTRL_ESTABLISHED:
		note(out, CTRL_NOTE_TIMEOUT_IDLE, 0);
		request_stop(c, CALL_END_NONE, now_ms, out);
		break;
	case CTRL_WAIT_STOP:
		close_conn(c, CALL_END_NONE, now_ms, out);
		break;
	case CTRL_CLOSED:
		break;
	}
}

static void
echo_timeout(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out)
{
	if (c->echo_due != 0) {
		note(out, CTRL_NOTE_TIMEOUT_ECHO, 0);
		close_conn(c, CALL_END_ECHO, now_ms, out);
		return;
	}
	c->echo_id++;
	c->echo_due = now_ms + c->conf->echo_wait_ms;
	send_msg(out, &(struct msg){ .type = MSG_ECHORQ, .echorq = {
	    .id = c->echo_id } });
}

/* The header's functions. */

void
ctrl_init(struct ctrl *c, const struct ctrl_conf *conf, uint64_t now_ms)
{
	*c = (struct ctrl){
		.conf = conf,
		.state = CTRL_WAIT_SCCRQ,
		.deadline_state = now_ms + conf->sccrq_ms,
		.last_heard = now_ms,
		.msg_tokens_at = now_ms,
		.msg_tokens = (uint64_t)conf->msg_burst * TOKEN,
		.echo_tokens_at = now_ms,
		.echo_tokens = (uint64_t)conf->echo_rate * TOKEN,
		.minute_began = now_ms,
	};
}

void
ctrl_spread(struct ctrl *c, uint32_t chance)
{
	c->echo_chance = chance;
}

void
ctrl_init_forgotten(struct ctrl *c, const struct ctrl_conf *conf,
    uint64_t now_ms)
{
	ctrl_init(c, conf, now_ms);
	c->state = CTRL_ESTABLISHED;
	c->deadline_state = now_ms + conf->idle_ms;
}

bool
ctrl_resume(struct ctrl *c, const struct ctrl_conf *conf)
{
	if (c->state > CTRL_CLOSED || c->peer_host[CTRL_NAME_LEN] != '\0' ||
	    c->peer_vendor[CTRL_NAME_LEN] != '\0')
		return false;
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
		if (c->call[i].state > CALL_ENDING ||
		    c->call[i].end > CALL_END_LAST ||
		    c->call[i].opened > CALL_OPEN_POLICY)
			return false;
	c->conf = conf;
	return true;
}

void
ctrl_input(struct ctrl *c, const uint8_t *msg, size_t len, uint64_t now_ms,
    struct ctrl_acts *out)
{
	struct msg m;

	if (c->state == CTRL_CLOSED)
		return;
	if (!take_token(&c->msg_tokens, &c->msg_tokens_at, c->conf->msg_rate,
	    c->conf->msg_burst, now_ms)) {
		note(out, CTRL_NOTE_RATE, 0);
		close_conn(c, CALL_END_PROTOCOL, now_ms, out);
		return;
	}
	if (!msg_decode(msg, len, &m)) {
		bad_message(c, 0, now_ms, out);
		return;
	}
	c->last_heard = now_ms;
	c->echo_due = 0;
	c->deadline_partial = 0;
	if (m.reserved)
		note(out, CTRL_NOTE_RESERVED, m.type);
	dispatch(c, &m, now_ms, out);
}

void
ctrl_desync(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out)
{
	if (c->state != CTRL_CLOSED)
		bad_message(c, 0, now_ms, out);
}

void
ctrl_partial(struct ctrl *c, bool pending, uint64_t now_ms)
{
	if (!pending)
		c->deadline_partial = 0;
	else if (c->deadline_partial == 0)
		c->deadline_partial = now_ms + c->conf->partial_ms;
}

void
ctrl_hangup(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out)
{
	if (c->state != CTRL_CLOSED)
		close_conn(c, why, now_ms, out);
}

void
ctrl_opened(struct ctrl *c, unsigned slot, enum call_open_result result,
    uint16_t own_id, uint64_t now_ms, struct ctrl_acts *out)
{
	struct call *call = &c->call[slot];

	if (call->state != CALL_OPENING)
		return;
	call->opened = result;
	if (result == CALL_OPENED) {
		call->own_id = own_id;
		step(c, call, CALL_EV_OPENED, CALL_END_NONE, now_ms, out);
	} else {
		step(c, call, CALL_EV_NOT_OPENED, CALL_END_REFUSED, now_ms,
		    out);
	}
}

void
ctrl_gre(struct ctrl *c, unsigned slot, uint64_t now_ms,
    struct ctrl_acts *out)
{
	step(c, &c->call[slot], CALL_EV_GRE, CALL_END_NONE, now_ms, out);
}

void
ctrl_up(struct ctrl *c, unsigned slot, uint64_t now_ms)
{
	struct call *call = &c->call[slot];

	if (call->state == CALL_STARTING) {
		call_step(call, CALL_EV_UP, CALL_END_NONE);
		call_entered(c, call, now_ms);
	}
}

void
ctrl_exited(struct ctrl *c, unsigned slot, enum call_end why,
    uint64_t now_ms, struct ctrl_acts *out)
{
	struct call *call = &c->call[slot];

	if (call->state == CALL_OPENING)
		ctrl_opened(c, slot, CALL_OPEN_NO_RESOURCE, 0, now_ms, out);
	else
		step(c, call, CALL_EV_EXITED, why, now_ms, out);
}

void
ctrl_terminate(struct ctrl *c, unsigned slot, enum call_end why,
    uint64_t now_ms, struct ctrl_acts *out)
{
	step(c, &c->call[slot], CALL_EV_END, why, now_ms, out);
}

void
ctrl_shutdown(struct ctrl *c, enum call_end why, uint64_t now_ms,
    struct ctrl_acts *out)
{
	switch (c->state) {
	case CTRL_WAIT_SCCRQ:
		close_conn(c, why, now_ms, out);
		break;
	case CTRL_ESTABLISHED:
		c->closing = why;
		if (live_calls(c) == 0)
			request_stop(c, why, now_ms, out);
		for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
			step(c, &c->call[i], CALL_EV_END, why, now_ms, out);
		break;
	case CTRL_WAIT_STOP:
	case CTRL_CLOSED:
		break;
	}
}

void
ctrl_tick(struct ctrl *c, uint64_t now_ms, struct ctrl_acts *out)
{
	if (c->state == CTRL_CLOSED)
		return;
	if (due(c->deadline_partial, now_ms)) {
		note(out, CTRL_NOTE_TIMEOUT_PARTIAL, 0);
		close_conn(c, CALL_END_PROTOCOL, now_ms, out);
		return;
	}
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		struct call *call = &c->call[i];

		if (due(call->deadline, now_ms))
			step(c, call, CALL_EV_DEADLINE, call->gre_seen ?
			    CALL_END_SETUP : CALL_END_NO_GRE, now_ms, out);
	}
	if (due(c->deadline_state, now_ms))
		state_timeout(c, now_ms, out);
	if (due(echo_deadline(c), now_ms))
		echo_timeout(c, now_ms, out);
}

static uint64_t
sooner(uint64_t a, uint64_t deadline)
{
	return deadline != 0 && deadline < a ? deadline : a;
}

uint64_t
ctrl_deadline(const struct ctrl *c)
{
	uint64_t next = UINT64_MAX;

	if (c->state == CTRL_CLOSED)
		return next;
	next = sooner(next, c->deadline_state);
	next = sooner(next, c->deadline_partial);
	next = sooner(next, echo_deadline(c));
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
		next = sooner(next, c->call[i].deadline);
	return next;
}

bool
ctrl_done(const struct ctrl *c)
{
	if (c->state != CTRL_CLOSED)
		return false;
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
		if (c->call[i].state != CALL_FREE)
			return false;
	return true;
}
