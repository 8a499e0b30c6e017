/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The far end of bulk flows, on the server's side: takes datagrams and
 * acknowledges them, or sends as fast as its window is acknowledged.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "flow.h"
#include "pptpload.h"

#define BATCH		32u
#define FLOWS		4096u	/* a power of two */
#define SILENT_US	3000000u
#define SIZE_MAX_UDP	1500u

struct sink_flow {
	struct sockaddr_in peer;
	uint32_t flow;			/* as its first datagram called it */
	struct flow_rx rx;
	unsigned unacked;
	uint64_t heard_at;
	/* when it sends */
	bool sends;
	uint32_t size, window, next, acked;
};

struct sink {
	int fd;
	uint64_t now;
	struct sink_flow *flows;	/* FLOWS, by hash of address */
	uint8_t in[BATCH][SIZE_MAX_UDP], out[SIZE_MAX_UDP];
};

static volatile sig_atomic_t ended;

static void
on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

/* The flow from an address; NULL: the table is full. */
static struct sink_flow *
find(struct sink *s, const struct sockaddr_in *peer)
{
	uint32_t h = (peer->sin_addr.s_addr ^ peer->sin_port) * 2654435761u;

	for (unsigned i = 0; i < FLOWS; i++) {
		struct sink_flow *f = &s->flows[((h >> 16) + i) & (FLOWS - 1)];

		if (f->peer.sin_port == peer->sin_port &&
		    f->peer.sin_addr.s_addr == peer->sin_addr.s_addr)
			return f;
		if (f->peer.sin_port == 0) {
			f->peer = *peer;
			return f;
		}
	}
	return NULL;
}

static void
send_head(struct sink *s, struct sink_flow *f, const struct flow_head *h,
    size_t len)
{
	flow_write(s->out, len, h);
	(void)!sendto(s->fd, s->out, len, MSG_DONTWAIT,
	    (struct sockaddr *)&f->peer, sizeof(f->peer));
}

static void
acknowledge(struct sink *s, struct sink_flow *f, uint32_t flow, uint64_t stamp)
{
	struct flow_head h = { .kind = FLOW_ACK, .flow = flow,
	    .number = f->rx.highest, .a = (uint32_t)f->rx.received,
	    .b = (uint32_t)(f->rx.bad + f->rx.duplicate), .stamp = stamp };

	f->unacked = 0;
	send_head(s, f, &h, FLOW_MIN);
}

static void
fill(struct sink *s, struct sink_flow *f)
{
	while (f->next - f->acked < f->window) {
		struct flow_head h = { .kind = FLOW_DATA, .flow = f->flow,
		    .number = f->next++, .stamp = s->now };

		send_head(s, f, &h, f->size);
	}
}

static void
input(struct sink *s, const struct sockaddr_in *peer, const uint8_t *at,
    size_t len)
{
	struct sink_flow *f = find(s, peer);
	struct flow_head h;

	if (!f)
		return;
	f->heard_at = s->now;
	if (!flow_read(at, len, &h)) {
		f->rx.bad++;
		return;
	}
	if (f->flow != h.flow) {	/* another run from the same address */
		*f = (struct sink_flow){ .peer = *peer, .flow = h.flow,
		    .heard_at = s->now };
	}
	switch (h.kind) {
	case FLOW_DATA:
		flow_received(&f->rx, h.number, len);
		if (++f->unacked >= FLOW_ACK_EVERY)
			acknowledge(s, f, h.flow, h.stamp);
		break;
	case FLOW_ACK:
		if (h.number - f->acked < f->window)
			f->acked = h.number + 1;
		break;
	case FLOW_START:
		f->sends = true;
		f->size = h.a < FLOW_MIN ? FLOW_MIN :
		    h.a > SIZE_MAX_UDP ? SIZE_MAX_UDP : h.a;
		f->window = h.b;
		break;
	case FLOW_STOP:
		f->sends = false;
		acknowledge(s, f, h.flow, h.stamp);
		break;
	}
}

static void
receive(struct sink *s)
{
	struct mmsghdr msg[BATCH] = { 0 };
	struct sockaddr_in from[BATCH];
	struct iovec iov[BATCH];
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ s->in[i], SIZE_MAX_UDP };
		msg[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
		    .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i],
		    .msg_iovlen = 1 };
	}
	n = recvmmsg(s->fd, msg, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		input(s, &from[i], s->in[i], msg[i].msg_len);
}

static void
keep_sending(struct sink *s)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct sink_flow *f = &s->flows[i];

		if (!f->sends)
			continue;
		if (s->now - f->heard_at > SILENT_US)
			f->sends = false;
		else if (s->now - f->heard_at > FLOW_STALL_US)
			f->acked = f->next;
		fill(s, f);
	}
}

int
sink_main(const struct options *o)
{
	struct sink *s = calloc(1, sizeof(*s));
	struct sockaddr_in own = { .sin_family = AF_INET,
	    .sin_addr = o->server, .sin_port = htons(FLOW_PORT) };
	struct sigaction act = { .sa_handler = on_signal };
	int size = 8 << 20;

	s->flows = calloc(FLOWS, sizeof(*s->flows));
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (bind(s->fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
		perror("pptpload: bind");
		return 2;
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	printf("{\"event\":\"ready\"}\n");
	fflush(stdout);
	while (!ended) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };

		poll(&p, 1, 20);
		s->now = now_us();
		receive(s);
		keep_sending(s);
	}
	free(s->flows);
	free(s);
	return 0;
}
