/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that another launcher started: a pid means the same process as
 * before only with the same start time.
 */
#ifndef PRIV_PROC_H
#define PRIV_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* When pid started, in clock ticks since boot; 0: there is no such process. */
uint64_t proc_start(pid_t pid);

/* A pidfd of the process pid that started then, or -1: it is gone. */
int proc_open(pid_t pid, uint64_t start);

/* Send signal sig to the process of a pidfd.  0, or -1 with errno. */
int proc_signal(int pidfd, int sig);

#endif
