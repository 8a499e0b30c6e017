/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New control connections: owns the listening sockets, asks hosts.allow and
 * admission, and says who is refused.
 */
#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include <netinet/in.h>
#include <stdbool.h>

#include "net/admit.h"

struct worker;

/* Accept on listening socket fd, which this owns from now on.  0 or -errno. */
int accept_listen(struct worker *w, int fd);

/* Serve fd, a connection that another program accepted and that this owns
 * from now on.  False: it is none, or is not let in; then it is closed. */
bool accept_take(struct worker *w, int fd);

/* No new connections any more. */
void accept_stop(struct worker *w);
void accept_end(struct worker *w);

/* One line for each kind of refusal and interval. */
void accept_log_refusal(struct worker *w, struct in_addr peer,
    enum admit_count why);

#endif
