/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * systemd.generator(7): what pptpd.conf says about addresses and numbers, as
 * drop-ins for pptpd.socket, pptpd-admin.socket and pptpd.service.  Runs
 * before anything else at boot and at each systemctl daemon-reload.
 */
#ifndef CLI_GENERATOR_H
#define CLI_GENERATOR_H

#include <stdbool.h>

/* The name under which systemd starts this program as a generator. */
#define GENERATOR_NAME	"pptpd-generator"

/* Is argv0 that name? */
bool generator_is(const char *argv0);

/* Write below argv[1], the folder of drop-ins that /etc can overrule.  Returns
 * the exit status: 0 also when the configuration is bad, for that is the
 * server's to say. */
int generator_run(int argc, char **argv);

#endif
