/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "priv/lastgood.h"
#include "priv/store.h"

#define TEXT	"connections 7\nlocalip 10.0.0.1\nremoteip 10.1.0.1-7\n"

static char file[] = "/tmp/test-lastgood.XXXXXX";
static char name[] = "pptpd", opt_c[] = "-c", opt_p[] = "-p",
    pidfile[] = "/run/other.pid", empty[] = "";
static char *argv[] = { name, opt_c, file, opt_p, pidfile, empty, NULL };
#define ARGC	6

/* The descriptor that lastgood_keep made. */
static int
kept(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	while ((entry = readdir(dir))) {
		char link[64] = "";

		(void)!readlinkat(dirfd(dir), entry->d_name, link,
		    sizeof(link) - 1);
		if (strncmp(link, "/memfd:pptpd-conf", 17) == 0)
			found = atoi(entry->d_name);
	}
	closedir(dir);
	return found;
}

/* As the launcher after this one finds it. */
static bool
load(struct conf *conf, int fd)
{
	char list[32];

	snprintf(list, sizeof(list), "%d=+f0", fd);
	setenv("PPTPCTRL_FDS", list, 1);
	assert_int_equal(store_init(), 0);
	return lastgood_load(conf);
}

static bool
loads(const char *bytes, size_t len)
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);
	struct conf conf;
	bool ok;

	assert_int_equal(write(fd, bytes, len), len);
	ok = load(&conf, fd);
	conf_free(&conf);
	close(fd);
	return ok;
}

static void
what_was_kept_is_the_configuration(void **state)
{
	int fd = mkstemp(file), memfd;
	enum conf_action action;
	const char *text;
	struct conf conf;

	(void)state;
	assert_int_equal(write(fd, TEXT, strlen(TEXT)), strlen(TEXT));
	close(fd);
	conf_init(&conf);
	assert_true(conf_argv(&conf, ARGC, argv, NULL, NULL, &action, &text));
	assert_true(conf_load(&conf, NULL, NULL));
	assert_false(conf.last_good);
	lastgood_keep(&conf, ARGC, argv);
	conf_free(&conf);
	unlink(file);		/* nobody reads it again */
	memfd = kept();
	assert_true(memfd >= 0);
	assert_int_equal(write(memfd, "x", 1), -1);
	for (int i = 0; i < 2; i++) {
		assert_true(load(&conf, memfd));
		assert_true(conf.last_good);
		assert_string_equal(conf.file, file);
		assert_string_equal(conf.pidfile, pidfile);
		assert_int_equal(conf.connections, 7);
		assert_int_equal(conf.n_remote, 7);
		conf_free(&conf);
	}
	close(memfd);
}

/* What is cut off anywhere before the file's text, and what is bad now. */
static void
what_is_no_configuration_is_refused(void **state)
{
	static const char head[] = "pptpctrl configuration 1\0/etc/x.conf\0"
	    "-C\0" "5\0\n";
	static const char wrong[] = "pptpctrl configuration 1\0/etc/x.conf\0"
	    "\n\0localip 10.0.0.1\nremoteip 10.1.0.x\n";
	static const char option[] = "pptpctrl configuration 1\0/etc/x.conf\0"
	    "-h\0\n\0";
	static const char version[] = "pptpctrl configuration 2\0/etc/x.conf\0"
	    "\n\0";

	(void)state;
	for (size_t n = 0; n < sizeof(head); n++)
		assert_false(loads(head, n));
	assert_true(loads(head, sizeof(head)));
	assert_false(loads(wrong, sizeof(wrong) - 1));
	assert_false(loads(option, sizeof(option) - 1));
	assert_false(loads(version, sizeof(version) - 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_kept_is_the_configuration),
		cmocka_unit_test(what_is_no_configuration_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
