/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After cmocka.h: a process that can open nothing more. */
#ifndef UNIT_FULL_H
#define UNIT_FULL_H

#include <sys/resource.h>
#include <unistd.h>

/* No number is left for another descriptor; *ret_old: the limit of before.
 * Returns the number that the next one would have had. */
static inline int
take_all_descriptors(struct rlimit *ret_old)
{
	struct rlimit full;
	int lowest = dup(0);

	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, ret_old), 0);
	full = *ret_old;
	full.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	return lowest;
}

#endif
