/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/accept.h"
#include "net/adopt.h"
#include "net/worker.h"
#include "proto/frame.h"

#define PID_MAX		4194304u	/* the kernel's PID_MAX_LIMIT */
#define WRITE_WAIT_MS	10000u	/* nor one that reads nothing so long */
#define LINGER_MS	3000u

static void perform(struct conn *c, struct ctrl_acts *acts);
static void arm(struct conn *c);

struct in_addr
conn_peer(const struct conn *c)
{
	return c->peer;
}

int32_t
conn_shown_pid(const struct conn *c)
{
	return c->shown_pid;
}

struct in_addr
conn_own(const struct conn *c)
{
	return c->own;
}

struct admit_client *
conn_admit(struct conn *c)
{
	return &c->admit;
}

const struct ctrl *
conn_ctrl(const struct conn *c)
{
	return &c->ctrl;
}

unsigned
conn_count(const struct worker *w)
{
	return w->n_conns;
}

static const char *
peer_text(const struct conn *c, char buf[INET_ADDRSTRLEN])
{
	inet_ntop(AF_INET, &c->peer, buf, INET_ADDRSTRLEN);
	return buf;
}

/* --- the end ------------------------------------------------------------ */

static void
close_socket(struct conn *c)
{
	if (c->fd < 0)
		return;
	sd_event_source_disable_unref(c->io);
	c->io = NULL;
	/* Others hold copies of it that outlive this process. */
	if (c->key != 0)
		shutdown(c->fd, SHUT_RDWR);
	close(c->fd);
	c->fd = -1;
	free(c->out);
	c->out = NULL;
	c->out_len = 0;
	c->write_until = 0;
	admit_closed(c->worker->admit, &c->admit);
	adopt_drop(c);
}

/* Free it when its socket is closed and its calls are over. */
static bool
free_if_done(struct conn *c)
{
	struct worker *w = c->worker;
	char ip[INET_ADDRSTRLEN];

	if (c->fd >= 0 || !ctrl_done(&c->ctrl))
		return false;
	if (c->announced)
		log_about(&(struct log_about){ .kind = LOG_DISCONNECTED,
		    .peer = c->peer.s_addr, .shown_pid = c->shown_pid },
		    LOG_INFO, "CTRL: Client %s "
		    "control connection finished", peer_text(c, ip));
	if (c->gone)
		*c->gone = true;
	sd_event_source_disable_unref(c->timer);
	TAILQ_REMOVE(&w->conns, c, next);
	w->n_conns--;
	adopt_forget(c);
	admit_gone(w->admit, &c->admit);
	free(c);
	worker_check_done(w);
	return true;
}

/* --- deadlines ---------------------------------------------------------- */

static uint64_t
deadline(const struct conn *c)
{
	uint64_t at = ctrl_deadline(&c->ctrl);

	if (c->write_until != 0 && c->write_until < at)
		at = c->write_until;
	if (c->lingering && c->linger_until < at)
		at = c->linger_until;
	if (c->read_from != 0 && c->read_from < at)
		at = c->read_from;
	return at;
}

static int on_timer(sd_event_source *src, uint64_t usec, void *arg);

static void
arm(struct conn *c)
{
	uint64_t at = deadline(c);
	int r;

	if (at == UINT64_MAX) {
		if (c->timer)
			sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
		return;
	}
	/* worker_now is one ahead of the clock, so that it is never 0. */
	if (!c->timer) {
		r = sd_event_add_time(c->worker->loop, &c->timer,
		    CLOCK_MONOTONIC, at * 1000u, 50000, on_timer, c);
		if (r < 0)
			log_err("CTRL: timer: %s", strerror(-r));
		return;
	}
	sd_event_source_set_time(c->timer, at * 1000u);
	sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* It is as it will stay until the next event; it may be gone afterwards. */
static void
settle(struct conn *c)
{
	if (free_if_done(c))
		return;
	arm(c);
	adopt_save(c);
}

/* --- writing ------------------------------------------------------------ */

static void
linger(struct conn *c)
{
	/* Closing with bytes unread would reset, and our last message with
	 * it: end our direction, read away what comes, for a while. */
	if (shutdown(c->fd, SHUT_WR) < 0) {
		close_socket(c);
		return;
	}
	c->lingering = true;
	c->linger_until = worker_now(c->worker) + LINGER_MS;
	sd_event_source_set_io_events(c->io, EPOLLIN);
}

void
conn_lost(struct conn *c)
{
	struct ctrl_acts acts = { .n = 0 };

	close_socket(c);
	ctrl_hangup(&c->ctrl, CALL_END_TCP, worker_now(c->worker), &acts);
	perform(c, &acts);
}

static void
flush_out(struct conn *c)
{
	while (c->out_len > 0) {
		ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL |
		    MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			conn_lost(c);
			return;
		}
		c->out_len = (uint16_t)(c->out_len - n);
		memmove(c->out, c->out + n, c->out_len);
		c->write_until = worker_now(c->worker) + WRITE_WAIT_MS;
	}
	free(c->out);
	c->out = NULL;
	c->write_until = 0;
	sd_event_source_set_io_events(c->io, EPOLLIN);
	if (c->closing)
		linger(c);
	settle(c);
}

/* One message, one write; what does not fit waits. */
static bool
send_message(struct conn *c, const uint8_t *msg, size_t len)
{
	ssize_t n = 0;

	if (c->fd < 0)
		return true;
	if (c->out_len == 0) {
		do
			n = send(c->fd, msg, len, MSG_NOSIGNAL |
			    MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			n = 0;
		if ((size_t)n == len)
			return true;
	}
	if (!c->out)
		c->out = malloc(CONN_OUT_MAX);
	if (!c->out || CONN_OUT_MAX - c->out_len < len - (size_t)n)
		return false;
	memcpy(c->out + c->out_len, msg + n, len - (size_t)n);
	c->out_len = (uint16_t)(c->out_len + len - (size_t)n);
	if (c->write_until == 0)
		c->write_until = worker_now(c->worker) + WRITE_WAIT_MS;
	sd_event_source_set_io_events(c->io, EPOLLIN | EPOLLOUT);
	return true;
}

/* --- limits ------------------------------------------------------------- */

/* Another connection takes its place. */
void
conn_give_way(struct admit_client *client, enum admit_count why)
{
	struct conn *c = (struct conn *)(void *)((char *)client -
	    offsetof(struct conn, admit));
	struct worker *w = c->worker;
	struct ctrl_acts acts = { .n = 0 };

	accept_log_refusal(w, c->peer, why);
	/* A word of farewell, but not to a crowd. */
	if (c->ctrl.state == CTRL_WAIT_SCCRQ ||
	    admit_in_stage(w->admit, ADMIT_LEAVING) > CONF_LEAVING_MAX) {
		conn_lost(c);
		return;
	}
	ctrl_shutdown(&c->ctrl, CALL_END_GAVE_WAY, worker_now(w), &acts);
	perform(c, &acts);
}

static void
greeted(struct conn *c)
{
	enum admit_count why;
	struct admit_client *victim = admit_greeted(c->worker->admit,
	    &c->admit, &why);

	if (victim)
		conn_give_way(victim, why);
}

/* --- actions ------------------------------------------------------------ */

/* One line for each cause and interval, whoever is to blame. */
static bool
may_log(struct worker *w, struct log_rate *rate)
{
	uint32_t suppressed;

	if (!log_rate_ok(rate, worker_now(w), REFUSAL_MS, &suppressed))
		return false;
	if (suppressed > 0)
		log_warn("CTRL: %u more lines like the next one not shown",
		    suppressed);
	return true;
}

static void
note(struct conn *c, const struct ctrl_act *a)
{
	char ip[INET_ADDRSTRLEN], host[LOG_ESCAPED_MAX(CTRL_NAME_LEN)];
	char vendor[LOG_ESCAPED_MAX(CTRL_NAME_LEN)];

	peer_text(c, ip);
	switch (a->note) {
	case CTRL_NOTE_ESTABLISHED:
		greeted(c);
		if (!c->announced)
			log_about(&(struct log_about){ .kind = LOG_CONNECTED,
			    .peer = c->peer.s_addr,
			    .shown_pid = c->shown_pid }, LOG_INFO, "CTRL: Client "
			    "%s control connection started", ip);
		c->announced = true;
		log_debug("CTRL: Client %s: version %04x firmware %u host "
		    "\"%s\" vendor \"%s\"", ip, c->ctrl.peer_version,
		    c->ctrl.peer_firmware, log_escape(host, sizeof(host),
		    c->ctrl.peer_host), log_escape(vendor, sizeof(vendor),
		    c->ctrl.peer_vendor));
		break;
	case CTRL_NOTE_BAD_MESSAGE:
		log_debug("CTRL: Client %s closed: not PPTP, or a message "
		    "out of place (type %u)", ip, a->arg);
		break;
	case CTRL_NOTE_UNEXPECTED:
		log_debug("CTRL: Client %s: message type %u ignored", ip,
		    a->arg);
		break;
	case CTRL_NOTE_OLD_VERSION:
		if (may_log(c->worker, &c->worker->version_rate))
			log_about(&(struct log_about){ .kind = LOG_REFUSED,
			    .peer = c->peer.s_addr,
			    .reason = "protocol version" }, LOG_WARNING,
			    "CTRL: Client %s refused: protocol version %04x",
			    ip, a->arg);
		break;
	case CTRL_NOTE_CALL_ID:
		log_debug("CTRL: Client %s: no call has id %u", ip, a->arg);
		break;
	case CTRL_NOTE_RATE:
		if (may_log(c->worker, &c->worker->flood_rate))
			log_warn("CTRL: Client %s closed: too many messages",
			    ip);
		break;
	case CTRL_NOTE_TIMEOUT_SCCRQ:
	case CTRL_NOTE_TIMEOUT_PARTIAL:
		log_debug("CTRL: Client %s closed: nothing whole was sent in "
		    "time", ip);
		break;
	case CTRL_NOTE_TIMEOUT_IDLE:
		log_info("CTRL: Client %s closed: no call for too long", ip);
		break;
	case CTRL_NOTE_TIMEOUT_ECHO:
		log_info("CTRL: Client %s does not answer echo requests on "
		    "TCP", ip);
		break;
	case CTRL_NOTE_REFUSED:
		log_debug("CTRL: Client %s: call refused, result %u", ip,
		    a->arg);
		break;
	case CTRL_NOTE_RESERVED:
		log_debug("CTRL: Client %s: reserved field not 0", ip);
		break;
	}
}

/* Slots that could not be opened, to be told once the list is done. */
struct failed_opens {
	uint8_t slot[CTRL_MAX_CALLS];
	enum call_open_result result[CTRL_MAX_CALLS];
	unsigned n;
};

static void
open_call(struct conn *c, uint8_t slot, struct failed_opens *failed)
{
	struct worker *w = c->worker;
	enum call_open_result result = CALL_OPEN_NO_RESOURCE;
	enum admit_count why;

	switch (admit_call(w->admit, &c->admit, worker_now(w), &why)) {
	case ADMIT_CALL_OK:
		c->session[slot] = session_open(w, c, slot,
		    c->ctrl.call[slot].peer_id);
		if (c->session[slot])
			return;
		admit_call_over(w->admit, &c->admit, false);
		break;
	case ADMIT_CALL_BUSY:
		result = CALL_OPEN_BUSY;
		accept_log_refusal(w, c->peer, why);
		break;
	case ADMIT_CALL_BANNED:
		result = CALL_OPEN_POLICY;
		accept_log_refusal(w, c->peer, why);
		break;
	}
	failed->slot[failed->n] = slot;
	failed->result[failed->n++] = result;
}

static void
free_call(struct conn *c, uint8_t slot)
{
	struct session *s = c->session[slot];

	if (!s)
		return;
	c->session[slot] = NULL;
	admit_call_over(c->worker->admit, &c->admit, s->authenticated);
	session_free(s, &c->ctrl.call[slot]);
}

static void
act(struct conn *c, const struct ctrl_acts *acts, const struct ctrl_act *a,
    struct failed_opens *failed, bool *ret_lost)
{
	struct session **s = &c->session[a->slot % CTRL_MAX_CALLS];

	switch (a->type) {
	case CTRL_ACT_SEND:
		if (!send_message(c, acts->buf + a->off, a->len))
			*ret_lost = true;
		break;
	case CTRL_ACT_OPEN:
		/* Strangers that never ask for a call are not worth the
		 * memory and the descriptors. */
		adopt_keep(c);
		open_call(c, a->slot % CTRL_MAX_CALLS, failed);
		break;
	case CTRL_ACT_START:
		if (*s)
			session_start(*s, a->arg != 0);
		break;
	case CTRL_ACT_STOP:
		if (*s)
			session_stop(*s, a->arg != 0);
		break;
	case CTRL_ACT_FREE:
		free_call(c, a->slot % CTRL_MAX_CALLS);
		break;
	case CTRL_ACT_CLOSE:
		c->closing = true;
		/* Calls that are still saying goodbye: nobody listens. */
		for (unsigned i = 0; i < CTRL_MAX_CALLS; i++)
			if (c->session[i])
				c->session[i]->flow.client_gone = true;
		break;
	case CTRL_ACT_NOTE:
		note(c, a);
		break;
	}
}

/* Do what the machine decided.  c may be gone afterwards. */
static void
perform(struct conn *c, struct ctrl_acts *acts)
{
	struct failed_opens failed = { .n = 0 };
	bool is_lost = false;

	c->busy++;
	for (size_t i = 0; i < acts->n; i++)
		act(c, acts, &acts->act[i], &failed, &is_lost);
	for (unsigned i = 0; i < failed.n; i++) {
		struct ctrl_acts more = { .n = 0 };

		ctrl_opened(&c->ctrl, failed.slot[i], failed.result[i], 0,
		    worker_now(c->worker), &more);
		for (size_t k = 0; k < more.n; k++)
			act(c, &more, &more.act[k], &failed, &is_lost);
	}
	c->busy--;
	if (is_lost && c->fd >= 0) {
		conn_lost(c);
		return;
	}
	if (c->closing && c->fd >= 0 && !c->lingering && c->out_len == 0)
		linger(c);
	settle(c);
}

/* --- reading ------------------------------------------------------------ */

/* All whole messages in the buffer; c may be gone afterwards. */
static void
messages(struct conn *c)
{
	struct worker *w = c->worker;
	enum frame_status st = FRAME_MORE;
	size_t len;

	while (!c->closing && c->fd >= 0) {
		struct ctrl_acts acts = { .n = 0 };
		bool desync;

		st = frame_next(c->in + c->in_off, c->in_len - c->in_off,
		    &len);
		if (st == FRAME_MORE)
			break;
		desync = st == FRAME_DESYNC;
		if (desync)
			ctrl_desync(&c->ctrl, worker_now(w), &acts);
		else
			ctrl_input(&c->ctrl, c->in + c->in_off, len,
			    worker_now(w), &acts);
		c->in_off = (uint16_t)(c->in_off + (desync ? 0 : len));
		if (acts.n > 0) {
			bool gone = false;

			c->gone = &gone;
			perform(c, &acts);
			if (gone)
				return;
			c->gone = NULL;
		}
	}
	if (c->closing || c->fd < 0) {
		c->in_len = c->in_off = 0;
		return;
	}
	c->in_len = (uint16_t)(c->in_len - c->in_off);
	memmove(c->in, c->in + c->in_off, c->in_len);
	c->in_off = 0;
	ctrl_partial(&c->ctrl, c->in_len > 0, worker_now(w));
	arm(c);
	adopt_save(c);
}

static void
drain(struct conn *c)
{
	uint8_t buf[CONN_IN_SIZE];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	close_socket(c);
	settle(c);
}

static void
receive(struct conn *c)
{
	struct ctrl_acts acts = { .n = 0 };
	ssize_t n = recv(c->fd, c->in + c->in_len, CONN_IN_SIZE - c->in_len,
	    MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_socket(c);
		ctrl_hangup(&c->ctrl, n == 0 ? CALL_END_EOF : CALL_END_TCP,
		    worker_now(c->worker), &acts);
		perform(c, &acts);
		return;
	}
	c->in_len = (uint16_t)(c->in_len + n);
	/* Before anything is made of it: who comes after a crash in the
	 * middle of a message begins it again. */
	adopt_save(c);
	messages(c);
}

static int
on_io(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct conn *c = arg;
	struct worker *w = c->worker;

	(void)src;
	(void)fd;
	adopt_begin(c);
	if (revents & EPOLLOUT && c->out_len > 0)
		flush_out(c);	/* the rest comes with the next wakeup */
	else if (c->lingering)
		drain(c);
	else if (!c->closing)
		receive(c);
	adopt_end(w);
	return 0;
}

static int
on_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct conn *c = arg;
	struct worker *w = c->worker;
	struct ctrl_acts acts = { .n = 0 };
	uint64_t now = worker_now(w);

	(void)src;
	(void)usec;
	if (c->lingering && now >= c->linger_until) {
		close_socket(c);
		c->lingering = false;
	}
	if (c->write_until != 0 && now >= c->write_until) {
		conn_lost(c);
		return 0;
	}
	if (c->read_from != 0 && now >= c->read_from) {
		c->read_from = 0;
		if (c->fd >= 0)
			sd_event_source_set_io_events(c->io, EPOLLIN);
	}
	adopt_begin(c);
	ctrl_tick(&c->ctrl, now, &acts);
	perform(c, &acts);
	adopt_end(w);
	return 0;
}

/* --- beginning ---------------------------------------------------------- */

/* From the client's address and port: the same after a restart. */
static int32_t
shown_pid(int fd, struct in_addr peer)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	if (fd < 0 || getpeername(fd, (struct sockaddr *)&sin, &len) < 0)
		return 0;
	return (int32_t)(PID_MAX + ((ntohl(peer.s_addr) & 0x3fff) << 16 |
	    ntohs(sin.sin_port)));
}

int
conn_add(struct conn *c, struct worker *w, int fd)
{
	int r;

	c->shown_pid = shown_pid(fd, c->peer);

	c->worker = w;
	c->fd = fd;
	if (fd >= 0) {
		r = sd_event_add_io(w->loop, &c->io, fd, EPOLLIN, on_io, c);
		if (r < 0)
			return r;
	}
	TAILQ_INSERT_TAIL(&w->conns, c, next);
	w->n_conns++;
	return 0;
}

void
conn_begin(struct conn *c, uint64_t wait_ms)
{
	uint64_t from = worker_now(c->worker) + wait_ms;
	uint32_t chance;

	if (wait_ms > 0) {
		c->read_from = from;
		sd_event_source_set_io_events(c->io, 0);
	}
	/* The client's time begins when it is listened to. */
	ctrl_init(&c->ctrl, &c->worker->ctrl_conf, from);
	if (getrandom(&chance, sizeof(chance), 0) == sizeof(chance))
		ctrl_spread(&c->ctrl, chance);
	arm(c);
}

void
conn_resume(struct conn *c)
{
	if (c->fd >= 0 && c->out_len > 0)
		sd_event_source_set_io_events(c->io, EPOLLIN | EPOLLOUT);
	else if (c->fd >= 0 && c->closing && !c->lingering)
		linger(c);
	if (c->fd >= 0 && !c->closing && c->in_len > 0)
		messages(c);
	else
		settle(c);
}

/* --- from the sessions -------------------------------------------------- */

void
conn_opened(struct conn *c, unsigned slot, enum call_open_result result,
    uint16_t own_id)
{
	struct ctrl_acts acts = { .n = 0 };

	ctrl_opened(&c->ctrl, slot, result, own_id, worker_now(c->worker),
	    &acts);
	perform(c, &acts);
}

void
conn_gre(struct conn *c, unsigned slot)
{
	struct ctrl_acts acts = { .n = 0 };

	admit_gre(c->worker->admit, &c->admit);
	ctrl_gre(&c->ctrl, slot, worker_now(c->worker), &acts);
	perform(c, &acts);
}

void
conn_up(struct conn *c, unsigned slot)
{
	ctrl_up(&c->ctrl, slot, worker_now(c->worker));
	arm(c);
	adopt_save(c);
}

void
conn_exited(struct conn *c, unsigned slot, enum call_end why)
{
	struct ctrl_acts acts = { .n = 0 };

	ctrl_exited(&c->ctrl, slot, why, worker_now(c->worker), &acts);
	perform(c, &acts);
}

void
conn_terminate(struct conn *c, unsigned slot, enum call_end why)
{
	struct ctrl_acts acts = { .n = 0 };

	ctrl_terminate(&c->ctrl, slot, why, worker_now(c->worker), &acts);
	perform(c, &acts);
}

void
conn_shutdown(struct conn *c, enum call_end why)
{
	struct ctrl_acts acts = { .n = 0 };

	ctrl_shutdown(&c->ctrl, why, worker_now(c->worker), &acts);
	perform(c, &acts);
}

void
conn_freeze_all(struct worker *w)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&w->conns); c; c = next) {
		next = TAILQ_NEXT(c, next);
		if (c->key == 0) {
			conn_shutdown(c, CALL_END_SHUTDOWN);
			continue;
		}
		if (c->io)
			sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
		if (c->timer)
			sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	}
}

void
conn_shutdown_all(struct worker *w)
{
	struct conn *c, *next;

	for (c = TAILQ_FIRST(&w->conns); c; c = next) {
		next = TAILQ_NEXT(c, next);
		conn_shutdown(c, CALL_END_SHUTDOWN);
	}
}
