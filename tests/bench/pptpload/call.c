/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "call.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bytes.h"
#include "load.h"

#define GRE_PPP		0x880bu
#define GRE_KEY		0x2001u		/* key there, version 1 */
#define GRE_SEQ		0x1000u
#define GRE_ACK		0x0080u
#define ACK_EVERY	16u
#define END_US		5000000u
#define CONNECT_US	10000000u	/* before another attempt, with -a */

static void
over(struct call *c, const char *failure)
{
	if (c->state == CALL_OVER)
		return;
	if (c->state != CALL_ENDING)
		c->failure = failure;
	c->state = CALL_OVER;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	load_over(c->load, c);
}

static void
reached(struct call *c, enum stage stage)
{
	if (c->at[stage] == 0)
		c->at[stage] = c->load->now;
}

/* --- control connection ------------------------------------------------- */

static void
send_control(struct call *c, const uint8_t *buf, size_t len)
{
	/* A socket buffer has room for all that a client ever says. */
	if (send(c->fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		over(c, "control connection broken");
}

static void
watch(struct call *c, int how, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	epoll_ctl(c->load->epoll, how, c->fd, &e);
}

void
call_start(struct call *c)
{
	struct load *l = c->load;

	c->deadline = l->now + (uint64_t)(l->o->patience * 1e6);
	c->at[STAGE_SYN] = l->now;
	c->state = CALL_CONNECTING;
	c->fd = control_connect(l->o->server, c->source);
	if (c->fd < 0)
		over(c, "cannot connect");
	else
		watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
connected(struct call *c)
{
	uint8_t buf[CONTROL_MAX_LEN];
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		over(c, error == ECONNREFUSED ? "connection refused" :
		    "cannot connect");
		return;
	}
	reached(c, STAGE_TCP);
	c->state = CALL_SCCRQ;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	send_control(c, buf, control_sccrq(buf));
}

static void
call_is_there(struct call *c)
{
	uint8_t buf[CONTROL_MAX_LEN];

	reached(c, STAGE_OCRP);
	c->state = CALL_PPP;
	send_control(c, buf, control_sli(buf, c->peer_id));
	if (c->state == CALL_PPP)
		ppp_start(&c->ppp, c->load->now);
}

static void
message(struct call *c, const uint8_t *at, size_t n)
{
	uint8_t buf[CONTROL_MAX_LEN];

	switch (control_type_of(at)) {
	case SCCRP:
		if (c->state != CALL_SCCRQ)
			break;
		if (!control_sccrp_ok(at, n)) {
			over(c, "SCCRQ refused");
			break;
		}
		reached(c, STAGE_SCCRP);
		c->state = CALL_OCRQ;
		send_control(c, buf, control_ocrq(buf, c->id));
		break;
	case OCRP:
		if (c->state != CALL_OCRQ)
			break;
		if (control_ocrp_ok(at, n, c->id, &c->peer_id))
			call_is_there(c);
		else
			over(c, "OCRQ refused");
		break;
	case ECHO_RQ:
		send_control(c, buf, control_echo_rp(buf, at));
		break;
	case ECHO_RP:
		c->echo_open = false;
		break;
	case CDN:
		if (c->state == CALL_ENDING)
			send_control(c, buf, control_stop_ccrq(buf));
		else
			over(c, c->ppp.reason ? c->ppp.reason :
			    "call disconnected by the server");
		break;
	case STOP_CCRQ:
	case STOP_CCRP:
		over(c, "stopped by the server");
		break;
	default:
		break;
	}
}

static void
read_control(struct call *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len,
	    sizeof(c->in) - c->in_len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		over(c, "control connection closed");
		return;
	}
	c->in_len += (size_t)n;
	while (c->state != CALL_OVER) {
		size_t cut = control_cut(c->in, c->in_len);

		if (cut == 0)
			return;
		if (cut == SIZE_MAX) {
			over(c, "control connection out of step");
			return;
		}
		message(c, c->in, cut);
		memmove(c->in, c->in + cut, c->in_len - cut);
		c->in_len -= cut;
	}
}

void
call_ready(struct call *c)
{
	if (c->state == CALL_CONNECTING)
		connected(c);
	else if (c->fd >= 0)
		read_control(c);
}

/* --- GRE ---------------------------------------------------------------- */

/* Writes a header; returns its length. */
static size_t
gre_header(struct call *c, uint8_t *at, bool data, size_t payload)
{
	unsigned flags = GRE_KEY | (data ? GRE_SEQ : 0);
	size_t n = 8;

	if (data) {
		put32(at + n, c->tx_next++);
		n += 4;
	}
	if (c->unacked > 0) {
		flags |= GRE_ACK;
		put32(at + n, c->rx_high);
		n += 4;
		c->unacked = 0;
	}
	put16(at, (uint16_t)flags);
	put16(at + 2, GRE_PPP);
	put16(at + 4, (uint16_t)payload);
	put16(at + 6, c->peer_id);
	return n;
}

static void
send_frame(void *arg, uint8_t *frame, size_t len)
{
	struct call *c = arg;
	uint8_t *at = load_packet(c->load);
	size_t n = gre_header(c, at, true, len);

	memcpy(at + n, frame, len);
	load_sent(c->load, c, n + len);
}

static void
acknowledge(struct call *c)
{
	uint8_t *at = load_packet(c->load);

	load_sent(c->load, c, gre_header(c, at, false, 0));
}

/* False: older than what was passed on. */
static bool
in_order(struct call *c, uint32_t seq)
{
	uint32_t ahead = seq - c->rx_high;

	if (c->rx_any && (ahead == 0 || ahead > INT32_MAX)) {
		c->gre_reordered++;
		return false;
	}
	if (c->rx_any)
		c->gre_lost += ahead - 1;
	c->rx_any = true;
	c->rx_high = seq;
	return true;
}

void
call_gre(struct call *c, uint8_t *gre, size_t len)
{
	unsigned flags = get16(gre);
	size_t head = 8 + (flags & GRE_SEQ ? 4 : 0) + (flags & GRE_ACK ? 4 : 0);
	size_t payload = get16(gre + 4);
	bool fresh;

	if (len < head + payload || (flags & GRE_SEQ) == 0 || payload == 0)
		return;		/* an acknowledgment: we do not wait for any */
	fresh = in_order(c, get32(gre + 8));
	if (++c->unacked >= ACK_EVERY)
		acknowledge(c);
	/* While PPP is negotiated a late frame does no harm, its loss does. */
	if (fresh || c->state != CALL_UP)
		ppp_input(&c->ppp, gre + head, payload, c->load->now);
}

/* --- PPP ---------------------------------------------------------------- */

static void
got_ip(void *arg, uint8_t *packet, size_t len)
{
	struct call *c = arg;

	load_ip(c->load, c, packet, len);
}

static void
got_event(void *arg, enum ppp_event event)
{
	struct call *c = arg;

	switch (event) {
	case PPP_EV_LCP:
		reached(c, STAGE_LCP);
		break;
	case PPP_EV_AUTH:
		reached(c, STAGE_AUTH);
		break;
	case PPP_EV_UP:
		if (c->state != CALL_PPP)
			break;
		reached(c, STAGE_UP);
		c->state = CALL_UP;
		load_up(c->load, c);
		break;
	case PPP_EV_DOWN:
		/* The server disconnects the call now, as it should; if it
		 * does not, the deadline says so. */
		if (c->state == CALL_PPP || c->state == CALL_UP)
			c->deadline = c->load->now + END_US;
		break;
	}
}

const struct ppp_io call_ppp_io = { send_frame, got_ip, got_event };

void
call_send_ip(struct call *c, uint8_t *packet, size_t len)
{
	ppp_send_ip(&c->ppp, packet, len);
}

/* --- time --------------------------------------------------------------- */

static void
keep_alive(struct call *c)
{
	uint64_t every = (uint64_t)(c->load->o->keepalive * 1e6);
	uint8_t buf[CONTROL_MAX_LEN];

	if (every == 0 || c->state != CALL_UP || c->load->now < c->echo_at)
		return;
	if (c->echo_at != 0 && c->echo_open) {
		over(c, "the server is silent");
		return;
	}
	c->echo_at = c->load->now + every;
	c->echo_open = true;
	send_control(c, buf, control_echo_rq(buf, c->id));
}

void
call_tick(struct call *c)
{
	uint64_t now = c->load->now;

	if (c->state == CALL_IDLE || c->state == CALL_OVER)
		return;
	if (now >= c->deadline && (c->state != CALL_UP || c->ppp.down)) {
		over(c, c->ppp.reason ? c->ppp.reason : "timed out");
		return;
	}
	if (c->state == CALL_CONNECTING && c->load->o->again &&
	    now - c->at[STAGE_SYN] >= CONNECT_US) {
		over(c, "cannot connect");
		return;
	}
	if (c->state == CALL_PPP)
		ppp_tick(&c->ppp, now);
	if (c->unacked > 0)
		acknowledge(c);
	keep_alive(c);
}

void
call_hang_up(struct call *c)
{
	uint8_t buf[CONTROL_MAX_LEN];
	bool has_call = c->state == CALL_PPP || c->state == CALL_UP;

	if (c->state == CALL_ENDING || c->state == CALL_OVER)
		return;
	if (!has_call) {
		c->state = CALL_ENDING;
		over(c, NULL);
		return;
	}
	ppp_terminate(&c->ppp);
	c->state = CALL_ENDING;
	c->deadline = c->load->now + END_US;
	send_control(c, buf, control_ccrq(buf, c->id));
}
