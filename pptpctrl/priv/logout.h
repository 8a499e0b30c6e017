/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login records that killed pppds left open. */
#ifndef PPTPCTRL_PRIV_LOGOUT_H
#define PPTPCTRL_PRIV_LOGOUT_H

#include <sys/types.h>

/*
 * Write that whoever was on interface ifname is gone.  Returns at once: a
 * process of its own does it, which may have to wait.
 */
void logout_write(const char *ifname);

/*
 * Another call has the interface: what was not written yet would be taken
 * for its end.  (Its login closes the record of before.)
 */
void logout_cancel(const char *ifname);

/* A child was collected: perhaps one of ours. */
void logout_ended(pid_t pid);

#endif
