/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call ids: who gets which, and when one comes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/ids.h"

#define START_MS	1000u
#define REST_MS		60000u	/* not IDS_REST_MS: that could shrink unseen */

static struct ids ids;

static int
all_free(void **state)
{
	(void)state;
	ids_init(&ids);
	return 0;
}

static void
take_all(void)
{
	for (unsigned i = 0; i < UINT16_MAX; i++)
		assert_int_not_equal(ids_take(&ids, START_MS), 0);
	assert_int_equal(ids_take(&ids, START_MS), 0);
}

static void
each_is_given_once_and_never_zero(void **state)
{
	static uint8_t given[UINT16_MAX + 1];

	(void)state;
	given[0] = 1;
	for (unsigned i = 0; i < UINT16_MAX; i++) {
		uint16_t id = ids_take(&ids, START_MS);

		assert_int_equal(given[id], 0);
		given[id] = 1;
	}
	assert_int_equal(ids_take(&ids, START_MS), 0);
}

static void
an_id_rests_before_it_comes_again(void **state)
{
	(void)state;
	take_all();
	ids_rest(&ids, 4711, START_MS);
	assert_int_equal(ids_take(&ids, START_MS + REST_MS - 1), 0);
	assert_int_equal(ids_take(&ids, START_MS + REST_MS), 4711);
	assert_int_equal(ids_take(&ids, START_MS + 2 * REST_MS), 0);
}

static void
an_id_that_nobody_heard_of_does_not_rest(void **state)
{
	(void)state;
	take_all();
	ids_put(&ids, 4711);
	assert_int_equal(ids_take(&ids, START_MS), 4711);
}

static void
an_id_in_use_is_not_given(void **state)
{
	(void)state;
	ids_use(&ids, 4711);
	for (unsigned i = 1; i < UINT16_MAX; i++)
		assert_int_not_equal(ids_take(&ids, START_MS), 4711);
	assert_int_equal(ids_take(&ids, START_MS), 0);
}

/* Hundreds of times the same one, or its neighbour: not by chance. */
static void
which_one_comes_is_not_known_before(void **state)
{
	uint16_t last = ids_take(&ids, START_MS);
	unsigned near = 0;

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		uint16_t id = ids_take(&ids, START_MS);

		ids_put(&ids, last);
		near += (uint16_t)(id - last + 256) <= 512;
		last = id;
	}
	assert_true(near < 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_is_given_once_and_never_zero,
		    all_free),
		cmocka_unit_test_setup(an_id_rests_before_it_comes_again,
		    all_free),
		cmocka_unit_test_setup(
		    an_id_that_nobody_heard_of_does_not_rest, all_free),
		cmocka_unit_test_setup(an_id_in_use_is_not_given, all_free),
		cmocka_unit_test_setup(which_one_comes_is_not_known_before,
		    all_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
