/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf.c: what the tables in tests/conf cannot show.  Links conf.c only; the
 * resolver and the services file are fake_netdb.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"
#include "../conf/fake_netdb.h"

#define MIB	(1024u * 1024u)

/* What was reported; line and text are the newest error's, if any. */
struct seen {
	unsigned n[3];		/* by severity */
	unsigned line;
	char file[256];
	char text[2048];
};

static void
see(void *arg, enum conf_severity severity, const char *file, unsigned line,
    const char *text)
{
	struct seen *seen = arg;

	for (const char *p = text; *p != '\0'; p++)
		assert_in_range(*p, 0x20, 0x7e);
	seen->n[severity]++;
	if (severity != CONF_ERROR && seen->n[CONF_ERROR] > 0)
		return;
	seen->line = line;
	snprintf(seen->file, sizeof(seen->file), "%s", file);
	snprintf(seen->text, sizeof(seen->text), "%s", text);
}

static bool
parse(struct conf *conf, const char *text, struct seen *seen)
{
	*seen = (struct seen){ .line = 0 };
	return conf_parse(conf, "name", text, strlen(text), see, seen);
}

static void
defaults_are_those_of_the_header(void **state)
{
	struct conf c;

	(void)state;
	conf_init(&c);
	assert_int_equal(c.connections, CONF_DEFAULT_CONNECTIONS);
	assert_int_equal(c.stimeout, CONF_DEFAULT_STIMEOUT);
	assert_string_equal(c.ppp, CONF_DEFAULT_PPPD);
	assert_string_equal(c.pidfile, CONF_DEFAULT_PIDFILE);
	assert_string_equal(c.speed, "115200");
	assert_null(c.option);
	assert_null(c.file);
	assert_false(c.listen_set);
	assert_int_equal(c.listen.s_addr, INADDR_ANY);
	assert_int_equal(c.port, 1723);
	assert_int_equal(c.datapath, CONF_DP_AUTO);
	assert_int_equal(c.src_connections, CONF_FROM_DEFAULT);
	assert_int_equal(c.src_ppp, CONF_FROM_DEFAULT);
	conf_free(&c);
	assert_null(c.ppp);
	conf_free(&c);			/* twice does no harm */
}

static void
port_comes_from_the_services_file(void **state)
{
	struct conf c;
	struct seen seen;

	(void)state;
	fake_port = 11723;
	conf_init(&c);
	assert_int_equal(c.port, 11723);
	assert_true(parse(&c, "delegate\nconnections 5\n", &seen));
	assert_non_null(strstr(seen.text, "11723"));
	conf_free(&c);
	fake_port = 0;
	conf_init(&c);
	assert_int_equal(c.port, 1723);
	conf_free(&c);
	fake_port = 1723;
}

/* PoPToP allocated slots for "connections" before it cut that to the pool. */
static void
no_slot_lacks_an_address(void **state)
{
	char text[200];
	struct conf c;
	struct seen seen;

	(void)state;
	for (unsigned limit = 1; limit < 12; limit++)
		for (unsigned nr = 1; nr < 12; nr++)
			for (unsigned nl = 1; nl < 12; nl++) {
				conf_init(&c);
				snprintf(text, sizeof(text), "connections %u\n"
				    "localip 10.0.0.1-%u\nremoteip "
				    "10.1.0.1-%u\n", limit, nl, nr);
				assert_true(parse(&c, text, &seen));
				assert_int_equal(c.n_remote, c.connections);
				assert_true(c.connections >= 1);
				assert_true(c.connections <= limit);
				assert_true(c.connections <= nr);
				if (nl == 1)
					assert_int_equal(c.n_local, 1);
				else if (c.connections > 1)
					assert_int_equal(c.n_local,
					    c.connections);
				conf_free(&c);
			}
}

static void
listen_on_any_is_not_the_default(void **state)
{
	struct conf c;
	struct seen seen;

	(void)state;
	conf_init(&c);
	assert_true(parse(&c, "listen 0.0.0.0\ndelegate\n", &seen));
	assert_true(c.listen_set);
	assert_int_equal(c.listen.s_addr, INADDR_ANY);
	conf_free(&c);
}

static void
parsing_again_replaces_the_pool(void **state)
{
	struct conf c;
	struct seen seen;

	(void)state;
	conf_init(&c);
	assert_true(parse(&c, "localip 10.0.0.1\nremoteip 10.1.0.1-9\n",
	    &seen));
	assert_int_equal(c.n_remote, 9);
	assert_true(parse(&c, "localip 10.0.0.1\nremoteip 10.1.0.1-3\n",
	    &seen));
	assert_int_equal(c.n_remote, 3);
	conf_free(&c);
}

static void
no_report_function_is_fine(void **state)
{
	struct conf c;

	(void)state;
	conf_init(&c);
	assert_false(conf_parse(&c, "name", "remoteip x\n", 11, NULL, NULL));
	conf_free(&c);
}

static void
text_need_not_end_in_nul_and_is_not_changed(void **state)
{
	const char all[] = "localip 10.0.0.1\nremoteip 10.1.0.1-9XXXX";
	size_t len = sizeof(all) - 1 - 4;
	char *copy = malloc(len);
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	assert_non_null(copy);
	memcpy(copy, all, len);		/* ASan stands behind it */
	conf_init(&c);
	assert_true(conf_parse(&c, "name", copy, len, see, &seen));
	assert_int_equal(c.n_remote, 9);
	assert_memory_equal(copy, all, len);
	conf_free(&c);
	free(copy);
}

static void
findings_name_file_line_and_value(void **state)
{
	struct conf c;
	struct seen seen;

	(void)state;
	conf_init(&c);
	assert_false(parse(&c, "\n#\nlisten 300.1.1.1\nlocalip 10.0.0.1\n"
	    "remoteip 10.1.0.1\n", &seen));
	assert_int_equal(seen.n[CONF_ERROR], 1);
	assert_int_equal(seen.line, 3);
	assert_non_null(strstr(seen.text, "300.1.1.1"));
	conf_free(&c);
	conf_init(&c);
	assert_false(parse(&c, "\n#\nremoteip 10.1.0.9-2\nlocalip 10.0.0.1\n",
	    &seen));
	assert_int_equal(seen.line, 3);
	assert_string_equal(seen.file, "name");
	assert_non_null(strstr(seen.text, "10.1.0.9-2"));
	conf_free(&c);
}

static void
one_mib_is_taken_and_more_is_not(void **state)
{
	char *text = malloc(MIB + 1);
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', MIB + 1);
	memcpy(text, "remoteip 10.1.0.1-9\nlocalip 10.0.0.1\n", 37);
	conf_init(&c);
	assert_true(conf_parse(&c, "name", text, MIB, see, &seen));
	assert_int_equal(c.n_remote, 9);
	conf_free(&c);
	conf_init(&c);
	assert_false(conf_parse(&c, "name", text, MIB + 1, see, &seen));
	assert_int_equal(seen.n[CONF_ERROR], 1);
	conf_free(&c);
	free(text);
}

static void
a_file_of_rubbish_does_not_flood_the_log(void **state)
{
	char *text = malloc(MIB);
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < MIB; i += 2)
		memcpy(text + i, "x\n", 2);
	conf_init(&c);
	assert_true(conf_parse(&c, "name", text, MIB, see, &seen));
	assert_in_range(seen.n[CONF_WARNING], 50, 110);
	conf_free(&c);
	free(text);
}

/* A server must start where no DNS server answers. */
static void
what_is_no_name_is_not_looked_up(void **state)
{
	static const char *const lists[] = {
		"192.168.0.1-192.168.0.9", "10.0.0.0/24", "10.0.0.1, 10.0.0.2",
		"10.0.0.1 # c, 10.0.0.2", "10.0.0.1 x,10.0.0.2", "300.1.1.1",
		"1.2.3.4-", "a;b", "", "= 10.0.0.1", "255.255.255.255",
	};
	char text[200];
	struct conf c;
	struct seen seen;

	(void)state;
	fake_lookups = 0;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		conf_init(&c);
		snprintf(text, sizeof(text), "localip 10.9.9.9\nremoteip %s\n",
		    lists[i]);
		(void)parse(&c, text, &seen);
		conf_free(&c);
	}
	assert_int_equal(fake_lookups, 0);
	conf_init(&c);
	assert_true(parse(&c, "localip localhost\nremoteip 10.0.0.1\n",
	    &seen));
	assert_true(fake_lookups > 0);
	conf_free(&c);
}

static void
the_largest_pool_is_fast_and_exact(void **state)
{
	struct conf c;
	struct seen seen;

	(void)state;
	conf_init(&c);
	assert_true(parse(&c, "connections 65535\nlocalip 10.255.0.1\n"
	    "remoteip 10.0.0.0/8\n", &seen));
	assert_int_equal(c.connections, CONF_MAX_CONNECTIONS);
	assert_int_equal(ntohl(c.remote[0].s_addr), 0x0a000001);
	assert_int_equal(ntohl(c.remote[65534].s_addr), 0x0a00ffff);
	conf_free(&c);
}

static bool
run_argv(struct conf *c, struct seen *seen, enum conf_action *action,
    const char **text, int argc, const char *const *words)
{
	char *argv[16], copy[16][64];

	assert_in_range(argc, 1, 15);
	for (int i = 0; i < argc; i++) {
		snprintf(copy[i], sizeof(copy[i]), "%s", words[i]);
		argv[i] = copy[i];
	}
	argv[argc] = NULL;
	*seen = (struct seen){ .line = 0 };
	conf_init(c);
	return conf_argv(c, argc, argv, see, seen, action, text);
}

#define ARGV(...)	(int)(sizeof((const char *[]){ __VA_ARGS__ }) /	\
			sizeof(char *)), (const char *[]){ __VA_ARGS__ }

/* Webmin: /(PoPToP|pptpd)\s+v?(\S+)/ */
static void
version_is_what_webmin_reads(void **state)
{
	static const char *const forms[] = { "-v", "--version", "--v", "--ver" };
	enum conf_action action;
	const char *text = NULL;
	struct seen seen;
	struct conf c;
	char version[32];

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		assert_true(run_argv(&c, &seen, &action, &text,
		    ARGV("pptpd", forms[i])));
		assert_int_equal(action, CONF_EXIT_OK);
		assert_int_equal(sscanf(text, "pptpd v%31s", version), 1);
		assert_in_range(version[0], '0', '9');
		assert_int_equal(text[strlen(text) - 1], '\n');
		conf_free(&c);
	}
}

static void
help_names_every_option(void **state)
{
	enum conf_action action;
	const char *text = NULL, *name, *doc;
	struct seen seen;
	unsigned shown = 0;
	struct conf c;

	(void)state;
	assert_true(run_argv(&c, &seen, &action, &text, ARGV("pptpd", "-h")));
	assert_int_equal(action, CONF_EXIT_OK);
	for (size_t i = 0; (name = conf_keyword(i, &doc)) != NULL; i++) {
		shown += strstr(text, name) != NULL;
		assert_true(strlen(doc) > 10);
	}
	assert_int_equal(shown, 13);	/* the others are in the file only */
	assert_non_null(strstr(text, "VRF device that"));	/* to the end */
	conf_free(&c);
}

static void
bad_use_is_answered_with_help(void **state)
{
	enum conf_action action;
	const char *text = NULL;
	struct seen seen;
	struct conf c;

	(void)state;
	assert_true(run_argv(&c, &seen, &action, &text,
	    ARGV("pptpd", "--frobnicate", "-f")));
	assert_int_equal(action, CONF_EXIT_USAGE);
	assert_non_null(strstr(text, "Usage:"));
	conf_free(&c);
	assert_true(run_argv(&c, &seen, &action, &text, ARGV("pptpd", "-C")));
	assert_int_equal(action, CONF_EXIT_USAGE);
	conf_free(&c);
	/* Nothing of a line that was left in the middle stays. */
	assert_true(run_argv(&c, &seen, &action, &text,
	    ARGV("pptpd", "-zd")));
	assert_int_equal(action, CONF_EXIT_USAGE);
	conf_free(&c);
	assert_true(run_argv(&c, &seen, &action, &text,
	    ARGV("pptpd", "-f")));
	assert_int_equal(action, CONF_RUN);
	assert_true(c.foreground);
	assert_false(c.debug);
	conf_free(&c);
}

static void
an_error_stops_the_command_line(void **state)
{
	enum conf_action action;
	const char *text = NULL;
	struct seen seen;
	struct conf c;

	(void)state;
	assert_false(run_argv(&c, &seen, &action, &text,
	    ARGV("pptpd", "-C", "-5", "-h")));
	assert_int_equal(action, CONF_RUN);
	assert_int_equal(seen.n[CONF_ERROR], 1);
	assert_string_equal(seen.file, "command line");
	assert_non_null(strstr(seen.text, "-5"));
	conf_free(&c);
}

static void
a_missing_file_given_is_an_error(void **state)
{
	enum conf_action action;
	const char *text = NULL;
	struct seen seen;
	struct conf c;

	(void)state;
	assert_true(run_argv(&c, &seen, &action, &text,
	    ARGV("pptpd", "-c", "/nonexistent/x")));
	assert_false(conf_load(&c, see, &seen));
	assert_false(c.file_missing);
	assert_string_equal(c.file, "/nonexistent/x");
	assert_non_null(strstr(seen.text, "MGR: Config file not found!"));
	conf_free(&c);
}

static void
a_missing_default_file_is_not(void **state)
{
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	if (access(CONF_DEFAULT_FILE, F_OK) == 0)
		skip();		/* this machine has one */
	conf_init(&c);
	assert_true(conf_load(&c, see, &seen));
	assert_true(c.file_missing);
	assert_string_equal(c.file, CONF_DEFAULT_FILE);
	assert_int_equal(seen.n[CONF_WARNING], 3);	/* and both pools */
	assert_int_equal(c.connections, 100);
	conf_free(&c);
}

static void
a_directory_is_refused(void **state)
{
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	conf_init(&c);
	c.file = strdup("/");
	assert_false(conf_load(&c, see, &seen));
	assert_int_equal(seen.n[CONF_ERROR], 1);
	conf_free(&c);
}

static void
an_endless_file_is_refused(void **state)
{
	struct seen seen = { .line = 0 };
	struct conf c;

	(void)state;
	conf_init(&c);
	c.file = strdup("/dev/zero");
	assert_false(conf_load(&c, see, &seen));
	assert_int_equal(seen.n[CONF_ERROR], 1);
	conf_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_header),
		cmocka_unit_test(port_comes_from_the_services_file),
		cmocka_unit_test(no_slot_lacks_an_address),
		cmocka_unit_test(listen_on_any_is_not_the_default),
		cmocka_unit_test(parsing_again_replaces_the_pool),
		cmocka_unit_test(no_report_function_is_fine),
		cmocka_unit_test(text_need_not_end_in_nul_and_is_not_changed),
		cmocka_unit_test(findings_name_file_line_and_value),
		cmocka_unit_test(one_mib_is_taken_and_more_is_not),
		cmocka_unit_test(a_file_of_rubbish_does_not_flood_the_log),
		cmocka_unit_test(what_is_no_name_is_not_looked_up),
		cmocka_unit_test(the_largest_pool_is_fast_and_exact),
		cmocka_unit_test(version_is_what_webmin_reads),
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(bad_use_is_answered_with_help),
		cmocka_unit_test(an_error_stops_the_command_line),
		cmocka_unit_test(a_missing_file_given_is_an_error),
		cmocka_unit_test(a_missing_default_file_is_not),
		cmocka_unit_test(a_directory_is_refused),
		cmocka_unit_test(an_endless_file_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
