/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files conf*.c share and nobody else includes: the table of
 * keywords and one reading of a file or of a command line.
 *
 *	conf.c		the table, findings, from lines to values
 *	conf_lines.c	text to the line that counts for each keyword
 *	conf_value.c	single values
 *	conf_list.c	lists of addresses, the pool
 *	conf_limits.c	keywords that PoPToP did not have
 *	conf_argv.c	the command line
 */
#ifndef PPTPCTRL_CONF_IMPL_H
#define PPTPCTRL_CONF_IMPL_H

#include <stdarg.h>

#include "conf.h"

#define CONF_BLANKS		" \t"
#define CONF_MAX_KEYWORDS	64u

/* One reading of a file or of a command line. */
struct conf_ctx {
	struct conf *conf;
	const char *name;	/* of the file, or "command line" */
	enum conf_source from;
	unsigned line;		/* the one that findings are about, or 0 */
	bool lenient;		/* PoPToP skipped the line: it may be bad */
	conf_report_fn report;
	void *arg;
	bool many;		/* each line or address may be a finding */
	unsigned n_said;	/* of those */
	bool crlf;		/* said already */
	bool failed;
};

enum conf_kw_type {
	KW_FLAG,	/* bool: there or not */
	KW_TEXT,	/* char *, passed on as it is */
	KW_PATH,	/* char *, must not be empty */
	KW_PIDFILE,	/* char *, may be empty */
	KW_NUMBER,	/* unsigned, min..max */
	KW_STIMEOUT,	/* the same; PoPToP never took it from the file */
	KW_LISTEN,	/* struct in_addr, number or name */
	KW_DATAPATH,	/* enum conf_datapath */
	KW_OFFLOAD,	/* enum conf_offload */
	KW_LIST,	/* addresses; needs all the others first */
	KW_LIMIT,	/* unsigned, min..max; what is no number is an error */
	KW_SESSIONS,	/* enum conf_sessions */
	KW_NETS,	/* struct conf_nets */
};

struct conf_kw {
	const char *name;	/* in the file; also the long option */
	char opt;		/* short option, or 0: in the file only */
	enum conf_kw_type type;
	size_t value, src;	/* where in struct conf */
	const char *def;	/* as text, or NULL: off, none */
	const char *arg;	/* what -h calls the value, or NULL: none */
	const char *doc;
	const char *gone;	/* notice for what no longer does anything */
	unsigned min, max;	/* of numbers */
};

/* In the order of -h, ended by an entry without a name. */
extern const struct conf_kw conf_keywords[];

/* The line that counts for one keyword. */
struct conf_found {
	unsigned line;		/* 0: none */
	char *value;		/* in the text, up to its end or NUL */
	bool extension;		/* PoPToP did not see the keyword here */
};

/* --- conf.c --- */

/* Report a finding about ctx->line; CONF_ERROR makes the reading fail. */
void conf_say(struct conf_ctx *ctx, enum conf_severity severity,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conf_vsay(struct conf_ctx *ctx, enum conf_severity severity,
    const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));

/* The member of conf at offset. */
void *conf_field(struct conf *conf, size_t offset);

/* Was kw's value last set by this source? */
bool conf_is_set(const struct conf_kw *kw, const struct conf_ctx *ctx,
    enum conf_source by);

/* The keyword called name, or NULL. */
const struct conf_kw *conf_kw_find(const char *name);

/* The keyword that sets the member of struct conf at offset, which there
 * must be. */
const struct conf_kw *conf_kw_of(size_t offset);

/* --- conf_lines.c --- */

bool conf_is_blank(char c);

/* Cut blanks and, at a blank and #, what follows.  True if there was #. */
bool conf_cut_comment(char *value);

/* Note the line that counts for each keyword in found[], indexed as
 * conf_keywords.  text[0..len) has room for one more byte, is cut up in
 * place, and must live as long as found. */
void conf_scan_lines(struct conf_ctx *ctx, char *text, size_t len,
    struct conf_found *found);

/* --- conf_value.c --- */

/* strtol as atoi does it, and whether text was a number and nothing else. */
long conf_to_number(const char *text, bool *ret_clean);

/* Could s be a host's name?  Keeps the resolver away from what is none. */
bool conf_may_be_name(const char *s);

/* Address or name to address, by the calls that PoPToP made. */
bool conf_lookup(const char *text, struct in_addr *ret_addr);

/* Like inet_ntop.  Returns buf. */
const char *conf_ntoa(struct in_addr addr, char buf[static INET_ADDRSTRLEN]);

/*
 * Say so where a number is not written as four plain ones or has something
 * behind it.  tail_ok: what follows is a comment, which PoPToP's inet_addr
 * skipped like anything else.
 */
void conf_note_odd_address(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *text, struct in_addr addr, bool tail_ok);

/* Set kw, which is no KW_LIST, to value, or report why not. */
void conf_set(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value);

/* --- conf_limits.c --- */

bool conf_set_limit(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value);
bool conf_set_sessions(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value);
bool conf_set_nets(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *value);

/* --- conf_list.c --- */

/* Work out the pool from the lists, defaults where a line is missing. */
void conf_make_pool(struct conf_ctx *ctx, const struct conf_found *f_local,
    const struct conf_found *f_remote);

/* The same where pppd chooses addresses: no pool. */
void conf_apply_delegate(struct conf_ctx *ctx,
    const struct conf_found *f_local, const struct conf_found *f_remote);

#endif
