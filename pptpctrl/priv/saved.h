/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher's table (state.h): what a later launcher must know of the
 * calls that this one started, and of the addresses that users had.
 */
#ifndef PRIV_SAVED_H
#define PRIV_SAVED_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "state.h"

/* Slot 0: the server itself.  What is new goes to the ends of these structs
 * and raises the minor version. */
struct saved_server {
	uint32_t datapath;	/* enum conf_datapath */
	uint32_t tunnel;	/* id of the L2TP tunnel */
	int32_t worker;		/* its pid, and when it started (proc.h) */
	uint32_t n_calls;	/* slots of calls; those of users follow */
	uint64_t worker_start;
	uint64_t reserved;
};

struct saved_call {
	uint16_t id, peer_call;
	uint32_t stage;		/* launch.c's */
	struct in_addr peer, own, local, remote;
	int32_t plugin_status;
	int32_t shim, pppd;	/* pids, 0: not yet */
	uint32_t bounced;
	uint64_t shim_start, pppd_start;
	char ifname[IF_NAMESIZE];
	char user[256];
	uint32_t ifindex;	/* 0 also from version 1.0, which had none */
};

struct saved_user {
	struct in_addr remote;	/* the address that user had last */
	char user[256];
};

/* The launcher's kind of table. */
const struct state_kind *saved_kind(void);

/* Read slot i; false when there is none, or none that can be believed. */
bool saved_get_server(const struct state *t, struct saved_server *ret);
bool saved_get_call(const struct state *t, uint32_t i, struct saved_call *ret);
bool saved_get_user(const struct state *t, uint32_t i, struct saved_user *ret);

#endif
