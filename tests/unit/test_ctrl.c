/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/ctrl.c proto/call.c proto/msg.c
 *
 * Tests named tNN, mNN, sNN are lines of the abuse list.  Not here, because
 * the core does not decide them: T03 to T05, M01 to M06 (frame), T07 to T12
 * and T16 to T20 (sockets, admission), S14 (we never dial). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../replay/acts_text.h"
#include "proto/ctrl.h"
#include "proto/msg.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define PEER	0x11u		/* the client's call id */
#define OWN	0x77u		/* ours */

static struct ctrl_conf conf;
static struct ctrl c;
static uint64_t now;
static struct text got;		/* everything done since the last EXPECT */
static struct ctrl_acts out;

/* What was done since the last EXPECT, as text. */
#define EXPECT(want) do {						\
	assert_string_equal(got.s, want);				\
	memset(&got, 0, sizeof(got));					\
} while (0)

static void
took(void)
{
	assert_true(out.n < CTRL_ACTS_MAX);
	assert_true(out.used + 220 < CTRL_ACTS_BYTES);
	for (size_t i = 0; i < out.n; i++) {
		const struct ctrl_act *a = &out.act[i];

		text_act(&got, &c, &out, a);
		if (a->type == CTRL_ACT_CLOSE)
			assert_int_equal(i, out.n - 1);
		if (a->type != CTRL_ACT_START && a->type != CTRL_ACT_STOP &&
		    a->type != CTRL_ACT_NOTE)
			assert_int_equal(a->arg, 0);
		if (a->type == CTRL_ACT_CLOSE || a->type == CTRL_ACT_NOTE)
			assert_int_equal(a->slot, 0);
	}
	memset(&out, 0, sizeof(out));
}

static void
begin(void)
{
	ctrl_conf_init(&conf);
	now = 1000000;
	memset(&got, 0, sizeof(got));
	memset(&out, 0, sizeof(out));
	memset(&c, 0x5a, sizeof(c));
	ctrl_init(&c, &conf, now);
}

/* Time goes on; every deadline on the way is kept to the millisecond. */
static void
pass(uint64_t ms)
{
	uint64_t until = now + ms;

	for (unsigned ticks = 0; ctrl_deadline(&c) <= until; ticks++) {
		assert_true(ticks < 100);
		assert_true(ctrl_deadline(&c) >= now);
		now = ctrl_deadline(&c);
		ctrl_tick(&c, now, &out);
		took();
	}
	now = until;
	ctrl_tick(&c, now, &out);	/* early calls are harmless */
	assert_int_equal(out.n, 0);
}

static void
say(struct msg m)
{
	uint8_t buf[MSG_MAX_LEN];
	size_t len = msg_encode(&m, buf, sizeof(buf));

	assert_true(len > 0);
	ctrl_input(&c, buf, len, now, &out);
	took();
}

static void
say_sccrq(uint16_t version)
{
	say((struct msg){ .type = MSG_SCCRQ, .scc = { .version = version } });
}

static void
say_ocrq(uint16_t id)
{
	say((struct msg){ .type = MSG_OCRQ, .ocrq = { .call_id = id,
	    .serial = 5, .min_bps = 300, .max_bps = 100000000, .bearer = 3,
	    .framing = 3, .window = 64 } });
}

static void
say_ccr(uint16_t id)
{
	say((struct msg){ .type = MSG_CCR, .ccr = { .call_id = id } });
}

static void
say_cdn(uint16_t id)
{
	say((struct msg){ .type = MSG_CDN, .cdn = { .call_id = id } });
}

static void
say_sli(uint16_t id, uint32_t send_accm, uint32_t recv_accm)
{
	say((struct msg){ .type = MSG_SLI, .sli = { .peer_id = id,
	    .send_accm = send_accm, .recv_accm = recv_accm } });
}

static void
say_echorq(uint32_t id)
{
	say((struct msg){ .type = MSG_ECHORQ, .echorq = { .id = id } });
}

static void
say_echorp(uint32_t id)
{
	say((struct msg){ .type = MSG_ECHORP, .echorp = { .id = id,
	    .result = ECHORP_OK } });
}

static void
say_stopccrq(uint8_t reason)
{
	say((struct msg){ .type = MSG_STOPCCRQ,
	    .stopccrq = { .reason = reason } });
}

static void
say_stopccrp(uint8_t result)
{
	say((struct msg){ .type = MSG_STOPCCRP,
	    .stopccrp = { .result = result } });
}

static void
opened(unsigned slot, enum call_open_result result, uint16_t own_id)
{
	ctrl_opened(&c, slot, result, own_id, now, &out);
	took();
}

static void
gre(unsigned slot)
{
	ctrl_gre(&c, slot, now, &out);
	took();
}

static void
exited(unsigned slot, enum call_end why)
{
	ctrl_exited(&c, slot, why, now, &out);
	took();
}

static void
terminate(unsigned slot, enum call_end why)
{
	ctrl_terminate(&c, slot, why, now, &out);
	took();
}

static void
stop_server(enum call_end why)
{
	ctrl_shutdown(&c, why, now, &out);
	took();
}

static void
hangup(enum call_end why)
{
	ctrl_hangup(&c, why, now, &out);
	took();
}

static void
desync(void)
{
	ctrl_desync(&c, now, &out);
	took();
}

/* All states a connection with one call can be in. */
enum at {
	AT_WAIT_SCCRQ,
	AT_ESTABLISHED,		/* no call */
	AT_OPENING,
	AT_WAITING,
	AT_STARTING,
	AT_UP,
	AT_ENDING,		/* by us: CDN not sent, pppd still there */
	AT_DYING,		/* by the client: CDN sent, the same */
	AT_WAIT_STOP,
	AT_CLOSED,
	AT_N,
};

static void
reach(enum at at)
{
	begin();
	if (at == AT_WAIT_SCCRQ)
		return;
	say_sccrq(MSG_VERSION);
	if (at == AT_WAIT_STOP)
		stop_server(CALL_END_SHUTDOWN);
	if (at == AT_CLOSED)
		hangup(CALL_END_EOF);
	if (at >= AT_OPENING && at <= AT_DYING)
		say_ocrq(PEER);
	if (at >= AT_WAITING && at <= AT_DYING)
		opened(0, CALL_OPENED, OWN);
	if (at >= AT_STARTING && at <= AT_DYING)
		gre(0);
	if (at >= AT_UP && at <= AT_DYING)
		ctrl_up(&c, 0, now);
	if (at == AT_ENDING)
		terminate(0, CALL_END_ADMIN);
	if (at == AT_DYING)
		say_ccr(PEER);
	memset(&got, 0, sizeof(got));
}

/* A second call in slot n (0 to 3) with ids of its own, network up. */
static void
another_call_up(unsigned slot, uint16_t peer_id, uint16_t own_id)
{
	say_ocrq(peer_id);
	opened(slot, CALL_OPENED, own_id);
	gre(slot);
	ctrl_up(&c, slot, now);
	assert_int_equal(c.call[slot].state, CALL_UP);
	memset(&got, 0, sizeof(got));
}

/* After this the machine must be empty. */
static void
all_exit(void)
{
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++)
		if (c.call[i].state != CALL_FREE)
			exited(i, CALL_END_PPPD);
}

#define BAD(t) "note:bad_message(" t ") CLOSE"

static void
ev_opened(void)
{
	opened(0, CALL_OPENED, OWN);
}

static void
ev_busy(void)
{
	opened(0, CALL_OPEN_BUSY, 0);
}

static void
ev_gre(void)
{
	gre(0);
}

static void
ev_up(void)
{
	ctrl_up(&c, 0, now);
}

static void
ev_exited(void)
{
	exited(0, CALL_END_PPPD);
}

static void
ev_terminate(void)
{
	terminate(0, CALL_END_ADMIN);
}

static void
ev_shutdown(void)
{
	stop_server(CALL_END_SHUTDOWN);
}

static void
ev_hangup(void)
{
	hangup(CALL_END_EOF);
}

/* The first deadline, however far, and only what it brings. */
static void
ev_deadline(void)
{
	if (ctrl_deadline(&c) != UINT64_MAX)
		now = ctrl_deadline(&c);
	ctrl_tick(&c, now, &out);
	took();
}

static void
every_event_in_every_state(void **state)
{
	static const struct {
		void (*event)(void);
		const char *want[AT_N];
	} row[] = {
		{ ev_opened, { "", "", "OCRP(0x77,0x11,1/0)",
		    "", "", "", "", "", "", "" } },
		{ ev_busy, { "", "", "OCRP(0,0x11,4/0) FREE(0,refused)",
		    "", "", "", "", "", "", "" } },
		{ ev_gre, { "", "", "", "START(0,1)",
		    "", "", "", "", "", "" } },
		{ ev_up, { "", "", "", "", "", "", "", "", "", "" } },
		{ ev_exited, { "", "",
		    "OCRP(0,0x11,2/4) FREE(0,refused)",
		    "CDN(0x77,1/0) FREE(0,pppd) StopCCRQ(1)",
		    "CDN(0x77,1/0) FREE(0,pppd) StopCCRQ(1)",
		    "CDN(0x77,1/0) FREE(0,pppd) StopCCRQ(1)",
		    "CDN(0x77,3/0) FREE(0,admin) StopCCRQ(1)",
		    "FREE(0,ccr)", "", "" } },
		{ ev_terminate, { "", "",
		    "OCRP(0,0x11,7/0) StopCCRQ(1)",
		    "STOP(0,0,admin)", "STOP(0,0,admin)", "STOP(0,0,admin)",
		    "", "", "", "" } },
		{ ev_shutdown, { "CLOSE", "StopCCRQ(3)",
		    "OCRP(0,0x11,7/0) StopCCRQ(3)",
		    "STOP(0,0,shutdown)", "STOP(0,0,shutdown)",
		    "STOP(0,0,shutdown)", "", "StopCCRQ(3)", "", "" } },
		{ ev_hangup, { "CLOSE", "CLOSE", "CLOSE",
		    "STOP(0,1,eof) CLOSE", "STOP(0,1,eof) CLOSE",
		    "STOP(0,1,eof) CLOSE", "CLOSE", "CLOSE", "CLOSE", "" } },
		{ desync, { BAD("0"), BAD("0"), BAD("0"),
		    "note:bad_message(0) STOP(0,1,protocol) CLOSE",
		    "note:bad_message(0) STOP(0,1,protocol) CLOSE",
		    "note:bad_message(0) STOP(0,1,protocol) CLOSE",
		    BAD("0"), BAD("0"), BAD("0"), "" } },
		{ ev_deadline, { "note:timeout_sccrq(0) CLOSE",
		    "note:timeout_idle(0) StopCCRQ(1)",
		    "EchoRQ(1)",
		    "START(0,0)",
		    "STOP(0,0,setup) EchoRQ(1)",
		    "EchoRQ(1)",
		    "CDN(0x77,3/0) StopCCRQ(1)",
		    "note:timeout_idle(0) StopCCRQ(1)",
		    "CLOSE", "" } },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++)
		for (int at = 0; at < AT_N; at++) {
			reach((enum at)at);
			row[i].event();
			EXPECT(row[i].want[at]);
		}
}

/* The end of each: whatever happens, a hang-up, the launcher's answers and
 * the exits leave an empty machine that wants nothing. */
static void
every_state_can_be_left(void **state)
{
	static const char *const want[AT_N] = {
		"CLOSE", "CLOSE", "CLOSE STOP(0,1,tcp) FREE(0,tcp)",
		"STOP(0,1,tcp) CLOSE FREE(0,tcp)",
		"STOP(0,1,tcp) CLOSE FREE(0,tcp)",
		"STOP(0,1,tcp) CLOSE FREE(0,tcp)",
		"CLOSE FREE(0,admin)", "CLOSE FREE(0,ccr)", "CLOSE", "",
	};

	(void)state;
	for (int at = 0; at < AT_N; at++) {
		reach((enum at)at);
		if (at != AT_CLOSED)
			assert_false(ctrl_done(&c));
		hangup(CALL_END_TCP);
		if (at >= AT_OPENING && at <= AT_DYING)
			assert_false(ctrl_done(&c));
		if (at == AT_OPENING)
			opened(0, CALL_OPENED, OWN);
		all_exit();
		EXPECT(want[at]);
		assert_true(ctrl_done(&c));
		assert_int_equal(ctrl_deadline(&c), UINT64_MAX);
		pass(1000000);
		EXPECT("");
	}
}

/* call_step itself: next state and what is to be done. */
static void
call_table(void **state)
{
#define DO(s, d) { CALL_##s, d }
#define ____ { (enum call_state)99, 0 }		/* nothing happens */
#define CDN CALL_DO_CDN
#define REF CALL_DO_REFUSE
#define FRE CALL_DO_FREE
#define STP CALL_DO_STOP
#define GON CALL_DO_STOP_GONE
	/* REQUEST OPENED NOT_OPENED SLI GRE UP CLEARED GONE END EXITED
	 * DEADLINE */
	static const struct {
		enum call_state from;
		bool told;
		struct {
			enum call_state to;
			unsigned todo;
		} cell[11];
	} row[] = {
		{ CALL_FREE, false, { DO(OPENING, CALL_DO_OPEN), ____, ____,
		    ____, ____, ____, ____, ____, ____, ____, ____ } },
		{ CALL_OPENING, false, { ____, DO(WAITING, CALL_DO_ACCEPT),
		    DO(FREE, REF | FRE), ____, ____, ____, DO(OPENING, CDN),
		    ____, DO(OPENING, REF), DO(FREE, REF | FRE), ____ } },
		{ CALL_OPENING, true, { ____, DO(ENDING, GON), DO(FREE, FRE),
		    ____, ____, ____, ____, ____, ____, DO(FREE, FRE),
		    ____ } },
		{ CALL_WAITING, false, { ____, ____, ____,
		    DO(STARTING, CALL_DO_START),
		    DO(STARTING, CALL_DO_START_GRE), ____,
		    DO(ENDING, CDN | GON), DO(ENDING, GON), DO(ENDING, STP),
		    DO(FREE, CDN | FRE), DO(STARTING, CALL_DO_START) } },
		{ CALL_STARTING, false, { ____, ____, ____, ____, ____,
		    DO(UP, 0), DO(ENDING, CDN | GON), DO(ENDING, GON),
		    DO(ENDING, STP), DO(FREE, CDN | FRE), DO(ENDING, STP) } },
		{ CALL_UP, false, { ____, ____, ____, ____, ____, ____,
		    DO(ENDING, CDN | GON), DO(ENDING, GON), DO(ENDING, STP),
		    DO(FREE, CDN | FRE), ____ } },
		{ CALL_ENDING, false, { ____, ____, ____, ____, ____, ____,
		    DO(ENDING, CDN), ____, ____, DO(FREE, CDN | FRE),
		    DO(ENDING, CDN) } },
		{ CALL_ENDING, true, { ____, ____, ____, ____, ____, ____,
		    ____, ____, ____, DO(FREE, FRE), ____ } },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++)
		for (int ev = 0; ev < 11; ev++) {
			struct call call = { .state = row[i].from,
			    .told = row[i].told };
			enum call_state to = row[i].cell[ev].to;
			unsigned want = row[i].cell[ev].todo;
			unsigned todo = call_step(&call, (enum call_event)ev,
			    CALL_END_LOST);
			bool over = ev >= CALL_EV_CLEARED &&
			    row[i].from != CALL_FREE;

			if (to == (enum call_state)99)
				to = row[i].from;
			assert_int_equal(call.state, to);
			assert_int_equal(todo, want);
			assert_int_equal(call.told, row[i].told ||
			    (want & (CDN | REF)) != 0 ||
			    (ev == CALL_EV_GONE && over));
			assert_int_equal(call.asked_stop,
			    (want & (STP | GON)) != 0);
			assert_int_equal(call.exited, (want & FRE) != 0);
			if (want & FRE)
				assert_true(call.told);
		}
}

static void
the_first_reason_stands(void **state)
{
	(void)state;
	reach(AT_UP);
	assert_int_equal(c.call[0].end, CALL_END_NONE);
	terminate(0, CALL_END_ADMIN);
	say_ccr(PEER);
	hangup(CALL_END_TCP);
	exited(0, CALL_END_PPPD);
	EXPECT("STOP(0,0,admin) CDN(0x77,4/0) StopCCRQ(1) CLOSE "
	    "FREE(0,admin)");
	assert_true(ctrl_done(&c));

	reach(AT_OPENING);
	say_ccr(PEER);
	terminate(0, CALL_END_ADMIN);
	say_stopccrq(1);
	opened(0, CALL_OPEN_BUSY, 0);
	EXPECT("CDN(0,4/0) StopCCRP(1/0) CLOSE FREE(0,ccr)");

	reach(AT_OPENING);
	terminate(0, CALL_END_ADMIN);
	hangup(CALL_END_TCP);
	opened(0, CALL_OPENED, OWN);
	exited(0, CALL_END_PPPD);
	EXPECT("OCRP(0,0x11,7/0) StopCCRQ(1) CLOSE STOP(0,1,admin) "
	    "FREE(0,admin)");
}

static void
sccrp_is_poptops(void **state)
{
	static const uint8_t head[] = {
		0x00, 0x9c, 0x00, 0x01, 0x1a, 0x2b, 0x3c, 0x4d, 0x00, 0x02,
		0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0, 0, 0, 0, 0, 0, 0, 0,
		0x00, 0x01, 0x00, 0x01,
	};
	uint8_t want[156] = { 0 }, buf[156];
	struct msg m = { .type = MSG_SCCRQ, .scc = { .version = 0x0100 } };

	(void)state;
	memcpy(want, head, sizeof(head));
	memcpy(want + 28, "local", 5);
	memcpy(want + 92, "linux", 5);
	begin();
	msg_encode(&m, buf, sizeof(buf));
	ctrl_input(&c, buf, sizeof(buf), now, &out);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.act[0].type, CTRL_ACT_SEND);
	assert_int_equal(out.act[0].off, 0);
	assert_int_equal(out.act[0].len, sizeof(want));
	assert_int_equal(out.used, sizeof(want));
	assert_memory_equal(out.buf, want, sizeof(want));
}

/* The OCRP for an OCRQ with these values, decoded. */
static struct msg_ocrp
ocrp_for(struct msg_ocrq q, uint16_t own_id)
{
	struct msg m = { .type = MSG_OCRQ, .ocrq = q };
	uint8_t buf[MSG_MAX_LEN];
	size_t len = msg_encode(&m, buf, sizeof(buf));

	reach(AT_ESTABLISHED);
	ctrl_input(&c, buf, len, now, &out);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.act[0].type, CTRL_ACT_OPEN);
	memset(&out, 0, sizeof(out));
	ctrl_opened(&c, 0, CALL_OPENED, own_id, now, &out);
	assert_int_equal(out.n, 1);
	assert_true(msg_decode(out.buf, out.act[0].len, &m));
	assert_int_equal(m.type, MSG_OCRP);
	memset(&out, 0, sizeof(out));
	assert_int_equal(m.ocrp.call_id, own_id);
	assert_int_equal(m.ocrp.peer_id, q.call_id);
	assert_int_equal(m.ocrp.result, OCRP_OK);
	assert_int_equal(m.ocrp.error, 0);
	assert_int_equal(m.ocrp.cause, 0);
	assert_int_equal(m.ocrp.delay, 0);
	assert_int_equal(m.ocrp.channel, 0);
	return m.ocrp;
}

static void
ocrp_values(void **state)
{
	struct msg_ocrq q = { .call_id = 0x44cb, .serial = 7,
	    .max_bps = 100000000, .window = 64 };
	struct msg_ocrp p = ocrp_for(q, 0x0100);

	(void)state;
	assert_int_equal(p.speed, 100000000);
	assert_int_equal(p.window, 64);
	assert_int_equal(c.call[0].own_id, 0x0100);
	assert_int_equal(c.call[0].peer_id, 0x44cb);
	assert_int_equal(c.call[0].serial, 7);
	assert_int_equal(c.call[0].opened_at, now);
	assert_int_equal(c.call[0].send_accm, 0xffffffff);
	assert_int_equal(c.call[0].recv_accm, 0xffffffff);
}

static void
m12_bit_rates_at_their_edges(void **state)
{
	static const struct {
		uint32_t min, max, speed;
	} row[] = {
		{ 0, 0, 100000000 }, { 300, 0, 100000000 }, { 9, 1, 1 },
		{ 0xffffffff, 1, 1 }, { 0, 0xffffffff, 0xffffffff },
		{ 0xffffffff, 0xffffffff, 0xffffffff }, { 1, 64000, 64000 },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++)
		assert_int_equal(ocrp_for((struct msg_ocrq){
		    .min_bps = row[i].min, .max_bps = row[i].max }, 1).speed,
		    row[i].speed);
}

static void
m13_bearer_and_framing(void **state)
{
	static const uint32_t v[] = { 0, 1, 2, 3, 4, 7, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < N(v); i++) {
		ocrp_for((struct msg_ocrq){ .bearer = v[i] }, 1);
		ocrp_for((struct msg_ocrq){ .framing = v[i] }, 1);
	}
}

/* Android offers 8192, pptp-linux 3: Apple must never be told less than 64 */
static void
m14_window_and_delay(void **state)
{
	static const struct {
		uint16_t window, want;
	} row[] = {
		{ 0, 64 }, { 1, 64 }, { 3, 64 }, { 63, 64 }, { 64, 64 },
		{ 65, 65 }, { 8192, 8192 }, { 65535, 65535 },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++) {
		assert_int_equal(ocrp_for((struct msg_ocrq){
		    .window = row[i].window, .delay = 65535 }, 1).window,
		    row[i].want);
		assert_int_equal(c.call[0].window, row[i].window);
	}
}

static void
m15_call_id_at_its_edges(void **state)
{
	static const uint16_t id[] = { 0, 1, 0x7fff, 0x8000, 0xffff };

	(void)state;
	for (size_t i = 0; i < N(id); i++) {
		ocrp_for((struct msg_ocrq){ .call_id = id[i] }, 0xffff);
		say_ccr(id[i]);
		EXPECT("CDN(0xffff,4/0) STOP(0,1,ccr)");
	}
}

/* Windows 10 leaves garbage in the number, with length 0. */
static void
m11_phone_number_is_not_used(void **state)
{
	static const uint16_t len[] = { 0, 1, 64, 65, 0xffff };

	(void)state;
	for (size_t i = 0; i < N(len); i++) {
		struct msg_ocrq q = { .phone_len = len[i] };

		memset(q.phone, 0xee, sizeof(q.phone));
		memset(q.subaddress, '%', sizeof(q.subaddress));
		ocrp_for(q, 1);
	}
}

/* The core decides nothing about M01 to M06, but nothing of it gets in. */
static void
m01_to_m06_close_here_too(void **state)
{
	static const uint8_t bad[][16] = {
		{ 0 },
		{ 0, 16, 0, 2, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5 },
		{ 0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4c, 0, 5 },
		{ 0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 0 },
		{ 0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 16 },
		{ 0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 7 },
		{ 0, 12, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5 },
	};

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		reach(AT_UP);
		ctrl_input(&c, bad[i], sizeof(bad[i]), now, &out);
		took();
		EXPECT("note:bad_message(0) STOP(0,1,protocol) CLOSE");
	}
	reach(AT_UP);
	ctrl_input(&c, bad[0], 0, now, &out);
	took();
	EXPECT("note:bad_message(0) STOP(0,1,protocol) CLOSE");
}

static void
m07_reserved_is_accepted_and_noted(void **state)
{
	static const uint8_t sli[] = {	/* as nDPI's capture has it, #12 */
		0x00, 0x18, 0x00, 0x01, 0x1a, 0x2b, 0x3c, 0x4d,
		0x00, 0x0f, 0x00, 0x00, 0x00, 0x77, 0xa1, 0x96,
		0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
	};

	(void)state;
	reach(AT_WAITING);
	ctrl_input(&c, sli, sizeof(sli), now, &out);
	took();
	EXPECT("note:reserved(0xf) START(0,0)");
	assert_int_equal(c.call[0].send_accm, 0);
}

static void
m08_old_version_is_refused(void **state)
{
	static const struct {
		uint16_t version;
		const char *want;
	} row[] = {
		{ 0x0000, "SCCRP(5/0) note:old_version(0) CLOSE" },
		{ 0x0001, "SCCRP(5/0) note:old_version(0x1) CLOSE" },
		{ 0x00ff, "SCCRP(5/0) note:old_version(0xff) CLOSE" },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++) {
		begin();
		say_sccrq(row[i].version);
		EXPECT(row[i].want);
		assert_true(ctrl_done(&c));
	}
}

static void
m09_new_version_gets_ours(void **state)
{
	static const uint16_t version[] = {
		0x0100, 0x0101, 0x01ff, 0x0200, 0xffff,
	};

	(void)state;
	for (size_t i = 0; i < N(version); i++) {
		struct msg m = { .type = MSG_SCCRQ,
		    .scc = { .version = version[i], .firmware = 2195 } };
		uint8_t buf[MSG_MAX_LEN];
		size_t len = msg_encode(&m, buf, sizeof(buf));

		begin();
		ctrl_input(&c, buf, len, now, &out);
		assert_true(msg_decode(out.buf, out.act[0].len, &m));
		assert_int_equal(m.scc.version, 0x0100);
		assert_int_equal(m.scc.result, SCCRP_OK);
		assert_int_equal(c.state, CTRL_ESTABLISHED);
		assert_int_equal(c.peer_version, version[i]);
		assert_int_equal(c.peer_firmware, 2195);
	}
}

static void
sccrq_fields_at_their_edges(void **state)
{
	static const uint32_t v[] = { 0, 1, 2, 3, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < N(v); i++) {
		begin();
		say((struct msg){ .type = MSG_SCCRQ, .scc = {
		    .version = 0x0100, .framing = v[i], .bearer = v[N(v) - 1 -
		    i], .max_channels = (uint16_t)v[i], .firmware =
		    (uint16_t)v[i] } });
		EXPECT("SCCRP(1/0) note:established(0)");
		assert_int_equal(c.peer_firmware, (uint16_t)v[i]);
	}
}

static void
m10_names_are_bounded(void **state)
{
	struct msg m = { .type = MSG_SCCRQ, .scc = { .version = 0x0100,
	    .vendor = "Microsoft\0garbage" } };
	char sixty_four[MSG_NAME_LEN + 1];

	(void)state;
	memset(sixty_four, '%', MSG_NAME_LEN);
	sixty_four[MSG_NAME_LEN] = '\0';
	memset(m.scc.host, '%', sizeof(m.scc.host));
	begin();
	say(m);
	assert_string_equal(c.peer_host, sixty_four);
	assert_string_equal(c.peer_vendor, "Microsoft");
	assert_int_equal(c.peer_vendor[10], 0);	/* garbage is not kept */

	begin();
	memset(&m.scc.host, 0, sizeof(m.scc.host));
	memset(m.scc.vendor, 0x1b, sizeof(m.scc.vendor));
	say(m);
	assert_string_equal(c.peer_host, "");
	assert_int_equal(strlen(c.peer_vendor), MSG_NAME_LEN);
}

static void
m16_same_call_id_twice(void **state)
{
	(void)state;
	for (int at = AT_OPENING; at <= AT_ENDING; at++) {
		enum call_state before;

		reach((enum at)at);
		before = c.call[0].state;
		say_ocrq(PEER);
		EXPECT("OCRP(0,0x11,2/5) note:refused(0x2)");
		assert_int_equal(c.call[0].state, before);
	}
	/* Cleared, but pppd still dying: for the client it is gone. */
	reach(AT_DYING);
	say_ocrq(PEER);
	EXPECT("OPEN(1)");
}

static void
m17_sli_with_a_foreign_id(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	say_sli(0x99, 1, 2);
	EXPECT("note:call_id(0x99)");
	assert_int_equal(c.call[0].send_accm, 0xffffffff);
	assert_int_equal(c.call[1].send_accm, 0xffffffff);
	assert_false(c.call[0].sli_seen);
	say_sli(0x78, 1, 2);
	EXPECT("");
	assert_int_equal(c.call[1].send_accm, 1);
	assert_int_equal(c.call[1].recv_accm, 2);
	assert_true(c.call[1].sli_seen);
	assert_false(c.call[0].sli_seen);
}

static void
m18_accm_is_stored_and_nothing_else(void **state)
{
	static const uint32_t accm[] = { 0, 0xffffffff, 0x000a0000, 0xdeadbeef };

	(void)state;
	for (size_t i = 0; i < N(accm); i++)
		for (int at = AT_WAITING; at <= AT_ENDING; at++) {
			reach((enum at)at);
			say_sli(OWN, accm[i], ~accm[i]);
			EXPECT(at == AT_WAITING ? "START(0,0)" : "");
			assert_int_equal(c.call[0].send_accm, accm[i]);
			assert_int_equal(c.call[0].recv_accm, ~accm[i]);
			assert_true(c.call[0].sli_seen);
		}
}

/* nDPI's capture: the NAT did not restore the id. */
static void
a_nat_changed_the_id_of_sli_or_ccr(void **state)
{
	(void)state;
	reach(AT_WAITING);
	say_sli(0xa196, 0, 0xffffffff);
	EXPECT("START(0,0)");
	assert_int_equal(c.call[0].send_accm, 0);
	say_ccr(0xa196);
	EXPECT("CDN(0x77,4/0) STOP(0,1,ccr)");
	say_ccr(0xa196);		/* sent again: not about the next one */
	EXPECT("note:call_id(0xa196)");
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(0,ccr)");
	/* While opening the client cannot know our id. */
	reach(AT_OPENING);
	say_sli(0, 1, 1);
	EXPECT("note:call_id(0)");
	assert_false(c.call[0].sli_seen);
	say_ccr(0xa196);
	EXPECT("CDN(0,4/0)");
}

/* M19 is in every_message_in_every_state: noted, no change of state. */
static void
m19_server_messages_change_nothing(void **state)
{
	static const enum msg_type type[] = { MSG_SCCRP, MSG_STOPCCRP,
	    MSG_ECHORP, MSG_OCRP, MSG_ICRQ, MSG_ICRP, MSG_ICCN, MSG_WEN };

	(void)state;
	for (size_t i = 0; i < N(type); i++)
		for (int at = AT_ESTABLISHED; at <= AT_DYING; at++) {
			struct ctrl before;
			struct msg m = { .type = type[i] };

			reach((enum at)at);
			before = c;
			say(m);
			before.msg_tokens = c.msg_tokens;
			assert_memory_equal(&before, &c, sizeof(c));
		}
}

static void
m20_cdn_with_either_id(void **state)
{
	(void)state;
	reach(AT_UP);
	say_cdn(OWN);
	EXPECT("CDN(0x77,4/0) STOP(0,1,ccr)");
	reach(AT_UP);
	say_cdn(PEER);
	EXPECT("CDN(0x77,4/0) STOP(0,1,ccr)");
	reach(AT_UP);
	say_cdn(0x99);			/* no guess from a CDN */
	EXPECT("note:call_id(0x99)");
	/* Our id of one call is the client's id of another: its own counts. */
	reach(AT_UP);
	another_call_up(1, OWN, 0x78);
	say_cdn(OWN);
	EXPECT("CDN(0x78,4/0) STOP(1,1,ccr)");
	/* We have no id yet: 0 is not it. */
	reach(AT_OPENING);
	say_cdn(0);
	EXPECT("note:call_id(0)");
}

static void
m21_icrq_is_not_accepted(void **state)
{
	static const uint16_t id[] = { 0, 1, 0xffff };

	(void)state;
	for (size_t i = 0; i < N(id); i++) {
		struct msg m = { .type = MSG_ICRQ, .icrq = {
		    .call_id = id[i], .dialed_len = 0xffff } };
		uint8_t buf[MSG_MAX_LEN];
		size_t len = msg_encode(&m, buf, sizeof(buf));

		assert_int_equal(len, 220);
		reach(AT_ESTABLISHED);
		ctrl_input(&c, buf, len, now, &out);
		assert_int_equal(out.n, 2);
		assert_true(msg_decode(out.buf + out.act[1].off,
		    out.act[1].len, &m));
		assert_int_equal(m.type, MSG_ICRP);
		assert_int_equal(m.icrp.call_id, 0);
		assert_int_equal(m.icrp.peer_id, id[i]);
		assert_int_equal(m.icrp.result, ICRP_NOT_ACCEPTED);
		assert_int_equal(m.icrp.error, 0);
		memset(&out, 0, sizeof(out));
	}
}

static void
m22_ccr_with_a_foreign_id(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	say_ccr(0x99);
	EXPECT("note:call_id(0x99)");
	say_ccr(OWN);			/* a CCR has the client's id */
	EXPECT("note:call_id(0x77)");
	assert_int_equal(c.call[0].state, CALL_UP);
	assert_int_equal(c.call[1].state, CALL_UP);
	say_ccr(0x12);
	EXPECT("CDN(0x78,4/0) STOP(1,1,ccr)");
	say_ccr(0x12);			/* again: not about the other one */
	EXPECT("note:call_id(0x12)");
	assert_int_equal(c.call[0].state, CALL_UP);
	exited(1, CALL_END_PPPD);
	EXPECT("FREE(1,ccr)");
	assert_int_equal(c.state, CTRL_ESTABLISHED);
	assert_int_equal(c.deadline_state, 0);	/* one call lives */
}

static void
m23_echo_reply_nobody_asked_for(void **state)
{
	(void)state;
	reach(AT_UP);
	say_echorp(0);
	say_echorp(1);
	EXPECT("note:unexpected(0x6) note:unexpected(0x6)");
	pass(60000);
	EXPECT("EchoRQ(1)");
	pass(59999);
	say_echorp(2);			/* wrong id, but a sign of life */
	EXPECT("note:unexpected(0x6)");
	pass(59999);
	EXPECT("");
	pass(1);
	EXPECT("EchoRQ(2)");
	say_echorp(2);
	EXPECT("");
}

static void
m24_echo_identifier_is_copied(void **state)
{
	static const uint32_t id[] = { 0, 1, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < N(id); i++) {
		struct msg m = { .type = MSG_ECHORQ,
		    .echorq = { .id = id[i] } };
		uint8_t buf[MSG_MAX_LEN];
		size_t len = msg_encode(&m, buf, sizeof(buf));

		reach(AT_ESTABLISHED);
		ctrl_input(&c, buf, len, now, &out);
		assert_int_equal(out.n, 1);
		assert_true(msg_decode(out.buf, out.act[0].len, &m));
		assert_int_equal(m.type, MSG_ECHORP);
		assert_int_equal(m.echorp.id, id[i]);
		assert_int_equal(m.echorp.result, ECHORP_OK);
		memset(&out, 0, sizeof(out));
	}
}

static void
m25_stopccrq_of_any_reason(void **state)
{
	static const uint8_t reason[] = { 0, 1, 2, 3, 4, 255 };

	(void)state;
	for (size_t i = 0; i < N(reason); i++) {
		reach(AT_UP);
		say_stopccrq(reason[i]);
		EXPECT("STOP(0,1,stopccrq) StopCCRP(1/0) CLOSE");
	}
}

static void
m26_stopccrp_nobody_asked_for(void **state)
{
	(void)state;
	reach(AT_UP);
	say_stopccrp(1);
	EXPECT("note:unexpected(0x4)");
	assert_int_equal(c.state, CTRL_ESTABLISHED);
}

/* 50 a second for ever are fine, 100 at once too; the next is not. */
static void
m27_message_flood(void **state)
{
	(void)state;
	reach(AT_ESTABLISHED);
	for (int i = 0; i < 99; i++)
		say_echorp(0);
	assert_int_equal(c.state, CTRL_ESTABLISHED);
	memset(&got, 0, sizeof(got));
	say_echorp(0);
	EXPECT("note:rate(0) CLOSE");

	reach(AT_UP);
	pass(5000);
	for (int i = 0; i < 100; i++)	/* no more than the burst is saved */
		say_echorp(0);
	memset(&got, 0, sizeof(got));
	pass(20);
	say_echorp(0);
	EXPECT("note:unexpected(0x6)");
	pass(19);
	say_echorp(0);
	EXPECT("note:rate(0) STOP(0,1,protocol) CLOSE");

	reach(AT_UP);
	for (int i = 0; i < 10000; i++) {
		memset(&got, 0, sizeof(got));
		pass(20);
		say_echorp(0);
	}
	EXPECT("note:unexpected(0x6)");
}

/* The exploit of CVE-2022-23270 is a flood of Echo-Requests. */
static void
t06_echo_flood(void **state)
{
	(void)state;
	reach(AT_UP);
	for (int i = 0; i < 10; i++)
		say_echorq(1);
	memset(&got, 0, sizeof(got));
	say_echorq(1);
	EXPECT("note:rate(0) STOP(0,1,protocol) CLOSE");

	reach(AT_WAIT_STOP);
	for (int i = 0; i < 10; i++)
		say_echorq(1);
	memset(&got, 0, sizeof(got));
	say_echorq(1);
	EXPECT("note:rate(0) CLOSE");

	reach(AT_UP);
	for (int i = 0; i < 1000; i++) {
		memset(&got, 0, sizeof(got));
		pass(100);
		say_echorq(1);
	}
	EXPECT("EchoRP(0x1,1/0)");
}

static void
buckets_survive_strange_clocks(void **state)
{
	(void)state;
	reach(AT_UP);
	conf.msg_rate = UINT32_MAX;
	conf.msg_burst = UINT32_MAX;
	conf.echo_ms = UINT32_MAX;
	now += (uint64_t)1 << 62;
	say_echorp(0);
	EXPECT("note:unexpected(0x6)");
	assert_int_equal(c.msg_tokens, (uint64_t)UINT32_MAX * 1000 - 1000);
	conf.msg_rate = 4;		/* times 2^62 would be 0 */
	c.msg_tokens = 0;
	now += (uint64_t)1 << 62;
	say_echorp(0);
	EXPECT("note:unexpected(0x6)");
	conf.msg_burst = 1;
	conf.msg_rate = 0;
	now -= 1000;			/* backwards: no time passed */
	say_echorp(0);
	EXPECT("note:unexpected(0x6)");
	say_echorp(0);
	EXPECT("note:rate(0) STOP(0,1,protocol) CLOSE");
}

static void
s01_anything_before_sccrq_closes(void **state)
{
	(void)state;
	for (unsigned type = 2; type <= 15; type++) {
		char want[64];

		begin();
		say((struct msg){ .type = (enum msg_type)type });
		snprintf(want, sizeof(want), BAD("%#x"), type);
		EXPECT(want);
		assert_true(ctrl_done(&c));
	}
}

/* PoPToP answers again; the call does not feel it, the idle time neither. */
static void
s02_sccrq_twice(void **state)
{
	(void)state;
	reach(AT_UP);
	say_sccrq(MSG_VERSION);
	say_sccrq(0);
	EXPECT("note:unexpected(0x1) SCCRP(3/0) "
	    "note:unexpected(0x1) SCCRP(3/0)");
	assert_int_equal(c.call[0].state, CALL_UP);
	assert_int_equal(c.peer_version, MSG_VERSION);
	reach(AT_ESTABLISHED);
	pass(29999);
	say_sccrq(MSG_VERSION);
	EXPECT("note:unexpected(0x1) SCCRP(3/0)");
	pass(1);
	EXPECT("note:timeout_idle(0) StopCCRQ(1)");
}

static void
s03_ocrq_before_sccrq(void **state)
{
	(void)state;
	begin();
	say_ocrq(PEER);
	EXPECT("note:bad_message(0x7) CLOSE");
}

static void
s04_next_call_while_the_last_one_dies(void **state)
{
	(void)state;
	conf.max_calls = 1;
	reach(AT_DYING);
	conf.max_calls = 1;
	say_ocrq(PEER);
	opened(1, CALL_OPENED, 0x78);
	EXPECT("OPEN(1) OCRP(0x78,0x11,1/0)");
	exited(0, CALL_END_PPPD);	/* the old one, at last */
	EXPECT("FREE(0,ccr)");
	assert_int_equal(c.call[1].state, CALL_WAITING);
	assert_int_equal(c.deadline_state, 0);
	say_ccr(PEER);
	EXPECT("CDN(0x78,4/0) STOP(1,1,ccr)");
}

/* pppd is never started, and the eleventh OCRQ of a minute is refused. */
static void
s05_call_flap(void **state)
{
	(void)state;
	begin();
	conf.idle_ms = 120000;
	say_sccrq(MSG_VERSION);
	memset(&got, 0, sizeof(got));
	for (int i = 0; i < 10; i++) {
		say_ocrq(PEER);
		opened(0, CALL_OPENED, OWN);
		say_ccr(PEER);
		exited(0, CALL_END_PPPD);
		EXPECT("OPEN(0) OCRP(0x77,0x11,1/0) CDN(0x77,4/0) "
		    "STOP(0,1,ccr) FREE(0,ccr)");
		pass(1000);
	}
	say_ocrq(PEER);
	EXPECT("OCRP(0,0x11,2/4) note:refused(0x2)");
	pass(49999);
	say_ocrq(PEER);
	EXPECT("OCRP(0,0x11,2/4) note:refused(0x2)");
	pass(1);			/* the minute is over */
	for (int minute = 0; minute < 3; minute++) {
		for (uint16_t i = 0; i < 10; i++) {
			say_ocrq(i);
			opened(0, CALL_OPEN_BUSY, 0);
		}
		assert_null(strstr(got.s, "note:refused"));
		memset(&got, 0, sizeof(got));
		say_ocrq(PEER);
		EXPECT("OCRP(0,0x11,2/4) note:refused(0x2)");
		pass(59999);
		say_ocrq(PEER);
		EXPECT("OCRP(0,0x11,2/4) note:refused(0x2)");
		pass(1);
		say_echorp(0);		/* no Echo-Request of ours, please */
		memset(&got, 0, sizeof(got));
	}
}

static void
s06_too_many_calls(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	another_call_up(2, 0x13, 0x79);
	another_call_up(3, 0x14, 0x7a);
	say_ocrq(0x15);
	EXPECT("OCRP(0,0x15,2/4) note:refused(0x2)");
	conf.calls_per_minute = UINT32_MAX;
	conf.msg_burst = 1000000;
	conf.msg_rate = 1000000;
	pass(1000);
	for (unsigned i = 0; i < 65000; i++) {
		memset(&got, 0, sizeof(got));
		say_ocrq((uint16_t)(i + 0x20));
		assert_non_null(strstr(got.s, ",2/4) note:refused(0x2)"));
	}
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++)
		assert_int_equal(c.call[i].state, CALL_UP);

	/* max_calls counts what the client has, slots bound the rest. */
	reach(AT_UP);
	conf.max_calls = 2;
	say_ocrq(0x12);
	EXPECT("OPEN(1)");
	say_ocrq(0x13);
	EXPECT("OCRP(0,0x13,2/4) note:refused(0x2)");
	conf.max_calls = 99;
	say_ocrq(0x13);
	say_ocrq(0x14);
	EXPECT("OPEN(2) OPEN(3)");
	say_ccr(0x12);
	EXPECT("CDN(0,4/0)");
	say_ocrq(0x15);			/* a free call, but no slot */
	EXPECT("OCRP(0,0x15,2/4) note:refused(0x2)");
	conf.max_calls = 0;
	reach(AT_ESTABLISHED);
	conf.max_calls = 0;
	say_ocrq(PEER);
	EXPECT("OCRP(0,0x11,2/4) note:refused(0x2)");
}

static void
s07_ccr_before_ocrp(void **state)
{
	(void)state;
	reach(AT_OPENING);
	say_ccr(PEER);
	EXPECT("CDN(0,4/0)");
	assert_int_equal(c.deadline_state, now + conf.idle_ms);
	say_ccr(PEER);
	EXPECT("note:call_id(0x11)");
	pass(100);
	opened(0, CALL_OPENED, OWN);
	EXPECT("STOP(0,1,ccr)");
	assert_false(c.call[0].gre_seen);
	gre(0);				/* only noted */
	assert_true(c.call[0].gre_seen);
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(0,ccr)");
	pass(29899);
	EXPECT("");
	pass(1);
	EXPECT("note:timeout_idle(0) StopCCRQ(1)");

	reach(AT_OPENING);
	say_ccr(PEER);
	opened(0, CALL_OPEN_NO_RESOURCE, 0);
	EXPECT("CDN(0,4/0) FREE(0,ccr)");
}

static void
s08_a_whole_life_in_one_segment(void **state)
{
	(void)state;
	begin();
	say_sccrq(MSG_VERSION);
	say_ocrq(PEER);
	say_ccr(PEER);
	say_stopccrq(1);
	hangup(CALL_END_EOF);
	EXPECT("SCCRP(1/0) note:established(0) OPEN(0) CDN(0,4/0) "
	    "StopCCRP(1/0) CLOSE");
	assert_false(ctrl_done(&c));
	opened(0, CALL_OPENED, OWN);
	EXPECT("STOP(0,1,ccr)");
	assert_false(ctrl_done(&c));
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(0,ccr)");
	assert_true(ctrl_done(&c));
}

static void
s09_messages_after_stopccrq(void **state)
{
	(void)state;
	reach(AT_UP);
	say_stopccrq(1);
	EXPECT("STOP(0,1,stopccrq) StopCCRP(1/0) CLOSE");
	for (unsigned type = 1; type <= 15; type++)
		say((struct msg){ .type = (enum msg_type)type });
	desync();
	ctrl_partial(&c, true, now);
	stop_server(CALL_END_SHUTDOWN);
	terminate(0, CALL_END_ADMIN);
	assert_int_equal(ctrl_deadline(&c), UINT64_MAX);
	pass(100000);
	EXPECT("");
}

static void
s10_messages_after_our_stopccrq(void **state)
{
	(void)state;
	reach(AT_WAIT_STOP);
	for (unsigned type = 6; type <= 15; type++)
		say((struct msg){ .type = (enum msg_type)type });
	say_sccrq(MSG_VERSION);
	EXPECT("");
	say_echorq(9);
	EXPECT("EchoRP(0x9,1/0)");
	say_stopccrq(2);		/* both at once: answered */
	EXPECT("StopCCRP(1/0) CLOSE");
	reach(AT_WAIT_STOP);		/* Apple says nothing */
	pass(2999);
	EXPECT("");
	pass(1);
	EXPECT("CLOSE");
}

static void
s11_gre_alone_creates_nothing(void **state)
{
	(void)state;
	reach(AT_UP);
	hangup(CALL_END_EOF);
	EXPECT("STOP(0,1,eof) CLOSE");
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++)
		gre(i);
	exited(0, CALL_END_PPPD);
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++)
		gre(i);
	EXPECT("FREE(0,eof)");
	assert_true(ctrl_done(&c));
}

/* GRE stops: pppd's LCP echo notices and pppd ends. */
static void
s12_pppd_gives_up(void **state)
{
	(void)state;
	reach(AT_UP);
	exited(0, CALL_END_PPPD);
	EXPECT("CDN(0x77,1/0) FREE(0,pppd) StopCCRQ(1)");
	say_stopccrp(1);
	EXPECT("CLOSE");
	assert_true(ctrl_done(&c));
}

static void
s13_two_connections_of_one_client(void **state)
{
	struct ctrl first;

	(void)state;
	reach(AT_UP);
	first = c;
	begin();
	say_sccrq(MSG_VERSION);
	say_ocrq(PEER);
	opened(0, CALL_OPENED, 0x78);
	EXPECT("SCCRP(1/0) note:established(0) OPEN(0) OCRP(0x78,0x11,1/0)");
	c = first;
	say_ccr(PEER);
	EXPECT("CDN(0x77,4/0) STOP(0,1,ccr)");
}

/* However many and however broken: closed is closed, and only once. */
static void
nothing_is_heard_after_close(void **state)
{
	static const uint8_t bad[16] = { 0 };
	static const uint8_t odd[16] = {	/* Echo-Request, reserved set */
		0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5, 0, 1, 0, 0, 0, 7,
	};

	(void)state;
	reach(AT_CLOSED);
	for (int i = 0; i < 200; i++)
		ctrl_input(&c, i & 1 ? bad : odd, 16, now, &out);
	took();
	EXPECT("");
	for (int i = 0; i < 2; i++) {	/* the one too many is not looked at */
		reach(AT_ESTABLISHED);
		conf.msg_rate = 0;
		c.msg_tokens = 0;
		ctrl_input(&c, i & 1 ? bad : odd, 16, now, &out);
		took();
		EXPECT("note:rate(0) CLOSE");
	}
}

static void
an_answer_nobody_asked_for_changes_nothing(void **state)
{
	(void)state;
	for (int at = AT_WAITING; at <= AT_DYING; at++) {
		struct call before;

		reach((enum at)at);
		before = c.call[0];
		pass(10);
		opened(0, CALL_OPENED, 0x99);
		opened(0, CALL_OPEN_BUSY, 0);
		if (at != AT_STARTING)
			ctrl_up(&c, 0, now);
		EXPECT("");
		assert_memory_equal(&before, &c.call[0], sizeof(before));
	}
}

/* What comes meanwhile does not move the deadline of an end. */
static void
an_ending_call_is_told_in_time(void **state)
{
	(void)state;
	reach(AT_ENDING);
	pass(2000);
	gre(0);
	say_sli(OWN, 0, 0);
	terminate(0, CALL_END_ADMIN);
	pass(999);
	EXPECT("");
	pass(1);
	EXPECT("CDN(0x77,3/0) StopCCRQ(1)");
}

/* We ask for life signs only while a client has reason to give them. */
static void
echo_is_for_established_connections(void **state)
{
	(void)state;
	begin();
	conf.echo_ms = 1000;
	pass(9999);
	EXPECT("");
	reach(AT_WAIT_STOP);
	conf.echo_ms = 1000;
	pass(2999);
	EXPECT("");
}

static void
s15_stopccrp_of_any_result(void **state)
{
	static const uint8_t result[] = { 0, 1, 2, 255 };

	(void)state;
	for (size_t i = 0; i < N(result); i++) {
		reach(AT_WAIT_STOP);
		say_stopccrp(result[i]);
		EXPECT("CLOSE");
	}
}

static void
s16_the_launcher_refuses(void **state)
{
	static const struct {
		enum call_open_result result;
		const char *want;
	} row[] = {
		{ CALL_OPEN_BUSY, "OCRP(0,0x11,4/0) FREE(0,refused)" },
		{ CALL_OPEN_NO_RESOURCE, "OCRP(0,0x11,2/4) FREE(0,refused)" },
		{ CALL_OPEN_POLICY, "OCRP(0,0x11,7/0) FREE(0,refused)" },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++) {
		reach(AT_OPENING);
		pass(5000);
		opened(0, row[i].result, 0);
		EXPECT(row[i].want);
		assert_int_equal(c.call[0].opened, row[i].result);
		assert_int_equal(c.call[0].own_id, 0);
		/* The connection stays, for another try. */
		say_ocrq(PEER);
		EXPECT("OPEN(0)");
		opened(0, row[i].result, 0);
		EXPECT(row[i].want);
		pass(29999);
		EXPECT("");
		pass(1);
		EXPECT("note:timeout_idle(0) StopCCRQ(1)");
	}
}

static void
t01_silence_after_connect(void **state)
{
	(void)state;
	begin();
	assert_int_equal(ctrl_deadline(&c), now + 10000);
	pass(9999);
	EXPECT("");
	pass(1);
	EXPECT("note:timeout_sccrq(0) CLOSE");
	assert_true(ctrl_done(&c));
}

/* One byte every 9 s: the deadline is the message's, not the byte's. */
static void
t02_slow_loris(void **state)
{
	(void)state;
	begin();
	ctrl_partial(&c, true, now);
	pass(9000);
	ctrl_partial(&c, true, now);
	pass(1000);
	EXPECT("note:timeout_partial(0) CLOSE");

	reach(AT_UP);
	ctrl_partial(&c, true, now);
	pass(9000);
	ctrl_partial(&c, true, now);
	pass(999);
	EXPECT("");
	pass(1);
	EXPECT("note:timeout_partial(0) STOP(0,1,protocol) CLOSE");

	reach(AT_UP);			/* a whole one ends it */
	ctrl_partial(&c, true, now);
	pass(9000);
	say_echorq(1);
	ctrl_partial(&c, true, now);	/* and the next one has its own */
	pass(9999);
	EXPECT("EchoRP(0x1,1/0)");
	ctrl_partial(&c, false, now);
	pass(9999);
	EXPECT("");
}

/* Also T14, half close: the end of the client's half ends the call. */
static void
t13_reset_at_any_time(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	terminate(1, CALL_END_ADMIN);
	EXPECT("STOP(1,0,admin)");
	hangup(CALL_END_TCP);
	hangup(CALL_END_EOF);
	EXPECT("STOP(0,1,tcp) CLOSE");
	pass(100000);
	exited(1, CALL_END_PPPD);
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(1,admin) FREE(0,tcp)");
	assert_true(ctrl_done(&c));
}

static void
t15_peer_vanished(void **state)
{
	(void)state;
	reach(AT_UP);
	pass(59999);
	EXPECT("");
	pass(1);
	EXPECT("EchoRQ(1)");
	pass(59999);
	EXPECT("");
	pass(1);
	EXPECT("note:timeout_echo(0) STOP(0,1,echo) CLOSE");
}

/* Any message is a sign of life, before our echo and instead of its answer;
 * identifiers count up. */
static void
echo_while_the_client_lives(void **state)
{
	(void)state;
	reach(AT_UP);
	pass(59999);
	say_sli(OWN, 0, 0);
	pass(59999);
	EXPECT("");
	pass(1);
	EXPECT("EchoRQ(1)");
	pass(59999);
	say_echorq(5);			/* crossed */
	say_echorp(1);
	EXPECT("EchoRP(0x5,1/0)");
	pass(60000);
	EXPECT("EchoRQ(2)");
	say_echorp(2);
	pass(60000);
	EXPECT("EchoRQ(3)");
	pass(60000);
	EXPECT("note:timeout_echo(0) STOP(0,1,echo) CLOSE");
}

static void
pppd_starts_at_the_first_sign(void **state)
{
	(void)state;
	reach(AT_WAITING);
	assert_int_equal(ctrl_deadline(&c), now + 1000);
	pass(999);
	EXPECT("");
	pass(1);			/* Windows 95: no SLI, waits for us */
	EXPECT("START(0,0)");
	assert_false(c.call[0].gre_seen);
	gre(0);
	assert_true(c.call[0].gre_seen);
	say_sli(OWN, 0, 0);
	pass(1000);
	EXPECT("");

	reach(AT_WAITING);		/* Windows 2000 and later */
	pass(3);
	say_sli(OWN, 0xffffffff, 0xffffffff);
	EXPECT("START(0,0)");
	gre(0);
	assert_true(c.call[0].gre_seen);
	EXPECT("");

	reach(AT_WAITING);		/* Android, pptp-linux; GRE overtook */
	gre(0);
	EXPECT("START(0,1)");
	say_sli(OWN, 0, 0);
	assert_true(c.call[0].sli_seen);
	EXPECT("");
}

static void
setup_has_a_minute(void **state)
{
	(void)state;
	reach(AT_WAITING);
	pass(1000);
	EXPECT("START(0,0)");
	assert_int_equal(c.call[0].deadline, c.call[0].opened_at + 60000);
	say_echorp(0);
	pass(58999);
	EXPECT("note:unexpected(0x6)");
	pass(1);
	EXPECT("STOP(0,0,no_gre)");
	pass(2999);
	EXPECT("EchoRQ(1)");
	pass(1);
	EXPECT("CDN(0x77,1/0) StopCCRQ(1)");
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(0,no_gre)");
	pass(3000);
	EXPECT("CLOSE");
	assert_true(ctrl_done(&c));

	reach(AT_STARTING);
	pass(60000);
	EXPECT("STOP(0,0,setup) EchoRQ(1)");
	exited(0, CALL_END_PPPD);
	EXPECT("CDN(0x77,1/0) FREE(0,setup) StopCCRQ(1)");

	reach(AT_STARTING);
	pass(59999);
	ctrl_up(&c, 0, now);
	assert_int_equal(c.call[0].state, CALL_UP);
	assert_int_equal(c.call[0].up_at, now);
	assert_int_equal(c.call[0].deadline, 0);
	pass(1);
	EXPECT("EchoRQ(1)");
	ctrl_up(&c, 0, now);		/* again: nothing new */
	assert_int_equal(c.call[0].up_at, now - 1);
}

static void
we_end_a_call(void **state)
{
	static const struct {
		enum call_end why;
		const char *want;	/* pppd goes by itself */
	} row[] = {
		{ CALL_END_PPPD, "CDN(0x77,1/0) FREE(0,pppd) StopCCRQ(1)" },
		{ CALL_END_LOST, "CDN(0x77,2/6) FREE(0,lost) StopCCRQ(1)" },
		{ CALL_END_SHUTDOWN,
		    "CDN(0x77,3/0) FREE(0,shutdown) StopCCRQ(3)" },
	};

	(void)state;
	for (size_t i = 0; i < N(row); i++) {
		reach(AT_UP);
		exited(0, row[i].why);
		EXPECT(row[i].want);
		assert_int_equal(c.state, CTRL_WAIT_STOP);
	}
	reach(AT_UP);			/* pppd is quick */
	terminate(0, CALL_END_ADMIN);
	terminate(0, CALL_END_LOST);
	EXPECT("STOP(0,0,admin)");
	pass(100);
	exited(0, CALL_END_PPPD);
	EXPECT("CDN(0x77,3/0) FREE(0,admin) StopCCRQ(1)");
	say_stopccrp(1);
	EXPECT("CLOSE");

	reach(AT_UP);			/* pppd hangs */
	terminate(0, CALL_END_LOST);
	EXPECT("STOP(0,0,lost)");
	pass(2999);
	EXPECT("");
	pass(1);
	EXPECT("CDN(0x77,2/6) StopCCRQ(1)");
	pass(3000);
	EXPECT("CLOSE");
	assert_false(ctrl_done(&c));
	exited(0, CALL_END_PPPD);
	EXPECT("FREE(0,lost)");
	assert_true(ctrl_done(&c));
}

static void
we_end_one_of_two_calls(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	terminate(0, CALL_END_ADMIN);
	exited(0, CALL_END_PPPD);
	EXPECT("STOP(0,0,admin) CDN(0x77,3/0) FREE(0,admin)");
	assert_int_equal(c.state, CTRL_ESTABLISHED);
	say_ccr(0x12);			/* the client ends the last one */
	EXPECT("CDN(0x78,4/0) STOP(1,1,ccr)");
	assert_int_equal(c.state, CTRL_ESTABLISHED);
	pass(30000);
	EXPECT("note:timeout_idle(0) StopCCRQ(1)");
}

static void
the_server_stops(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	say_ocrq(0x13);
	say_ocrq(0x14);
	opened(3, CALL_OPENED, 0x7a);
	say_ccr(0x14);
	memset(&got, 0, sizeof(got));
	stop_server(CALL_END_SHUTDOWN);
	EXPECT("STOP(0,0,shutdown) STOP(1,0,shutdown) OCRP(0,0x13,7/0)");
	stop_server(CALL_END_SHUTDOWN);
	EXPECT("");
	say_ocrq(0x15);
	EXPECT("OCRP(0,0x15,7/0) note:refused(0x7)");
	exited(0, CALL_END_PPPD);
	EXPECT("CDN(0x77,3/0) FREE(0,shutdown)");
	opened(2, CALL_OPENED, 0x79);
	EXPECT("STOP(2,1,shutdown)");
	pass(3000);
	EXPECT("CDN(0x78,3/0) StopCCRQ(3)");
	pass(3000);
	EXPECT("CLOSE");
	all_exit();
	EXPECT("FREE(1,shutdown) FREE(2,shutdown) FREE(3,ccr)");
	assert_true(ctrl_done(&c));

	/* Not the whole server: the reason is not shutdown. */
	reach(AT_UP);
	stop_server(CALL_END_ADMIN);
	exited(0, CALL_END_PPPD);
	EXPECT("STOP(0,0,admin) CDN(0x77,3/0) FREE(0,admin) StopCCRQ(1)");

	/* One call ended otherwise just before. */
	reach(AT_ENDING);
	stop_server(CALL_END_SHUTDOWN);
	say_ccr(PEER);
	EXPECT("CDN(0x77,4/0) StopCCRQ(3)");

	/* Nothing to send to before SCCRQ. */
	begin();
	stop_server(CALL_END_SHUTDOWN);
	EXPECT("CLOSE");
}

/* The most one call of the machine can bring; took() checks the sizes. */
static void
four_calls_end_at_once(void **state)
{
	(void)state;
	reach(AT_UP);
	another_call_up(1, 0x12, 0x78);
	another_call_up(2, 0x13, 0x79);
	another_call_up(3, 0x14, 0x7a);
	stop_server(CALL_END_SHUTDOWN);
	EXPECT("STOP(0,0,shutdown) STOP(1,0,shutdown) STOP(2,0,shutdown) "
	    "STOP(3,0,shutdown)");
	conf.stop_ms = 0;
	now += 3000;
	ctrl_tick(&c, now, &out);
	took();
	EXPECT("CDN(0x77,3/0) CDN(0x78,3/0) CDN(0x79,3/0) CDN(0x7a,3/0) "
	    "StopCCRQ(3) CLOSE");
	for (unsigned i = 0; i < CTRL_MAX_CALLS; i++) {
		assert_false(ctrl_done(&c));
		exited(i, CALL_END_PPPD);
	}
	EXPECT("FREE(0,shutdown) FREE(1,shutdown) FREE(2,shutdown) "
	    "FREE(3,shutdown)");
	assert_true(ctrl_done(&c));
}

/* R02: the machine slept; everything is due at once. */
static void
r02_all_deadlines_passed(void **state)
{
	(void)state;
	reach(AT_WAITING);
	pass(999);
	now += 10000000;
	ctrl_tick(&c, now, &out);
	took();
	EXPECT("START(0,0) EchoRQ(1)");
	assert_true(ctrl_deadline(&c) <= now);
	ctrl_tick(&c, now, &out);
	took();
	EXPECT("STOP(0,0,no_gre)");
	assert_true(ctrl_deadline(&c) > now);
	pass(0);
	EXPECT("");
}

static void
a_slot_starts_clean(void **state)
{
	struct call fresh = { .peer_id = 0x22, .serial = 5,
	    .max_bps = 100000000, .window = 64, .send_accm = 0xffffffff,
	    .recv_accm = 0xffffffff, .state = CALL_OPENING };

	(void)state;
	reach(AT_UP);
	say_sli(OWN, 1, 1);
	say_ccr(PEER);
	exited(0, CALL_END_PPPD);
	assert_int_equal(c.call[0].state, CALL_FREE);
	assert_int_equal(c.call[0].own_id, OWN);	/* still readable */
	assert_int_equal(c.call[0].end, CALL_END_CCR);
	assert_true(c.call[0].up_at != 0);
	say_ocrq(0x22);
	assert_memory_equal(&c.call[0], &fresh, sizeof(fresh));
}

static void
defaults(void **state)
{
	(void)state;
	memset(&conf, 0x5a, sizeof(conf));
	ctrl_conf_init(&conf);
	assert_int_equal(conf.sccrq_ms, 10000);
	assert_int_equal(conf.partial_ms, 10000);
	assert_int_equal(conf.idle_ms, 30000);
	assert_int_equal(conf.echo_ms, 60000);
	assert_int_equal(conf.echo_wait_ms, 60000);
	assert_int_equal(conf.start_ms, 1000);
	assert_int_equal(conf.setup_ms, 60000);
	assert_int_equal(conf.stop_ms, 3000);
	assert_int_equal(conf.max_calls, 4);
	assert_int_equal(conf.calls_per_minute, 10);
	assert_int_equal(conf.msg_rate, 50);
	assert_int_equal(conf.msg_burst, 100);
	assert_int_equal(conf.echo_rate, 10);
}

/* 2,000 clients fall silent together: each is asked within a minute, and no
 * tenth of a second has many of them. */
static void
r10_who_fell_silent_together_is_asked_apart(void **state)
{
	static struct ctrl many[2000];
	unsigned asked[601] = { 0 };
	uint32_t chance = 1;

	(void)state;
	ctrl_conf_init(&conf);
	for (size_t i = 0; i < 2000; i++) {
		uint64_t at;

		ctrl_init_forgotten(&many[i], &conf, 1000);
		many[i].deadline_state = 0;	/* it has a call */
		chance = chance * 1664525u + 1013904223u;
		ctrl_spread(&many[i], chance >> 8);
		at = ctrl_deadline(&many[i]) - 1000;
		assert_in_range(at, 54000, 60000);
		asked[at / 100]++;
	}
	for (size_t i = 540; i < 600; i++)
		assert_in_range(asked[i], 1, 70);
}

/* --- taking over -------------------------------------------------------- */

static void
a_machine_is_gone_on_with(void **state)
{
	struct ctrl_conf other;
	struct ctrl m;

	(void)state;
	ctrl_conf_init(&other);
	ctrl_init(&m, &other, 1000);
	m.state = CTRL_CLOSED;
	for (size_t i = 0; i < CTRL_MAX_CALLS; i++) {
		m.call[i].state = CALL_ENDING;
		m.call[i].end = CALL_END_LAST;
		m.call[i].opened = CALL_OPEN_POLICY;
	}
	assert_true(ctrl_resume(&m, &other));
	assert_ptr_equal(m.conf, &other);
	/* What no machine can be is not believed. */
	for (unsigned what = 0; what < 6; what++) {
		struct ctrl bad = m;
		struct call *last = &bad.call[CTRL_MAX_CALLS - 1];

		bad.conf = NULL;
		if (what == 0)
			bad.state = (enum ctrl_state)(CTRL_CLOSED + 1);
		else if (what == 1)
			bad.peer_host[CTRL_NAME_LEN] = 'x';
		else if (what == 2)
			bad.peer_vendor[CTRL_NAME_LEN] = 'x';
		else if (what == 3)
			last->state = (enum call_state)(CALL_ENDING + 1);
		else if (what == 4)
			last->end = (enum call_end)(CALL_END_LAST + 1);
		else
			last->opened =
			    (enum call_open_result)(CALL_OPEN_POLICY + 1);
		assert_false(ctrl_resume(&bad, &other));
		assert_null(bad.conf);
	}
}

static void
a_forgotten_connection_is_established(void **state)
{
	struct ctrl_conf given;
	struct ctrl m;

	(void)state;
	ctrl_conf_init(&given);
	ctrl_init_forgotten(&m, &given, 1000);
	assert_int_equal(m.state, CTRL_ESTABLISHED);
	assert_int_equal(ctrl_deadline(&m), 1000 + given.idle_ms);
}

static void
every_value_has_a_text(void **state)
{
	(void)state;
	for (int i = CALL_END_NONE; i <= CALL_END_LAST; i++) {
		const char *s = call_end_text((enum call_end)i);

		assert_true(strlen(s) >= 10);
		for (int j = CALL_END_NONE; j < i; j++)
			assert_string_not_equal(s,
			    call_end_text((enum call_end)j));
	}
	assert_string_equal(call_end_text(CALL_END_CCR),
	    "client cleared the call");
	assert_string_equal(call_end_text((enum call_end)99), "unknown");
	assert_string_equal(call_state_name(CALL_FREE), "free");
	assert_string_equal(call_state_name(CALL_OPENING), "opening");
	assert_string_equal(call_state_name(CALL_WAITING), "waiting");
	assert_string_equal(call_state_name(CALL_STARTING), "starting");
	assert_string_equal(call_state_name(CALL_UP), "up");
	assert_string_equal(call_state_name(CALL_ENDING), "ending");
	assert_string_equal(call_state_name((enum call_state)99), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_state),
		cmocka_unit_test(every_state_can_be_left),
		cmocka_unit_test(call_table),
		cmocka_unit_test(the_first_reason_stands),
		cmocka_unit_test(sccrp_is_poptops),
		cmocka_unit_test(ocrp_values),
		cmocka_unit_test(m12_bit_rates_at_their_edges),
		cmocka_unit_test(m13_bearer_and_framing),
		cmocka_unit_test(m14_window_and_delay),
		cmocka_unit_test(m15_call_id_at_its_edges),
		cmocka_unit_test(m11_phone_number_is_not_used),
		cmocka_unit_test(m01_to_m06_close_here_too),
		cmocka_unit_test(m07_reserved_is_accepted_and_noted),
		cmocka_unit_test(m08_old_version_is_refused),
		cmocka_unit_test(m09_new_version_gets_ours),
		cmocka_unit_test(sccrq_fields_at_their_edges),
		cmocka_unit_test(m10_names_are_bounded),
		cmocka_unit_test(m16_same_call_id_twice),
		cmocka_unit_test(m17_sli_with_a_foreign_id),
		cmocka_unit_test(m18_accm_is_stored_and_nothing_else),
		cmocka_unit_test(a_nat_changed_the_id_of_sli_or_ccr),
		cmocka_unit_test(m19_server_messages_change_nothing),
		cmocka_unit_test(m20_cdn_with_either_id),
		cmocka_unit_test(m21_icrq_is_not_accepted),
		cmocka_unit_test(m22_ccr_with_a_foreign_id),
		cmocka_unit_test(m23_echo_reply_nobody_asked_for),
		cmocka_unit_test(m24_echo_identifier_is_copied),
		cmocka_unit_test(m25_stopccrq_of_any_reason),
		cmocka_unit_test(m26_stopccrp_nobody_asked_for),
		cmocka_unit_test(m27_message_flood),
		cmocka_unit_test(t06_echo_flood),
		cmocka_unit_test(buckets_survive_strange_clocks),
		cmocka_unit_test(s01_anything_before_sccrq_closes),
		cmocka_unit_test(s02_sccrq_twice),
		cmocka_unit_test(s03_ocrq_before_sccrq),
		cmocka_unit_test(s04_next_call_while_the_last_one_dies),
		cmocka_unit_test(s05_call_flap),
		cmocka_unit_test(s06_too_many_calls),
		cmocka_unit_test(s07_ccr_before_ocrp),
		cmocka_unit_test(s08_a_whole_life_in_one_segment),
		cmocka_unit_test(s09_messages_after_stopccrq),
		cmocka_unit_test(s10_messages_after_our_stopccrq),
		cmocka_unit_test(s11_gre_alone_creates_nothing),
		cmocka_unit_test(s12_pppd_gives_up),
		cmocka_unit_test(s13_two_connections_of_one_client),
		cmocka_unit_test(nothing_is_heard_after_close),
		cmocka_unit_test(an_answer_nobody_asked_for_changes_nothing),
		cmocka_unit_test(an_ending_call_is_told_in_time),
		cmocka_unit_test(echo_is_for_established_connections),
		cmocka_unit_test(s15_stopccrp_of_any_result),
		cmocka_unit_test(s16_the_launcher_refuses),
		cmocka_unit_test(t01_silence_after_connect),
		cmocka_unit_test(t02_slow_loris),
		cmocka_unit_test(t13_reset_at_any_time),
		cmocka_unit_test(t15_peer_vanished),
		cmocka_unit_test(echo_while_the_client_lives),
		cmocka_unit_test(pppd_starts_at_the_first_sign),
		cmocka_unit_test(setup_has_a_minute),
		cmocka_unit_test(we_end_a_call),
		cmocka_unit_test(we_end_one_of_two_calls),
		cmocka_unit_test(the_server_stops),
		cmocka_unit_test(four_calls_end_at_once),
		cmocka_unit_test(r02_all_deadlines_passed),
		cmocka_unit_test(a_slot_starts_clean),
		cmocka_unit_test(defaults),
		cmocka_unit_test(r10_who_fell_silent_together_is_asked_apart),
		cmocka_unit_test(a_machine_is_gone_on_with),
		cmocka_unit_test(a_forgotten_connection_is_established),
		cmocka_unit_test(every_value_has_a_text),
	};

	return cmocka_run_group_tests_name("ctrl", tests, NULL, NULL);
}
