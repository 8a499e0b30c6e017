/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker process: everything that reads the network, without rights.
 * This header is also what its parts share.
 */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "conf.h"
#include "ipc.h"
#include "log.h"
#include "net/admit.h"
#include "net/conn.h"
#include "net/listeners.h"
#include "net/relay.h"
#include "net/session.h"
#include "state.h"

#define WORKER_STATUS_MAX 4
#define REFUSAL_MS	10000u	/* between two log lines about the same */

/* Everything it was given; descriptors are its own. */
struct worker_setup {
	const struct conf *conf;
	enum conf_datapath path;
	int control;		/* to the launcher */
	int gre_fd, udp_fd;	/* -1 where the path has none */
	int send_fd[CONF_SENDERS_MAX];	/* raw, for threads that only send */
	int n_send;		/* 0: no threads */
	int offload_fd;		/* the fast path's map, -1: none */
	int status_fd[WORKER_STATUS_MAX];
	int n_status;
	int listen_fd[LISTENERS_MAX];
	int n_listen;
	/* To go on where another worker stopped. */
	struct state table;	/* empty, to be written */
	int old_table;		/* what that one wrote; -1: there was none */
	int gate;		/* a byte is sent when it is ready, and comes
				 * when that one has ended; -1: it has */
	bool crashed;		/* that one was brought down */
	bool outlives;		/* the launcher's death: another will come */
	uint32_t n_keys;
	const int *tcp;		/* by key; 0: none */
	const int *pty;		/* by call id; 0: none */
};

struct worker {
	const struct conf *conf;
	enum conf_datapath path;
	sd_event *loop;
	struct ipc *launcher;
	struct relay *relay;	/* NULL on the kernel path */
	struct senders *senders;	/* NULL: none */
	struct sessions *sessions;
	struct admit *admit;
	struct ctrl_conf ctrl_conf;
	TAILQ_HEAD(conn_list, conn) conns;
	unsigned n_conns;
	struct listeners listening;
	bool stopping;
	bool outlives;
	bool frozen;		/* only relays, until another one comes */
	struct listeners status;
	struct state table;
	uint32_t *free_key;
	uint32_t n_free_keys;
	struct log_rate refuse_rate, accept_rate, hosts_rate;
	struct log_rate refusal_rate[ADMIT_COUNTS];
	struct log_rate version_rate, flood_rate;
};

/* Milliseconds of the monotonic clock, never 0. */
uint64_t worker_now(const struct worker *w);

/* A verb to the launcher; false when it could not be queued. */
bool worker_ask(struct worker *w, struct req *req);

/* When stopping and nothing is left, leaves the loop. */
void worker_check_done(struct worker *w);

/* The process's main: confine, serve, return the exit status. */
int worker_main(const struct worker_setup *setup);

#endif
