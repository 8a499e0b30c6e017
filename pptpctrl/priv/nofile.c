/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/nofile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "req.h"

/*
 * What each process has open, as /proc/PID/fd shows it.  The launcher has for
 * a call its parent's socket, a copy of the plugin's, a pidfd of pppd, and
 * with datapath tty the pty; before pppd starts the channel, and at that
 * moment both ends of the parent's socket.  The worker has the pty.
 */
#define LAUNCHER_CALL	4ul
#define WORKER_CALL	1ul
#define CONNECTION	1ul	/* the socket, or the launcher's copy of it */
/* At rest: listening sockets, tunnel, tables of two generations, loops, log,
 * D-Bus, the fast path; 32 who ask for the status; the reserve. */
#define BASE		128ul

#define NR_OPEN		"/proc/sys/fs/nr_open"
#define RESERVE		4	/* a worker's table, two sockets, one more */

static struct rlimit at_start;
static bool is_known;		/* at_start */
static int reserve[RESERVE] = { -1, -1, -1, -1 };

static unsigned long
larger(unsigned long a, unsigned long b)
{
	return a > b ? a : b;
}

static unsigned long
smaller(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}

/* Connections beside those with a call. */
static unsigned long
others(const struct conf *conf)
{
	return larger(CONF_OPEN(&conf->limits, 0), REQ_KEYS(0));
}

unsigned long
nofile_needed(const struct conf *conf)
{
	unsigned long calls = conf->connections;

	return BASE + larger(
	    LAUNCHER_CALL * calls + CONNECTION * REQ_KEYS(calls),
	    WORKER_CALL * calls + CONNECTION * CONF_OPEN(&conf->limits,
	    calls));
}

bool
nofile_fit(struct conf *conf, unsigned long limit)
{
	struct conf_limits *l = &conf->limits;
	unsigned long room = limit > BASE ? limit - BASE : 0, beside, calls;

	if (nofile_needed(conf) <= limit)
		return false;
	/* A quarter for those without a call: a third of it each for those
	 * that have said nothing, that have not logged in, that are leaving. */
	beside = smaller(others(conf), larger(room / 4, 3));
	calls = room > beside ? (room - beside) / (LAUNCHER_CALL + CONNECTION) :
	    0;
	calls = larger(smaller(calls, conf->connections), 1);
	conf->connections = (unsigned)calls;
	l->most_open = (unsigned)(calls + beside);
	l->max_half_open.n = (unsigned)smaller(l->max_half_open.n, beside / 3);
	l->max_unauthenticated.n = (unsigned)smaller(
	    l->max_unauthenticated.n, beside / 3);
	return true;
}

bool
nofile_has_room(unsigned calls, unsigned connections)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) < 0 ||
	    BASE + LAUNCHER_CALL * calls + CONNECTION * connections <=
	    rl.rlim_cur;
}

/* Before our own hand was on it: this program may follow itself. */
static void
remember(const struct rlimit *rl)
{
	const char *text = getenv(NOFILE_ENV);
	unsigned long long soft, hard;
	char now[64];

	at_start = *rl;
	is_known = true;
	if (text && sscanf(text, "%llu:%llu", &soft, &hard) == 2) {
		at_start.rlim_cur = soft;
		at_start.rlim_max = hard;
		return;
	}
	snprintf(now, sizeof(now), "%llu:%llu",
	    (unsigned long long)rl->rlim_cur,
	    (unsigned long long)rl->rlim_max);
	setenv(NOFILE_ENV, now, 1);
}

unsigned long
nofile_most(void)
{
	FILE *f = fopen(NR_OPEN, "re");
	unsigned long most = 1ul << 20;

	if (f) {
		(void)!fscanf(f, "%lu", &most);
		fclose(f);
	}
	return most;
}

void
nofile_prepare(struct conf *conf)
{
	unsigned long needed = nofile_needed(conf), most = nofile_most();
	unsigned calls = conf->connections;
	struct rlimit rl, more;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	remember(&rl);
	more.rlim_cur = more.rlim_max = smaller(needed, most);
	/* Needs CAP_SYS_RESOURCE. */
	if (rl.rlim_max < more.rlim_max &&
	    setrlimit(RLIMIT_NOFILE, &more) == 0)
		rl.rlim_max = more.rlim_max;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	if (!nofile_fit(conf, rl.rlim_cur))
		return;
	log_warn("MGR: %u calls and the connections beside them may need %lu "
	    "open files, and the limit is %lu: at most %u calls, %u "
	    "connections in all; raise it with LimitNOFILE=%lu in the unit, "
	    "ulimit -n %lu before the start%s", calls, needed,
	    (unsigned long)rl.rlim_cur, conf->connections,
	    conf->limits.most_open, needed, needed,
	    needed > most ? ", both after sysctl fs.nr_open" : "");
}

void
nofile_restore(void)
{
	if (is_known)
		setrlimit(RLIMIT_NOFILE, &at_start);
}

void
nofile_reserve(bool hold)
{
	for (int i = 0; i < RESERVE; i++) {
		if (hold && reserve[i] < 0) {
			reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		} else if (!hold && reserve[i] >= 0) {
			close(reserve[i]);
			reserve[i] = -1;
		}
	}
}
