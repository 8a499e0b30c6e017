/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call in the worker: ties the control machine's slot, the relay's flow
 * and the launcher's call of the same id together, and writes the call's log
 * lines.
 */
#ifndef NET_SESSION_H
#define NET_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/bans.h"
#include "net/relay.h"
#include "proto/call.h"
#include "req.h"

struct conn;
struct worker;

struct session {
	struct flow flow;	/* first: the relay hands it back */
	struct worker *worker;
	struct conn *conn;
	unsigned slot;		/* in its connection's ctrl */
	bool opened;		/* the launcher knows the id */
	bool start_wanted;	/* waits for its turn (max-starting) */
	bool start_gre;		/* waits among those with GRE */
	bool started;		/* REQ_START sent */
	bool counts_start;	/* holds one of the max-starting places */
	bool stop_sent;
	bool was_up;
	bool pppd_seen;		/* a frame of the client reached pppd */
	bool adopted;		/* from another worker */
	bool kept;		/* the launcher has it (session_kept_end) */
	uint16_t tunnel;	/* relay path: its L2TP tunnel */
	unsigned open_tries;
	uint64_t asked_ms, start_ms, up_ms;	/* 0: not yet */
	uint64_t gone_ms;	/* place in max-starting expires */
	uint32_t local, remote;	/* network order */
	uint32_t auth, flags, mtu;
	int32_t pid;
	char ifname[16];
	char user[256];		/* claimed or proven name */
	bool user_proven;
	bool authenticated;	/* admission knows that */
	char claim[256];	/* name of its last login, as sent */
	bool auth_failed;	/* its line is written */
	/* of the end */
	struct rep exited;
	bool has_exited;
	uint64_t if_rx, if_tx;	/* kernel path: the interface's bytes */
	TAILQ_ENTRY(session) starts;
};

/* All sessions; sessions[id] by our call id. */
struct sessions;

struct sessions *sessions_new(struct worker *w);

/* CTRL_ACT_OPEN: a session for this connection's slot; asks the launcher.
 * NULL when no id or memory is left. */
struct session *session_open(struct worker *w, struct conn *conn,
    unsigned slot, uint16_t peer_call);

/* CTRL_ACT_START, gre: its first frame is here. */
void session_start(struct session *s, bool gre);

/* The client's first frame is here: goes before those without. */
void session_first_frame(struct session *s);

/* The client claims name; false: pppd must not see that. */
bool session_claim(struct session *s, const char *name);

/* CTRL_ACT_STOP. */
void session_stop(struct session *s, bool client_gone);

/* CTRL_ACT_FREE: write the last line, forget it. */
void session_free(struct session *s, const struct call *call);

/* A message of the launcher about a call; takes fd. */
void session_reply(struct worker *w, const struct rep *rep, int fd);

/* Has a session that id? */
bool session_id_used(const struct worker *w, uint16_t id);

/*
 * Go on with s, which another process began and which this owns from now on;
 * its fields are set, its flow has its numbers, its id is not in use; pty:
 * its master, or -1.
 */
void session_adopt(struct session *s, int pty);

/* The launcher has told of all the calls it kept. */
void session_kept_end(struct worker *w);

/* The session with the lowest id >= from, or NULL. */
struct session *session_next(struct worker *w, unsigned from);

/* Ask for fresh counts of calls whose bytes the kernel counts. */
void session_ask_traffic(struct session *s);

unsigned sessions_count(const struct worker *w);

/* max-starting: how many have a place, how many wait for one. */
unsigned sessions_starting(const struct worker *w);
unsigned sessions_waiting(const struct worker *w);

#endif
