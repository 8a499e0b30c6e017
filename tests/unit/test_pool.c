/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "priv/pool.h"

#define SLOTS 4

static struct in_addr locals[SLOTS], remotes[SLOTS];
static struct conf conf;
static struct in_addr busy_one;		/* on an interface of this host */
static struct pool *pool;

static struct in_addr
address(uint32_t n)
{
	return (struct in_addr){ .s_addr = htonl(n) };
}

static bool
busy(struct in_addr addr)
{
	return addr.s_addr == busy_one.s_addr;
}

/* Four clients, one local address. */
static int
fresh(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	for (uint32_t i = 0; i < SLOTS; i++) {
		locals[i] = address(0x0a000001 + i);
		remotes[i] = address(0x0a000101 + i);
	}
	conf.connections = 100;
	conf.local = locals;
	conf.remote = remotes;
	conf.n_local = 1;
	conf.n_remote = SLOTS;
	busy_one.s_addr = 0;
	pool = pool_new(&conf, busy);
	return pool ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	pool_free(pool);
	pool = NULL;
	return 0;
}

static void
again(void)
{
	pool_free(pool);
	pool = pool_new(&conf, busy);
	assert_non_null(pool);
}

static void
take(int want)
{
	struct in_addr local, remote;

	assert_int_equal(pool_take(pool, &local, &remote), want);
	assert_int_equal(remote.s_addr, remotes[want].s_addr);
	assert_int_equal(local.s_addr,
	    locals[conf.n_local == 1 ? 0 : want].s_addr);
}

static void
take_none(void)
{
	struct in_addr local, remote;

	assert_int_equal(pool_take(pool, &local, &remote), POOL_NONE);
}

static void
lowest_first_until_all_are_taken(void **state)
{
	(void)state;
	assert_int_equal(pool_size(pool), SLOTS);
	for (int i = 0; i < SLOTS; i++) {
		assert_int_equal(pool_used(pool), i);
		take(i);
	}
	take_none();
	pool_put(pool, 2, NULL);
	pool_put(pool, 1, NULL);
	assert_int_equal(pool_used(pool), 2);
	take(1);
	take(2);
	take_none();
}

static void
size_is_the_smaller_number(void **state)
{
	(void)state;
	conf.connections = 2;
	again();
	assert_int_equal(pool_size(pool), 2);
	take(0);
	take(1);
	take_none();
}

static void
an_address_in_use_is_left_alone(void **state)
{
	(void)state;
	busy_one = remotes[0];
	take(1);
	busy_one = remotes[2];
	take(0);
	take(3);
	take_none();
	busy_one.s_addr = 0;
	take(2);
}

static void
put_twice_counts_once(void **state)
{
	(void)state;
	take(0);
	take(1);
	pool_put(pool, 0, NULL);
	pool_put(pool, 0, "alice");
	pool_put(pool, 3, NULL);
	pool_put(pool, SLOTS, NULL);
	pool_put(pool, POOL_NONE, NULL);
	assert_int_equal(pool_used(pool), 1);
	take(0);
}

/* Alice had slot 1 and left; bob has 0. */
static void
alice_was_on_one(void)
{
	take(0);
	take(1);
	pool_put(pool, 1, "alice");
	pool_put(pool, 0, "bob");
	take(0);
}

static void
a_user_gets_the_last_address_again(void **state)
{
	(void)state;
	alice_was_on_one();
	assert_int_equal(pool_prefer(pool, 0, "alice"), 1);
	assert_int_equal(pool_used(pool), 1);
	/* The slot that was left is free, the other is not. */
	take(0);
	take(2);
}

static void
but_not_when_it_is_taken(void **state)
{
	(void)state;
	alice_was_on_one();
	take(1);
	assert_int_equal(pool_prefer(pool, 0, "alice"), 0);
	assert_int_equal(pool_used(pool), 2);
}

static void
nor_when_an_interface_has_it(void **state)
{
	(void)state;
	alice_was_on_one();
	busy_one = remotes[1];
	assert_int_equal(pool_prefer(pool, 0, "alice"), 0);
	busy_one.s_addr = 0;
	take(1);
}

static void
nor_when_the_local_address_differs(void **state)
{
	(void)state;
	conf.n_local = SLOTS;
	again();
	alice_was_on_one();
	assert_int_equal(pool_prefer(pool, 0, "alice"), 0);
	take(1);
}

static void
who_is_unknown_stays(void **state)
{
	(void)state;
	alice_was_on_one();
	assert_int_equal(pool_prefer(pool, 0, "carol"), 0);
	assert_int_equal(pool_prefer(pool, 0, ""), 0);
	assert_int_equal(pool_prefer(pool, 0, "alic"), 0);
	assert_int_equal(pool_prefer(pool, 0, "Alice"), 0);
	/* Bob already has what he had. */
	assert_int_equal(pool_prefer(pool, 0, "bob"), 0);
	assert_int_equal(pool_used(pool), 1);
}

static void
only_the_newest_slot_is_remembered(void **state)
{
	(void)state;
	take(0);
	take(1);
	take(2);
	pool_put(pool, 1, "alice");
	pool_put(pool, 2, "alice");
	assert_int_equal(pool_prefer(pool, 0, "alice"), 2);
	/* A call without a name forgets nobody. */
	take(0);
	take(1);
	pool_put(pool, 2, NULL);
	pool_put(pool, 1, "");
	assert_int_equal(pool_prefer(pool, 0, "alice"), 2);
}

static void
delegate_has_slots_without_addresses(void **state)
{
	struct in_addr local, remote;

	(void)state;
	conf.delegate = true;
	conf.connections = SLOTS + 1;
	again();
	assert_int_equal(pool_size(pool), SLOTS + 1);
	for (int i = 0; i < SLOTS + 1; i++) {
		local = remote = address(1);
		assert_int_equal(pool_take(pool, &local, &remote), i);
		assert_int_equal(local.s_addr, 0);
		assert_int_equal(remote.s_addr, 0);
	}
	take_none();
	pool_put(pool, 3, "alice");
	assert_int_equal(pool_prefer(pool, 0, "alice"), 0);
}

static void
addresses_of_no_slot_are_zero(void **state)
{
	struct in_addr local = address(1), remote = address(1);

	(void)state;
	pool_addresses(pool, SLOTS, &local, &remote);
	assert_int_equal(local.s_addr, 0);
	assert_int_equal(remote.s_addr, 0);
	remote = address(1);
	pool_addresses(pool, POOL_NONE, &local, &remote);
	assert_int_equal(remote.s_addr, 0);
	pool_free(NULL);
}

static void
an_address_of_ones_own_frees_the_slot(void **state)
{
	(void)state;
	take(0);
	assert_int_equal(pool_settle(pool, 0, address(0x0a630001)),
	    POOL_OUTSIDE);
	assert_int_equal(pool_used(pool), 1);
	take(0);
	/* Once outside it stays there. */
	assert_int_equal(pool_settle(pool, POOL_OUTSIDE, remotes[1]),
	    POOL_OUTSIDE);
	assert_int_equal(pool_prefer(pool, POOL_OUTSIDE, "alice"),
	    POOL_OUTSIDE);
	pool_put(pool, POOL_OUTSIDE, "alice");
	assert_int_equal(pool_used(pool), 1);
	pool_put(pool, 0, NULL);
	assert_int_equal(pool_used(pool), 0);
}

static void
an_address_of_another_slot_takes_that(void **state)
{
	(void)state;
	take(0);
	assert_int_equal(pool_settle(pool, 0, remotes[0]), 0);
	assert_int_equal(pool_settle(pool, 0, remotes[1]), 1);
	take(0);
	take(2);
	/* Two users with one address: the second holds no slot. */
	assert_int_equal(pool_settle(pool, 2, remotes[1]), POOL_OUTSIDE);
	take(2);
	assert_int_equal(pool_used(pool), 4);
	pool_put(pool, 1, NULL);
	take(1);
}

static void
those_outside_count_as_connections(void **state)
{
	(void)state;
	conf.connections = 2;
	again();
	take(0);
	pool_settle(pool, 0, address(0x0a630001));
	take(0);
	take_none();
	pool_put(pool, POOL_OUTSIDE, NULL);
	take(1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, end)

/* Also where the configuration has changed since. */
static void
calls_of_an_earlier_launcher_keep_their_slots(void **state)
{
	struct in_addr local, remote;

	(void)state;
	assert_int_equal(pool_claim(pool, remotes[1]), 1);
	assert_int_equal(pool_claim(pool, remotes[1]), POOL_OUTSIDE);
	assert_int_equal(pool_claim(pool, address(0x0a630001)), POOL_OUTSIDE);
	assert_int_equal(pool_used(pool), 3);
	assert_int_equal(pool_take(pool, &local, &remote), 0);
	assert_int_equal(pool_take(pool, &local, &remote), 2);
	pool_put(pool, 1, NULL);
	pool_put(pool, POOL_OUTSIDE, NULL);
	pool_put(pool, POOL_OUTSIDE, NULL);
	assert_int_equal(pool_used(pool), 2);
	assert_int_equal(pool_take(pool, &local, &remote), 1);
}

static void
users_of_an_earlier_launcher_are_remembered(void **state)
{
	(void)state;
	assert_int_equal(pool_remember(pool, remotes[2], "alice"), 2);
	assert_int_equal(pool_remember(pool, address(0x0a630001), "bob"),
	    POOL_NONE);
	assert_int_equal(pool_claim(pool, remotes[0]), 0);
	assert_int_equal(pool_prefer(pool, 0, "alice"), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lowest_first_until_all_are_taken),
		TEST(size_is_the_smaller_number),
		TEST(an_address_in_use_is_left_alone),
		TEST(put_twice_counts_once),
		TEST(a_user_gets_the_last_address_again),
		TEST(but_not_when_it_is_taken),
		TEST(nor_when_an_interface_has_it),
		TEST(nor_when_the_local_address_differs),
		TEST(who_is_unknown_stays),
		TEST(only_the_newest_slot_is_remembered),
		TEST(delegate_has_slots_without_addresses),
		TEST(addresses_of_no_slot_are_zero),
		TEST(an_address_of_ones_own_frees_the_slot),
		TEST(an_address_of_another_slot_takes_that),
		TEST(those_outside_count_as_connections),
		TEST(calls_of_an_earlier_launcher_keep_their_slots),
		TEST(users_of_an_earlier_launcher_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
