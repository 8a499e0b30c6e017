/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher: the only part that stays root.  Serves the worker's verbs
 * (req.h), owns addresses, channels and per-call parents, and never reads a
 * byte that came from the network.
 */
#ifndef PRIV_LAUNCH_H
#define PRIV_LAUNCH_H

#include <stdint.h>

#include "conf.h"
#include "priv/channel_open.h"
#include "priv/keep.h"
#include "priv/listen.h"
#include "state.h"

#define LAUNCH_WHY_MAX	1024

struct offload;

/* What was opened before the worker starts. */
struct launch {
	const struct conf *conf;
	enum conf_datapath path;	/* never CONF_DP_AUTO */
	struct tunnel tunnel;
	struct offload *offload;	/* NULL: no fast path */
	int gre_fd;			/* -1 on the kernel path */
	int send_fd[CONF_SENDERS_MAX];	/* for the worker's threads */
	int n_send;
	int listen_fd[LISTEN_MAX];
	int n_listen;
	int status_fd[LISTEN_STATUS_MAX];
	int n_status;
	char status_path[128];
	uint32_t option_flags;		/* EV_F_*: what the options ask for */
	/* What a worker is started with to go on where another stopped; the
	 * launcher never reads its tables. */
	const struct state_kind *worker_kind;
	struct keep keep;
	struct state table;		/* empty */
	int old_table;			/* -1: none */
	bool crashed;			/* that worker was brought down */
	/* Of an earlier launcher. */
	bool inherits;
	int32_t old_worker;		/* its worker, which may still relay */
	uint64_t old_worker_start;
	int gate;			/* worker's end: it waits there until
					 * that one has ended; -1: no need */
	struct state old_calls;		/* its table of calls */
	uint32_t calls_gen, worker_gen;	/* the tables' generations */
	/* To reload: is the configuration fine now (NULL), or what is wrong
	 * with it?  When it is, program is executed with argv. */
	const char *(*check)(void);
	const char *program;
	char **argv;
	/* Why new calls do not come, or the configuration does not count: for
	 * who asks systemd about the service.  Empty: all is well. */
	char trouble[LAUNCH_WHY_MAX];
};

/* Exit statuses of the manager. */
enum launch_exit {
	LAUNCH_OK = 0,
	LAUNCH_FAILED = 1,	/* configuration or machine: do not retry */
	LAUNCH_CRASHED = 3,	/* worker lost: start again */
};

/* --- prepare.c ---------------------------------------------------------- */

/* Find out what the machine can do and open everything.  0, or -1 with one
 * sentence that says what to do. */
int launch_prepare(struct launch *l, const struct conf *conf,
    char why[LAUNCH_WHY_MAX]);

/* Find out whether calls can be made: pppd, its options, the kernel.  As
 * launch_prepare, which does it but where calls are to go on at once. */
int launch_check(struct launch *l, char why[LAUNCH_WHY_MAX]);

/* --- launch.c ----------------------------------------------------------- */

/* Runs in the new worker process; returns its exit status. */
typedef int (*launch_worker_fn)(const struct launch *l, int control);

/* Called once when the server is ready to serve. */
typedef void (*launch_ready_fn)(void *arg);

/* The configuration has an error, so that an earlier one counts: set
 * l->trouble. */
void launch_trouble(struct launch *l, const char *error);

/* Start the worker and serve until it and all calls have ended. */
enum launch_exit launch_run(struct launch *l, launch_worker_fn worker,
    launch_ready_fn ready, void *arg);

#endif
