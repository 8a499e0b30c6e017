/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines: to systemd's journal if that is where our output goes, else to
 * the system log's socket, or to standard error where there is none and the
 * server runs in the foreground.  Never blocks: a line that the
 * log cannot take at once is dropped and counted.
 */
#ifndef PPTPCTRL_LOG_H
#define PPTPCTRL_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include "journal.h"

/* Most bytes that log_escape makes of n. */
#define LOG_ESCAPED_MAX(n)	(4u * (n) + 1u)

/*
 * Connect to the log.  ident is borrowed for ever.  With foreground, standard
 * error serves where /dev/log does not answer.  Call it again in a child
 * only to change the ident; the connection is shared.
 */
void log_open(const char *ident, bool foreground);

/* Show LOG_DEBUG lines too. */
void log_set_debug(bool debug);
bool log_debugging(void);

/* The descriptor of the log's socket or -1: a process that closes all others
 * keeps this one. */
int log_fd(void);

/* One line at a LOG_* level; no newline at the end. */
void log_line(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_vline(int level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* The same about something: the journal gets fields with it. */
void log_about(const struct log_about *about, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Only for the journal, and at LOG_DEBUG for the others. */
void log_journal(const struct log_about *about, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_err(...)	log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	do {						\
	if (log_debugging())						\
		log_line(LOG_DEBUG, __VA_ARGS__);			\
} while (0)

/* One line at LOG_ERR, then exit(1). */
void log_fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/*
 * Copy text that a peer chose to out (size >= LOG_ESCAPED_MAX(strlen)) with
 * control characters, quotes, backslashes and bytes above 0x7e as \xNN.
 * Cuts what does not fit.  Returns out.
 */
char *log_escape(char *out, size_t size, const char *text);

/* At most one line per cause and interval. */
struct log_rate {
	uint64_t next;		/* ms, when a line may be written again */
	uint32_t suppressed;
};

/* True when a line may be written at now_ms; then *ret_suppressed is the
 * number kept back since the last one. */
bool log_rate_ok(struct log_rate *r, uint64_t now_ms, uint32_t interval_ms,
    uint32_t *ret_suppressed);

#endif
