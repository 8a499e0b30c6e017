/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"

static void
plain_text_stays(void **state)
{
	char out[LOG_ESCAPED_MAX(200)], plain[96], *p = plain;

	(void)state;
	for (char c = 0x20; c < 0x7f; c++)
		if (c != '"' && c != '\\')
			*p++ = c;
	*p = '\0';
	assert_ptr_equal(log_escape(out, sizeof(out), plain), out);
	assert_string_equal(out, plain);
	assert_string_equal(log_escape(out, sizeof(out), ""), "");
}

static void
all_else_is_escaped(void **state)
{
	char out[LOG_ESCAPED_MAX(1)], want[8];

	(void)state;
	for (unsigned c = 1; c < 256; c++) {
		const char text[2] = { (char)c, '\0' };

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			continue;
		snprintf(want, sizeof(want), "\\x%02x", c);
		assert_string_equal(log_escape(out, sizeof(out), text), want);
	}
}

/* A name cannot make a line of its own, nor end its quotes. */
static void
a_hostile_name_stays_one_word(void **state)
{
	char out[LOG_ESCAPED_MAX(64)];

	(void)state;
	log_escape(out, sizeof(out), "x\"\nMGR: all is well\x1b[2J");
	assert_string_equal(out, "x\\x22\\x0aMGR: all is well\\x1b[2J");
}

static void
what_does_not_fit_is_cut_whole(void **state)
{
	char out[16];

	(void)state;
	for (size_t size = 1; size <= 13; size++) {
		memset(out, '#', sizeof(out));
		log_escape(out, size, "\n\n\n");
		assert_int_equal(strlen(out), (size - 1) / 4 * 4);
		assert_int_equal(out[size], '#');
	}
	for (size_t size = 1; size <= 4; size++) {
		memset(out, '#', sizeof(out));
		log_escape(out, size, "abcdef");
		assert_int_equal(strlen(out), size - 1);
		assert_int_equal(out[size], '#');
	}
	/* Nothing comes after a hole. */
	log_escape(out, 4, "a\nb");
	assert_string_equal(out, "a");
}

static void
a_rate_lets_one_through(void **state)
{
	struct log_rate r = { 0 };
	uint32_t kept = 4711;

	(void)state;
	assert_true(log_rate_ok(&r, 1000, 500, &kept));
	assert_int_equal(kept, 0);
	kept = 4711;
	assert_false(log_rate_ok(&r, 1000, 500, &kept));
	assert_false(log_rate_ok(&r, 1001, 500, &kept));
	assert_false(log_rate_ok(&r, 1499, 500, &kept));
	assert_int_equal(kept, 4711);
	assert_true(log_rate_ok(&r, 1500, 500, &kept));
	assert_int_equal(kept, 3);
	assert_true(log_rate_ok(&r, 99999, 500, &kept));
	assert_int_equal(kept, 0);
}

static void
causes_have_rates_of_their_own(void **state)
{
	struct log_rate a = { 0 }, b = { 0 };
	uint32_t kept;

	(void)state;
	assert_true(log_rate_ok(&a, 10, 1000, &kept));
	assert_true(log_rate_ok(&b, 10, 1000, &kept));
	assert_false(log_rate_ok(&a, 20, 1000, &kept));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_stays),
		cmocka_unit_test(all_else_is_escaped),
		cmocka_unit_test(a_hostile_name_stays_one_word),
		cmocka_unit_test(what_does_not_fit_is_cut_whole),
		cmocka_unit_test(a_rate_lets_one_through),
		cmocka_unit_test(causes_have_rates_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
