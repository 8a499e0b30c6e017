/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets that the world and the administrator come through: TCP 1723,
 * ours or systemd's, and the status socket.  All options are set here; the
 * worker may set none.
 */
#ifndef PRIV_LISTEN_H
#define PRIV_LISTEN_H

#include <stddef.h>

#include "conf.h"

#define LISTEN_MAX	32
#define LISTEN_STATUS_MAX 4
#define LISTEN_WHY_MAX	400
#define STATUS_PATH	"/run/pptpd/control"
#define LISTEN_NONE	"PPTPD_NO_LISTEN" /* environment: somebody else does */

/*
 * The listening TCP sockets: those of pptpd.socket if there are any, and with
 * them those that an earlier launcher had in their place; else one of our own
 * by conf, or none where LISTEN_NONE is set.  Returns how many, or -1 with a
 * sentence in why.
 */
int listen_sockets(const struct conf *conf, int ret_fd[LISTEN_MAX],
    char why[LISTEN_WHY_MAX]);

/* Options of a control connection, and of a listening socket, whose
 * connections inherit them. */
void listen_tune(int fd);

/* Where the status socket of an instance with this pid file is: the default
 * pid file has STATUS_PATH, another one its own name with ".control". */
void listen_status_path(const char *pidfile, char *ret, size_t size);

/*
 * The status sockets: those of pptpd-admin.socket, that of an earlier launcher,
 * for who waits in it, and if none of them is at path, one that is made there,
 * mode 0600, replacing a dead one.  Returns how many, or -1 with why.
 */
int listen_status(const char *path, int ret_fd[LISTEN_STATUS_MAX],
    char why[LISTEN_WHY_MAX]);

#endif
