/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/ctrl.c proto/call.c proto/msg.c
 *
 * The input drives one connection: messages, the launcher's answers, pppd's
 * ends, GRE, hang-ups and time.  A model of what the rest of the server would
 * hold (channels, pppds, a socket) says whether the actions make sense, and
 * at the end everything is answered: the machine must then be empty. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ctrl.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rest of the server knows of a slot. */
struct model_call {
	bool used;		/* between OPEN and FREE */
	bool asked;		/* OPEN, not answered */
	bool channel;		/* opened, not exited */
	bool started, stopped;
	bool owed;		/* the client waits for an OCRP or CDN */
	bool told;		/* CDN was sent */
	uint16_t own_id;
};

struct model {
	const uint8_t *in;
	size_t left;
	struct ctrl_conf conf;
	struct ctrl c;
	uint64_t now;
	uint16_t next_id;
	bool stop_sent;		/* our StopCCRQ */
	bool closed;
	struct model_call call[CTRL_MAX_CALLS];
	/* Counts within one step. */
	unsigned n_open, n_ocrp, n_start;
	bool ocrq;		/* the step is an OCRQ in ESTABLISHED */
};

static void
require(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t
byte(struct model *m)
{
	if (m->left == 0)
		return 0;
	m->left--;
	return *m->in++;
}

static uint32_t
word(struct model *m)
{
	uint32_t hi = byte(m);

	return hi << 8 | byte(m);
}

/* Few different ids, so that they meet. */
static uint16_t
some_id(struct model *m)
{
	uint8_t b = byte(m);

	return b < 0x80 ? b & 7 : (uint16_t)(0x0100u + (b & 15));
}

static void
check_send(struct model *m, const uint8_t *buf, size_t len)
{
	struct msg msg;

	require(!m->closed);
	require(msg_decode(buf, len, &msg) && !msg.reserved);
	if (m->stop_sent)
		require(msg.type == MSG_STOPCCRP || msg.type == MSG_ECHORP);
	switch (msg.type) {
	case MSG_SCCRP:
	case MSG_STOPCCRP:
	case MSG_ECHORQ:
	case MSG_ECHORP:
	case MSG_ICRP:
		break;
	case MSG_STOPCCRQ:
		m->stop_sent = true;
		for (size_t i = 0; i < CTRL_MAX_CALLS; i++)
			require(!m->call[i].used || m->c.call[i].told);
		break;
	case MSG_OCRP:
		m->n_ocrp++;
		require((msg.ocrp.result == OCRP_OK) ==
		    (msg.ocrp.call_id != 0));
		require((msg.ocrp.result == OCRP_GENERAL) ==
		    (msg.ocrp.error != 0));
		require(msg.ocrp.result != OCRP_OK ||
		    (msg.ocrp.speed != 0 && msg.ocrp.window >= 64));
		break;
	case MSG_CDN:
		for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
			struct model_call *k = &m->call[i];

			if (msg.cdn.call_id == 0 || !k->used ||
			    k->own_id != msg.cdn.call_id)
				continue;
			require(!k->told);
			k->told = true;
		}
		break;
	case MSG_SCCRQ:
	case MSG_OCRQ:
	case MSG_ICRQ:
	case MSG_ICCN:
	case MSG_CCR:
	case MSG_WEN:
	case MSG_SLI:
		abort();
	}
}

static void
check_act(struct model *m, const struct ctrl_acts *out,
    const struct ctrl_act *a)
{
	struct model_call *k = &m->call[a->slot];

	require(a->slot < CTRL_MAX_CALLS);
	switch (a->type) {
	case CTRL_ACT_SEND:
		check_send(m, out->buf + a->off, a->len);
		break;
	case CTRL_ACT_OPEN:
		require(!k->used && !m->closed && !m->stop_sent);
		*k = (struct model_call){ .used = true, .asked = true,
		    .owed = true };
		m->n_open++;
		break;
	case CTRL_ACT_START:
		require(k->channel && !k->started && !k->stopped);
		require(a->arg <= 1 && !m->closed);
		k->started = true;
		m->n_start++;
		break;
	case CTRL_ACT_STOP:
		require(k->channel && !k->stopped && a->arg <= 1);
		require(m->c.call[a->slot].end != CALL_END_NONE);
		k->stopped = true;
		break;
	case CTRL_ACT_FREE:
		require(k->used && !k->asked && !k->channel);
		require(m->closed || m->c.call[a->slot].told);
		require(m->c.call[a->slot].end != CALL_END_NONE);
		k->used = false;
		break;
	case CTRL_ACT_CLOSE:
		require(!m->closed);
		require(a == &out->act[out->n - 1]);
		m->closed = true;
		break;
	case CTRL_ACT_NOTE:
		require(a->note <= CTRL_NOTE_RESERVED);
		break;
	}
}

/* The model and the machine must agree on each call. */
static void
check_calls(struct model *m)
{
	unsigned answered = 0;

	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		struct model_call *k = &m->call[i];
		const struct call *call = &m->c.call[i];

		require(k->used == (call->state != CALL_FREE));
		if (!k->used) {
			answered += k->owed;
			k->owed = false;
			continue;
		}
		require(k->asked == (call->state == CALL_OPENING));
		require(k->stopped == (call->state == CALL_ENDING));
		require(k->stopped == call->asked_stop);
		require(!call->exited);
		if (m->closed)
			require(call->told);
		if (k->owed && (!k->asked || call->told)) {
			k->owed = false;
			answered++;
		}
		if (k->told)
			require(call->told);
	}
	/* Each OCRQ got one answer: at once, by OPEN, or the end of all. */
	if (m->ocrq)
		require(m->closed || m->n_open + m->n_ocrp == 1);
	else if (!m->closed)
		require(m->n_open == 0 && m->n_ocrp <= answered);
}

static void
took(struct model *m, const struct ctrl_acts *out)
{
	size_t off = 0;

	require(out->n < CTRL_ACTS_MAX);	/* full: one may be lost */
	require(out->used + MSG_MAX_LEN < CTRL_ACTS_BYTES);
	for (size_t i = 0; i < out->n; i++) {
		const struct ctrl_act *a = &out->act[i];

		if (a->type == CTRL_ACT_SEND) {
			require(a->off == off);
			off += a->len;
		}
		check_act(m, out, a);
	}
	require(off == out->used);
	check_calls(m);
	require(m->closed == (m->c.state == CTRL_CLOSED));
	require(m->stop_sent == (m->c.state == CTRL_WAIT_STOP) || m->closed);
	m->n_open = m->n_ocrp = m->n_start = 0;
	m->ocrq = false;
}

/* Called after each step: what is due is done, then nothing is. */
static void
settle(struct model *m)
{
	struct ctrl before;

	for (unsigned i = 0; ctrl_deadline(&m->c) <= m->now; i++) {
		struct ctrl_acts out = { .n = 0 };

		require(i < 4 * CTRL_MAX_CALLS + 4);
		ctrl_tick(&m->c, m->now, &out);
		took(m, &out);
	}
	memcpy(&before, &m->c, sizeof(before));
	for (unsigned i = 0; i < 2; i++) {	/* early: harmless */
		struct ctrl_acts out = { .n = 0 };

		ctrl_tick(&m->c, m->now, &out);
		require(out.n == 0 && out.used == 0);
		require(memcmp(&before, &m->c, sizeof(before)) == 0);
	}
}

static struct msg
some_msg(struct model *m)
{
	struct msg msg = { .type = (enum msg_type)(byte(m) % 15 + 1) };

	switch (msg.type) {
	case MSG_SCCRQ:
		msg.scc.version = byte(m) < 8 ? (uint16_t)word(m) :
		    MSG_VERSION;
		memset(msg.scc.host, byte(m), sizeof(msg.scc.host));
		break;
	case MSG_ECHORQ:
		msg.echorq.id = word(m);
		break;
	case MSG_ECHORP:
		msg.echorp.id = byte(m) & 3;
		break;
	case MSG_OCRQ:
		msg.ocrq.call_id = some_id(m);
		msg.ocrq.max_bps = byte(m);
		msg.ocrq.window = (uint16_t)word(m);
		break;
	case MSG_ICRQ:
		msg.icrq.call_id = some_id(m);
		break;
	case MSG_CCR:
		msg.ccr.call_id = some_id(m);
		break;
	case MSG_CDN:
		msg.cdn.call_id = some_id(m);
		break;
	case MSG_SLI:
		msg.sli.peer_id = some_id(m);
		break;
	case MSG_STOPCCRQ:
		msg.stopccrq.reason = byte(m);
		break;
	case MSG_STOPCCRP:
		msg.stopccrp.result = byte(m);
		break;
	case MSG_SCCRP:
	case MSG_OCRP:
	case MSG_ICRP:
	case MSG_ICCN:
	case MSG_WEN:
		break;
	}
	return msg;
}

static void
input(struct model *m, const uint8_t *buf, size_t len)
{
	struct ctrl_acts out = { .n = 0 };

	ctrl_input(&m->c, buf, len, m->now, &out);
	took(m, &out);
}

static void
step_message(struct model *m)
{
	struct msg msg = some_msg(m);
	uint8_t buf[MSG_MAX_LEN];
	size_t len = msg_encode(&msg, buf, sizeof(buf));

	m->ocrq = msg.type == MSG_OCRQ && m->c.state == CTRL_ESTABLISHED;
	input(m, buf, len);
}

/* A message with some bytes changed, or of another length. */
static void
step_raw(struct model *m)
{
	struct msg msg = some_msg(m);
	uint8_t buf[MSG_MAX_LEN];
	size_t len = msg_encode(&msg, buf, sizeof(buf));

	for (unsigned n = byte(m) & 3; n > 0; n--)
		buf[byte(m) % len] ^= byte(m);
	if (byte(m) & 1)
		len = byte(m) % (len + 1);
	m->ocrq = len > 9 && buf[9] == MSG_OCRQ &&
	    m->c.state == CTRL_ESTABLISHED;
	input(m, buf, len);
}

static void
answer_open(struct model *m, unsigned slot, unsigned how)
{
	struct ctrl_acts out = { .n = 0 };
	struct model_call *k = &m->call[slot];
	enum call_open_result result = CALL_OPENED;

	if (!k->asked)
		return;
	if ((how & 7) < 3)
		result = (enum call_open_result)((how & 7) + 1);
	k->asked = false;
	if (result == CALL_OPENED) {
		k->channel = true;
		k->own_id = m->next_id;
		m->next_id = m->next_id == 0xffff ? 0x0100 :
		    (uint16_t)(m->next_id + 1);
	}
	ctrl_opened(&m->c, slot, result, k->own_id, m->now, &out);
	took(m, &out);
}

static void
exit_call(struct model *m, unsigned slot, enum call_end why)
{
	struct ctrl_acts out = { .n = 0 };
	struct model_call *k = &m->call[slot];

	k->channel = false;
	k->asked = false;	/* the launcher died instead of answering */
	ctrl_exited(&m->c, slot, why, m->now, &out);
	took(m, &out);
}

static void
step_call(struct model *m)
{
	static const enum call_end why[] = {
		CALL_END_PPPD, CALL_END_LOST, CALL_END_ADMIN,
		CALL_END_SHUTDOWN,
	};
	struct ctrl_acts out = { .n = 0 };
	uint8_t b = byte(m);
	unsigned slot = b % CTRL_MAX_CALLS;
	enum call_end end = why[b / 4 % 4];

	switch (b / 16 % 8) {
	case 0:
	case 1:
	case 2:
		answer_open(m, slot, byte(m));
		return;
	case 3:
		ctrl_gre(&m->c, slot, m->now, &out);
		break;
	case 4:
		ctrl_up(&m->c, slot, m->now);
		break;
	case 5:
		ctrl_terminate(&m->c, slot, end, m->now, &out);
		break;
	default:
		exit_call(m, slot, end);
		return;
	}
	took(m, &out);
}

static void
step_connection(struct model *m)
{
	struct ctrl_acts out = { .n = 0 };
	uint8_t b = byte(m);

	switch (b % 16) {
	case 0:
		ctrl_desync(&m->c, m->now, &out);
		break;
	case 1:
		ctrl_hangup(&m->c, b & 16 ? CALL_END_EOF : CALL_END_TCP,
		    m->now, &out);
		break;
	case 2:
		ctrl_shutdown(&m->c, b & 16 ? CALL_END_SHUTDOWN :
		    CALL_END_ADMIN, m->now, &out);
		break;
	default:
		ctrl_partial(&m->c, b & 16, m->now);
		break;
	}
	took(m, &out);
}

/* A little, a lot, or exactly to the next deadline or just before it. */
static void
step_time(struct model *m)
{
	uint8_t b = byte(m);
	uint64_t next = ctrl_deadline(&m->c);

	switch (b % 4) {
	case 0:
		m->now += b;
		break;
	case 1:
		m->now += (uint64_t)b * 500;
		break;
	case 2:
		if (next != UINT64_MAX)
			m->now = next;
		break;
	case 3:
		if (next != UINT64_MAX && next - 1 > m->now)
			m->now = next - 1;
		break;
	}
}

static void
some_conf(struct model *m)
{
	uint8_t b = byte(m);

	ctrl_conf_init(&m->conf);
	if (b & 1)
		m->conf.max_calls = byte(m) % 6;
	if (b & 2)
		m->conf.calls_per_minute = byte(m);
	if (b & 4)
		m->conf.start_ms = word(m);
	if (b & 8)
		m->conf.stop_ms = byte(m);
	if (b & 16)
		m->conf.setup_ms = word(m);
	if (b & 32)
		m->conf.echo_ms = word(m);
	if (b & 64)
		m->conf.msg_burst = m->conf.echo_rate = UINT32_MAX;
	if (b & 128)
		m->conf.idle_ms = m->conf.echo_wait_ms = byte(m);
}

/* Every question is answered and everything exits: nothing may be left. */
static void
finish(struct model *m)
{
	struct ctrl_acts out = { .n = 0 };

	ctrl_hangup(&m->c, CALL_END_EOF, m->now, &out);
	took(m, &out);
	require(m->closed);
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		answer_open(m, i, 7);
		if (m->call[i].used) {
			require(m->call[i].stopped);
			require(!ctrl_done(&m->c));
			exit_call(m, i, CALL_END_PPPD);
		}
		require(!m->call[i].used);
	}
	require(ctrl_done(&m->c));
	require(ctrl_deadline(&m->c) == UINT64_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;

	memset(&m, 0, sizeof(m));
	m.in = data;
	m.left = size;
	m.now = 1000000;
	m.next_id = 0x0100;
	some_conf(&m);
	ctrl_init(&m.c, &m.conf, m.now);
	settle(&m);
	while (m.left > 0) {
		uint8_t b = byte(&m);

		if (b < 0x60)
			step_message(&m);
		else if (b < 0x70)
			step_raw(&m);
		else if (b < 0xb0)
			step_call(&m);
		else if (b < 0xb8)
			step_connection(&m);
		else
			step_time(&m);
		settle(&m);
	}
	finish(&m);
	return 0;
}
