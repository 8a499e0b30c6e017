/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control connections on TCP 1723: owns each socket, its bytes and its
 * deadline; performs what proto/ctrl decides, in order.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "proto/ctrl.h"

struct conn;
struct session;
struct worker;

/* Accept on listening socket fd.  0 or -errno. */
int conn_listen(struct worker *w, int fd);

/* The client's address and ours on this connection. */
struct in_addr conn_peer(const struct conn *c);
struct in_addr conn_own(const struct conn *c);

/* The machine, to look at. */
const struct ctrl *conn_ctrl(const struct conn *c);

/* What happened to the call in slot, for the machine.  Each may end and free
 * the session before it returns. */
void conn_opened(struct conn *c, unsigned slot, enum call_open_result result,
    uint16_t own_id);
void conn_gre(struct conn *c, unsigned slot);
void conn_up(struct conn *c, unsigned slot);
void conn_exited(struct conn *c, unsigned slot, enum call_end why);
void conn_terminate(struct conn *c, unsigned slot, enum call_end why);

/* No new connections; end all. */
void conn_shutdown_all(struct worker *w);

unsigned conn_count(const struct worker *w);

#endif
