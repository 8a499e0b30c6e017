/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a launcher takes over from the one before it, killed, restarted or
 * replaced: descriptors from the store, calls from its table.  Each is
 * judged on its own; what is doubtful is ended.
 */
#ifndef PRIV_INHERIT_H
#define PRIV_INHERIT_H

#include <stdbool.h>

#include "priv/launch.h"

/* Before anything is opened: find the tables.  What cannot be used is logged
 * and dropped. */
void inherit_tables(struct launch *l);

/* Once the configuration is read: the sockets and the data path.  What was
 * not kept, or is not what it should be, is left as it is in l, to be made
 * anew. */
void inherit_sockets(struct launch *l);

/* Is there still the worker of the launcher before, which relays? */
bool inherit_has_worker(const struct launch *l);

/* End it. */
void inherit_end_worker(struct launch *l);

#endif
