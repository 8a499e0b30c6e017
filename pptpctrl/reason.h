/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words for what a number means to an administrator: pppd's exit statuses,
 * ways to authenticate, MPPE in force.
 */
#ifndef PPTPCTRL_REASON_H
#define PPTPCTRL_REASON_H

#include <stddef.h>
#include <stdint.h>

/* pppd's exit status (pppd(8), EXIT STATUS); never NULL. */
const char *reason_pppd(int status);

/* The end of pppd by its wait status and, where it is better, the status
 * that the plugin saw at the beginning of the end (-1: none).  Writes to
 * buf and returns it. */
const char *reason_exit(char *buf, size_t size, int wait_status,
    int plugin_status);

/* The status that counts, or -1 when pppd was killed. */
int reason_status(int wait_status, int plugin_status);

/* enum ev_auth: "MS-CHAPv2"; never NULL. */
const char *reason_auth(uint32_t auth);

/* EV_F_* of EV_UP: "MPPE-128 stateless", "no encryption"; never NULL. */
const char *reason_mppe(uint32_t flags);

#endif
