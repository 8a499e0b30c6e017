/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/call_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net/session.h"
#include "net/worker.h"
#include "reason.h"

#define SESSION_LINE	256

/* ", user "x"" last on the line: the peer chose it. */
static const char *
user_text(const struct session *s, char *buf, size_t size)
{
	char name[LOG_ESCAPED_MAX(64)];

	buf[0] = '\0';
	if (s->user[0])
		snprintf(buf, size, ", user \"%s\"", log_escape(name,
		    sizeof(name), s->user));
	return buf;
}

static void
count_bytes(const struct session *s, uint64_t *ret_in, uint64_t *ret_out)
{
	bool kernel = s->worker->path == CONF_DP_KERNEL;

	*ret_in = kernel ? s->if_rx : s->flow.counts.rx_bytes;
	*ret_out = kernel ? s->if_tx : s->flow.counts.tx_bytes;
}

static bool
client_ended(const struct call *call)
{
	return call->end == CALL_END_CCR || call->end == CALL_END_STOPCCRQ ||
	    call->end == CALL_END_EOF || call->end == CALL_END_TCP;
}

/* A client that pppd sends away may clear the call before pppd is gone;
 * pppd's status is the reason all the same. */
static bool
ended_by_pppd(const struct session *s, const struct call *call, int status)
{
	if (call->end == CALL_END_PPPD)
		return true;
	if (!s->has_exited || !client_ended(call))
		return false;
	switch (status) {
	case 10:	/* negotiation failed */
		return !s->was_up && s->user_proven;
	case 11:	/* authentication failed */
		return !s->was_up;
	case 12:	/* idle */
	case 13:	/* time limit */
	case 15:	/* no answer to LCP echo */
	case 17:	/* loop */
	case 20:	/* traffic limit */
		return true;
	}
	return false;
}

/* Why it ended, as well as it can be known. */
static void
end_text(const struct session *s, const struct call *call, char *buf,
    size_t size)
{
	char ip[INET_ADDRSTRLEN], exit_text[160];
	uint64_t seconds = (worker_now(s->worker) - s->asked_ms) / 1000;
	int status = reason_status(s->exited.wait_status,
	    s->exited.plugin_status);
	bool by_pppd = ended_by_pppd(s, call, status);

	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	if (call->end == CALL_END_NO_GRE ||
	    (by_pppd && !s->was_up && !call->gre_seen && !s->pppd_seen &&
	    status != 2))
		snprintf(buf, size, "TCP is fine, no GRE from %s in %" PRIu64
		    " s: is IP protocol 47 blocked, or a NAT without PPTP "
		    "helper in between?", ip, seconds);
	else if (by_pppd && status == 11 && s->user[0])
		snprintf(buf, size, "authentication failed: wrong password "
		    "or unknown user");
	else if (by_pppd && status == 11)
		snprintf(buf, size, "authentication failed: the client "
		    "offers no method that the options file allows");
	else if (by_pppd && status == 10 && !s->was_up && s->user_proven &&
	    s->flow.filter.require_mppe)
		snprintf(buf, size, "the client refused, or did not answer "
		    "for, the encryption (MPPE) that the options file "
		    "requires");
	else if (by_pppd && s->has_exited)
		snprintf(buf, size, "%s", reason_exit(exit_text,
		    sizeof(exit_text), s->exited.wait_status,
		    s->exited.plugin_status));
	else if (call->end == CALL_END_LOST &&
	    s->exited.status == REP_EXIT_FAILED)
		snprintf(buf, size, "pppd could not be started: %s",
		    strerror(s->exited.error));
	else if (s->exited.status == REP_EXIT_CHANNEL &&
	    (call->end == CALL_END_LOST || client_ended(call)))
		snprintf(buf, size, "its L2TP session on the loopback pair "
		    "was deleted by another program");
	else if (call->end == CALL_END_LOST)
		snprintf(buf, size, "its per-call parent process was killed");
	else
		snprintf(buf, size, "%s", call_end_text(call->end));
}

/* What a line about s is about, for the journal. */
struct subject {
	struct log_about about;
	char user[LOG_ESCAPED_MAX(256)];
};

/* sub must live as long as what is returned; reason may be NULL. */
static const struct log_about *
about(struct subject *sub, const struct session *s, enum log_kind kind,
    const char *reason)
{
	sub->about = (struct log_about){ .kind = kind,
	    .call = s->flow.own_id, .peer = s->flow.peer.s_addr,
	    .shown_pid = conn_shown_pid(s->conn),
	    .user = log_escape(sub->user, sizeof(sub->user), s->user),
	    .ifname = s->ifname, .reason = reason };
	return &sub->about;
}

/* The line that log watchers such as fail2ban read: its form never changes,
 * and what the peer chose stands last. */
void
call_log_auth_failed(const struct session *s, const char *reason)
{
	char ip[INET_ADDRSTRLEN];
	struct subject sub;

	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	about(&sub, s, LOG_AUTH_FAILED, reason);
	log_about(&sub.about, LOG_WARNING, "auth failed peer=%s reason=%s "
	    "user=\"%s\"", ip, reason, sub.user);
}

void
call_log_ban(const struct session *s)
{
	char ip[INET_ADDRSTRLEN];
	struct subject sub;

	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	about(&sub, s, LOG_REFUSED, "banned");
	log_about(&sub.about, LOG_WARNING, "CTRL: Client %s banned for %u s "
	    "after failed logins, user \"%s\"", ip,
	    s->worker->conf->limits.ban_time.n, sub.user);
}

void
call_log_up(const struct session *s)
{
	char ip[INET_ADDRSTRLEN], assigned[INET_ADDRSTRLEN];
	char user[SESSION_LINE + 32];
	uint64_t ms = s->up_ms - s->asked_ms;
	struct subject sub;

	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	inet_ntop(AF_INET, &s->remote, assigned, sizeof(assigned));
	log_about(about(&sub, s, LOG_CALL_UP, NULL), LOG_INFO,
	    "call %u up: client %s, address %s, %s, %s, %s, datapath "
	    "%s, set up in %" PRIu64 ".%03" PRIu64 " s%s", s->flow.own_id, ip,
	    assigned, s->ifname, reason_auth(s->auth), reason_mppe(s->flags),
	    conf_datapath_name(s->worker->path), ms / 1000, ms % 1000,
	    user_text(s, user, sizeof(user)));
	if (s->auth == EV_AUTH_NONE)
		log_about(about(&sub, s, LOG_CALL_WEAK, "no password"),
		    LOG_WARNING, "call %u: client %s was let in without a "
		    "password", s->flow.own_id, ip);
	if (!(s->flags & (EV_F_MPPE_40 | EV_F_MPPE_56 | EV_F_MPPE_128)))
		log_about(about(&sub, s, LOG_CALL_WEAK, "not encrypted"),
		    LOG_WARNING, "call %u: client %s is not encrypted",
		    s->flow.own_id, ip);
}

static void
log_refused(const struct session *s, const char *ip)
{
	struct subject sub;
	uint32_t suppressed;

	if (!log_rate_ok(&s->worker->refuse_rate, worker_now(s->worker),
	    1000, &suppressed))
		return;
	if (s->exited.status == REP_OPEN_FULL)
		log_about(about(&sub, s, LOG_REFUSED, "busy"), LOG_WARNING,
		    "CTRL: Client %s refused (busy): all %u connections "
		    "or addresses of remoteip are in use", ip,
		    s->worker->conf->connections);
	else if (s->exited.status == REP_OPEN_FAILED &&
	    s->exited.error == EALREADY)
		log_about(about(&sub, s, LOG_REFUSED, "call id"), LOG_WARNING,
		    "CTRL: Client %s refused: another call from this "
		    "address has the same call id %u (a NAT without PPTP "
		    "helper, or a client that lost its old call); datapath "
		    "relay can tell them apart", ip, s->flow.peer_id);
	else
		log_about(about(&sub, s, LOG_REFUSED, "no channel"),
		    LOG_WARNING, "CTRL: Client %s refused: no channel: %s", ip,
		    strerror(s->exited.error ? s->exited.error : ENOMEM));
	if (suppressed)
		log_warn("CTRL: %u more refusals not shown", suppressed);
}

/* What the relay dropped, for those who ask why a call was slow. */
static void
log_drops(const struct session *s)
{
	char line[SESSION_LINE];
	size_t n = 0;

	line[0] = '\0';
	for (int i = 0; i < DROP_KINDS; i++) {
		uint32_t count = s->flow.counts.drop[i];

		if (count > 0 && n < sizeof(line) - 32)
			n += (size_t)snprintf(line + n, sizeof(line) - n,
			    " %s %u", flow_drop_names[i], count);
	}
	if (n > 0 || s->flow.reorder.n_reordered > 0)
		log_debug("call %u: reordered %u lost %u dropped:%s",
		    s->flow.own_id, s->flow.reorder.n_reordered,
		    s->flow.reorder.n_lost, line);
}

void
call_log_end(const struct session *s, const struct call *call)
{
	char ip[INET_ADDRSTRLEN], assigned[INET_ADDRSTRLEN];
	char why[SESSION_LINE], user[SESSION_LINE + 32];
	struct subject sub;
	uint64_t in, out;

	log_drops(s);
	inet_ntop(AF_INET, &s->flow.peer, ip, sizeof(ip));
	if (call->end == CALL_END_REFUSED || !s->opened) {
		log_refused(s, ip);
		return;
	}
	end_text(s, call, why, sizeof(why));
	user_text(s, user, sizeof(user));
	if (!s->was_up) {
		log_about(about(&sub, s, LOG_CALL_FAILED, why), LOG_WARNING,
		    "call %u failed: client %s: %s%s", s->flow.own_id, ip,
		    why, user);
		return;
	}
	inet_ntop(AF_INET, &s->remote, assigned, sizeof(assigned));
	count_bytes(s, &in, &out);
	log_about(about(&sub, s, LOG_CALL_ENDED, why), LOG_INFO,
	    "call %u ended: client %s, address %s, %s, %" PRIu64 " s, %"
	    PRIu64 " bytes in, %" PRIu64 " bytes out: %s%s", s->flow.own_id,
	    ip, assigned, s->ifname,
	    (worker_now(s->worker) - s->up_ms) / 1000, in, out, why, user);
}
