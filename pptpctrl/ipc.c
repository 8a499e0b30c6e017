/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_MAX	65536u	/* messages: every call ending at once */
#define READ_BURST	64	/* messages per wakeup, then others' turn */
#define SOCKET_BUF	(1 << 20)

struct queued {
	STAILQ_ENTRY(queued) next;
	int fd;
	size_t len;
	unsigned char buf[];
};

struct ipc {
	int fd;
	sd_event_source *io;
	ipc_fn fn;
	void *arg;
	bool *freed;		/* set when freed inside the handler */
	unsigned n_queued;
	STAILQ_HEAD(, queued) queue;
};

int
ipc_pair(int ret_fd[2])
{
	int fd[2], size = SOCKET_BUF;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, fd) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		/* More than the administrator's limit if we may. */
		if (setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
		    sizeof(size)) < 0)
			setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size,
			    sizeof(size));
	memcpy(ret_fd, fd, sizeof(fd));
	return 0;
}

long
ipc_send_now(int sock, const void *buf, size_t len, int fd)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf,
	    .iov_len = len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *cm;

		memset(&u, 0, sizeof(u));
		mh.msg_control = u.buf;
		mh.msg_controllen = sizeof(u.buf);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int
take_fd(struct msghdr *mh)
{
	int first = -1;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm;
	    cm = CMSG_NXTHDR(mh, cm)) {
		size_t n;

		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(fd));
			if (first < 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

long
ipc_recv(int fd, void *buf, size_t size, int *ret_fd)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} u;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = u.buf, .msg_controllen = sizeof(u.buf) };
	long n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int got;

	/* The other end closed without reading all that we sent.  Linux says
	 * so once, before what it had sent itself. */
	if (n < 0 && errno == ECONNRESET)
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return -1;
	got = take_fd(&mh);
	/* None of what was sent arrived: this process may open nothing more.
	 * That is no fault of the sender's. */
	if (got < 0 && (mh.msg_flags & MSG_CTRUNC)) {
		mh.msg_flags &= ~MSG_CTRUNC;
		got = IPC_FD_LOST;
	}
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		if (got >= 0)
			close(got);
		errno = EMSGSIZE;
		return -1;
	}
	/* An empty message is taken for the end, but may come with one. */
	if (n == 0 && got >= 0)
		close(got);
	if (n == 0)
		got = -1;
	*ret_fd = got;
	return n;
}

/* Will what was not sent go later?  ETOOMANYREFS: the other end has so many
 * descriptors still to receive. */
static bool
is_busy(void)
{
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ||
	    errno == ENOMEM || errno == ETOOMANYREFS;
}

static void
flush_queue(struct ipc *ipc)
{
	struct queued *q;

	while ((q = STAILQ_FIRST(&ipc->queue))) {
		if (ipc_send_now(ipc->fd, q->buf, q->len, q->fd) < 0 &&
		    is_busy())
			return;
		/* Sent, or the other end is gone: reading will say so. */
		STAILQ_REMOVE_HEAD(&ipc->queue, next);
		ipc->n_queued--;
		if (q->fd >= 0)
			close(q->fd);
		free(q);
	}
	sd_event_source_set_io_events(ipc->io, EPOLLIN);
}

static int
on_io(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct ipc *ipc = arg;
	bool freed = false;

	(void)src;
	if (revents & EPOLLOUT)
		flush_queue(ipc);
	ipc->freed = &freed;
	for (int i = 0; i < READ_BURST; i++) {
		unsigned char buf[IPC_MSG_MAX];
		int got = -1;
		long n = ipc_recv(fd, buf, sizeof(buf), &got);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			sd_event_source_set_enabled(ipc->io, SD_EVENT_OFF);
			ipc->fn(ipc->arg, NULL, 0, -1);
			if (freed)
				return 0;
			break;
		}
		ipc->fn(ipc->arg, buf, (size_t)n, got);
		if (freed)
			return 0;
	}
	ipc->freed = NULL;
	return 0;
}

struct ipc *
ipc_new(sd_event *loop, int fd, ipc_fn fn, void *arg)
{
	struct ipc *ipc = calloc(1, sizeof(*ipc));
	int r;

	if (!ipc)
		return NULL;
	ipc->fd = fd;
	ipc->fn = fn;
	ipc->arg = arg;
	STAILQ_INIT(&ipc->queue);
	r = sd_event_add_io(loop, &ipc->io, fd, EPOLLIN, on_io, ipc);
	if (r < 0) {
		free(ipc);
		errno = -r;
		return NULL;
	}
	return ipc;
}

void
ipc_free(struct ipc *ipc)
{
	struct queued *q;

	if (!ipc)
		return;
	if (ipc->freed)
		*ipc->freed = true;
	while ((q = STAILQ_FIRST(&ipc->queue))) {
		STAILQ_REMOVE_HEAD(&ipc->queue, next);
		if (q->fd >= 0)
			close(q->fd);
		free(q);
	}
	sd_event_source_disable_unref(ipc->io);
	close(ipc->fd);
	free(ipc);
}

static int
enqueue(struct ipc *ipc, const void *buf, size_t len, int fd)
{
	struct queued *q;

	if (ipc->n_queued >= QUEUE_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	q = malloc(sizeof(*q) + len);
	if (!q)
		return -1;
	q->fd = -1;
	if (fd >= 0) {
		q->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (q->fd < 0) {
			free(q);
			return -1;
		}
	}
	q->len = len;
	memcpy(q->buf, buf, len);
	STAILQ_INSERT_TAIL(&ipc->queue, q, next);
	ipc->n_queued++;
	sd_event_source_set_io_events(ipc->io, EPOLLIN | EPOLLOUT);
	return 0;
}

int
ipc_send(struct ipc *ipc, const void *buf, size_t len, int fd)
{
	if (STAILQ_EMPTY(&ipc->queue)) {
		if (ipc_send_now(ipc->fd, buf, len, fd) >= 0)
			return 0;
		if (!is_busy())
			return 0;	/* dead: on_io sees it */
	}
	return enqueue(ipc, buf, len, fd);
}

int
ipc_fd(const struct ipc *ipc)
{
	return ipc->fd;
}
