/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The actions of the control core as one line of text, for tests:
 * "CDN(0x77,4/0) STOP(0,1,ccr)".  Used by replay.c and unit/test_ctrl.c.
 */
#ifndef TESTS_ACTS_TEXT_H
#define TESTS_ACTS_TEXT_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/ctrl.h"
#include "proto/msg.h"

struct text {
	char s[2048];
	size_t n;
};

static const char *const text_end[] = {
	[CALL_END_NONE] = "none", [CALL_END_CCR] = "ccr",
	[CALL_END_STOPCCRQ] = "stopccrq", [CALL_END_EOF] = "eof",
	[CALL_END_TCP] = "tcp", [CALL_END_PROTOCOL] = "protocol",
	[CALL_END_ECHO] = "echo", [CALL_END_SETUP] = "setup",
	[CALL_END_NO_GRE] = "no_gre", [CALL_END_ADMIN] = "admin",
	[CALL_END_SHUTDOWN] = "shutdown", [CALL_END_PPPD] = "pppd",
	[CALL_END_LOST] = "lost", [CALL_END_REFUSED] = "refused",
};

static const char *const text_note[] = {
	[CTRL_NOTE_ESTABLISHED] = "established",
	[CTRL_NOTE_BAD_MESSAGE] = "bad_message",
	[CTRL_NOTE_UNEXPECTED] = "unexpected",
	[CTRL_NOTE_OLD_VERSION] = "old_version",
	[CTRL_NOTE_CALL_ID] = "call_id",
	[CTRL_NOTE_RATE] = "rate",
	[CTRL_NOTE_TIMEOUT_SCCRQ] = "timeout_sccrq",
	[CTRL_NOTE_TIMEOUT_PARTIAL] = "timeout_partial",
	[CTRL_NOTE_TIMEOUT_IDLE] = "timeout_idle",
	[CTRL_NOTE_TIMEOUT_ECHO] = "timeout_echo",
	[CTRL_NOTE_REFUSED] = "refused",
	[CTRL_NOTE_RESERVED] = "reserved",
};

__attribute__((format(printf, 2, 3)))
static void
text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->n += (size_t)vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
	if (t->n >= sizeof(t->s))
		t->n = sizeof(t->s) - 1;
}

static void
text_msg(struct text *t, const uint8_t *buf, size_t len)
{
	struct msg m;

	if (!msg_decode(buf, len, &m) || m.reserved) {
		text_add(t, "BROKEN(%zu)", len);
		return;
	}
	switch (m.type) {
	case MSG_SCCRP:
		text_add(t, "SCCRP(%u/%u)", m.scc.result, m.scc.error);
		break;
	case MSG_STOPCCRQ:
		text_add(t, "StopCCRQ(%u)", m.stopccrq.reason);
		break;
	case MSG_STOPCCRP:
		text_add(t, "StopCCRP(%u/%u)", m.stopccrp.result,
		    m.stopccrp.error);
		break;
	case MSG_ECHORQ:
		text_add(t, "EchoRQ(%u)", m.echorq.id);
		break;
	case MSG_ECHORP:
		text_add(t, "EchoRP(%#x,%u/%u)", m.echorp.id,
		    m.echorp.result, m.echorp.error);
		break;
	case MSG_OCRP:
		text_add(t, "OCRP(%#x,%#x,%u/%u)", m.ocrp.call_id,
		    m.ocrp.peer_id, m.ocrp.result, m.ocrp.error);
		break;
	case MSG_ICRP:
		text_add(t, "ICRP(%#x,%#x,%u/%u)", m.icrp.call_id,
		    m.icrp.peer_id, m.icrp.result, m.icrp.error);
		break;
	case MSG_CDN:
		text_add(t, "CDN(%#x,%u/%u)", m.cdn.call_id, m.cdn.result,
		    m.cdn.error);
		break;
	case MSG_SCCRQ:
	case MSG_OCRQ:
	case MSG_ICRQ:
	case MSG_ICCN:
	case MSG_CCR:
	case MSG_WEN:
	case MSG_SLI:
		text_add(t, "NOT-A-SERVER'S(%d)", (int)m.type);
		break;
	}
}

static void
text_act(struct text *t, const struct ctrl *c, const struct ctrl_acts *out,
    const struct ctrl_act *a)
{
	if (t->n > 0)
		text_add(t, " ");
	switch (a->type) {
	case CTRL_ACT_SEND:
		text_msg(t, out->buf + a->off, a->len);
		break;
	case CTRL_ACT_OPEN:
		text_add(t, "OPEN(%u)", a->slot);
		break;
	case CTRL_ACT_START:
		text_add(t, "START(%u,%u)", a->slot, a->arg);
		break;
	case CTRL_ACT_STOP:
		text_add(t, "STOP(%u,%u,%s)", a->slot, a->arg,
		    text_end[c->call[a->slot].end]);
		break;
	case CTRL_ACT_FREE:
		text_add(t, "FREE(%u,%s)", a->slot,
		    text_end[c->call[a->slot].end]);
		break;
	case CTRL_ACT_CLOSE:
		text_add(t, "CLOSE");
		break;
	case CTRL_ACT_NOTE:
		text_add(t, "note:%s(%#x)", text_note[a->note], a->arg);
		break;
	}
}

#endif
