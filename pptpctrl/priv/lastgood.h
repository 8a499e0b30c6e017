/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last configuration that was good, in the store: who starts after a
 * mistake was made goes on with the calls that there are.
 */
#ifndef PRIV_LASTGOOD_H
#define PRIV_LASTGOOD_H

#include <stdbool.h>

#include "conf.h"

/* Keep the command line and the text of the file that conf was made of. */
void lastgood_keep(const struct conf *conf, int argc, char **argv);

/*
 * Make conf of what an earlier launcher kept, with last_good set and without
 * rules of hosts.allow and hosts.deny.  False when nothing was kept, or when
 * this program does not accept it; conf must go to conf_free even so.
 */
bool lastgood_load(struct conf *conf);

#endif
