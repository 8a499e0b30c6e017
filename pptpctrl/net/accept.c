/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/accept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hosts.h"
#include "net/conn.h"
#include "net/worker.h"

#define ACCEPT_BURST	64

void
accept_log_refusal(struct worker *w, struct in_addr peer, enum admit_count why)
{
	char ip[INET_ADDRSTRLEN];
	uint32_t suppressed;

	if (!log_rate_ok(&w->refusal_rate[why], worker_now(w), REFUSAL_MS,
	    &suppressed))
		return;
	inet_ntop(AF_INET, &peer, ip, sizeof(ip));
	if (suppressed > 0)
		log_warn("CTRL: Client %s refused: %s; and %u more since the "
		    "last such line", ip, admit_count_text(why), suppressed);
	else
		log_warn("CTRL: Client %s refused: %s", ip,
		    admit_count_text(why));
}

static bool
admitted(struct worker *w, struct conn *c, struct in_addr peer,
    uint64_t *ret_wait_ms, struct admit_client **ret_victim,
    enum admit_count *ret_why)
{
	if (admit_connect(w->admit, &c->admit, peer, worker_now(w),
	    ret_wait_ms, ret_victim, ret_why))
		return true;
	accept_log_refusal(w, peer, *ret_why);
	return false;
}

/* Begin to serve a new connection, or close it. */
static bool
welcome(struct worker *w, int fd, struct in_addr peer)
{
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	struct admit_client *victim;
	enum admit_count why;
	uint64_t wait_ms;
	struct conn *c = calloc(1, sizeof(*c));

	if (!c || getsockname(fd, (struct sockaddr *)&own, &len) < 0) {
		free(c);
		close(fd);
		return false;
	}
	/* A socket from systemd may be bound to more than listen names. */
	if ((w->conf->listen_set && w->conf->listen.s_addr != INADDR_ANY &&
	    own.sin_addr.s_addr != w->conf->listen.s_addr) ||
	    !admitted(w, c, peer, &wait_ms, &victim, &why)) {
		free(c);
		close(fd);
		return false;
	}
	c->peer = peer;
	c->own = own.sin_addr;
	if (conn_add(c, w, fd) < 0) {
		admit_gone(w->admit, &c->admit);
		free(c);
		close(fd);
		return false;
	}
	conn_begin(c, wait_ms);
	if (victim)
		conn_give_way(victim, why);
	return true;
}

void
accept_stop(struct worker *w)
{
	listeners_stop(&w->listening);
}

static void
pause_listening(struct worker *w, int error)
{
	uint32_t suppressed;

	listeners_pause(&w->listening, w->loop);
	if (log_rate_ok(&w->accept_rate, worker_now(w), REFUSAL_MS, &suppressed))
		log_err("MGR: accept: %s; new clients wait (raise "
		    "LimitNOFILE)", strerror(error));
}

/* hosts.allow and hosts.deny, if there is anything in them. */
static bool
hosts_let_in(struct worker *w, int fd, struct in_addr peer)
{
	struct sockaddr_in own = { .sin_family = AF_UNSPEC };
	socklen_t len = sizeof(own);
	char ip[INET_ADDRSTRLEN];
	uint32_t suppressed;
	const char *name;
	unsigned line;

	if (!w->conf->hosts)
		return true;
	getsockname(fd, (struct sockaddr *)&own, &len);
	if (hosts_ask(w->conf->hosts, peer, own.sin_addr, &name, &line))
		return true;
	admit_note(w->admit, ADMIT_HOSTS);
	inet_ntop(AF_INET, &peer, ip, sizeof(ip));
	if (log_rate_ok(&w->hosts_rate, worker_now(w), REFUSAL_MS, &suppressed))
		log_about(&(struct log_about){ .kind = LOG_REFUSED,
		    .peer = peer.s_addr, .reason = name }, LOG_NOTICE,
		    "MGR: Client %s refused: %s line %u (%u more before, "
		    "%llu in all)", ip, name, line, suppressed,
		    (unsigned long long)admit_counted(w->admit, ADMIT_HOSTS));
	return false;
}

static bool
accepted(struct worker *w, int fd, struct in_addr peer)
{
	if (hosts_let_in(w, fd, peer))
		return welcome(w, fd, peer);
	close(fd);
	return false;
}

bool
accept_take(struct worker *w, int fd)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer), size = sizeof(int);
	int type = 0;

	if (!w->stopping && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type,
	    &size) == 0 && type == SOCK_STREAM &&
	    getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
	    len == sizeof(peer) && peer.sin_family == AF_INET)
		return accepted(w, fd, peer.sin_addr);
	close(fd);
	return false;
}

static int
on_accept(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct worker *w = arg;

	(void)src;
	(void)revents;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_in sin;
		socklen_t len = sizeof(sin);
		int got = accept4(fd, (struct sockaddr *)&sin, &len,
		    SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (got < 0 && listeners_full(errno)) {
			pause_listening(w, errno);
			break;
		}
		if (got < 0 && errno == EAGAIN)
			break;
		if (got < 0)
			continue;	/* that client gave up */
		accepted(w, got, sin.sin_addr);
	}
	return 0;
}

int
accept_listen(struct worker *w, int fd)
{
	return listeners_add(&w->listening, w->loop, fd, on_accept, w);
}

void
accept_end(struct worker *w)
{
	listeners_close(&w->listening);
}
