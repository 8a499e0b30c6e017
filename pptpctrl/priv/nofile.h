/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limit on open files (RLIMIT_NOFILE): what so many calls and connections
 * may need of it, what is done where it is lower, and what pppd gets instead.
 * The launcher and the worker have the same limit, each for itself.
 */
#ifndef PRIV_NOFILE_H
#define PRIV_NOFILE_H

#include <stdbool.h>

#include "conf.h"

#define NOFILE_ENV	"PPTPCTRL_NOFILE"	/* ours, through execve */

/* Descriptors that a server with conf may need at worst, in the process that
 * needs more of them. */
unsigned long nofile_needed(const struct conf *conf);

/*
 * Lower what conf lets in at once to what fits into limit descriptors:
 * connections, at least 1, and limits.most_open; with the latter
 * max-half-open and max-unauthenticated.  False: all fits as it is.
 */
bool nofile_fit(struct conf *conf, unsigned long limit);

/* The most that the kernel lets anyone have. */
unsigned long nofile_most(void);

/* May a launcher with so many calls and copies of control connections, the
 * one in question included, have all their descriptors? */
bool nofile_has_room(unsigned calls, unsigned connections);

/*
 * Raise the limit as far as may be and is needed, then nofile_fit, with one
 * line in the log when something did not.  Once, before anything is opened
 * for conf.
 */
void nofile_prepare(struct conf *conf);

/* In a child: the limit is as it was when the server was started. */
void nofile_restore(void);

/*
 * Descriptors that are held so that a worker can be started when there are no
 * others: hold them, as many as can be had, or give them up for that moment.
 */
void nofile_reserve(bool hold);

#endif
