/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control connections on TCP 1723: owns each socket, its bytes and its
 * deadline; performs what proto/ctrl decides, in order.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "net/admit.h"
#include "proto/ctrl.h"

#define CONN_IN_SIZE	512u	/* two whole messages of the longest */
#define CONN_OUT_MAX	4096u	/* a peer that does not read is closed */

struct session;
struct worker;

struct conn {			/* private to conn.c and adopt.c */
	struct ctrl ctrl;
	struct worker *worker;
	TAILQ_ENTRY(conn) next;
	struct admit_client admit;
	int fd;			/* -1: closed, waits for its calls */
	uint32_t key;		/* its slot in the worker's table; 0: none */
	struct in_addr peer, own;
	int32_t shown_pid;
	sd_event_source *io, *timer;
	struct session *session[CTRL_MAX_CALLS];
	bool announced;		/* "started" was logged */
	bool closing;		/* CTRL_ACT_CLOSE: flush, then linger */
	bool lingering;
	bool *gone;		/* set when freed inside messages() */
	unsigned busy;		/* inside perform(): not to be saved */
	uint64_t linger_until;	/* ms */
	uint64_t write_until;	/* ms; 0: nothing waits to be written */
	uint64_t read_from;	/* ms; 0: now.  A client that is slowed */
	uint16_t in_off;	/* bytes of in that are done with */
	uint16_t in_len;
	uint16_t out_len;
	uint8_t in[CONN_IN_SIZE];
	uint8_t *out;		/* CONN_OUT_MAX, only while something waits */
};

/*
 * Serve fd, -1 when it is closed already, as c, which this owns from now on
 * and whose ctrl, peer, own and state of input and output the caller has set.
 * 0 or -errno, then c is the caller's still.
 */
int conn_add(struct conn *c, struct worker *w, int fd);

/* Begin with it after conn_add, and listen to it in wait_ms. */
void conn_begin(struct conn *c, uint64_t wait_ms);

/* What it has to do, after conn_add of one that another process began. */
void conn_resume(struct conn *c);

/* It cannot be read or written any more. */
void conn_lost(struct conn *c);

/* End the connection of client: another one takes its place. */
void conn_give_way(struct admit_client *client, enum admit_count why);

/* End the connection and its calls in order. */
void conn_shutdown(struct conn *c, enum call_end why);

/* The client's address and ours on this connection. */
struct in_addr conn_peer(const struct conn *c);
struct in_addr conn_own(const struct conn *c);

/*
 * The number that lines about this client show as our process id; 0: the
 * true one.  PoPToP had a process for each client, and log watchers put lines
 * together by it.  No process has such a number.
 */
int32_t conn_shown_pid(const struct conn *c);

/* Its place among those who wait, and want calls. */
struct admit_client *conn_admit(struct conn *c);

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

/* Those that are not kept for another process are ended, on the others nothing more is read or done: what comes waits in their
 * sockets. */
void conn_freeze_all(struct worker *w);

/* End all. */
void conn_shutdown_all(struct worker *w);

unsigned conn_count(const struct worker *w);

#endif
