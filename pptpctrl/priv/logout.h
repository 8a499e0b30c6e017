/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login records that a killed pppd left open. */
#ifndef PPTPCTRL_PRIV_LOGOUT_H
#define PPTPCTRL_PRIV_LOGOUT_H

/*
 * Write that whoever was on interface ifname is gone.  Returns at once: a
 * process of its own does it, and SIGCHLD tells of its end.
 */
void logout_write(const char *ifname);

#endif
