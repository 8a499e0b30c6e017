/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "pptpctrl check": the effective configuration, and everything that would
 * keep the server or its clients from working, found without starting it.
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

/* argv as for the server (-c FILE and the rest of pptpd's options).  Exit
 * status: 0 fine, 1 warnings, 2 will not start. */
int check_run(int argc, char **argv);

#endif
