/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions, between a launcher and control connections that only note what
 * they are told: which call ids are in use, and when; what a ban outlives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/adopt.h"
#include "net/worker.h"

#define IDS		UINT16_MAX	/* there are so many */
#define REST_MS		60000u

static struct worker w;
static struct conn *const conn = (struct conn *)&w;	/* never looked into */
static struct conf conf;
static uint64_t now;
static uint16_t last_id;		/* of conn_opened */
static enum call_open_result last_result;
static struct req last_req;
static struct admit_client client;

/* --- what is around sessions ----------------------------------------------- */

uint64_t
worker_now(const struct worker *worker)
{
	(void)worker;
	return now;
}

bool
worker_ask(struct worker *worker, struct req *req)
{
	(void)worker;
	last_req = *req;
	return true;
}

void
conn_opened(struct conn *c, unsigned slot, enum call_open_result result,
    uint16_t own_id)
{
	(void)c;
	(void)slot;
	last_result = result;
	last_id = own_id;
}

struct in_addr
conn_peer(const struct conn *c)
{
	(void)c;
	return (struct in_addr){ 0 };
}

struct in_addr
conn_own(const struct conn *c)
{
	return conn_peer(c);
}

int32_t
conn_shown_pid(const struct conn *c)
{
	(void)c;
	return 0;
}

struct admit_client *
conn_admit(struct conn *c)
{
	(void)c;
	return &client;
}

void conn_gre(struct conn *c, unsigned slot) { (void)c; (void)slot; }
void conn_up(struct conn *c, unsigned slot) { (void)c; (void)slot; }
void conn_exited(struct conn *c, unsigned slot, enum call_end why)
{ (void)c; (void)slot; (void)why; }
void conn_terminate(struct conn *c, unsigned slot, enum call_end why)
{ (void)c; (void)slot; (void)why; }
void adopt_save(struct conn *c) { (void)c; }
void worker_check_done(struct worker *worker) { (void)worker; }
void relay_look(struct flow *f) { (void)f; }
void relay_up(struct flow *f) { (void)f; }
void relay_last(struct relay *r, struct flow *f) { (void)r; (void)f; }
void relay_detach(struct relay *r, struct flow *f) { (void)r; (void)f; }
void relay_attach_l2tp(struct relay *r, struct flow *f, uint16_t tunnel)
{ (void)r; (void)f; (void)tunnel; }
int relay_attach_pty(struct relay *r, struct flow *f, int fd)
{ (void)r; (void)f; (void)fd; return 0; }

/* --- tests ------------------------------------------------------------------ */

/* All ids have rested. */
static int
no_calls(void **state)
{
	(void)state;
	w.conf = &conf;
	w.path = CONF_DP_RELAY;
	if (!w.sessions)
		w.sessions = sessions_new(&w);
	now += 2 * REST_MS;
	return w.sessions ? 0 : -1;
}

/* A call that the launcher opens, from its begin to its end. */
static uint16_t
whole_call(void)
{
	struct session *s = session_open(&w, conn, 0, 1);
	struct rep rep = { .op = REP_OPENED, .status = REP_OPEN_OK };
	struct call call = { .end = CALL_END_CCR };

	if (!s)
		return 0;
	assert_int_equal(last_req.op, REQ_OPEN);
	rep.call = last_req.call;
	session_reply(&w, &rep, -1);
	assert_int_equal(last_result, CALL_OPENED);
	assert_int_equal(last_id, last_req.call);
	session_free(s, &call);
	return last_id;
}

/* Each id once, then none, until the first of them rested. */
static void
the_id_of_a_call_that_ended_rests(void **state)
{
	static uint8_t had[IDS + 1];

	(void)state;
	for (unsigned i = 0; i < IDS; i++) {
		uint16_t id = whole_call();

		assert_int_not_equal(id, 0);
		assert_int_equal(had[id], 0);
		had[id] = 1;
	}
	assert_int_equal(whole_call(), 0);
	now += REST_MS - 1;
	assert_int_equal(whole_call(), 0);
	now++;
	assert_int_not_equal(whole_call(), 0);
}

/* Another program has the id: so does the one that was tried. */
static void
an_id_that_is_taken_on_this_host_rests(void **state)
{
	struct session *s = session_open(&w, conn, 0, 1);
	struct rep rep = { .op = REP_OPENED, .status = REP_OPEN_RETRY };
	struct call call = { .end = CALL_END_CCR };
	uint16_t first;

	(void)state;
	assert_non_null(s);
	first = (uint16_t)last_req.call;
	rep.call = first;
	session_reply(&w, &rep, -1);
	assert_int_equal(last_req.op, REQ_OPEN);
	assert_int_not_equal(last_req.call, first);
	assert_false(session_id_used(&w, first));
	assert_true(session_id_used(&w, (uint16_t)last_req.call));
	session_free(s, &call);
	for (unsigned i = 0; i < IDS - 2; i++)
		assert_int_not_equal(whole_call(), first);
	assert_int_equal(whole_call(), 0);
}

static void
event(uint16_t id, enum ev_type type, const char *name)
{
	struct rep rep = { .op = REP_EVENT, .call = id, .ev = { .type = type,
	    .auth = EV_AUTH_MSCHAPV2 } };

	strcpy(rep.ev.name, name);
	session_reply(&w, &rep, -1);
}

/* On the kernel path pppd has let a banned user in before we know of him, and
 * his call may come up while it is ended. */
static void
a_ban_outlives_a_call_that_is_ended_for_it(void **state)
{
	struct call call = { .end = CALL_END_BANNED };
	struct rep opened = { .op = REP_OPENED, .status = REP_OPEN_OK };
	struct session *s;
	struct admit_client *victim;
	enum admit_count why;
	uint64_t wait;

	(void)state;
	conf.limits.ban_after.n = 1;
	conf.limits.ban_time.n = 600;
	conf.limits.source_prefix.n = 32;
	conf.limits.max_half_open.n = conf.limits.max_unauthenticated.n = 9;
	w.path = CONF_DP_KERNEL;
	w.admit = admit_new(&conf.limits, 9, 1);
	assert_non_null(w.admit);
	assert_true(admit_connect(w.admit, &client, (struct in_addr){ 5 }, now,
	    &wait, &victim, &why));
	assert_true(admit_failed(w.admit, &client, "alice", now));
	s = session_open(&w, conn, 0, 1);
	assert_non_null(s);
	opened.call = last_req.call;
	session_reply(&w, &opened, -1);
	event(last_id, EV_AUTH, "alice");
	event(last_id, EV_UP, "alice");
	session_free(s, &call);
	assert_int_equal(admit_unban(w.admit, "alice"), 1);
	admit_gone(w.admit, &client);
	admit_free(w.admit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_id_of_a_call_that_ended_rests,
		    no_calls),
		cmocka_unit_test_setup(an_id_that_is_taken_on_this_host_rests,
		    no_calls),
		cmocka_unit_test_setup(
		    a_ban_outlives_a_call_that_is_ended_for_it, no_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
