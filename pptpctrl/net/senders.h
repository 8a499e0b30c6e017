/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that send the relay's frames, where there are CPUs for them.  What a
 * frame costs is in the system call that sends it: the kernel takes it all
 * the way to the interface of the call, or to the network, before that
 * returns.  So the worker's first thread receives and decides, and batches
 * are sent by others; all of one call by the same one, in order.
 */
#ifndef NET_SENDERS_H
#define NET_SENDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "net/batch.h"
#include "net/channel.h"

struct senders;

/*
 * A thread for each of n > 0 raw sockets; udp_fd (-1: there is none) they
 * share.  Before the filter of system calls, which does not allow to make any.
 * They live as long as the process.  NULL with errno.
 */
struct senders *senders_new(const int *gre_fd, unsigned n, int udp_fd);

/* 0, or the -errno for which a thread may not stay on its CPU. */
int senders_stay(const struct senders *s);

/* Take a batch over: its bytes are copied, and it is empty then.  Waits for a
 * thread that has enough to do. */
void senders_take_tx(struct senders *s, struct tx_batch *tx);
void senders_take_l2tp(struct senders *s, struct l2tp *l);

/* Wait until all that was taken of this call is sent. */
void senders_drain(struct senders *s, uint16_t call);

/* How many frames were taken. */
uint64_t senders_taken(const struct senders *s);

#endif
