/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hosts.c: hosts.allow and hosts.deny as libwrap decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <unistd.h>

#include "hosts.h"

static char said[4096];
static unsigned said_line;

static void
see(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	(void)arg;
	(void)file;
	said_line = line;
	strcat(said, severity == CONF_ERROR ? "E " : "W ");
	strcat(said, text);
	strcat(said, "\n");
}

static const char *refused_by;
static unsigned refused_line;

/* +1 allowed, 0 refused, -1 the files are not taken. */
static int
ask_server(const char *allow, const char *deny, const char *client,
    const char *server)
{
	struct hosts *h = hosts_new();
	struct in_addr c, s;
	int answer = -1;

	said[0] = '\0';
	refused_by = NULL;
	inet_pton(AF_INET, client, &c);
	inet_pton(AF_INET, server, &s);
	if (hosts_parse(h, false, "allow", allow, strlen(allow), see, NULL) &&
	    hosts_parse(h, true, "deny", deny, strlen(deny), see, NULL))
		answer = hosts_ask(h, c, s, &refused_by, &refused_line);
	hosts_free(h);
	return answer;
}

static int
ask(const char *allow, const char *deny, const char *client)
{
	return ask_server(allow, deny, client, "198.18.0.1");
}

static void
everybody_comes_in_without_rules(void **state)
{
	(void)state;
	assert_int_equal(ask("", "", "192.0.2.1"), 1);
	assert_int_equal(ask("# pptpd: 192.0.2.1\n\n \t\n",
	    "sshd: ALL\nin.ftpd, sshd : .example.com\n", "192.0.2.1"), 1);
	assert_string_equal(said, "");
}

static void
the_first_match_decides(void **state)
{
	static const char deny[] = "# all others\nALL: ALL\n";

	(void)state;
	assert_int_equal(ask("pptpd: 192.0.2.1\n", deny, "192.0.2.1"), 1);
	assert_int_equal(ask("pptpd: 192.0.2.1\n", deny, "192.0.2.10"), 0);
	assert_string_equal(refused_by, "deny");
	assert_int_equal(refused_line, 2);
	assert_int_equal(ask("sshd: ALL\n", deny, "192.0.2.1"), 0);
	assert_int_equal(ask("sshd PPTPD: all\n", deny, "192.0.2.1"), 1);
	assert_int_equal(ask("ALL: 10.\npptpd: ALL: deny\n", "", "11.0.0.1"),
	    0);
	assert_string_equal(refused_by, "allow");
	assert_int_equal(ask("", "pptpd: 10. : allow\nALL: ALL\n", "10.1.1.1"),
	    1);
}

static void
addresses_are_matched_by_their_text(void **state)
{
	(void)state;
	assert_int_equal(ask("", "ALL: 192.0.2.\n", "192.0.2.77"), 0);
	assert_int_equal(ask("", "ALL: 192.0.2.\n", "192.0.20.7"), 1);
	assert_int_equal(ask("", "ALL: 192.0.2\n", "192.0.2.7"), 1);
	assert_int_equal(ask("", "ALL: 192.0.?.*\n", "192.0.2.7"), 0);
	assert_int_equal(ask("", "ALL: 192.0.2.07\n", "192.0.2.7"), 1);
	assert_int_equal(ask("", "ALL: [::1], [2001:db8::]/32 192.0.2.7\n",
	    "192.0.2.7"), 0);
	assert_string_equal(said, "");
}

static void
networks_have_masks_or_lengths(void **state)
{
	(void)state;
	assert_int_equal(ask("", "ALL: 10.1.0.0/255.255.0.0\n", "10.1.9.9"), 0);
	assert_int_equal(ask("", "ALL: 10.1.0.0/255.255.0.0\n", "10.2.9.9"), 1);
	assert_int_equal(ask("", "ALL: 10.1.0.0/16\n", "10.1.9.9"), 0);
	assert_int_equal(ask("", "ALL: 10.1.9.9/32\n", "10.1.9.9"), 0);
	assert_string_equal(said, "");
	assert_int_equal(ask("", "ALL: 10.1.9.9/255.255.255.255\n",
	    "10.1.9.9"), 1);
	assert_int_equal(ask("", "ALL: 10.1.0.1/16\n", "10.1.0.1"), 1);
	assert_non_null(strstr(said, "W \"10.1.0.1/16\" matches nobody"));
	assert_int_equal(ask("", "ALL: 10.1.0.0/99\n", "10.1.0.0"), 1);
	assert_non_null(strstr(said, "no NETWORK/MASK"));
	assert_int_equal(ask("", "ALL: 0.0.0.0/0\n", "10.1.0.0"), 1);
}

static void
exceptions_nest(void **state)
{
	static const char deny[] =
	    "ALL EXCEPT sshd: ALL EXCEPT 10. EXCEPT 10.9.\n";

	(void)state;
	assert_int_equal(ask("", deny, "192.0.2.1"), 0);
	assert_int_equal(ask("", deny, "10.1.0.1"), 1);
	assert_int_equal(ask("", deny, "10.9.0.1"), 0);
	assert_int_equal(ask("", "ALL EXCEPT pptpd: ALL\n", "10.9.0.1"), 1);
	assert_int_equal(ask("", "ALL: EXCEPT 10.\n", "10.9.0.1"), 1);
}

static void
the_servers_address_may_be_named(void **state)
{
	static const char deny[] = "pptpd@198.18.0.1: ALL\n";

	(void)state;
	assert_int_equal(ask_server("", deny, "10.0.0.1", "198.18.0.1"), 0);
	assert_int_equal(ask_server("", deny, "10.0.0.1", "198.18.0.2"), 1);
}

static void
what_needs_others_is_refused_with_its_line(void **state)
{
	static const char *const bad[] = { ".example.com", "vpn.example.com",
	    "localhost", "LOCAL", "KNOWN", "UNKNOWN", "PARANOID",
	    "@netgroup", "joe@10.0.0.1", "/etc/hosts.list", "*.example" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[128] = "#\n\nsshd: .example\nALL: 10. ";

		strcat(line, bad[i]);
		strcat(line, "\n");
		assert_int_equal(ask(line, "", "10.0.0.1"), -1);
		assert_non_null(strstr(said, bad[i]));
		assert_int_equal(said_line, 4);
	}
	/* Where nobody gets that far, nothing is needed. */
	assert_int_equal(ask("ALL: ALL\nALL: LOCAL\n", "ALL: .example\n",
	    "10.0.0.1"), 1);
}

static void
options_are_read(void **state)
{
	(void)state;
	assert_int_equal(ask("", "ALL: 10. : spawn (echo %a\\: | mail root) & "
	    ": DENY\n", "10.0.0.1"), 0);
	assert_non_null(strstr(said, "option spawn does nothing here"));
	assert_int_equal(ask("pptpd: ALL: twist /bin/echo no\n", "", "10.0.0.1"),
	    0);
	assert_int_equal(ask("pptpd: ALL: aclexec /bin/true\n", "", "10.0.0.1"),
	    -1);
}

static void
lines_are_joined_skipped_and_counted(void **state)
{
	char big[4096] = "ALL: ";

	(void)state;
	assert_int_equal(ask("", "ALL: \\\n 10. \\\n 11.\nALL: 12.\n",
	    "12.0.0.1"), 0);
	assert_int_equal(refused_line, 4);
	assert_int_equal(ask("", "ALL: 12.", "12.0.0.1"), 0);
	assert_int_equal(ask("", "ALL 12.\n", "12.0.0.1"), 1);
	assert_non_null(strstr(said, "no \":\""));
	memset(big + 5, ' ', 3000);
	strcpy(big + 3005, "12.\n");
	assert_int_equal(ask("", big, "12.0.0.1"), 0);
}

static bool
load(struct hosts *h, const char *name)
{
	said[0] = '\0';
	return hosts_load_file(h, true, name, see, NULL);
}

static void
files_are_read_whole_or_refused(void **state)
{
	struct in_addr who = { htonl(0x0a000001) };
	char name[] = "/tmp/test_hosts.XXXXXX", big[4096];
	struct hosts *h = hosts_new(), *own = NULL;
	int fd = mkstemp(name);
	const char *by;
	unsigned at;

	(void)state;
	assert_true(fd >= 0);
	assert_true(load(h, "/nonexistent/hosts.deny"));
	assert_true(hosts_ask(h, who, who, &by, &at));
	assert_int_equal(write(fd, "pptpd: 10.\n", 11), 11);
	assert_true(load(h, name));
	assert_string_equal(said, "");
	assert_false(hosts_ask(h, who, who, &by, &at));
	memset(big, '\n', sizeof(big));
	for (int i = 0; i < 300; i++)
		assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
	assert_false(load(h, name));
	assert_non_null(strstr(said, "larger than"));
	assert_false(load(h, "/dev/null/hosts.deny"));
	assert_non_null(strstr(said, "E cannot be read"));
	assert_false(load(h, "/tmp"));
	assert_non_null(strstr(said, "E "));
	/* The machine's own, whatever is in them. */
	said[0] = '\0';
	assert_int_equal(hosts_load(&own, see, NULL),
	    strstr(said, "E ") == NULL);
	hosts_free(own);
	hosts_free(h);
	close(fd);
	unlink(name);
}

/* A pattern "/NAME" is whatever patterns are in that file. */
static void
files_of_patterns_are_read(void **state)
{
	char name[] = "/tmp/test_hosts.XXXXXX", list[] = "/tmp/test_list.XXXXXX";
	int fd = mkstemp(name), list_fd = mkstemp(list);
	struct in_addr who = { htonl(0x0a000001) }, other = { htonl(1) };
	static const char bad[] = "10.0.0.2\n# 10.0.0.1\n";
	struct hosts *h = hosts_new();
	const char *by;
	unsigned at;

	(void)state;
	dprintf(fd, "ALL: 192.0.2.1 %s 192.0.2.2\n", list);
	dprintf(list_fd, "192.0.2.3\n\t172.16. 10.0.0.0/8");
	assert_true(load(h, name));
	assert_string_equal(said, "");
	assert_false(hosts_ask(h, who, who, &by, &at));
	assert_string_equal(by, name);
	assert_int_equal(at, 1);
	assert_true(hosts_ask(h, other, who, &by, &at));
	assert_int_equal(pwrite(list_fd, bad, sizeof(bad) - 1, 0),
	    sizeof(bad) - 1);
	assert_false(load(h, name));
	assert_non_null(strstr(said, "E \"#\""));
	assert_int_equal(said_line, 2);
	unlink(list);
	assert_true(load(h, name));
	assert_non_null(strstr(said, "W there is no file"));
	close(fd);
	close(list_fd);
	unlink(name);
	hosts_free(h);
}

static void
findings_are_printable(void **state)
{
	(void)state;
	ask("pptpd: \x01\xff.example\n", "", "10.0.0.1");
	assert_true(strlen(said) > 0);
	for (const char *p = said; *p != '\0'; p++)
		assert_true(*p == '\n' || (*p >= 0x20 && *p <= 0x7e));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_whole_or_refused),
		cmocka_unit_test(files_of_patterns_are_read),
		cmocka_unit_test(findings_are_printable),
		cmocka_unit_test(everybody_comes_in_without_rules),
		cmocka_unit_test(the_first_match_decides),
		cmocka_unit_test(addresses_are_matched_by_their_text),
		cmocka_unit_test(networks_have_masks_or_lengths),
		cmocka_unit_test(exceptions_nest),
		cmocka_unit_test(the_servers_address_may_be_named),
		cmocka_unit_test(what_needs_others_is_refused_with_its_line),
		cmocka_unit_test(options_are_read),
		cmocka_unit_test(lines_are_joined_skipped_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
