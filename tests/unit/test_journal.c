/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "journal.h"

static char buf[512];

static const char *
line(const char *text, const struct log_about *about)
{
	size_t n = journal_format(buf, sizeof(buf) - 1, LOG_WARNING, "pptpd",
	    42, text, about);

	buf[n] = '\0';
	return buf;
}

static void
a_plain_line_has_what_syslog_has(void **state)
{
	(void)state;
	assert_string_equal(line("MGR: hello", NULL), "PRIORITY=4\n"
	    "SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=pptpd\nSYSLOG_PID=42\n"
	    "MESSAGE=MGR: hello\n");
}

static void
fields_follow_and_empty_ones_are_left_out(void **state)
{
	struct log_about about = { .kind = LOG_CALL_UP, .call = 7,
	    .peer = htonl(0xc6120101), .pppd = 99, .user = "alice",
	    .ifname = "", .reason = NULL };
	char want[512];

	(void)state;
	snprintf(want, sizeof(want), "PRIORITY=4\nSYSLOG_FACILITY=3\n"
	    "SYSLOG_IDENTIFIER=pptpd\nSYSLOG_PID=42\nMESSAGE=x\n"
	    "MESSAGE_ID=%s\nPPTP_CALL=7\nPPTP_PEER=198.18.1.1\n"
	    "PPTP_PPPD_PID=99\nPPTP_USER=alice\n", journal_id(LOG_CALL_UP));
	assert_string_equal(line("x", &about), want);
}

/* A peer that chooses its name must not add a field. */
static void
a_newline_makes_no_field(void **state)
{
	struct log_about about = { .user = "x\nPRIORITY=0" };

	(void)state;
	assert_non_null(strstr(line("a\nPPTP_USER=root", &about),
	    "MESSAGE=a PPTP_USER=root\n"));
	assert_non_null(strstr(buf, "PPTP_USER=x PRIORITY=0\n"));
}

static void
what_does_not_fit_is_left_out_whole(void **state)
{
	struct log_about about = { .user = "alice", .reason = "because" };
	size_t whole = strlen(line("text", &about));

	(void)state;
	for (size_t size = 1; size <= whole + 1; size++) {
		char small[512];
		size_t n = journal_format(small, size, LOG_WARNING, "pptpd",
		    42, "text", &about);

		assert_true(n < size);
		assert_true(n == 0 || small[n - 1] == '\n');
	}
}

static void
every_kind_has_an_id_of_its_own(void **state)
{
	(void)state;
	assert_null(journal_id(LOG_PLAIN));
	assert_null(journal_id(LOG_KINDS));
	for (int i = LOG_PLAIN + 1; i < LOG_KINDS; i++) {
		const char *id = journal_id((enum log_kind)i);

		assert_non_null(id);
		assert_int_equal(strlen(id), 32);
		assert_int_equal(strspn(id, "0123456789abcdef"), 32);
		for (int k = LOG_PLAIN + 1; k < i; k++)
			assert_string_not_equal(id,
			    journal_id((enum log_kind)k));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_line_has_what_syslog_has),
		cmocka_unit_test(fields_follow_and_empty_ones_are_left_out),
		cmocka_unit_test(a_newline_makes_no_field),
		cmocka_unit_test(what_does_not_fit_is_left_out_whole),
		cmocka_unit_test(every_kind_has_an_id_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
