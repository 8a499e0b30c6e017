/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records to the manager (event.h), and the one question.
 *
 * Nothing here blocks pppd but the question, and that for a bounded time.
 * pppd runs the exit notifier from a signal handler when it crashes:
 * everything on that way is send() and memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/ppp_defs.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plugin.h"
#include "event.h"
#include "record.h"


static int event_fd = -1;

static int first_sent;
static int lcp_started;		/* PHASE_ESTABLISH was seen */
static enum { STATUS_NONE, STATUS_IF_OVER, STATUS_DUE } status_pending;
static int status_sent;

static char claimed[sizeof(((struct ev *)0)->name)];

static int ip_is_up;
static int64_t ip_up_at;

static uint32_t addr_given;	/* by the options, network byte order */
static uint32_t addr_answer;	/* the manager's, 0: keep */
static int addr_asked;
static int choose_hooked;

static void (*next_snoop)(unsigned char *, int);
static void (*next_choose)(uint32_t *);

static void
send_event(struct ev *e)
{
	if (event_fd < 0)
		return;
	e->version = EV_VERSION;
	send(event_fd, e, sizeof(*e), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
send_value(enum ev_type type, int value)
{
	struct ev e = { .type = type, .value = value };

	send_event(&e);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What the options ask for, and what came of it. */

static int
ipv6_enabled(void)
{
	int i;

	/* Not by name: pppd may have been built without IPV6CP. */
	for (i = 0; protocols[i] != NULL; i++)
		if (protocols[i]->protocol == PPP_IPV6CP)
			return protocols[i]->enabled_flag;
	return 0;
}

static int
echo_enabled(void)
{
	const option_t *opt =
	    pptp_option_find(&lcp_protent, "lcp-echo-interval");

	return opt != NULL && *(int *)opt->addr > 0;
}

/* The option's variable says "refuse". */
static int
stateful_allowed(void)
{
	const option_t *opt = pptp_option_find(&ccp_protent, "mppe-stateful");

	return opt != NULL && !*(bool *)opt->addr;
}

static uint32_t
mppe_flags(unsigned int bits)
{
	uint32_t flags = 0;

	if (bits & MPPE_OPT_40)
		flags |= EV_F_MPPE_40;
	if (bits & MPPE_OPT_56)
		flags |= EV_F_MPPE_56;
	if (bits & MPPE_OPT_128)
		flags |= EV_F_MPPE_128;
	return flags;
}

static uint32_t
auth_flags(const lcp_options *lcp)
{
	uint32_t flags = 0;

	if (lcp->neg_upap)
		flags |= EV_F_AUTH_PAP;
	if (lcp->neg_eap)
		flags |= EV_F_AUTH_EAP;
	if (!lcp->neg_chap)
		return flags;
	if (lcp->chap_mdtype & MDTYPE_MD5)
		flags |= EV_F_AUTH_CHAP_MD5;
	if (lcp->chap_mdtype & MDTYPE_MICROSOFT)
		flags |= EV_F_AUTH_MSCHAP;
	if (lcp->chap_mdtype & MDTYPE_MICROSOFT_V2)
		flags |= EV_F_AUTH_MSCHAPV2;
	return flags;
}

/* What stays true from the options to the open link. */
static uint32_t
common_flags(void)
{
	uint32_t flags = 0;

	if (auth_required)
		flags |= EV_F_AUTH_REQUIRED;
	if (ipv6_enabled())
		flags |= EV_F_IPV6;
	if (echo_enabled())
		flags |= EV_F_ECHO;
	/* pppd has no optional MPPE: to want it is to require it. */
	if (ccp_wantoptions[0].mppe && ccp_protent.enabled_flag)
		flags |= EV_F_MPPE_REQUIRED;
	return flags;
}

static uint32_t
wanted_flags(void)
{
	uint32_t flags = common_flags() | auth_flags(&lcp_wantoptions[0]);

	if (flags & EV_F_MPPE_REQUIRED) {
		flags |= mppe_flags(ccp_wantoptions[0].mppe);
		if (stateful_allowed())
			flags |= EV_F_MPPE_STATEFUL;
	}
	return flags;
}

/* Encryption is in force when both directions have it. */
static uint32_t
mppe_in_force(void)
{
	unsigned int ours = ccp_gotoptions[0].mppe;
	unsigned int theirs = ccp_hisoptions[0].mppe;
	uint32_t flags = mppe_flags(ours & theirs);

	if (ccp_fsm[0].state != OPENED || flags == 0)
		return 0;
	if ((ours | theirs) & MPPE_OPT_STATEFUL)
		flags |= EV_F_MPPE_STATEFUL;
	return flags;
}

static enum ev_auth
chap_method(unsigned int mdtype)
{
	switch (CHAP_DIGEST(mdtype)) {
	case CHAP_MD5:
		return EV_AUTH_CHAP_MD5;
	case CHAP_MICROSOFT:
		return EV_AUTH_MSCHAP;
	case CHAP_MICROSOFT_V2:
		return EV_AUTH_MSCHAPV2;
	}
	return EV_AUTH_NONE;
}

/* The first that LCP got, in pppd's own order of preference. */
static enum ev_auth
auth_method(void)
{
	const lcp_options *got = &lcp_gotoptions[0];

	if (got->neg_eap)
		return EV_AUTH_EAP;
	if (got->neg_chap)
		return chap_method(got->chap_mdtype);
	if (got->neg_upap)
		return EV_AUTH_PAP;
	return EV_AUTH_NONE;
}

static uint32_t
auth_in_force(void)
{
	switch (auth_method()) {
	case EV_AUTH_NONE:
		break;
	case EV_AUTH_PAP:
		return EV_F_AUTH_PAP;
	case EV_AUTH_CHAP_MD5:
		return EV_F_AUTH_CHAP_MD5;
	case EV_AUTH_MSCHAP:
		return EV_F_AUTH_MSCHAP;
	case EV_AUTH_MSCHAPV2:
		return EV_F_AUTH_MSCHAPV2;
	case EV_AUTH_EAP:
		return EV_F_AUTH_EAP;
	}
	return 0;
}

/*
 * Exit status.  pppd decides on it around the start of termination, mostly
 * before lcp_close() but now and then just after, and may overwrite it with
 * "hangup" when the peer is silent later.  In between it goes through its
 * timers once, so a timer of no time reads the true one.
 */
static void
send_status(void)
{
	struct ev e = { .type = EV_STATUS, .value = ppp_status() };

	status_pending = STATUS_NONE;
	if (status_sent)
		return;
	status_sent = 1;
	memcpy(e.name, claimed, sizeof(e.name));
	send_event(&e);
}

static void
status_timer(void *arg)
{
	(void)arg;
	if (status_pending == STATUS_DUE ||
	    (status_pending == STATUS_IF_OVER && lcp_fsm[0].state < REQSENT))
		send_status();
	status_pending = STATUS_NONE;
}

static void
status_soon(int certain)
{
	if (status_sent)
		return;
	if (status_pending == STATUS_NONE)
		ppp_timeout(status_timer, NULL, 0, 0);
	if (status_pending != STATUS_DUE)
		status_pending = certain ? STATUS_DUE : STATUS_IF_OVER;
}

static void
on_phase(void *ctx, int entered)
{
	(void)ctx;
	switch (entered) {
	case PHASE_ESTABLISH:
		/* Not the first time: the peer took LCP down, to end the
		 * link or to negotiate anew. */
		if (lcp_started)
			status_soon(0);
		lcp_started = 1;
		break;
	case PHASE_TERMINATE:
		status_soon(1);
		break;
	case PHASE_DISCONNECT:
	case PHASE_DEAD:
		send_status();
		break;
	}
}

/* May run in a signal handler. */
static void
report_exit(void *ctx, int code)
{
	(void)ctx;
	if (status_pending == STATUS_DUE)
		send_status();
	send_value(EV_EXIT, code);
}

/*
 * The address.  The options give the client one of the pool before anyone
 * knows who it is.  When its name is known, the manager may prefer another,
 * if nobody with more to say has spoken: neither the secrets file (then
 * hisaddr is no longer the one of the options) nor RADIUS (whose hook we
 * call first).
 */

static int
await_answer(struct ev_addr_reply *ret_reply)
{
	int64_t end = now_ms() + EV_ADDR_WAIT_MS;
	struct ev_addr_reply reply;
	struct pollfd pfd = { .fd = event_fd, .events = POLLIN };
	int64_t left;
	ssize_t n;

	while ((left = end - now_ms()) > 0) {
		if (poll(&pfd, 1, (int)left) < 0 && errno != EINTR)
			return -1;
		n = recv(event_fd, &reply, sizeof(reply), MSG_DONTWAIT);
		if (n == (ssize_t)sizeof(reply) &&
		    reply.version == EV_VERSION) {
			*ret_reply = reply;
			return 0;
		}
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
	}
	return -1;
}

static uint32_t
ask_manager(uint32_t proposed)
{
	struct ev e = { .version = EV_VERSION, .type = EV_ADDR,
	    .remote = proposed, .auth = auth_method() };
	struct ev_addr_reply reply;

	/* Whatever is there already answers no question of ours. */
	while (recv(event_fd, &reply, sizeof(reply), MSG_DONTWAIT) > 0)
		;
	ppp_peer_authname(e.name, sizeof(e.name));
	if (send(event_fd, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ||
	    await_answer(&reply) < 0)
		return 0;
	return reply.remote;
}

static void
choose_address(uint32_t *hisaddr)
{
	uint32_t before = *hisaddr;
	uint32_t theirs = 0;

	if (next_choose != NULL)
		next_choose(&theirs);
	if (theirs != 0) {
		*hisaddr = theirs;
		return;
	}
	/* Somebody with more to say has chosen, or we have, and IPCP only
	 * begins again. */
	if (before != addr_given)
		return;
	if (!addr_asked) {
		addr_asked = 1;
		addr_answer = ask_manager(before);
	}
	if (addr_answer == 0 || addr_answer == before)
		return;
	/* Set first, then ask: RADIUS without an address of its own permits
	 * exactly what hisaddr says. */
	*hisaddr = addr_answer;
	if (!auth_ip_addr(0, addr_answer)) {
		warn("%I is not permitted to this user, keeping %I",
		    addr_answer, before);
		*hisaddr = before;
		addr_answer = 0;
	}
}

/*
 * The hook costs something even when it changes nothing: pppd then insists
 * on hisaddr.  So it is set only where pppd would insist anyway, and as late
 * as possible, to stand before all other plugins' hooks.
 */
static void
hook_choice(const char *peer)
{
	const ipcp_options *want = &ipcp_wantoptions[0];

	if (choose_hooked || event_fd < 0 || peer[0] == '\0' ||
	    addr_given == 0 || want->hisaddr != addr_given ||
	    want->accept_remote)
		return;
	choose_hooked = 1;
	next_choose = ip_choose_hook;
	ip_choose_hook = choose_address;
}

/* Comes also when nobody had to authenticate. */
static void
report_auth(void *ctx, int arg)
{
	struct ev e = { .type = EV_AUTH, .auth = auth_method() };

	(void)ctx;
	(void)arg;
	strlcpy(e.ifname, ppp_ifname(), sizeof(e.ifname));
	ppp_peer_authname(e.name, sizeof(e.name));
	send_event(&e);
	hook_choice(e.name);
}

static void
report_up(void *ctx, int arg)
{
	struct ev e = {
		.type = EV_UP,
		.flags = common_flags() | mppe_in_force() | auth_in_force(),
		.auth = auth_method(),
		.local = ipcp_gotoptions[0].ouraddr,
		.remote = ipcp_hisoptions[0].hisaddr,
		.mtu = (uint32_t)ppp_get_mtu(ppp_ifunit()),
	};

	(void)ctx;
	(void)arg;
	strlcpy(e.ifname, ppp_ifname(), sizeof(e.ifname));
	ppp_peer_authname(e.name, sizeof(e.name));
	ip_is_up = 1;
	ip_up_at = now_ms();
	send_event(&e);
	pptp_wtmp_login(e.ifname, e.name);
}

static void
report_down(void *ctx, int arg)
{
	struct ev e = { .type = EV_DOWN };

	(void)ctx;
	(void)arg;
	if (!ip_is_up)
		return;
	ip_is_up = 0;
	e.seconds = (uint32_t)((now_ms() - ip_up_at) / 1000);
	strlcpy(e.ifname, ppp_ifname(), sizeof(e.ifname));
	pptp_ifstats(e.ifname, &e.rx_bytes, &e.tx_bytes);
	send_event(&e);
	pptp_wtmp_logout(e.ifname);
}

/*
 * The name that the client gives for itself: pppd keeps it only when the
 * password was right, and the log needs it when it was not.
 */
static void
note_claimed_name(int protocol, const unsigned char *p, int len)
{
	int skip = -1;

	if (len < 5)
		return;
	if (protocol == PPP_CHAP && p[0] == 2)		/* Response */
		skip = 5 + p[4];
	else if (protocol == PPP_EAP && p[0] == 2 && p[4] == 1)
		skip = 5;				/* Identity */
	else if (protocol == PPP_PAP && p[0] == 1) {	/* Request */
		skip = 5;
		if (5 + p[4] < len)
			len = 5 + p[4];
	}
	if (protocol != PPP_PAP && len > (p[2] << 8 | p[3]))
		len = p[2] << 8 | p[3];
	if (skip < 0 || skip >= len)
		return;
	len -= skip;
	if (len > (int)sizeof(claimed) - 1)
		len = sizeof(claimed) - 1;
	memcpy(claimed, p + skip, len);
	claimed[len] = '\0';
}

/*
 * After the client's Terminate-Request pppd stays for one restart time, in
 * case its answer was lost: a second will do, the call's address waits.
 */
static void
shorten_goodbye(int protocol, const unsigned char *p, int len)
{
	if (protocol == PPP_LCP && len > 0 && p[0] == TERMREQ)
		lcp_fsm[0].timeouttime = 1;
}

/* Sees each control frame, of whatever protocol; data stays in the kernel. */
static void
snoop_frame(unsigned char *frame, int len)
{
	int protocol;

	if (next_snoop != NULL)
		next_snoop(frame, len);
	if (len < PPP_HDRLEN)
		return;
	protocol = frame[2] << 8 | frame[3];
	note_claimed_name(protocol, frame + PPP_HDRLEN, len - PPP_HDRLEN);
	shorten_goodbye(protocol, frame + PPP_HDRLEN, len - PPP_HDRLEN);
	if (first_sent)
		return;
	first_sent = 1;
	send_value(EV_FIRST, 0);
}

const char *
pptp_events_take(int fd)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return "not an open descriptor";
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    domain != AF_UNIX || type != SOCK_SEQPACKET)
		return "not a local SOCK_SEQPACKET socket";
	event_fd = fd;
	return NULL;
}

void
pptp_events_options_done(void)
{
	struct ev e = { .type = EV_CONFIG, .flags = wanted_flags() };

	/* Only where nothing stays in memory for it. */
	if (dryrun && pptp_record_possible())
		e.flags |= EV_F_WTMP;
	addr_given = ipcp_wantoptions[0].hisaddr;
	send_event(&e);
}

static int
nobody_listens(void)
{
	struct pollfd pfd = { .fd = event_fd };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR));
}

/* Something happened on the socket.  An answer is read where it is waited
 * for. */
static void
on_socket(int sig)
{
	int saved = errno;

	(void)sig;
	if (event_fd >= 0 && nobody_listens())
		kill(getpid(), SIGTERM);
	errno = saved;
}

/*
 * SIGTERM when nobody is left at the other end of the socket: nothing else
 * would reach us, the channel does not end with the manager.  Not when the
 * parent ends, the manager has a copy and may go on in its place.
 */
static int
tie_to_manager(void)
{
	struct sigaction sa = { .sa_handler = on_socket,
	    .sa_flags = SA_RESTART };
	int flags = fcntl(event_fd, F_GETFL);

	sigemptyset(&sa.sa_mask);
	/* A real-time signal: pppd takes SIGIO for a bug. */
	if (sigaction(SIGRTMIN, &sa, NULL) < 0 ||
	    fcntl(event_fd, F_SETSIG, SIGRTMIN) < 0 ||
	    fcntl(event_fd, F_SETOWN, getpid()) < 0 ||
	    fcntl(event_fd, F_SETFL, flags | O_ASYNC) < 0) {
		warn("pptpctrl: cannot watch the manager: %m");
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
			warn("prctl(PR_SET_PDEATHSIG): %m");
	}
	/* It may be gone already. */
	return nobody_listens() ? -1 : 0;
}

int
pptp_events_start(void)
{
	if (event_fd < 0)
		return 0;
	if (tie_to_manager() < 0)
		return -1;
	if (snoop_recv_hook != snoop_frame) {
		next_snoop = snoop_recv_hook;
		snoop_recv_hook = snoop_frame;
	}
	return 0;
}

void
pptp_events_bound(void)
{
	struct ev e = { .type = EV_BOUND, .flags = wanted_flags() };

	send_event(&e);
}

void
pptp_events_close(void)
{
	if (event_fd >= 0)
		close(event_fd);
	event_fd = -1;
}

void
pptp_events_init(void)
{
	ppp_add_notify(NF_PHASE_CHANGE, on_phase, NULL);
	ppp_add_notify(NF_AUTH_UP, report_auth, NULL);
	ppp_add_notify(NF_IP_UP, report_up, NULL);
	ppp_add_notify(NF_IP_DOWN, report_down, NULL);
	ppp_add_notify(NF_EXIT, report_exit, NULL);
}
