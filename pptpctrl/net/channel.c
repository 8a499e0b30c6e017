/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/senders.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif

#define GSO_MAX_BYTES	60000u	/* one IP packet with room to spare */
#define PTY_OUT_SIZE	32768u	/* some 20 full frames at their worst */
#define PTY_READ	8192	/* what a pty holds at most */
#define PTY_READS	16u	/* in a row, then others' turn */

/* --- L2TP --------------------------------------------------------------- */

void
l2tp_init(struct l2tp *l, int fd, bool by_session)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->by_session = by_session;
}

static bool
together(const struct l2tp *l, unsigned i, unsigned j)
{
	return !l->by_session || memcmp(l->out[i].at, l->out[j].at,
	    L2TP_HEADER) == 0;
}

/* How many frames from the i-th on can leave as one UDP_SEGMENT send: all of
 * one size, the last may be shorter. */
static unsigned
run_length(const struct l2tp *l, unsigned i)
{
	size_t size = l->out[i].len, total = size;
	unsigned n = 1;

	if (l->no_gso)
		return 1;
	while (i + n < l->n && l->out[i + n].len <= size &&
	    total + l->out[i + n].len <= GSO_MAX_BYTES &&
	    together(l, i, i + n)) {
		total += l->out[i + n].len;
		n++;
		if (l->out[i + n - 1].len < size)
			break;
	}
	return n;
}

struct gso_control {
	_Alignas(struct cmsghdr) char buf[CMSG_SPACE(sizeof(uint16_t))];
};

static void
set_segment(struct msghdr *mh, struct gso_control *gc, size_t size)
{
	uint16_t segment = (uint16_t)size;
	struct cmsghdr *cm;

	memset(gc, 0, sizeof(*gc));
	mh->msg_control = gc->buf;
	mh->msg_controllen = sizeof(gc->buf);
	cm = CMSG_FIRSTHDR(mh);
	cm->cmsg_level = IPPROTO_UDP;
	cm->cmsg_type = UDP_SEGMENT;
	cm->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(cm), &segment, sizeof(segment));
}

void
l2tp_flush(struct l2tp *l)
{
	struct mmsghdr msg[L2TP_BATCH];
	struct iovec iov[L2TP_BATCH];
	struct gso_control control[L2TP_BATCH];
	unsigned first[L2TP_BATCH + 1], n_msg = 0, sent = 0;

	if (l->senders) {
		senders_take_l2tp(l->senders, l);
		return;
	}
	for (unsigned i = 0; i < l->n; i++) {
		iov[i].iov_base = l->out[i].at;
		iov[i].iov_len = l->out[i].len;
	}
	for (unsigned i = 0; i < l->n; n_msg++) {
		struct msghdr *mh = &msg[n_msg].msg_hdr;
		unsigned run = run_length(l, i);

		memset(mh, 0, sizeof(*mh));
		mh->msg_iov = &iov[i];
		mh->msg_iovlen = run;
		if (run > 1)
			set_segment(mh, &control[n_msg], iov[i].iov_len);
		first[n_msg] = i;
		i += run;
	}
	first[n_msg] = l->n;
	while (sent < n_msg) {
		int r = sendmmsg(l->fd, msg + sent, n_msg - sent,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r > 0) {
			sent += (unsigned)r;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (msg[sent].msg_hdr.msg_iovlen > 1 &&
		    (errno == EINVAL || errno == EIO || errno == EOPNOTSUPP ||
		    errno == EMSGSIZE)) {
			/* No segmentation here: the rest one by one. */
			unsigned from = first[sent];

			l->no_gso = true;
			memmove(&l->out[0], &l->out[from],
			    (l->n - from) * sizeof(l->out[0]));
			l->n -= from;
			l2tp_flush(l);
			return;
		}
		/* ECONNREFUSED, ENOBUFS, EPERM...: this one is lost, as on
		 * any link; never the call. */
		l->n_dropped += first[sent + 1] - first[sent];
		sent++;
	}
	l->n = 0;
}

/* --- a call's channel --------------------------------------------------- */

void
channel_init(struct channel *c)
{
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

void
channel_l2tp(struct channel *c, struct l2tp *l, uint16_t tunnel,
    uint16_t session)
{
	channel_init(c);
	c->kind = CHANNEL_L2TP;
	c->l2tp = l;
	c->header[1] = 2;	/* data message, version 2, no options */
	c->header[2] = (uint8_t)(tunnel >> 8);
	c->header[3] = (uint8_t)tunnel;
	c->header[4] = (uint8_t)(session >> 8);
	c->header[5] = (uint8_t)session;
}

static void
pty_write(struct channel *c)
{
	size_t done = 0;

	if (!c->ready)
		return;
	while (done < c->out_len) {
		ssize_t n = write(c->fd, c->out + done, c->out_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	memmove(c->out, c->out + done, c->out_len - done);
	c->out_len -= done;
	if (c->waiting != (c->out_len > 0)) {
		c->waiting = c->out_len > 0;
		sd_event_source_set_io_events(c->io,
		    c->waiting ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

/* False: there is nothing more, for now or ever. */
static bool
pty_read_once(struct channel *c)
{
	uint8_t buf[PTY_READ];
	ssize_t n = read(c->fd, buf, sizeof(buf));
	size_t off = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		/* pppd closed its side; the launcher reports its end. */
		sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
		return false;
	}
	while (off < (size_t)n && c->kind == CHANNEL_PTY) {
		const uint8_t *frame;
		size_t len;

		off += hdlc_decode(c->dec, buf + off, (size_t)n - off, &frame,
		    &len);
		if (frame)
			c->rx(c->arg, frame, len);
	}
	return c->kind == CHANNEL_PTY;
}

/* One read gives three full frames at most, since N_TTY keeps 4 kB; but what
 * waits behind them moves up at once, so they need not leave by themselves. */
static void
pty_read(struct channel *c)
{
	for (unsigned i = 0; i < PTY_READS && pty_read_once(c); i++)
		;
	if (c->kind == CHANNEL_PTY)
		c->rx(c->arg, NULL, 0);
}

void
channel_read(struct channel *c)
{
	if (c->kind == CHANNEL_PTY)
		pty_read(c);
}

static int
on_pty(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct channel *c = arg;

	(void)src;
	(void)fd;
	if (revents & EPOLLOUT)
		pty_write(c);
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		pty_read(c);
	return 0;
}

int
channel_pty(struct channel *c, sd_event *loop, int fd, channel_rx_fn rx,
    void *arg)
{
	int r = -ENOMEM;

	channel_init(c);
	c->out = malloc(PTY_OUT_SIZE);
	c->dec = malloc(sizeof(*c->dec));
	if (c->out && c->dec)
		r = sd_event_add_io(loop, &c->io, fd, EPOLLIN, on_pty, c);
	if (r < 0) {
		free(c->out);
		free(c->dec);
		channel_init(c);
		close(fd);
		return r;
	}
	hdlc_dec_init(c->dec);
	c->kind = CHANNEL_PTY;
	c->fd = fd;
	c->rx = rx;
	c->arg = arg;
	return 0;
}

void
channel_ready(struct channel *c)
{
	c->ready = true;
	channel_flush(c);
}

void
channel_put(struct channel *c, uint8_t *frame, size_t len)
{
	struct l2tp *l = c->l2tp;

	switch (c->kind) {
	case CHANNEL_NONE:
		break;
	case CHANNEL_L2TP:
		if (l->n == L2TP_BATCH)
			l2tp_flush(l);
		if (len < CHANNEL_MIN) {
			memset(frame + len, 0, CHANNEL_MIN - len);
			len = CHANNEL_MIN;
		}
		memcpy(frame - L2TP_HEADER, c->header, L2TP_HEADER);
		l->out[l->n].at = frame - L2TP_HEADER;
		l->out[l->n].len = len + L2TP_HEADER;
		l->n++;
		c->n_put++;
		break;
	case CHANNEL_PTY:
		if (PTY_OUT_SIZE - c->out_len < HDLC_ENCODED_MAX(len))
			pty_write(c);
		if (PTY_OUT_SIZE - c->out_len < HDLC_ENCODED_MAX(len))
			c->n_dropped++;
		else
			/* The plugin sets both character maps to 0. */
			c->out_len += hdlc_encode(c->out + c->out_len,
			    PTY_OUT_SIZE - c->out_len, frame, len, 0);
		break;
	}
}

void
channel_flush(struct channel *c)
{
	if (c->kind == CHANNEL_L2TP)
		l2tp_flush(c->l2tp);
	else if (c->kind == CHANNEL_PTY && c->out_len > 0 && !c->waiting)
		pty_write(c);
}

void
channel_close(struct channel *c)
{
	if (c->kind == CHANNEL_PTY) {
		sd_event_source_disable_unref(c->io);
		close(c->fd);
		free(c->out);
		free(c->dec);
	}
	channel_init(c);
}
