/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines for systemd's journal, with fields: its native protocol, one datagram
 * a line, which sd_journal_send speaks as well but on a socket that it opens
 * when it is first used, and that may block; the process that reads the
 * network can do neither.
 */
#ifndef PPTPCTRL_JOURNAL_H
#define PPTPCTRL_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of lines that have a MESSAGE_ID; pptpd(8) lists them. */
enum log_kind {
	LOG_PLAIN,		/* none */
	LOG_STARTED,		/* the server takes calls */
	LOG_ENDED,		/* it has ended */
	LOG_CONNECTED,		/* a control connection has introduced itself */
	LOG_DISCONNECTED,	/* its end */
	LOG_CALL_PPPD,		/* a call's pppd runs; PPTP_PPPD_PID */
	LOG_CALL_UP,		/* the network of a call is up */
	LOG_CALL_ENDED,	/* a call that was up is over */
	LOG_CALL_FAILED,	/* a call is over that never was up */
	LOG_CALL_WEAK,		/* a call without password or encryption */
	LOG_AUTH_FAILED,	/* a login failed */
	LOG_REFUSED,		/* a client was turned away */
	LOG_DRAIN,		/* drain or resume */
	LOG_KINDS
};

/* What a line is about.  0, NULL and "": not said. */
struct log_about {
	enum log_kind kind;
	uint32_t call;		/* our call id */
	uint32_t peer;		/* the client's address, network order */
	int32_t pppd;		/* its process id */
	int32_t shown_pid;	/* to show as ours: see conn_shown_pid() */
	const char *user;	/* as it is in the line: escaped */
	const char *ifname;
	const char *reason;	/* why something ended or failed */
};

/* A socket to the journal if it is where standard error or output goes, which
 * is what systemd says in JOURNAL_STREAM; else -1.  Does not block. */
int journal_open(void);

/*
 * One line at a LOG_* level as a datagram to buf; a field that does not fit is left out.
 * text and the fields may hold any byte but NUL; a newline becomes a blank.
 * about may be NULL.  Returns the length.
 */
size_t journal_format(char *buf, size_t size, int level, const char *ident,
    long pid, const char *text, const struct log_about *about);

/* The MESSAGE_ID of a kind, 32 hexadecimal digits; NULL: it has none. */
const char *journal_id(enum log_kind kind);

#endif
