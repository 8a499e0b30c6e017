/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pppd's command line, and whether this pppd can run at all.
 */
#ifndef PRIV_PPPD_H
#define PRIV_PPPD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"

#define PPPD_ARGS_MAX	32
#define PPPD_CHANNEL_FD	3	/* in pppd */
#define PPPD_EVENT_FD	4
#define PPPD_WHY_MAX	512

/* argv points into text and into conf. */
struct pppd_args {
	const char *argv[PPPD_ARGS_MAX];
	char text[256];
};

/*
 * PoPToP's arguments in PoPToP's order, then our plugin, then what must not
 * be otherwise.  local, remote are 0 with delegate.  dryrun: pppd only
 * checks.
 */
void pppd_args(struct pppd_args *a, const struct conf *conf,
    struct in_addr local, struct in_addr remote, struct in_addr client,
    bool dryrun);

/* In a child: channel and event socket to their places, everything else
 * closed or /dev/null, default signals, own session, then exec.  Returns
 * only on failure, with errno. */
void pppd_exec(const struct pppd_args *a, int channel, int event);

/*
 * Run pppd's own check of options, plugin and kernel (dryrun) with a real
 * channel.  0 and the plugin's EV_F_* flags of what the options ask for (0
 * when it did not say), and why is empty or a warning; or -1 with a sentence
 * for people in why.
 */
int pppd_check(const struct conf *conf, int channel, uint32_t *ret_flags,
    char why[PPPD_WHY_MAX]);

#endif
