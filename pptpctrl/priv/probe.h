/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this kernel and machine can do, found out at start so that no client
 * has to; each "no" is one sentence that says what to do.
 */
#ifndef PRIV_PROBE_H
#define PRIV_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "priv/channel_open.h"

#define PROBE_WHY_MAX	768

/* Is there a /dev/ppp that works? */
int probe_ppp(char why[PROBE_WHY_MAX]);

/* Can it encrypt (module ppp_mppe)?  Makes and removes a ppp unit. */
int probe_mppe(char why[PROBE_WHY_MAX]);

/*
 * Choose the data path: conf's, or for auto relay, else tty.  On relay *t is
 * open.  0 and *ret_path, and why is empty unless auto had to take tty: then
 * it says the reason and what would change it.  Or -1 with why.
 */
int probe_datapath(const struct conf *conf, struct tunnel *t,
    enum conf_datapath *ret_path, char why[PROBE_WHY_MAX]);

/* A channel as calls get them, for pppd_check: descriptors or -1 and why. */
int probe_channel(enum conf_datapath path, const struct tunnel *t,
    int *ret_channel, int *ret_other, char why[PROBE_WHY_MAX]);

#endif
