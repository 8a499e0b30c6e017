/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "journal.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define JOURNAL_SOCKET	"/run/systemd/journal/socket"

/* Never to be changed: people search for them. */
static const char *const ids[LOG_KINDS] = {
	[LOG_STARTED] = "73ff5713032b4831b7c235773b375152",
	[LOG_ENDED] = "3d7ba6672ebf44bc9edec022df34a4ca",
	[LOG_CONNECTED] = "f01d33179ccb4b37852d9d00c0bfb74b",
	[LOG_DISCONNECTED] = "4a90f6e804a74d47a1cd2911e402f065",
	[LOG_CALL_PPPD] = "62a56ea590c74050ac1cf01aca34e1d1",
	[LOG_CALL_UP] = "f60c8624ed70470383531eac5cf61868",
	[LOG_CALL_ENDED] = "4eda36b6491b416cac587466dd276cb5",
	[LOG_CALL_FAILED] = "e80a5e8b24814d4e8276acfdabe4ab28",
	[LOG_CALL_WEAK] = "216d7fdc435545a5a08e8588e8a0964e",
	[LOG_AUTH_FAILED] = "8020c9b6212242b2bfe6d5870c93c8a6",
	[LOG_REFUSED] = "9c469e0723ab4d0d99919c73f77611b6",
	[LOG_DRAIN] = "da4bd7275eab4d6589b70eac2bb1c15e",
};

const char *
journal_id(enum log_kind kind)
{
	return kind < LOG_KINDS ? ids[kind] : NULL;
}

/* Is fd the stream that JOURNAL_STREAM names? */
static bool
is_stream(int fd, const char *stream)
{
	unsigned long long dev, ino;
	struct stat st;

	return sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

int
journal_open(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
	    .sun_path = JOURNAL_SOCKET };
	const char *stream = getenv("JOURNAL_STREAM");
	int fd;

	if (!stream || (!is_stream(STDERR_FILENO, stream) &&
	    !is_stream(STDOUT_FILENO, stream)))
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun,
	    sizeof(sun)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A datagram that is being written. */
struct out {
	char *buf;
	size_t size, len;
};

/* All of a field, or nothing where it does not fit. */
static void
add(struct out *o, const char *name, const char *value)
{
	size_t room = o->size - o->len;
	int n;

	if (!value || !value[0])
		return;
	n = snprintf(o->buf + o->len, room, "%s=%s", name, value);
	if (n < 0 || (size_t)n + 1 >= room)
		return;
	for (char *p = o->buf + o->len; *p; p++)
		if (*p == '\n')
			*p = ' ';
	o->len += (size_t)n;
	o->buf[o->len++] = '\n';
}

static void
add_number(struct out *o, const char *name, long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", value);
	add(o, name, text);
}

static void
add_about(struct out *o, const struct log_about *about)
{
	char ip[INET_ADDRSTRLEN];

	add(o, "MESSAGE_ID", journal_id(about->kind));
	if (about->call)
		add_number(o, "PPTP_CALL", (long)about->call);
	if (about->peer)
		add(o, "PPTP_PEER", inet_ntop(AF_INET, &about->peer, ip,
		    sizeof(ip)));
	if (about->pppd > 0)
		add_number(o, "PPTP_PPPD_PID", about->pppd);
	add(o, "PPTP_USER", about->user);
	add(o, "PPTP_IFNAME", about->ifname);
	add(o, "PPTP_REASON", about->reason);
}

size_t
journal_format(char *buf, size_t size, int level, const char *ident, long pid,
    const char *text, const struct log_about *about)
{
	struct out o = { .buf = buf, .size = size };

	add_number(&o, "PRIORITY", level);
	add_number(&o, "SYSLOG_FACILITY", LOG_DAEMON >> 3);
	add(&o, "SYSLOG_IDENTIFIER", ident);
	add_number(&o, "SYSLOG_PID", pid);
	add(&o, "MESSAGE", text);
	if (about)
		add_about(&o, about);
	return o.len;
}
