/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker gives up before it reads the first byte: user, file
 * system, capabilities, and all system calls but the few it needs.
 */
#ifndef NET_SANDBOX_H
#define NET_SANDBOX_H

#define SANDBOX_USER	"pptpd"
#define SANDBOX_ROOT	"/run/pptpd/empty"

/* Can it be done?  Looks up the user and makes the empty root; run by root
 * before the fork.  0, or -1 with a sentence in why[400]. */
int sandbox_prepare(char why[400]);

/* Do it, for good.  Logs and exits when any part fails: a worker that is
 * not confined must not run. */
void sandbox_enter(void);

/* Then, for all threads there are: no system call but those that the worker
 * needs. */
void sandbox_filter(void);

#endif
