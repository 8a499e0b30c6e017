/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the launcher holds so that calls outlive the worker: copies of the
 * control connections' sockets, and the pty masters.
 */
#ifndef PRIV_KEEP_H
#define PRIV_KEEP_H

#include <stdbool.h>
#include <stdint.h>

struct keep {
	uint32_t n_keys;
	int *tcp;		/* by key, 1..n_keys; 0: none */
	uint32_t n_tcp;		/* that there are */
	int *pty;		/* by call id; 0: none */
};

/* 0, or -1 with errno. */
int keep_init(struct keep *k, uint32_t n_keys);

/* Is fd a TCP socket that does not listen?  It may have lost its peer. */
bool keep_is_connection(int fd);

/* Hold fd under key, which is free. */
void keep_connection(struct keep *k, uint32_t key, int fd);

/* The worker's REQ_KEEP: takes fd.  False, and fd is closed, when no honest
 * worker would ask for that. */
bool keep_tcp(struct keep *k, uint32_t key, int fd);

/* Close the copies. */
void keep_drop_tcp(struct keep *k, uint32_t key);
void keep_pty(struct keep *k, uint16_t call, int fd);
void keep_drop_pty(struct keep *k, uint16_t call);

/* End all connections without their worker: tell each client that the
 * connection is over (Stop-Control-Connection-Request), then close. */
void keep_end_all(struct keep *k);

#endif
