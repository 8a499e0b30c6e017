/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "bytes.h"

#define TICK_US		20000u	/* repetitions and acks are looked after */
#define EVENTS		128
#define DRAIN_US	10000000u	/* for what is on its way at the end */
#define RX_ROUNDS	4
#define SOCKET_BUF	(16 << 20)
#define AGAIN_US	1000000u	/* a lost call waits up to this long */

static volatile sig_atomic_t stopped, asked;

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		asked = 1;
	else
		stopped = 1;
}

/* --- GRE ---------------------------------------------------------------- */

static void
flush(struct load *l)
{
	unsigned sent = 0;

	while (sent < l->tx_n) {
		int n = sendmmsg(l->gre, l->tx_msg + sent, l->tx_n - sent, 0);

		if (n > 0) {
			sent += (unsigned)n;
		} else if (errno != EINTR) {
			l->send_errors++;
			sent++;
		}
	}
	l->tx_n = 0;
}

uint8_t *
load_packet(struct load *l)
{
	if (l->tx_n == LOAD_BATCH)
		flush(l);
	return l->tx_data[l->tx_n];
}

void
load_sent(struct load *l, const struct call *c, size_t len)
{
	struct in_pktinfo info = { .ipi_spec_dst = c->source };
	struct msghdr *mh = &l->tx_msg[l->tx_n].msg_hdr;
	struct cmsghdr *cm;

	l->tx_iov[l->tx_n] = (struct iovec){ l->tx_data[l->tx_n], len };
	*mh = (struct msghdr){ .msg_name = &l->to,
	    .msg_namelen = sizeof(l->to), .msg_iov = &l->tx_iov[l->tx_n],
	    .msg_iovlen = 1, .msg_control = l->tx_control[l->tx_n].buf,
	    .msg_controllen = sizeof(l->tx_control[0].buf) };
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = IPPROTO_IP;
	cm->cmsg_type = IP_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cm), &info, sizeof(info));
	l->tx_n++;
}

static void
input(struct load *l, uint8_t *packet, size_t len)
{
	size_t head = (size_t)(packet[0] & 15) * 4;
	struct call *c;

	if (len < head + 8 || packet[9] != IPPROTO_GRE)
		return;
	c = l->by_id[get16(packet + head + 6)];
	if (!c || memcmp(packet + 12, &l->o->server, 4) != 0 ||
	    get16(packet + head + 2) != 0x880b || c->state < CALL_PPP ||
	    c->state == CALL_OVER) {
		l->foreign++;
		return;
	}
	call_gre(c, packet + head, len - head);
}

static void
receive(struct load *l)
{
	for (int round = 0; round < RX_ROUNDS; round++) {
		int n = recvmmsg(l->gre, l->rx_msg, LOAD_BATCH, MSG_DONTWAIT,
		    NULL);

		for (int i = 0; i < n; i++)
			input(l, l->rx_data[i], l->rx_msg[i].msg_len);
		if (n < (int)LOAD_BATCH)
			break;
	}
}

/* --- what happened to calls --------------------------------------------- */

void
load_up(struct load *l, struct call *c)
{
	l->up++;
	hist_add(&l->stage[STAGE_SYN], c->at[STAGE_UP] - c->at[STAGE_SYN]);
	for (unsigned i = STAGE_TCP; i < STAGES; i++) {
		/* The server may open IPCP before LCP's last answer. */
		if (c->at[i] >= c->at[i - 1] && c->at[i - 1] != 0)
			hist_add(&l->stage[i], c->at[i] - c->at[i - 1]);
	}
}

void
load_over(struct load *l, struct call *c)
{
	l->over++;
	if (c->at[STAGE_UP] != 0) {
		l->up--;
		if (c->failure)
			l->broken++;
	}
}

void
load_ip(struct load *l, struct call *c, uint8_t *packet, size_t len)
{
	traffic_input(l, c, packet, len);
}

/* --- calls -------------------------------------------------------------- */

static void
reset_call(struct load *l, struct call *c, unsigned i)
{
	const struct options *o = l->o;
	unsigned again = c->again;

	memset(c, 0, sizeof(*c));
	c->load = l;
	c->fd = -1;
	c->again = again;
	c->index = (uint16_t)i;
	c->id = (uint16_t)(1 + (l->first_id + i) % UINT16_MAX);
	l->by_id[c->id] = c;
	if (o->n_sources > 0)
		c->source.s_addr = htonl(ntohl(o->source.s_addr) +
		    i % o->n_sources);
	snprintf(c->user, sizeof(c->user), o->numbered ? "%s%u" : "%s",
	    o->user, i);
	ppp_init(&c->ppp, &call_ppp_io, c, c->user, o->password);
	c->ppp.early = o->early;
	c->flow = c->ppp.magic;
}

static void
start_due(struct load *l, uint64_t since)
{
	double due = l->o->calls;

	if (l->o->login_rate > 0)
		due = l->o->login_rate * (double)(l->now - since) / 1e6 + 1;
	while (l->started < l->o->calls && l->started < due &&
	    l->started - l->up - l->over < l->o->logins)
		call_start(&l->calls[l->started++]);
}

/* Calls that were up and ended log in anew, spread over a second. */
static void
start_again(struct load *l)
{
	for (unsigned i = 0; i < l->o->calls; i++) {
		struct call *c = &l->calls[i];

		if (c->state != CALL_OVER)
			continue;
		c->again++;
		l->over--;
		reset_call(l, c, i);
		c->at[STAGE_SYN] = l->now + (uint64_t)rand() % AGAIN_US;
	}
	for (unsigned i = 0; i < l->o->calls; i++) {
		struct call *c = &l->calls[i];

		if (c->state == CALL_IDLE && c->again > 0 &&
		    c->at[STAGE_SYN] <= l->now)
			call_start(c);
	}
}

/* --- the loop ----------------------------------------------------------- */

static void
tick(struct load *l)
{
	for (unsigned i = 0; i < l->started; i++)
		call_tick(&l->calls[i]);
}

static void
wait_for_events(struct load *l, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->epoll, events, EVENTS, timeout_ms);

	l->now = now_us();
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			receive(l);
		else
			call_ready(events[i].data.ptr);
	}
}

/* True while there is something to wait for. */
typedef bool (*phase_fn)(struct load *l, uint64_t since);

static void
run(struct load *l, phase_fn phase, int timeout_ms)
{
	uint64_t since, ticked;

	since = ticked = l->now = now_us();
	while (phase(l, since)) {
		flush(l);
		wait_for_events(l, timeout_ms);
		if (l->now - ticked >= TICK_US) {
			tick(l);
			ticked = l->now;
		}
	}
	flush(l);
}

static bool
logging_in(struct load *l, uint64_t since)
{
	start_due(l, since);
	return !stopped && l->up + l->over < l->o->calls;
}

static bool
proving(struct load *l, uint64_t since)
{
	return !stopped && traffic_proving(l) &&
	    (double)(l->now - since) < l->o->patience * 1e6;
}

/* With -a: tell when all are up again. */
static void
look_at_again(struct load *l)
{
	bool all = l->up == l->o->calls;

	start_again(l);
	if (l->lost_at == 0 && !all) {
		l->lost_at = l->now;
		l->none_told = false;
		printf("{\"event\":\"lost\",\"up\":%u}\n", l->up);
	} else if (l->up == 0 && !l->none_told) {
		l->none_told = true;
		printf("{\"event\":\"none\"}\n");
	} else if (l->lost_at != 0 && all) {
		printf("{\"event\":\"again\",\"up\":%u,\"ms\":%.1f}\n",
		    l->up, (double)(l->now - l->lost_at) / 1e3);
		l->lost_at = 0;
	}
	fflush(stdout);
}

/* SIGUSR1 came: tell when an echo has gone through every call since then. */
static void
look_at_heard(struct load *l)
{
	struct hist gaps = { 0 };

	if (asked) {
		asked = 0;
		l->asked_at = l->now;
	}
	if (l->asked_at == 0 || !traffic_heard(l, l->asked_at))
		return;
	traffic_gaps(l, &gaps);
	printf("{\"event\":\"heard\",\"up\":%u,", l->up);
	hist_print(stdout, "gap_ms", &gaps);
	puts("}");
	fflush(stdout);
	l->asked_at = 0;
}

static bool
working(struct load *l, uint64_t since)
{
	traffic_run(l, since);
	if (l->o->again)
		look_at_again(l);
	if (l->o->mode == MODE_ECHO)
		look_at_heard(l);
	return !stopped &&
	    (double)(l->now - since) < l->o->seconds * 1e6;
}

static bool
draining(struct load *l, uint64_t since)
{
	return traffic_stopping(l) && l->now - since < DRAIN_US;
}

static bool
hanging_up(struct load *l, uint64_t since)
{
	(void)since;
	return l->over < l->started;
}

/* --- result ------------------------------------------------------------- */

struct sums {
	uint64_t sent, received, bytes, bad, reordered, duplicate, plain,
	    undecryptable, gre_lost, gre_reordered, least, most, again;
};

static void
add_up(const struct load *l, struct sums *s)
{
	*s = (struct sums){ .least = UINT64_MAX };
	for (unsigned i = 0; i < l->o->calls; i++) {
		const struct call *c = &l->calls[i];
		uint64_t got = c->rx.received + c->far_received;

		s->sent += c->sent;
		if (c->rx.any && l->o->mode >= MODE_DOWN)
			s->sent += c->rx.highest + 1;
		s->received += got;
		s->bytes += c->rx.bytes;
		s->bad += c->rx.bad + c->far_bad;
		s->reordered += c->rx.reordered;
		s->duplicate += c->rx.duplicate;
		s->plain += c->ppp.plain;
		s->undecryptable += c->ppp.undecryptable;
		s->gre_lost += c->gre_lost;
		s->gre_reordered += c->gre_reordered;
		s->again += c->again;
		s->least = got < s->least ? got : s->least;
		s->most = got > s->most ? got : s->most;
	}
}

/* Reasons and how often; few kinds, so each is counted where it is first
 * seen. */
static void
print_failures(const struct load *l)
{
	const char *comma = "";

	printf("\"failures\":{");
	for (unsigned i = 0; i < l->o->calls; i++) {
		const char *why = l->calls[i].failure;
		unsigned n = 0, k;

		for (k = 0; why && k < l->o->calls; k++) {
			const char *other = l->calls[k].failure;

			if (!other || strcmp(why, other) != 0)
				continue;
			if (k < i)
				break;
			n++;
		}
		if (n > 0 && k == l->o->calls) {
			printf("%s\"%s\":%u", comma, why, n);
			comma = ",";
		}
	}
	printf("},");
}

static void
print_up(const struct load *l, uint64_t took)
{
	printf("{\"event\":\"up\",\"calls\":%u,\"up\":%u,\"ms\":%.1f}\n",
	    l->o->calls, l->up, (double)took / 1e3);
	fflush(stdout);
}

static bool
print_result(const struct load *l, unsigned up, uint64_t took)
{
	static const char *const stages[STAGES] = { "setup_ms", "tcp_ms",
	    "sccrp_ms", "ocrp_ms", "lcp_ms", "auth_ms", "network_ms" };
	double seconds = (double)took / 1e6;
	struct sums s;

	add_up(l, &s);
	printf("{\"event\":\"result\",\"calls\":%u,\"up\":%u,\"broken\":%u,"
	    "\"again\":%llu,", l->o->calls, up, l->broken,
	    (unsigned long long)s.again);
	print_failures(l);
	for (unsigned i = 0; i < STAGES; i++) {
		hist_print(stdout, stages[i], &l->stage[i]);
		putchar(',');
	}
	hist_print(stdout, "rtt_ms", &l->rtt);
	printf(",\"seconds\":%.3f,\"sent\":%llu,\"received\":%llu,"
	    "\"bad\":%llu,\"reordered\":%llu,\"duplicate\":%llu,"
	    "\"plain\":%llu,\"undecryptable\":%llu,\"gre_lost\":%llu,"
	    "\"gre_reordered\":%llu,\"foreign\":%llu,\"send_errors\":%llu,"
	    "\"least\":%llu,\"most\":%llu,\"pps\":%.1f,\"mbit\":%.2f}\n",
	    seconds, (unsigned long long)s.sent,
	    (unsigned long long)s.received, (unsigned long long)s.bad,
	    (unsigned long long)s.reordered, (unsigned long long)s.duplicate,
	    (unsigned long long)s.plain, (unsigned long long)s.undecryptable,
	    (unsigned long long)s.gre_lost,
	    (unsigned long long)s.gre_reordered,
	    (unsigned long long)l->foreign,
	    (unsigned long long)l->send_errors, (unsigned long long)s.least,
	    (unsigned long long)s.most,
	    took > 0 ? (double)s.received / seconds : 0,
	    took > 0 ? (double)s.received * l->o->size * 8e-6 / seconds : 0);
	return up == l->o->calls && (l->broken == 0 || l->o->again) &&
	    s.bad == 0 && s.plain == 0;
}

/* --- beginning and end -------------------------------------------------- */

static bool
open_sockets(struct load *l)
{
	int size = SOCKET_BUF;
	struct epoll_event e = { .events = EPOLLIN };

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->gre = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_GRE);
	if (l->gre < 0) {
		perror("pptpload: raw socket");
		return false;
	}
	setsockopt(l->gre, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(l->gre, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	for (unsigned i = 0; i < LOAD_BATCH; i++) {
		l->rx_iov[i] = (struct iovec){ l->rx_data[i], PACKET_MAX };
		l->rx_msg[i].msg_hdr.msg_iov = &l->rx_iov[i];
		l->rx_msg[i].msg_hdr.msg_iovlen = 1;
	}
	l->to.sin_family = AF_INET;
	l->to.sin_addr = l->o->server;
	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->gre, &e) == 0;
}

int
load_main(const struct options *o)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct load *l = calloc(1, sizeof(*l));
	uint64_t begun = now_us(), took = 0;
	unsigned up;
	bool ok;

	if (!l || !(l->calls = calloc(o->calls, sizeof(*l->calls))))
		return 2;
	l->o = o;
	/* A server may remember the calls of the last run. */
	if (getrandom(&l->first_id, sizeof(l->first_id), 0) < 0)
		return 2;
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	for (unsigned i = 0; i < o->calls; i++)
		reset_call(l, &l->calls[i], i);
	if (!open_sockets(l))
		return 2;
	run(l, logging_in, 5);
	print_up(l, now_us() - begun);
	if (o->mode != MODE_LOGIN) {
		if (o->mode != MODE_HOLD)
			run(l, proving, 10);
		begun = now_us();
		l->working = true;
		traffic_start(l);
		printf("{\"event\":\"begun\"}\n");
		fflush(stdout);
		run(l, working, o->pps > 0 ? 1 : 10);
		took = now_us() - begun;
		l->working = false;
		run(l, draining, 10);
	}
	up = l->up;
	for (unsigned i = 0; i < l->started; i++)
		call_hang_up(&l->calls[i]);
	run(l, hanging_up, 10);
	ok = print_result(l, up, took);
	free(l->calls);
	free(l);
	return ok ? 0 : 1;
}
