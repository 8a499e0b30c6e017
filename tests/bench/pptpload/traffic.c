/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "load.h"

#include "bytes.h"

#define IP_HEADER	20u
#define INNER_HEADER	28u	/* with UDP's or ICMP's */
#define BURST		256u	/* paced packets sent before others' turn */
#define ICMP_ECHO	8u
#define FIRST_PORT	20000u
#define PORTS		16384u
#define PROOF		UINT32_MAX	/* number of the first echo */
#define PROVE_US	300000u

static bool
sends(const struct options *o)
{
	return o->mode == MODE_UP || o->mode == MODE_BOTH;
}

static bool
wants(const struct options *o)
{
	return o->mode == MODE_DOWN || o->mode == MODE_BOTH;
}

static uint16_t
sum16(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(at + i);
	if (len & 1)
		sum += (uint32_t)at[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void
ip_header(uint8_t *at, size_t len, uint8_t protocol, struct in_addr from,
    struct in_addr to)
{
	memset(at, 0, IP_HEADER);
	at[0] = 0x45;
	put16(at + 2, (uint16_t)len);
	at[8] = 64;
	at[9] = protocol;
	memcpy(at + 12, &from, 4);
	memcpy(at + 16, &to, 4);
	put16(at + 10, sum16(at, IP_HEADER));
}

/* A datagram of size bytes in all. */
static void
send_udp(struct call *c, size_t size, const struct flow_head *h)
{
	uint8_t buf[PPP_HEADROOM + PACKET_MAX], *at = buf + PPP_HEADROOM;
	const struct options *o = c->load->o;

	ip_header(at, size, IPPROTO_UDP, c->ppp.own,
	    o->target.s_addr != 0 ? o->target : c->ppp.peer);
	put16(at + 20, (uint16_t)(FIRST_PORT + c->index % PORTS));
	put16(at + 22, FLOW_PORT);
	put16(at + 24, (uint16_t)(size - IP_HEADER));
	put16(at + 26, 0);		/* no checksum: MPPE's cost counts */
	flow_write(at + INNER_HEADER, size - INNER_HEADER, h);
	call_send_ip(c, at, size);
}

static void
send_short(struct call *c, enum flow_kind kind, uint32_t number, uint32_t a,
    uint32_t b)
{
	struct flow_head h = { .kind = kind, .flow = c->flow,
	    .number = number, .a = a, .b = b };

	send_udp(c, INNER_HEADER + FLOW_MIN, &h);
}

static void
send_data(struct call *c)
{
	struct flow_head h = { .kind = FLOW_DATA, .flow = c->flow,
	    .number = c->tx_number++, .stamp = c->load->now };

	c->sent++;
	send_udp(c, c->load->o->size, &h);
}

static void
send_echo(struct call *c, uint32_t number)
{
	uint8_t buf[PPP_HEADROOM + PACKET_MAX], *at = buf + PPP_HEADROOM;
	size_t size = c->load->o->size;
	struct flow_head h = { .kind = FLOW_DATA, .flow = c->flow,
	    .number = number, .stamp = c->load->now };

	ip_header(at, size, IPPROTO_ICMP, c->ppp.own, c->ppp.peer);
	memset(at + IP_HEADER, 0, 8);
	at[IP_HEADER] = ICMP_ECHO;
	put16(at + IP_HEADER + 4, c->index);
	put16(at + IP_HEADER + 6, (uint16_t)number);
	flow_write(at + INNER_HEADER, size - INNER_HEADER, &h);
	put16(at + IP_HEADER + 2, sum16(at + IP_HEADER, size - IP_HEADER));
	call_send_ip(c, at, size);
}

static void
fill_window(struct call *c)
{
	while (c->tx_number - c->acked < c->load->o->window)
		send_data(c);
}

/* --- all calls ---------------------------------------------------------- */

static bool
paced(const struct options *o)
{
	return o->mode == MODE_ECHO || (sends(o) && o->pps > 0);
}

static void
start_call(struct call *c)
{
	const struct options *o = c->load->o;

	c->acked_at = c->load->now;
	if (wants(o))
		send_short(c, FLOW_START, 0, o->size - INNER_HEADER,
		    o->window);
	if (sends(o) && !paced(o))
		fill_window(c);
}

static void
each_up(struct load *l, void (*what)(struct call *c))
{
	for (unsigned i = 0; i < l->o->calls; i++) {
		if (l->calls[i].state == CALL_UP)
			what(&l->calls[i]);
	}
}

bool
traffic_proving(struct load *l)
{
	bool any = false;

	for (unsigned i = 0; i < l->o->calls; i++) {
		struct call *c = &l->calls[i];

		if (c->state != CALL_UP || c->proved)
			continue;
		any = true;
		if (l->now >= c->prove_at) {
			c->prove_at = l->now + PROVE_US;
			send_echo(c, PROOF);
		}
	}
	return any;
}

void
traffic_start(struct load *l)
{
	if (sends(l->o) || wants(l->o))
		each_up(l, start_call);
}

/* Silence: what was sent is lost, or the sink has not heard of us. */
static void
look_at_stall(struct call *c)
{
	if (c->load->now - c->acked_at < FLOW_STALL_US)
		return;
	c->acked = c->tx_number;
	start_call(c);
}

/* Packets that are due by now, one call after the other. */
static void
run_paced(struct load *l, uint64_t since)
{
	double due = l->o->pps * (double)(l->now - since) / 1e6;
	unsigned burst = 0;
	bool any = true;

	while (any && burst < BURST) {
		any = false;
		for (unsigned i = 0; i < l->o->calls; i++) {
			struct call *c = &l->calls[i];

			if (c->state != CALL_UP || (double)c->sent >= due)
				continue;
			if (l->o->mode == MODE_ECHO) {
				send_echo(c, c->tx_number++);
				c->sent++;
			} else {
				send_data(c);
			}
			any = true;
			burst++;
		}
	}
}

void
traffic_run(struct load *l, uint64_t since)
{
	if (paced(l->o))
		run_paced(l, since);
	else if (sends(l->o) || wants(l->o))
		each_up(l, look_at_stall);
}

static bool
call_stopping(struct call *c)
{
	const struct options *o = c->load->o;

	if (o->mode == MODE_ECHO)
		return c->rx.received + c->rx.duplicate < c->sent;
	if (c->settled || o->mode == MODE_HOLD)
		return false;
	if (c->load->now >= c->stop_at) {
		c->stop_at = c->load->now + FLOW_STALL_US;
		send_short(c, FLOW_STOP, c->tx_number, 0, 0);
	}
	return true;
}

bool
traffic_stopping(struct load *l)
{
	bool any = false;

	for (unsigned i = 0; i < l->o->calls; i++) {
		struct call *c = &l->calls[i];

		if (c->state == CALL_UP && call_stopping(c))
			any = true;
	}
	return any;
}

/* --- silence ------------------------------------------------------------- */

bool
traffic_heard(const struct load *l, uint64_t since)
{
	for (unsigned i = 0; i < l->o->calls; i++) {
		const struct call *c = &l->calls[i];

		if (c->state == CALL_UP && c->echo_sent <= since)
			return false;
	}
	return true;
}

void
traffic_gaps(struct load *l, struct hist *ret)
{
	for (unsigned i = 0; i < l->o->calls; i++) {
		struct call *c = &l->calls[i];

		if (c->state != CALL_UP)
			continue;
		hist_add(ret, c->gap);
		c->gap = 0;
	}
}

static void
got_echo(struct load *l, struct call *c, const struct flow_head *h, size_t len)
{
	flow_received(&c->rx, h->number, len);
	hist_add(&l->rtt, l->now - h->stamp);
	if (c->heard_at != 0 && l->now - c->heard_at > c->gap)
		c->gap = l->now - c->heard_at;
	c->heard_at = l->now;
	if (h->stamp > c->echo_sent)
		c->echo_sent = h->stamp;
}

/* --- what arrives ------------------------------------------------------- */

static void
got_data(struct call *c, const struct flow_head *h, size_t len)
{
	flow_received(&c->rx, h->number, len);
	c->acked_at = c->load->now;
	if (++c->rx_unacked >= FLOW_ACK_EVERY) {
		c->rx_unacked = 0;
		send_short(c, FLOW_ACK, c->rx.highest, 0, 0);
	}
}

static void
got_ack(struct call *c, const struct flow_head *h)
{
	c->far_received = h->a;
	c->far_bad = h->b;
	c->settled = h->stamp == 0;	/* the answer to FLOW_STOP */
	c->acked_at = c->load->now;
	if (h->number - c->acked < c->load->o->window)
		c->acked = h->number + 1;
	if (sends(c->load->o) && !paced(c->load->o) &&
	    c->load->working)
		fill_window(c);
}

void
traffic_input(struct load *l, struct call *c, uint8_t *packet, size_t len)
{
	size_t head = len >= INNER_HEADER ? (packet[0] & 15) * 4u : 0;
	struct flow_head h;

	if (head < IP_HEADER || len < head + 8)
		return;
	if (packet[9] == IPPROTO_ICMP && packet[head] != 0)
		return;		/* an error, or an echo request */
	if (packet[9] != IPPROTO_ICMP && packet[9] != IPPROTO_UDP)
		return;		/* multicasts of the server */
	if (!flow_read(packet + head + 8, len - head - 8, &h) ||
	    h.flow != c->flow) {
		c->rx.bad++;
		return;
	}
	if (packet[9] == IPPROTO_ICMP && h.number == PROOF) {
		c->proved = true;
	} else if (packet[9] == IPPROTO_ICMP) {
		got_echo(l, c, &h, len);
	} else if (h.kind == FLOW_DATA) {
		got_data(c, &h, len);
	} else if (h.kind == FLOW_ACK) {
		got_ack(c, &h);
	}
}
