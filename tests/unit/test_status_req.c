/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/status.h"

static struct status_request out;

static bool
taken(uint32_t op, uint32_t select)
{
	struct status_request r = { .version = STATUS_VERSION, .op = op,
	    .select = select, .user = "alice" };

	memset(&out, 0, sizeof(out));
	return status_check(&r, sizeof(r), &out);
}

static void
each_verb_has_its_selections(void **state)
{
	(void)state;
	assert_true(taken(STATUS_LIST, 0));
	assert_true(taken(STATUS_NUMBERS, 0));
	assert_true(taken(STATUS_DRAIN, 0));
	assert_true(taken(STATUS_RESUME, 0));
	assert_true(taken(STATUS_TAKE, 0));
	for (uint32_t s = STATUS_ALL; s <= STATUS_BY_IP; s++)
		assert_true(taken(STATUS_TERMINATE, s));
	assert_false(taken(STATUS_TERMINATE, 0));
	assert_false(taken(STATUS_TERMINATE, STATUS_BY_IP + 1));
	assert_true(taken(STATUS_UNBAN, STATUS_ALL));
	assert_true(taken(STATUS_UNBAN, STATUS_BY_USER));
	assert_string_equal(out.user, "alice");
	assert_false(taken(STATUS_UNBAN, STATUS_BY_CALL));
	assert_false(taken(STATUS_UNBAN, STATUS_BY_IP));
	assert_false(taken(0, STATUS_ALL));
	assert_false(taken(STATUS_TAKE + 1, STATUS_ALL));
	assert_int_equal(out.version, 0);
}

static void
only_whole_requests_of_this_version(void **state)
{
	struct status_request r[2] = { { .version = STATUS_VERSION,
	    .op = STATUS_LIST } };

	(void)state;
	assert_true(status_check(r, sizeof(*r), &out));
	assert_false(status_check(r, sizeof(*r) - 1, &out));
	assert_false(status_check(r, sizeof(*r) + 1, &out));
	assert_false(status_check(r, 0, &out));
	r->version++;
	assert_false(status_check(r, sizeof(*r), &out));
	r->version--;
	memset(r->user, 'x', sizeof(r->user));
	assert_false(status_check(r, sizeof(*r), &out));
	r->user[sizeof(r->user) - 1] = '\0';
	assert_true(status_check(r, sizeof(*r), &out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_verb_has_its_selections),
		cmocka_unit_test(only_whole_requests_of_this_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
