/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "net/admit.h"

#define CALLS 10u

static struct admit admit;
static struct admit_entry entry[ADMIT_HALF_OPEN + 1];

static int
fresh(void **state)
{
	(void)state;
	memset(entry, 0, sizeof(entry));
	admit_init(&admit, CALLS);
	return 0;
}

static struct in_addr
host(uint32_t n)
{
	return (struct in_addr){ .s_addr = htonl(0xc0000200 + n) };
}

/* Entry i becomes half-open; nothing must give way for it. */
static void
open_one(unsigned i, struct in_addr source)
{
	struct admit_entry *oldest = &entry[i];

	assert_true(admit_ask(&admit, source, i));
	admit_half_open(&admit, &entry[i], source, &oldest);
	assert_null(oldest);
}

static void
one_address_has_its_share(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ADMIT_HALF_OPEN_SOURCE; i++)
		open_one(i, host(1));
	assert_false(admit_ask(&admit, host(1), ADMIT_HALF_OPEN_SOURCE));
	assert_int_equal(admit.refused_source, 1);
	assert_int_equal(admit.refused_total, 0);
	/* Others are not concerned, and it may again when one has spoken. */
	assert_true(admit_ask(&admit, host(2), ADMIT_HALF_OPEN_SOURCE));
	admit_done(&admit, &entry[5]);
	assert_true(admit_ask(&admit, host(1), ADMIT_HALF_OPEN_SOURCE));
}

static void
the_oldest_gives_way(void **state)
{
	struct admit_entry *oldest;

	(void)state;
	for (unsigned i = 0; i < ADMIT_HALF_OPEN; i++)
		open_one(i, host(i));
	assert_int_equal(admit.n_half_open, ADMIT_HALF_OPEN);
	admit_done(&admit, &entry[0]);
	open_one(0, host(0));
	/* Number 0 is the youngest now. */
	admit_half_open(&admit, &entry[ADMIT_HALF_OPEN], host(999), &oldest);
	assert_ptr_equal(oldest, &entry[1]);
	assert_int_equal(admit.displaced, 1);
	admit_done(&admit, oldest);
	assert_int_equal(admit.n_half_open, ADMIT_HALF_OPEN);
}

static void
connections_are_counted_in_all(void **state)
{
	(void)state;
	assert_true(admit_ask(&admit, host(1), CALLS + ADMIT_SPARE - 1));
	assert_false(admit_ask(&admit, host(1), CALLS + ADMIT_SPARE));
	assert_false(admit_ask(&admit, host(1), UINT32_MAX));
	assert_int_equal(admit.refused_total, 2);
	assert_int_equal(admit.refused_source, 0);
}

static void
done_twice_counts_once(void **state)
{
	struct admit_entry never = { .listed = false };

	(void)state;
	open_one(0, host(1));
	open_one(1, host(1));
	admit_done(&admit, &entry[0]);
	admit_done(&admit, &entry[0]);
	admit_done(&admit, &never);
	assert_int_equal(admit.n_half_open, 1);
	assert_ptr_equal(TAILQ_FIRST(&admit.half_open), &entry[1]);
	admit_done(&admit, &entry[1]);
	assert_int_equal(admit.n_half_open, 0);
	assert_true(TAILQ_EMPTY(&admit.half_open));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_address_has_its_share, fresh),
		cmocka_unit_test_setup(the_oldest_gives_way, fresh),
		cmocka_unit_test_setup(connections_are_counted_in_all, fresh),
		cmocka_unit_test_setup(done_twice_counts_once, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
