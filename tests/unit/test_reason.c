/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/event.h"
#include "reason.h"

/* As waitpid gives them. */
#define EXITED(status)	((status) << 8)
#define KILLED(sig)	(sig)

static void
every_status_has_words(void **state)
{
	(void)state;
	for (int s = 0; s <= 21; s++) {
		assert_non_null(reason_pppd(s));
		assert_null(strstr(reason_pppd(s), "unknown"));
		for (int other = 0; other < s; other++)
			assert_string_not_equal(reason_pppd(s),
			    reason_pppd(other));
	}
	for (int s = 22; s <= 255; s++)
		assert_non_null(strstr(reason_pppd(s), "unknown"));
	assert_non_null(strstr(reason_pppd(-1), "unknown"));
	assert_non_null(strstr(reason_pppd(11), "authentication failed"));
	assert_non_null(strstr(reason_pppd(15), "echo"));
	assert_non_null(strstr(reason_pppd(16), "hung up"));
}

static void
the_plugins_status_counts_more(void **state)
{
	(void)state;
	assert_int_equal(reason_status(EXITED(16), -1), 16);
	assert_int_equal(reason_status(EXITED(16), 15), 15);
	assert_int_equal(reason_status(EXITED(5), 0), 5);
	assert_int_equal(reason_status(EXITED(0), -1), 0);
	assert_int_equal(reason_status(KILLED(9), 15), -1);
}

static void
the_end_in_words(void **state)
{
	char buf[128];

	(void)state;
	assert_ptr_equal(reason_exit(buf, sizeof(buf), EXITED(12), -1), buf);
	assert_string_equal(buf, "idle for too long (pppd status 12)");
	reason_exit(buf, sizeof(buf), EXITED(16), 11);
	assert_string_equal(buf, "authentication failed (pppd status 11)");
	reason_exit(buf, sizeof(buf), KILLED(9), 11);
	assert_string_equal(buf, "pppd was killed by signal 9, its ip-down "
	    "script did not run");
	reason_exit(buf, sizeof(buf), KILLED(11), -1);
	assert_string_equal(buf, "pppd was killed by signal 11");
}

static void
it_is_cut_to_the_room(void **state)
{
	char buf[9];

	(void)state;
	reason_exit(buf, sizeof(buf), EXITED(12), -1);
	assert_string_equal(buf, "idle for");
}

static void
ways_to_authenticate(void **state)
{
	static const char *const name[] = { "no authentication", "PAP",
	    "CHAP-MD5", "MS-CHAPv1", "MS-CHAPv2", "EAP" };

	(void)state;
	for (uint32_t a = EV_AUTH_NONE; a <= EV_AUTH_EAP; a++)
		assert_string_equal(reason_auth(a), name[a]);
	assert_string_equal(reason_auth(99), "no authentication");
}

static void
encryption_in_force(void **state)
{
	(void)state;
	assert_string_equal(reason_mppe(0), "no encryption");
	/* Asked for is not in force. */
	assert_string_equal(reason_mppe(EV_F_MPPE_REQUIRED), "no encryption");
	assert_string_equal(reason_mppe(EV_F_MPPE_128), "MPPE-128 stateless");
	assert_string_equal(reason_mppe(EV_F_MPPE_128 | EV_F_MPPE_STATEFUL),
	    "MPPE-128 stateful");
	assert_string_equal(reason_mppe(EV_F_MPPE_56), "MPPE-56 stateless");
	assert_string_equal(reason_mppe(EV_F_MPPE_40 | EV_F_MPPE_STATEFUL),
	    "MPPE-40 stateful");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_words),
		cmocka_unit_test(the_plugins_status_counts_more),
		cmocka_unit_test(the_end_in_words),
		cmocka_unit_test(it_is_cut_to_the_room),
		cmocka_unit_test(ways_to_authenticate),
		cmocka_unit_test(encryption_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
