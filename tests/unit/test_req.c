/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "req.h"

static uint32_t
address(const char *text)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, text, &a), 1);
	return a.s_addr;
}

static struct req
good_open(void)
{
	return (struct req){ .version = REQ_VERSION, .op = REQ_OPEN,
	    .call = 7, .peer_call = 0, .peer = address("192.0.2.1"),
	    .own = address("198.51.100.1") };
}

static bool
accepted(const struct req *r)
{
	struct req got;
	bool ok;

	memset(&got, 0x5a, sizeof(got));
	ok = req_check(r, sizeof(*r), &got);
	if (ok)
		assert_memory_equal(&got, r, sizeof(got));
	else
		assert_int_equal(got.version, 0x5a5a5a5a);
	return ok;
}

static void
verbs_are_accepted(void **state)
{
	struct req r = good_open();

	(void)state;
	assert_true(accepted(&r));
	r.call = UINT16_MAX;
	r.peer_call = UINT16_MAX;
	assert_true(accepted(&r));
	for (uint32_t op = REQ_START; op <= REQ_TRAFFIC; op++) {
		r = (struct req){ .version = REQ_VERSION, .op = op,
		    .call = 1 };
		assert_true(accepted(&r));
	}
}

static void
other_lengths_are_refused(void **state)
{
	struct { struct req r; char more; } two = { .r = good_open() };
	struct req got;

	(void)state;
	for (size_t len = 0; len <= sizeof(two.r) + 1; len++)
		assert_int_equal(req_check(&two, len, &got),
		    len == sizeof(two.r));
}

static void
every_field_is_checked(void **state)
{
	static const uint32_t bad_op[] = { 0, REQ_READY, REQ_KEEP, REQ_DROP,
	    REQ_PONG, REQ_DRAIN, REQ_RESUME, REQ_RESUME + 1, UINT32_MAX };
	struct req r = good_open();

	(void)state;
	r.version = REQ_VERSION + 1;
	assert_false(accepted(&r));
	for (size_t i = 0; i < sizeof(bad_op) / sizeof(bad_op[0]); i++) {
		r = good_open();
		r.op = bad_op[i];
		assert_false(accepted(&r));
	}
	r = good_open();
	r.call = 0;
	assert_false(accepted(&r));
	/* The launcher uses it as an index. */
	r.call = UINT16_MAX + 1u;
	assert_false(accepted(&r));
	r = good_open();
	r.peer_call = UINT16_MAX + 1u;
	assert_false(accepted(&r));
}

static void
addresses_must_be_of_hosts(void **state)
{
	static const char *const bad[] = { "0.0.0.0", "0.1.2.3", "224.0.0.1",
	    "239.255.255.255", "240.0.0.1", "255.255.255.255" };
	static const char *const fine[] = { "1.0.0.0", "10.0.0.1",
	    "127.0.0.1", "192.0.2.255", "223.255.255.255" };
	struct req r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(req_unicast(address(bad[i])));
		r = good_open();
		r.peer = address(bad[i]);
		assert_false(accepted(&r));
		r = good_open();
		r.own = address(bad[i]);
		assert_false(accepted(&r));
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		assert_true(req_unicast(address(fine[i])));
		r = good_open();
		r.peer = r.own = address(fine[i]);
		assert_true(accepted(&r));
	}
}

/* The worker's own word is about no call. */
static void
ready_names_no_call(void **state)
{
	static const uint32_t ops[] = { REQ_READY, REQ_PONG, REQ_DRAIN,
	    REQ_RESUME };

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct req r = { .version = REQ_VERSION, .op = ops[i] };

		assert_true(accepted(&r));
		r.call = 1;
		assert_false(accepted(&r));
		r.call = 0;
		r.own = address("192.0.2.1");
		assert_false(accepted(&r));
	}
}

/* Which key there is, the launcher knows. */
static void
keys_belong_to_their_verbs(void **state)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_KEEP, .key = 5 };

	(void)state;
	assert_true(accepted(&r));
	r.op = REQ_DROP;
	assert_true(accepted(&r));
	r.call = 1;
	assert_false(accepted(&r));
	r.call = 0;
	r.op = REQ_READY;
	assert_false(accepted(&r));
	r = good_open();
	r.key = 5;
	assert_false(accepted(&r));
}

/* A field that a verb does not use must say nothing. */
static void
unused_fields_must_be_zero(void **state)
{
	(void)state;
	for (uint32_t op = REQ_START; op <= REQ_TRAFFIC; op++) {
		struct req r = { .version = REQ_VERSION, .op = op, .call = 1,
		    .peer_call = 1 };

		assert_false(accepted(&r));
		r.peer_call = 0;
		r.peer = address("192.0.2.1");
		assert_false(accepted(&r));
		r.peer = 0;
		r.own = address("192.0.2.1");
		assert_false(accepted(&r));
	}
}

static void
replies_are_checked(void **state)
{
	struct rep r = { .version = REQ_VERSION, .op = REP_OPENED,
	    .call = UINT16_MAX }, got;

	(void)state;
	for (uint32_t op = REP_OPENED; op <= REP_KEPT; op++) {
		r.op = op;
		assert_true(rep_check(&r, sizeof(r), &got));
		assert_memory_equal(&got, &r, sizeof(r));
	}
	assert_false(rep_check(&r, sizeof(r) - 1, &got));
	assert_false(rep_check(&r, 0, &got));
	r.op = REP_KEPT + 1;
	assert_false(rep_check(&r, sizeof(r), &got));
	r.op = 0;
	assert_false(rep_check(&r, sizeof(r), &got));
	r.op = REP_OPENED;
	r.version++;
	assert_false(rep_check(&r, sizeof(r), &got));
	r.version = REQ_VERSION;
	r.call = UINT16_MAX + 1u;
	assert_false(rep_check(&r, sizeof(r), &got));
}

static void
strings_of_the_plugin_are_terminated(void **state)
{
	struct ev e = { .version = EV_VERSION, .type = EV_AUTH }, got;

	(void)state;
	memset(e.ifname, 'i', sizeof(e.ifname));
	memset(e.name, 'n', sizeof(e.name));
	assert_true(ev_check(&e, sizeof(e), &got));
	assert_int_equal(strlen(got.ifname), sizeof(e.ifname) - 1);
	assert_int_equal(strlen(got.name), sizeof(e.name) - 1);
	assert_false(ev_check(&e, sizeof(e) - 1, &got));
	assert_false(ev_check(&e, 0, &got));
	e.version++;
	assert_false(ev_check(&e, sizeof(e), &got));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_are_accepted),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(every_field_is_checked),
		cmocka_unit_test(addresses_must_be_of_hosts),
		cmocka_unit_test(unused_fields_must_be_zero),
		cmocka_unit_test(ready_names_no_call),
		cmocka_unit_test(keys_belong_to_their_verbs),
		cmocka_unit_test(replies_are_checked),
		cmocka_unit_test(strings_of_the_plugin_are_terminated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
