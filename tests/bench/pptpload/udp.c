/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams to or from a sink through whatever leads there: packets per
 * second of a call whose client is not ours, sent in batches so that the
 * sender's system calls do not set the pace.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"
#include "pptpload.h"

#define BATCH		64u
#define HEADERS		28u	/* IP and UDP, of options' size */
#define DRAIN_US	300000u

struct udp {
	const struct options *o;
	int fd;
	uint32_t flow, next, acked;
	uint64_t now, heard_at;
	uint32_t far_received, far_bad;
	struct flow_rx rx;
	unsigned unacked;
	uint8_t out[BATCH][1500], in[BATCH][1500];
};

static void
send_short(struct udp *u, enum flow_kind kind, uint32_t number)
{
	struct flow_head h = { .kind = kind, .flow = u->flow,
	    .number = number, .a = u->o->size - HEADERS, .b = u->o->window };

	flow_write(u->in[0], FLOW_MIN, &h);
	(void)!send(u->fd, u->in[0], FLOW_MIN, MSG_DONTWAIT);
}

static void
send_window(struct udp *u)
{
	struct mmsghdr msg[BATCH] = { 0 };
	struct iovec iov[BATCH];
	size_t len = u->o->size - HEADERS;
	unsigned n = 0;
	int sent;

	while (n < BATCH && u->next + n - u->acked < u->o->window) {
		struct flow_head h = { .kind = FLOW_DATA, .flow = u->flow,
		    .number = u->next + n, .stamp = u->now };

		flow_write(u->out[n], len, &h);
		iov[n] = (struct iovec){ u->out[n], len };
		msg[n].msg_hdr.msg_iov = &iov[n];
		msg[n].msg_hdr.msg_iovlen = 1;
		n++;
	}
	sent = n > 0 ? sendmmsg(u->fd, msg, n, MSG_DONTWAIT) : 0;
	if (sent > 0)
		u->next += (uint32_t)sent;
}

static void
input(struct udp *u, const uint8_t *at, size_t len)
{
	struct flow_head h;

	u->heard_at = u->now;
	if (!flow_read(at, len, &h) || h.flow != u->flow) {
		u->rx.bad++;
	} else if (h.kind == FLOW_DATA) {
		flow_received(&u->rx, h.number, len);
		u->unacked++;
	} else if (h.kind == FLOW_ACK) {
		u->far_received = h.a;
		u->far_bad = h.b;
		if (h.number - u->acked < u->o->window)
			u->acked = h.number + 1;
	}
}

static void
receive(struct udp *u)
{
	struct mmsghdr msg[BATCH] = { 0 };
	struct iovec iov[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ u->in[i], sizeof(u->in[i]) };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(u->fd, msg, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		input(u, u->in[i], msg[i].msg_len);
	if (u->unacked >= FLOW_ACK_EVERY) {
		u->unacked = 0;
		send_short(u, FLOW_ACK, u->rx.highest);
	}
}

static void
wait_for_input(struct udp *u)
{
	struct pollfd p = { .fd = u->fd, .events = POLLIN };

	poll(&p, 1, 10);
	u->now = now_us();
	receive(u);
}

static void
run(struct udp *u, bool up)
{
	uint64_t end = u->now + (uint64_t)(u->o->seconds * 1e6);

	while (u->now < end) {
		if (u->now - u->heard_at >= FLOW_STALL_US) {
			u->heard_at = u->now;
			u->acked = u->next;
			if (!up)
				send_short(u, FLOW_START, 0);
		}
		if (up)
			send_window(u);
		wait_for_input(u);
	}
}

int
udp_main(const struct options *o)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_addr = o->server, .sin_port = htons(FLOW_PORT) };
	static struct udp u;
	bool up = o->mode == MODE_UDP_UP;
	uint64_t begun, got;
	double seconds;

	u.o = o;
	u.flow = (uint32_t)getpid();
	u.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (u.fd < 0 ||
	    connect(u.fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("pptpload: connect");
		return 2;
	}
	begun = u.now = now_us();
	run(&u, up);
	seconds = (double)(u.now - begun) / 1e6;
	while (u.now - begun < seconds * 1e6 + DRAIN_US) {
		send_short(&u, FLOW_STOP, u.next);
		wait_for_input(&u);
	}
	got = up ? u.far_received : u.rx.received;
	printf("{\"event\":\"result\",\"received\":%llu,\"bad\":%llu,"
	    "\"reordered\":%llu,\"seconds\":%.3f,\"pps\":%.1f}\n",
	    (unsigned long long)got,
	    (unsigned long long)(up ? u.far_bad : u.rx.bad),
	    (unsigned long long)u.rx.reordered, seconds,
	    (double)got / seconds);
	return got == 0;
}
