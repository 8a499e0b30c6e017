/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A call's processes in a scope unit of their own, where the server runs as a
 * service of systemd and there is a bus: pppd's lines in the journal then say
 * which call they are of, and a stop of the service finds none of them.  All
 * of it may fail; the processes stay in the service's group then.
 */
#ifndef PRIV_SCOPE_H
#define PRIV_SCOPE_H

#include <netinet/in.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct scopes;

/* NULL where there is no systemd, which scope_move takes. */
struct scopes *scopes_new(sd_event *loop);

/*
 * Ask for pptpd-call-CALL.scope with the per-call parent and its pppd in it.
 * Does not wait; what pppd starts before that is done stays behind.
 */
void scope_move(struct scopes *s, unsigned call, struct in_addr peer,
    pid_t parent, pid_t pppd);

/*
 * Put worker, which relays on while the service is started again, in a scope
 * until it ends: systemd would warn of a process left over.  Waits a second
 * at most.
 */
void scope_leave(struct scopes *s, pid_t worker);

#endif
