/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "priv/nofile.h"
#include "unit/full.h"

static struct conf conf;

static int
fresh(void **state)
{
	(void)state;
	conf_init(&conf);
	conf.connections = 100;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	conf_free(&conf);
	return 0;
}

static void
more_calls_need_more(void **state)
{
	unsigned long few = nofile_needed(&conf), strangers;

	(void)state;
	/* Those without a call count most here. */
	conf.limits.max_half_open.n += 1000;
	strangers = nofile_needed(&conf);
	assert_int_equal(strangers, few + 1000);
	/* ... and here the launcher's five for each call. */
	conf.connections = 10000;
	few = nofile_needed(&conf);
	conf.connections++;
	assert_int_equal(nofile_needed(&conf), few + 5);
	assert_true(few > 50000);
}

static void
what_suffices_changes_nothing(void **state)
{
	struct conf before = conf;

	(void)state;
	assert_false(nofile_fit(&conf, nofile_needed(&conf)));
	assert_memory_equal(&conf, &before, sizeof(conf));
}

/* Whatever the limit, what is let in needs no more. */
static void
what_is_let_in_fits(void **state)
{
	(void)state;
	for (unsigned long limit = 160; limit < 6000; limit++) {
		const struct conf_limits *l = &conf.limits;
		unsigned beside;

		end(NULL);
		fresh(NULL);
		conf.connections = 2000;
		assert_true(nofile_fit(&conf, limit));
		assert_in_range(conf.connections, 1, 2000);
		beside = l->most_open - conf.connections;
		assert_in_range(beside, 3, limit);
		/* Strangers cannot take the place of calls. */
		assert_true(l->max_half_open.n + l->max_unauthenticated.n <
		    beside);
		assert_in_range(l->max_half_open.n, 1, 1024);
		assert_in_range(l->max_unauthenticated.n, 1, 1024);
		/* What is at rest, five for each call, one for each other. */
		assert_true(128 + 5ul * conf.connections + beside <= limit);
	}
	assert_true(nofile_fit(&conf, 3));
	assert_int_equal(conf.connections, 1);
}

/* Few calls are not made fewer when only the others do not fit. */
static void
calls_come_first(void **state)
{
	(void)state;
	assert_true(nofile_fit(&conf, 2048));
	assert_int_equal(conf.connections, 100);
	assert_in_range(conf.limits.most_open, 400, 600);
}

static void
room_is_for_whole_calls(void **state)
{
	struct rlimit old, rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	rl = old;
	rl.rlim_cur = 128 + 5 * 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_true(nofile_has_room(10, 10));
	assert_false(nofile_has_room(11, 10));
	assert_false(nofile_has_room(10, 11));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* A child has the limit of the start, also when this program was executed by
 * itself and raised the limit before. */
static void
the_start_is_remembered(void **state)
{
	struct rlimit old, now;
	int status = -1;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	setenv(NOFILE_ENV, "77:99", 1);
	nofile_prepare(&conf);
	assert_string_equal(getenv(NOFILE_ENV), "77:99");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(now.rlim_cur, now.rlim_max);
	if (fork() == 0) {
		nofile_restore();
		getrlimit(RLIMIT_NOFILE, &now);
		_exit(now.rlim_cur == 77 && now.rlim_max == 99 ? 0 : 1);
	}
	assert_true(wait(&status) > 0 && status == 0);
	unsetenv(NOFILE_ENV);
	nofile_prepare(&conf);
	assert_non_null(strchr(getenv(NOFILE_ENV), ':'));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void
the_reserve_is_room(void **state)
{
	struct rlimit old;
	int lowest, fd;

	(void)state;
	nofile_reserve(true);
	nofile_reserve(true);
	lowest = take_all_descriptors(&old);
	assert_int_equal(dup(0), -1);
	nofile_reserve(false);
	for (int i = 0; i < 4; i++) {
		fd = dup(0);
		assert_in_range(fd, 3, lowest - 1);
	}
	assert_int_equal(dup(0), -1);
	nofile_reserve(true);	/* takes none that is in use */
	close(fd);
	nofile_reserve(true);
	assert_int_equal(dup(0), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close_range(3, ~0U, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(more_calls_need_more),
		TEST(what_suffices_changes_nothing),
		TEST(what_is_let_in_fits),
		TEST(calls_come_first),
		TEST(room_is_for_whole_calls),
		TEST(the_start_is_remembered),
		TEST(the_reserve_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
