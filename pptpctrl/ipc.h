/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a SOCK_SEQPACKET pair between our processes: each message one
 * fixed-size struct with at most one descriptor.  Sending never blocks; what
 * the socket cannot take waits in a bounded queue.
 */
#ifndef PPTPCTRL_IPC_H
#define PPTPCTRL_IPC_H

#include <stddef.h>
#include <systemd/sd-event.h>

#define IPC_MSG_MAX	512u
#define IPC_FD_LOST	(-2)	/* a descriptor came, and there was no room */

struct ipc;

/*
 * One message arrived: buf[0..len); fd is -1, IPC_FD_LOST, or a descriptor
 * that the callee now owns.  len 0: the other end is gone, or sent something
 * that is not a message; nothing more will come.  The handler may free the ipc.
 */
typedef void (*ipc_fn)(void *arg, const void *buf, size_t len, int fd);

/* Make a pair, close-on-exec, non-blocking.  0, or -1 with errno. */
int ipc_pair(int ret_fd[2]);

/* Serve fd, which it owns from now on, in loop.  NULL with errno. */
struct ipc *ipc_new(sd_event *loop, int fd, ipc_fn fn, void *arg);

/* NULL is fine. */
void ipc_free(struct ipc *ipc);

/*
 * Send buf[0..len) and a copy of descriptor fd (-1: none); the caller keeps
 * its own.  0, or -1 with errno when the queue is full or out of memory; a
 * dead other end is reported through the handler only.
 */
int ipc_send(struct ipc *ipc, const void *buf, size_t len, int fd);

/* The descriptor, for a child that closes all others. */
int ipc_fd(const struct ipc *ipc);

/* The same without a loop: for the per-call parent.  Sends at once or not at
 * all: bytes, or -1 with errno. */
long ipc_send_now(int sock, const void *buf, size_t len, int fd);

/* Returns bytes, 0 at the
 * end, -1 with errno.  *ret_fd as with ipc_fn. */
long ipc_recv(int fd, void *buf, size_t size, int *ret_fd);

#endif
