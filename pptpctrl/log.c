/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOG_SOCKET	"/dev/log"
#define LOG_LINE_MAX	1024

/* The one place with process-wide state: a log is that by nature. */
static struct {
	const char *ident;
	int fd;
	bool journal;		/* fd speaks its native protocol */
	bool foreground;
	bool debug;
	unsigned dropped;
} lg = { .ident = "pptpd", .fd = -1 };

static int
connect_log(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = journal_open();

	lg.journal = fd >= 0;
	if (fd >= 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	memcpy(sun.sun_path, LOG_SOCKET, sizeof(LOG_SOCKET));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void
log_open(const char *ident, bool foreground)
{
	lg.ident = ident;
	lg.foreground = foreground;
	tzset();
	if (lg.fd < 0)
		lg.fd = connect_log();
}

void
log_set_debug(bool debug)
{
	lg.debug = debug;
}

bool
log_debugging(void)
{
	return lg.debug;
}

int
log_fd(void)
{
	return lg.fd;
}

static size_t
format_syslog(char *line, size_t size, int level, long pid, const char *text)
{
	time_t now = time(NULL);
	char when[32];
	struct tm tm;
	int n;

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	n = snprintf(line, size, "<%d>%s %s[%ld]: %s", LOG_DAEMON | level,
	    when, lg.ident, pid, text);
	if (n < 0)
		return 0;
	return (size_t)n >= size ? size - 1 : (size_t)n;
}

static size_t
format(char *line, size_t size, int level, const char *text,
    const struct log_about *about)
{
	long pid = about && about->shown_pid ? about->shown_pid : getpid();

	if (lg.journal)
		return journal_format(line, size, level, lg.ident, pid, text,
		    about);
	return format_syslog(line, size, level, pid, text);
}

static bool
send_line(int level, const char *text, const struct log_about *about)
{
	char line[2 * LOG_LINE_MAX + 512];
	size_t n;

	if (lg.fd < 0)
		return false;
	n = format(line, sizeof(line), level, text, about);
	if (send(lg.fd, line, n, MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS) {
		lg.dropped++;
		return true;
	}
	/* The log daemon was restarted: its new socket, if we can see it. */
	close(lg.fd);
	lg.fd = connect_log();
	if (lg.fd < 0)
		return false;
	n = format(line, sizeof(line), level, text, about);
	return send(lg.fd, line, n, MSG_NOSIGNAL) >= 0;
}

static void
vline(const struct log_about *about, int level, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (send_line(level, text, about))
		return;
	if (lg.foreground)
		dprintf(STDERR_FILENO, "%s[%ld]: %s\n", lg.ident,
		    (long)getpid(), text);
}

void
log_vline(int level, const char *fmt, va_list ap)
{
	if (level != LOG_DEBUG || lg.debug)
		vline(NULL, level, fmt, ap);
}

void
log_about(const struct log_about *about, int level, const char *fmt, ...)
{
	va_list ap;

	if (level == LOG_DEBUG && !lg.debug)
		return;
	va_start(ap, fmt);
	vline(about, level, fmt, ap);
	va_end(ap);
}

void
log_journal(const struct log_about *about, const char *fmt, ...)
{
	va_list ap;

	if (!lg.journal && !lg.debug)
		return;
	va_start(ap, fmt);
	vline(about, lg.journal ? LOG_INFO : LOG_DEBUG, fmt, ap);
	va_end(ap);
}

void
log_line(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(level, fmt, ap);
	va_end(ap);
}

void
log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vline(LOG_ERR, fmt, ap);
	va_end(ap);
	exit(1);
}

char *
log_escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			if (n + 1 >= size)
				break;
			out[n++] = (char)c;
			continue;
		}
		if (n + 4 >= size)
			break;
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return out;
}

bool
log_rate_ok(struct log_rate *r, uint64_t now_ms, uint32_t interval_ms,
    uint32_t *ret_suppressed)
{
	if (now_ms < r->next) {
		r->suppressed++;
		return false;
	}
	*ret_suppressed = r->suppressed;
	r->suppressed = 0;
	r->next = now_ms + interval_ms;
	return true;
}
