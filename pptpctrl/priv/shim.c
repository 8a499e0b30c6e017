/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc.h"
#include "priv/title.h"
#include "req.h"

#define SEND_WAIT_MS	2000
#define SHIM_EVENTS	5

struct shim {
	int control;		/* to the launcher; -1: gone */
	int event;		/* from the plugin; -1: gone */
	int pidfd;
	int signals;
	pid_t pppd;
	int launcher;		/* pidfd; -1: it is dead, or unknown */
	uint64_t wait_until;	/* ms, for another one; 0: there is one */
	uint64_t kill_at;	/* ms; 0: not ending */
	bool said[SHIM_EVENTS];
	struct ev ev[SHIM_EVENTS];	/* the last of each, to say again */
};

/* In the order in which they come. */
static const uint32_t lasting[SHIM_EVENTS] = { EV_BOUND, EV_FIRST, EV_AUTH,
	EV_UP, EV_STATUS };

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
tell_with(struct shim *s, struct rep *rep, int fd)
{
	struct pollfd pfd = { .fd = s->control, .events = POLLOUT };

	rep->version = REQ_VERSION;
	if (s->control < 0)
		return;
	while (ipc_send_now(s->control, rep, sizeof(*rep), fd) < 0) {
		if (errno == EINTR)
			continue;
		/* A launcher that does not read for so long is stuck; the
		 * exit of this process still tells it what counts. */
		if (errno != EAGAIN || poll(&pfd, 1, SEND_WAIT_MS) != 1)
			return;
	}
}

static void
tell(struct shim *s, struct rep *rep)
{
	tell_with(s, rep, -1);
}

static void
end_pppd(struct shim *s)
{
	if (s->kill_at != 0)
		return;
	kill(s->pppd, SIGTERM);
	s->kill_at = now_ms() + PPPD_KILL_MS;
}

static void
watch_launcher(struct shim *s, pid_t pid)
{
	if (s->launcher >= 0)
		close(s->launcher);
	s->launcher = (int)syscall(SYS_pidfd_open, pid, 0);
	s->wait_until = s->launcher < 0 ? now_ms() + SHIM_WAIT_MS : 0;
}

static void
say_again(struct shim *s)
{
	struct rep rep = { .op = REP_STARTED, .pid = s->pppd };

	tell_with(s, &rep, s->event);
	for (unsigned i = 0; i < SHIM_EVENTS; i++) {
		if (!s->said[i])
			continue;
		rep = (struct rep){ .op = REP_EVENT, .ev = s->ev[i] };
		tell(s, &rep);
	}
}

static void
from_launcher(struct shim *s)
{
	struct shim_cmd cmd;
	int fd = -1;
	long n = ipc_recv(s->control, &cmd, sizeof(cmd), &fd);

	if (fd >= 0)
		close(fd);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(s->control);
		s->control = -1;
		end_pppd(s);
		return;
	}
	if (n != sizeof(cmd))
		return;
	if (cmd.op == SHIM_TERM) {
		end_pppd(s);
	} else if (cmd.op == SHIM_ADDR && s->event >= 0) {
		struct ev_addr_reply reply = { .version = EV_VERSION,
		    .remote = cmd.remote };

		(void)send(s->event, &reply, sizeof(reply),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (cmd.op == SHIM_AGAIN) {
		watch_launcher(s, cmd.pid);
		say_again(s);
	} else if (cmd.op == SHIM_HERE) {
		watch_launcher(s, cmd.pid);
	}
}

static void
remember(struct shim *s, const struct ev *ev)
{
	for (unsigned i = 0; i < SHIM_EVENTS; i++) {
		if (ev->type == EV_DOWN && lasting[i] == EV_UP)
			s->said[i] = false;
		if (ev->type != lasting[i])
			continue;
		s->said[i] = true;
		s->ev[i] = *ev;
	}
}

int
shim_next_event(int fd, struct ev *ret)
{
	for (;;) {
		struct ev ev;
		ssize_t n = recv(fd, &ev, sizeof(ev), MSG_DONTWAIT);

		/* ECONNRESET: pppd ended without reading an answer; what it
		 * said before is still to come. */
		if (n < 0 && (errno == EINTR || errno == ECONNRESET))
			continue;
		if (n < 0 && errno == EAGAIN)
			return -1;
		if (n <= 0)
			return 0;
		if (ev_check(&ev, (size_t)n, ret))
			return 1;
	}
}

/* Everything the plugin has said so far; false at its end. */
static bool
from_plugin(struct shim *s)
{
	struct rep rep = { .op = REP_EVENT };
	int r;

	while ((r = shim_next_event(s->event, &rep.ev)) > 0) {
		if (rep.ev.type == EV_CONFIG)
			continue;	/* for who checks the options file */
		remember(s, &rep.ev);
		tell(s, &rep);
	}
	return r < 0;
}

static void
report_exit(struct shim *s)
{
	struct rep rep = { .op = REP_EXITED };

	if (s->event >= 0)
		from_plugin(s);
	while (waitpid(s->pppd, &rep.wait_status, 0) < 0 && errno == EINTR)
		;
	tell(s, &rep);
}

/* ms until time asks for something, or -1. */
static int
patience(const struct shim *s)
{
	uint64_t next = s->kill_at != 0 ? s->kill_at : s->wait_until;
	uint64_t now = now_ms();

	if (next == 0)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static void
tick(struct shim *s)
{
	uint64_t now = now_ms();

	if (s->kill_at != 0 && now >= s->kill_at) {
		kill(s->pppd, SIGKILL);
		s->kill_at = now + PPPD_KILL_MS;
	}
	if (s->wait_until != 0 && now >= s->wait_until) {
		s->wait_until = 0;
		end_pppd(s);
	}
}

static void
loop(struct shim *s)
{
	for (;;) {
		struct pollfd pfd[5] = {
			{ .fd = s->control, .events = POLLIN },
			{ .fd = s->event, .events = POLLIN },
			{ .fd = s->pidfd, .events = POLLIN },
			{ .fd = s->signals, .events = POLLIN },
			{ .fd = s->launcher, .events = POLLIN },
		};
		struct signalfd_siginfo si;

		if (poll(pfd, 5, patience(s)) < 0)
			continue;
		if (pfd[4].revents) {
			close(s->launcher);
			s->launcher = -1;
			s->wait_until = now_ms() + SHIM_WAIT_MS;
		}
		if (pfd[3].revents &&
		    read(s->signals, &si, sizeof(si)) == sizeof(si))
			end_pppd(s);
		if (pfd[1].revents && !from_plugin(s)) {
			close(s->event);
			s->event = -1;
		}
		if (pfd[2].revents) {
			report_exit(s);
			return;
		}
		if (pfd[0].revents)
			from_launcher(s);
		/* Last: on a machine so busy that this process comes late
		 * too, a launcher may have spoken in time. */
		tick(s);
	}
}

/*
 * Start pppd.  The child has our memory, which waits for it: what it leaves
 * there, the environment without what is not for pppd and why exec failed, is
 * what we want there.  All signals are blocked.
 */
static int
start_pppd(struct shim *s, const struct shim_args *args, int event)
{
	volatile int error = 0;
	pid_t pid = vfork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		pppd_exec(&args->pppd, args->channel, event);
		error = errno;
		_exit(127);
	}
	s->pppd = pid;
	if (error == 0) {
		s->pidfd = (int)syscall(SYS_pidfd_open, s->pppd, 0);
		if (s->pidfd < 0)
			error = errno;
	}
	return error;
}

/* Only what this process is for stays open, as 3, 4 and 5. */
static int
keep_descriptors(struct shim_args *args)
{
	int *keep[3] = { &args->channel, &args->control, &args->tunnel };
	int copy[3];

	/* The manager may have had no more to open: its copies go first. */
	for (int fd = 6; fd < 12; fd++)
		if (fd != *keep[0] && fd != *keep[1] && fd != *keep[2])
			close(fd);
	for (int i = 0; i < 3; i++) {
		copy[i] = -1;
		if (*keep[i] >= 0) {
			copy[i] = fcntl(*keep[i], F_DUPFD_CLOEXEC, 6);
			if (copy[i] < 0)
				return -1;
		}
	}
	if (close_range(3, 5, 0) < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		if (copy[i] >= 0 && dup3(copy[i], 3 + i, O_CLOEXEC) < 0)
			return -1;
		*keep[i] = copy[i] < 0 ? -1 : 3 + i;
	}
	return close_range(6, ~0U, 0);
}

/* An administrator's kill of this process ends the call in order. */
static int
catch_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
run(struct shim_args *args)
{
	struct shim s = { .event = -1, .pidfd = -1, .launcher = -1 };
	pid_t launcher = getppid();
	char ip[INET_ADDRSTRLEN];
	struct rep rep = { .op = REP_STARTED };
	int pair[2], error;

	setsid();
	prctl(PR_SET_DUMPABLE, 0);
	inet_ntop(AF_INET, &args->client, ip, sizeof(ip));
	title_set("pptpd [%s:%04X - %04X]", ip, args->peer_call,
	    args->own_call);
	if (keep_descriptors(args) < 0)
		_exit(1);
	s.control = args->control;
	s.signals = catch_signals();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		error = errno;
	} else {
		error = start_pppd(&s, args, pair[1]);
		close(pair[1]);
		s.event = pair[0];
	}
	close(args->channel);
	if (error != 0) {
		rep.op = REP_EXITED;
		rep.error = error;
		tell(&s, &rep);
		_exit(1);
	}
	rep.pid = s.pppd;
	tell_with(&s, &rep, s.event);
	watch_launcher(&s, launcher);
	loop(&s);
	_exit(0);
}

pid_t
shim_start(const struct shim_args *args)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct shim_args copy = *args;

		/* argv points into args' own text. */
		for (size_t i = 0; copy.pppd.argv[i]; i++) {
			const char *at = args->pppd.argv[i];

			if (at >= args->pppd.text &&
			    at < args->pppd.text + sizeof(args->pppd.text))
				copy.pppd.argv[i] = copy.pppd.text +
				    (at - args->pppd.text);
		}
		run(&copy);
	}
	return pid;
}
