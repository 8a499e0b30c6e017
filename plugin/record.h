/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Login records, for "last", in /var/log/wtmp where there is one, and in
 * wtmpdb where its library is installed.  The plugin writes them, and the
 * server those that a killed pppd did not: so nothing of pppd's is used here.
 */
#ifndef PLUGIN_RECORD_H
#define PLUGIN_RECORD_H

#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* Is there anything to write them to? */
int pptp_record_possible(void);

/*
 * Write that user name came to interface tty from host, or with an empty name
 * that whoever was there is gone.  Either may wait for locks that anybody can
 * hold: so this is for a process of its own, for which nobody waits, and
 * which is killed when it takes too long.  It waits, not for ever, for the
 * end of process before, the writer of an earlier record, unless that is 0.
 * Returns NULL, or why it failed.
 */
const char *pptp_record_write(const char *tty, const char *name,
    const char *host, pid_t before);

#pragma GCC visibility pop

#endif
