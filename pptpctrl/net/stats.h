/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers about the server as a whole, for "pptpctrl status": what was
 * refused and dropped and why, and what there is at the moment.
 */
#ifndef NET_STATS_H
#define NET_STATS_H

#include <stdint.h>

struct worker;

/*
 * Number i, from 0 on: its name, "group.name", to name[0..64), its value to
 * *ret.  Returns NULL past the last, else name.
 */
const char *stats_number(const struct worker *w, unsigned i, char name[64],
    uint64_t *ret);

#endif
