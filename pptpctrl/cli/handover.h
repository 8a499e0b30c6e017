/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PoPToP's pptpctrl, as inetd or systemd with Accept=yes starts it: a client's
 * connection on descriptor 0 and positional arguments.  Here the connection
 * goes to the running server, or to one that is started for it.
 */
#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include <stdbool.h>

/* Are these PoPToP's arguments of pptpctrl? */
bool handover_is(int argc, char **argv);

/* Give the client away.  The exit status: 0 done, 1 nobody took it, 2 wrong
 * arguments or no connection. */
int handover_run(int argc, char **argv);

#endif
