/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The launcher's own state, for its parts: launch.c runs the loop and hears
 * signals, verbs.c does what the worker asks for, lcall.c is the life of a
 * call, succeed.c lets one worker follow another, inherit.c one launcher
 * another, orphan.c stands in for dead per-call parents.
 */
#ifndef PRIV_LAUNCHER_H
#define PRIV_LAUNCHER_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "ipc.h"
#include "log.h"
#include "priv/launch.h"
#include "req.h"

#define MS		1000ull	/* sd-event counts microseconds */
#define DEATHS_MAX	5	/* of workers, within ... */
#define DEATHS_MS	60000u

enum call_stage {
	STAGE_OPEN,		/* channel and address, no pppd */
	STAGE_RUNNING,		/* per-call parent started */
	STAGE_ENDING,		/* SHIM_TERM sent, or parent lost */
	STAGE_LEAVING,		/* reported; waits for its interface to go */
};

/* One call as the launcher knows it. */
struct lcall {
	struct launcher *la;
	uint16_t id;
	enum call_stage stage;
	struct in_addr peer, own;
	uint16_t peer_call;
	int slot;
	int channel;		/* until pppd has it; -1 */
	struct in_addr local, remote;	/* set aside for it, then its own */
	pid_t shim_pid, pppd_pid;
	int pppd_fd;		/* pidfd of pppd; -1 */
	struct ipc *shim;
	sd_event_source *timer;
	sd_event_source *pppd_io;
	int plugin_status;
	bool bounced;		/* its tunnel session is gone */
	bool scoped;		/* its processes were put in their scope */
	char ifname[IF_NAMESIZE];
	unsigned ifindex;	/* 0: it has no interface */
	char user[256];
	bool ip_up;		/* and ip-down has not run */
	uint32_t rec;		/* its slot in the table of calls; 0: none */
	uint64_t shim_start, pppd_start;	/* proc.h */
	int event;		/* where its plugin reports, a copy; -1 */
	sd_event_source *event_io;	/* ... read when its parent is dead */
	int exit_value;		/* said there; -1: not yet */
};

/* Why the worker is asked to go while the calls stay. */
enum handover {
	HANDOVER_NONE,
	HANDOVER_RELOAD,	/* execute the program again */
	HANDOVER_RESTART,	/* exit; systemd starts another one */
};

struct launcher {
	struct launch *l;
	sd_event *loop;
	struct ipc *worker;
	pid_t worker_pid;
	bool worker_gone;	/* its process; worker is NULL at its end */
	bool worker_ready;	/* it said so */
	bool condemned;
	bool deaf;		/* does not read, and is killed for it */
	bool unkept;		/* the socket of the call that is asked for
				 * next did not fit into our table */
	struct log_rate room_rate;	/* lines about that */
	struct log_rate retry_rate;	/* about a worker that does not start */
	bool serving;		/* one worker was ready */
	launch_worker_fn worker_fn;
	int live_table;		/* the ready worker's; -1 */
	uint64_t death[DEATHS_MAX];	/* ms, the last ones */
	unsigned n_deaths;
	uint64_t emptied;	/* ms, when calls were given up for that */
	bool stopping;
	enum handover handover;
	struct state calls;	/* table of calls (saved.h) */
	uint32_t calls_gen, worker_gen;
	uint32_t *free_rec;	/* slots of calls without one */
	uint32_t n_free_rec, n_rec;
	bool failed;
	launch_ready_fn ready;
	void *ready_arg;
	struct pool *pool;
	unsigned n_calls;
	sd_event_source *worker_timer;
	sd_event_source *tunnel_io;
	sd_event_source *status_timer, *ping_timer;
	struct scopes *scopes;
	unsigned ping_ms;
	pid_t pinged;		/* a worker that owes an answer; 0 */
	bool draining;
	struct log_rate drain_rate[2];	/* its lines, off and on */
	struct lcall *call[UINT16_MAX + 1];
};

#define HANDOVER_MS	2000	/* then the worker is killed */

/* --- launch.c ----------------------------------------------------------- */

/* Call fn in ms, in place of what timer was armed for.  0 or -errno. */
int arm(struct launcher *la, sd_event_source **timer, unsigned ms,
    sd_event_time_handler_t fn, void *arg);

/* Of this turn of the loop: monotonic. */
uint64_t launch_now_ms(const struct launcher *la);

/* The worker took too long: kill it. */
int on_worker_timer(sd_event_source *src, uint64_t usec, void *arg);

/* Send rep to the worker; nothing happens when there is none. */
void reply(struct launcher *la, struct rep *rep);

/* Leave the loop when all is over and that is wanted. */
void finish_if_done(struct launcher *la);

/* --- lcall.c ------------------------------------------------------------ */

/* Give back all that c has. */
void call_free(struct lcall *c);

/* Its channel is pppd's now. */
void call_close_channel(struct lcall *c);

/* End it in order. */
void call_stop(struct lcall *c);

/* End each call in order. */
void end_all_calls(struct launcher *la);

/* Its pppd is over: tell the worker, free it when its interface is gone. */
void send_exited(struct lcall *c, enum rep_exit_status status,
    int wait_status, int error);

/* The call's per-call parent is gone: end its pppd. */
void parent_lost(struct lcall *c);

/* What the plugin said. */
void on_event(struct lcall *c, struct rep *rep);

/* ipc_fn of its per-call parent. */
void on_shim(void *arg, const void *buf, size_t len, int fd);

/* --- verbs.c ------------------------------------------------------------ */

/* ipc_fn of the worker. */
void on_worker(void *arg, const void *buf, size_t len, int fd);

/* Hear of frames for sessions that are gone.  0 or -errno. */
int watch_tunnel(struct launcher *la);

/* --- orphan.c ----------------------------------------------------------- */

/* Look after the pppd of a call whose parent died, in its place.  False: that
 * cannot be done. */
bool orphan_begin(struct lcall *c);

/* End that pppd in order. */
void orphan_end(struct lcall *c);

/* --- inherit.c ---------------------------------------------------------- */

/* Make the table of calls, and take over those of an earlier launcher.  0,
 * or -1 with errno. */
int inherit_calls(struct launcher *la);

/* Write c's record, that of its user at its end, and the server's. */
void save_call(struct lcall *c);
void forget_call(struct lcall *c);
void save_server(struct launcher *la);

/* --- notify.c ----------------------------------------------------------- */

/* Begin to watch the worker, for systemd's watchdog too.  0 or -errno. */
int notify_start(struct launcher *la);

/* Numbers of calls are others now: tell systemd soon. */
void notify_changed(struct launcher *la);

/* The worker said something, be it not the answer: it lives. */
void notify_heard(struct launcher *la);

/* Take no new calls, or take them again. */
void drain_set(struct launcher *la, bool on);

/* A worker is there: it must know, and so must a launcher after another. */
void drain_inherit(struct launcher *la);

/* The server stops: the next one serves. */
void drain_forget(struct launcher *la);

/* --- succeed.c ---------------------------------------------------------- */

/* Start a worker with an empty table to write, and all that the one before it
 * left.  0, or -1 with errno. */
int worker_fork(struct launcher *la);

/* The first of this launcher: takes the place of the one that the launcher
 * before left behind.  0, or -1 with errno. */
int worker_first(struct launcher *la);

/* Nothing more will be heard of the worker. */
void worker_lost(struct launcher *la);

/* Its process ended. */
void worker_ended(struct launcher *la, int status);

/* Ask the worker to end all calls, and then itself. */
void worker_stop(struct launcher *la);

/* Ask the worker to leave everything to the one after it, for why. */
void worker_hand_over(struct launcher *la, enum handover why);

#endif
