/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subcommands of pptpctrl for administrators: list, terminate, help,
 * version.  They talk to a running server's status socket.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

/* Is name one of ours?  Then the program is not meant as the server. */
bool cli_is_command(const char *name);

/* Run it; argv[0] is the subcommand.  The exit status: 0 fine, 1 nothing to
 * act on or failed, 2 wrong usage. */
int cli_run(int argc, char **argv);

#endif
