/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration: one table of keywords, a scanner of lines, the lists of
 * addresses, the command line.
 *
 * Rule of the house: a file that PoPToP takes means here what it meant there.
 * What we take beyond its grammar (comments after a value, leading blanks,
 * CR LF, whole ranges, networks) is tried only where PoPToP would have
 * refused or skipped the line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf.h"

#ifndef VERSION
#define VERSION		"0.1.0"
#endif

#define MAX_FILE	(1024u * 1024u)
#define MAX_LINE	509u	/* PoPToP's fgets: 510 with the newline */
#define MAX_FINDINGS	100u	/* then only errors: a binary file is one */
#define MAX_STIMEOUT	3600u
#define MAX_SEGMENT	128u	/* one entry of a list, PoPToP's buffer */
#define DEFAULT_PORT	1723u
#define DEFAULT_LOCAL	"192.168.0.1-100"	/* PoPToP's, as the pool below */
#define DEFAULT_REMOTE	"192.168.1.1-100"
#define BLANKS		" \t"

/* One reading of a file or of a command line. */
struct ctx {
	struct conf *conf;
	const char *name;	/* of the file, or "command line" */
	enum conf_source from;
	unsigned line;		/* the one that findings are about, or 0 */
	bool lenient;		/* PoPToP skipped the line: it may be bad */
	conf_report_fn report;
	void *arg;
	unsigned n_said;
	bool crlf;		/* said already */
	bool failed;
};

static const char *const datapath_names[] = {
	[CONF_DP_AUTO] = "auto",
	[CONF_DP_RELAY] = "relay",
	[CONF_DP_TTY] = "tty",
	[CONF_DP_KERNEL] = "kernel",
};

#define N_DATAPATHS	(sizeof(datapath_names) / sizeof(datapath_names[0]))

/* --- the keywords --- */

enum kw_type {
	KW_FLAG,	/* bool: there or not */
	KW_TEXT,	/* char *, passed on as it is */
	KW_PATH,	/* char *, must not be empty */
	KW_PIDFILE,	/* char *, may be empty */
	KW_COUNT,	/* unsigned, 1..CONF_MAX_CONNECTIONS */
	KW_SECONDS,	/* unsigned, 1..MAX_STIMEOUT */
	KW_LISTEN,	/* struct in_addr, number or name */
	KW_DATAPATH,	/* enum conf_datapath */
	KW_LIST,	/* addresses; needs all the others first */
};

struct keyword {
	const char *name;	/* in the file; also the long option */
	char opt;		/* short option, or 0: in the file only */
	enum kw_type type;
	size_t value, src;	/* where in struct conf */
	const char *def;	/* as text, or NULL: off, none */
	const char *arg;	/* what -h calls the value, or NULL: none */
	const char *doc;
	const char *gone;	/* notice for what no longer does anything */
};

#define AT(field)	offsetof(struct conf, field), \
			offsetof(struct conf, src_##field)

/* In the order of -h; where a prefix of a long option fits two, the first. */
static const struct keyword keywords[] = {
	{ "bcrelay", 'b', KW_TEXT, AT(bcrelay), NULL, "IF",
	    "accepted, does nothing: no broadcast relay",
	    "broadcasts are not relayed; to find hosts by name, give the "
	    "clients a DNS or WINS server (ms-dns, ms-wins in pppd's options)" },
	{ "connections", 'C', KW_COUNT, AT(connections), "100", "N",
	    "most calls at once", NULL },
	{ "datapath", 0, KW_DATAPATH, AT(datapath), "auto", "PATH",
	    "how frames reach pppd: auto, relay, tty or kernel", NULL },
	{ "debug", 'd', KW_FLAG, AT(debug), NULL, NULL,
	    "log more; pppd has a debug option of its own", NULL },
	{ "delegate", 'D', KW_FLAG, AT(delegate), NULL, NULL,
	    "let pppd choose the addresses", NULL },
	{ "listen", 'l', KW_LISTEN, AT(listen), NULL, "ADDRESS",
	    "local address to listen on", NULL },
	{ "localip", 0, KW_LIST, offsetof(struct conf, local),
	    offsetof(struct conf, src_local), DEFAULT_LOCAL, "LIST",
	    "addresses of the server's ends", NULL },
	{ "logwtmp", 'w', KW_FLAG, AT(logwtmp), NULL, NULL,
	    "accepted, does nothing yet: no wtmp records",
	    "no records are written to wtmp; the log has a line for each call "
	    "and \"pptpctrl list\" shows who is here" },
	{ "noipparam", 'i', KW_FLAG, AT(noipparam), NULL, NULL,
	    "do not give the client's address to pppd's scripts", NULL },
	{ "option", 'o', KW_PATH, AT(option), NULL, "FILE",
	    "pppd's options file", NULL },
	{ "ppp", 'e', KW_PATH, AT(ppp), CONF_DEFAULT_PPPD, "FILE",
	    "the pppd program", NULL },
	{ "pidfile", 'p', KW_PIDFILE, AT(pidfile), CONF_DEFAULT_PIDFILE,
	    "FILE", "where to write the process id", NULL },
	{ "remoteip", 0, KW_LIST, offsetof(struct conf, remote),
	    offsetof(struct conf, src_remote), DEFAULT_REMOTE, "LIST",
	    "addresses for clients", NULL },
	{ "speed", 's', KW_TEXT, AT(speed), "115200", "BAUD",
	    "passed to pppd; changes no speed",
	    "this is passed to pppd and changes no speed: a call is as fast "
	    "as the network" },
	{ "stimeout", 't', KW_SECONDS, AT(stimeout), "10", "SECONDS",
	    "time for the first message of a client", NULL },
	{ "vrf", 'V', KW_TEXT, AT(vrf), NULL, "NAME",
	    "accepted, does nothing: see ip-vrf(8)",
	    "the sockets are not bound to it; start the server with "
	    "\"ip vrf exec NAME\"" },
};

#define N_KEYWORDS	(sizeof(keywords) / sizeof(keywords[0]))

/* PoPToP's options that are no keywords, and one of ours: without "v" the
 * prefix --v, which was --version, would be ambiguous because of --vrf. */
static const struct { const char *name; char opt; bool arg; } others[] = {
	{ "conf", 'c', true },
	{ "fg", 'f', false },
	{ "help", 'h', false },
	{ "version", 'v', false },
	{ "v", 'v', false },
};

#define N_OTHERS	(sizeof(others) / sizeof(others[0]))

static void *
field(struct conf *conf, size_t offset)
{
	return (char *)conf + offset;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_set(const struct keyword *kw, const struct ctx *ctx, enum conf_source by)
{
	return *(enum conf_source *)field(ctx->conf, kw->src) == by;
}

static const struct keyword *
find_keyword(const char *name)
{
	for (size_t i = 0; i < N_KEYWORDS; i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

/* The keyword that sets the field of struct conf at offset. */
static const struct keyword *
keyword_of(size_t offset)
{
	const struct keyword *kw = keywords;

	while (kw->value != offset)
		kw++;
	return kw;
}

const char *
conf_keyword(size_t i, const char **ret_doc)
{
	if (i >= N_KEYWORDS)
		return NULL;
	*ret_doc = keywords[i].doc;
	return keywords[i].name;
}

const char *
conf_datapath_name(enum conf_datapath dp)
{
	return (size_t)dp < N_DATAPATHS ? datapath_names[dp] : "?";
}

/* --- findings --- */

static void __attribute__((format(printf, 3, 0)))
vsay(struct ctx *ctx, enum conf_severity severity, const char *fmt, va_list ap)
{
	static const char flood[] = "more findings are not shown: is this "
	    "really the configuration file?";
	char text[1400];
	int n = 0;

	if (severity == CONF_ERROR && ctx->lenient) {
		severity = CONF_WARNING;
		n = snprintf(text, sizeof(text), "the line is ignored: ");
	}
	if (severity == CONF_ERROR)
		ctx->failed = true;
	else if (++ctx->n_said > MAX_FINDINGS + 1)
		return;
	if (ctx->report == NULL)
		return;
	if (severity != CONF_ERROR && ctx->n_said > MAX_FINDINGS) {
		ctx->report(ctx->arg, CONF_WARNING, ctx->name, ctx->line,
		    flood);
		return;
	}
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	/* The file may be anything; the log and the terminal are not. */
	for (char *p = text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	ctx->report(ctx->arg, severity, ctx->name, ctx->line, text);
}

static void __attribute__((format(printf, 3, 4)))
say(struct ctx *ctx, enum conf_severity severity, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(ctx, severity, fmt, ap);
	va_end(ap);
}

/* --- single values: each set_x says whether it took the value --- */

/* strtol as atoi does it, and whether text was a number and nothing else. */
static long
to_number(const char *text, bool *ret_clean)
{
	char *end;
	long n = strtol(text, &end, 10);

	*ret_clean = end != text && *end == '\0';
	return n;
}

/* The value of connections or stimeout.  PoPToP's atoi took anything in the
 * file, and so do we; its command line took 0 and -5 and died of it. */
static bool
set_number(struct ctx *ctx, const struct keyword *kw, const char *value,
    unsigned max)
{
	unsigned *target = field(ctx->conf, kw->value);
	bool clean;
	long n = to_number(value, &clean);

	if (ctx->from == CONF_FROM_ARGV && (!clean || n < 1)) {
		say(ctx, CONF_ERROR, "-%c \"%s\" (--%s): wants a number from "
		    "1 to %u", kw->opt, value, kw->name, max);
		return false;
	}
	n = (int)n;	/* atoi, for numbers that are too long too */
	if (n < 1) {
		n = to_number(kw->def, &(bool){ false });
		say(ctx, CONF_WARNING, "%s \"%s\" is no number from 1 to %u: "
		    "the default, %ld, is used, as PoPToP did; write a number",
		    kw->name, value, max, n);
	} else if (n > (long)max) {
		say(ctx, CONF_WARNING, "%s \"%s\" is more than the most "
		    "possible: %u is used", kw->name, value, max);
		n = (long)max;
	} else if (!clean) {
		say(ctx, CONF_WARNING, "%s \"%s\" is read as %ld, as PoPToP "
		    "did; write the number alone", kw->name, value, n);
	}
	*target = (unsigned)n;
	return true;
}

static bool
set_stimeout(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	bool clean;

	/* PoPToP: with -t 0, and only then, the file counted. */
	if (ctx->from == CONF_FROM_ARGV && to_number(value, &clean) == 0 &&
	    clean) {
		say(ctx, CONF_WARNING, "-t 0 is no time: the configuration "
		    "file's stimeout or the default, %s s, is used", kw->def);
		return false;
	}
	if (!set_number(ctx, kw, value, MAX_STIMEOUT))
		return false;
	if (ctx->from == CONF_FROM_FILE &&
	    ctx->conf->stimeout != CONF_DEFAULT_STIMEOUT)
		say(ctx, CONF_NOTICE, "stimeout %u works here; PoPToP read "
		    "this line but always waited 10 s", ctx->conf->stimeout);
	return true;
}

static bool
set_string(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	char **target = field(ctx->conf, kw->value);
	char *copy = strdup(value);

	if (copy == NULL) {
		say(ctx, CONF_ERROR, "out of memory at %s", kw->name);
		return false;
	}
	free(*target);
	*target = copy;
	return true;
}

/* PoPToP took an empty value, then could not open it (option, ppp, pidfile)
 * or gave it to a pppd that gave up (speed). */
static bool
set_text(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	bool path = kw->type == KW_PATH || kw->type == KW_PIDFILE;

	if (*value == '\0' && kw->type == KW_PATH) {
		say(ctx, CONF_ERROR, "%s has no value: give a file, or remove "
		    "it%s%s", kw->name, kw->def != NULL ? " for " : "",
		    kw->def != NULL ? kw->def : "");
		return false;
	}
	if (*value == '\0' && kw->type == KW_PIDFILE)
		say(ctx, CONF_WARNING, "pidfile has no value: no process id "
		    "is written");
	if (*value == '\0' && kw->type == KW_TEXT) {
		say(ctx, CONF_WARNING, "%s has no value and is ignored: give "
		    "one, or remove it", kw->name);
		return false;
	}
	if (path && *value != '\0' && *value != '/')
		say(ctx, CONF_WARNING, "%s \"%s\" does not start with /: the "
		    "server runs in / and may not find it", kw->name, value);
	return set_string(ctx, kw, value);
}

static bool
set_datapath(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	enum conf_datapath *target = field(ctx->conf, kw->value);

	for (size_t i = 0; i < N_DATAPATHS; i++) {
		if (strcmp(datapath_names[i], value) == 0) {
			*target = (enum conf_datapath)i;
			return true;
		}
	}
	say(ctx, CONF_ERROR, "%s \"%s\": no such data path; write auto, "
	    "relay, tty or kernel", kw->name, value);
	return false;
}

/* Keeps the resolver away from what is no name: "192.168.0.1-192.168.0.9",
 * "10.0.0.0/24", " 10.0.0.1" would wait for DNS servers at start. */
static bool
may_be_name(const char *s)
{
	bool dot = false, letter = false;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		    *s == '_')
			letter = true;
		else if (*s == '.')
			dot = true;
		else if (*s != '-' && !(*s >= '0' && *s <= '9'))
			return false;
	}
	return letter || !dot;
}

/*
 * Address or name to address, by the calls that PoPToP made: inet_addr takes
 * short, octal and hexadecimal forms and anything after a blank, and
 * gethostbyname gives the first address in the order of its source, where
 * getaddrinfo would sort.
 */
static bool
lookup(const char *text, struct in_addr *ret_addr)
{
	struct hostent *host;

	ret_addr->s_addr = inet_addr(text);
	if (ret_addr->s_addr != INADDR_NONE)
		return true;
	if (strcmp(text, "255.255.255.255") == 0)
		return true;
	if (!may_be_name(text))
		return false;
	host = gethostbyname(text);
	if (host == NULL || host->h_addrtype != AF_INET ||
	    host->h_length != (int)sizeof(*ret_addr))
		return false;
	memcpy(ret_addr, host->h_addr_list[0], sizeof(*ret_addr));
	return true;
}

static const char *
ntoa(struct in_addr addr, char buf[static INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &addr, buf, INET_ADDRSTRLEN);
}

/*
 * Say so where a number is not written as four plain ones or has something
 * behind it.  tail_ok: what follows is a comment, which PoPToP's inet_addr
 * skipped like anything else.
 */
static void
note_odd_address(struct ctx *ctx, const struct keyword *kw, const char *text,
    struct in_addr addr, bool tail_ok)
{
	char plain[INET_ADDRSTRLEN];
	size_t len = strcspn(text, BLANKS);
	const char *tail = text + len + strspn(text + len, BLANKS);

	if (inet_addr(text) == INADDR_NONE)
		return;
	if (*tail != '\0' && !tail_ok)
		say(ctx, CONF_WARNING, "%s \"%s\": what follows the address is "
		    "ignored, as PoPToP did; remove it, or make it a comment "
		    "at the end of the line with a blank and #", kw->name,
		    text);
	ntoa(addr, plain);
	if (strlen(plain) != len || strncmp(plain, text, len) != 0)
		say(ctx, CONF_WARNING, "%s \"%.*s\" is read as %s, as PoPToP "
		    "did; write it so", kw->name, (int)len, text, plain);
}

static bool
set_listen(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	struct in_addr *target = field(ctx->conf, kw->value);
	struct in_addr addr;

	if (!lookup(value, &addr)) {
		say(ctx, CONF_ERROR, "MGR: Invalid listening address: %s! "
		    "%s wants one IPv4 address of this host, or a name that "
		    "resolves to one", value, kw->name);
		return false;
	}
	note_odd_address(ctx, kw, value, addr, false);
	*target = addr;
	ctx->conf->listen_set = true;
	return true;
}

static bool
set_flag(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	if (value != NULL && *value != '\0')
		say(ctx, CONF_WARNING, "%s takes no value: \"%s\" is ignored, "
		    "%s is on; remove the line to turn it off", kw->name,
		    value, kw->name);
	*(bool *)field(ctx->conf, kw->value) = true;
	return true;
}

static bool
set_by_type(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	switch (kw->type) {
	case KW_FLAG:
		return set_flag(ctx, kw, value);
	case KW_TEXT:
	case KW_PATH:
	case KW_PIDFILE:
		return set_text(ctx, kw, value);
	case KW_COUNT:
		return set_number(ctx, kw, value, CONF_MAX_CONNECTIONS);
	case KW_SECONDS:
		return set_stimeout(ctx, kw, value);
	case KW_LISTEN:
		return set_listen(ctx, kw, value);
	case KW_DATAPATH:
		return set_datapath(ctx, kw, value);
	case KW_LIST:
		break;		/* make_pool does these */
	}
	return false;
}

static void
set_value(struct ctx *ctx, const struct keyword *kw, const char *value)
{
	if (!set_by_type(ctx, kw, value))
		return;
	*(enum conf_source *)field(ctx->conf, kw->src) = ctx->from;
	if (ctx->from != CONF_FROM_DEFAULT && kw->gone != NULL)
		say(ctx, CONF_NOTICE, "%s is accepted, but %s", kw->name,
		    kw->gone);
}

/* --- lists of addresses --- */

struct entry {
	struct in_addr addr;
	uint64_t text;		/* hash of how it was written */
};

/* One list while it is read. */
struct list {
	struct ctx *ctx;
	const struct keyword *kw;
	const char *kind;	/* PoPToP's word for it in its messages */
	bool unique;		/* no address twice */
	bool loud;		/* the reading that counts: report */
	bool extended;		/* our grammar, not PoPToP's */
	bool full;		/* there were more than limit */
	bool last;		/* the entry at hand ends the list */
	size_t limit, n;
	struct entry *entry;	/* limit of them */
	uint32_t *table;	/* hash table by address: index + 1 of entry */
	size_t table_mask;
};

enum verdict { NEXT, FULL, BAD };

/* Report something; the answer is BAD for an error, else NEXT. */
static enum verdict __attribute__((format(printf, 3, 4)))
list_say(struct list *l, enum conf_severity severity, const char *fmt, ...)
{
	va_list ap;

	if (l->loud) {
		va_start(ap, fmt);
		vsay(l->ctx, severity, fmt, ap);
		va_end(ap);
	}
	return severity == CONF_ERROR ? BAD : NEXT;
}

static uint64_t
hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	return h;
}

/* Where addr is in the table, or the free place where it belongs. */
static uint32_t *
list_place(const struct list *l, struct in_addr addr)
{
	size_t i = (size_t)(addr.s_addr * 2654435761u) & l->table_mask;

	while (l->table[i] != 0 &&
	    l->entry[l->table[i] - 1].addr.s_addr != addr.s_addr)
		i = (i + 1) & l->table_mask;
	return &l->table[i];
}

static enum verdict
list_add(struct list *l, struct in_addr addr, const char *text)
{
	uint64_t hash = hash_text(text);
	uint32_t *place;
	char plain[INET_ADDRSTRLEN];

	if (l->n == l->limit) {
		l->full = true;
		return FULL;
	}
	place = list_place(l, addr);
	/* PoPToP compared what was written.  Where it let the same address
	 * through in two spellings, two calls shared it. */
	if (l->unique && *place != 0 && l->entry[*place - 1].text == hash)
		return list_say(l, CONF_ERROR, "MGR: Remote IP address %s in "
		    "config is a duplicate! Remove one of the two", text);
	if (l->unique && *place != 0)
		return list_say(l, CONF_WARNING, "%s \"%s\" is %s, which is in "
		    "the list already: left out", l->kw->name, text,
		    ntoa(addr, plain));
	if (*place == 0)
		*place = (uint32_t)l->n + 1;
	l->entry[l->n++] = (struct entry){ addr, hash };
	return NEXT;
}

/* text is the address that is none, entry what the list has for it. */
static enum verdict
bad_address(struct list *l, const char *text, const char *entry)
{
	const char *hint = "write addresses, ranges like 192.168.0.10-20, "
	    "networks or names that resolve, with commas between them";

	if (*text == '\0')
		hint = "an entry is empty; remove the comma before or after "
		    "it, or give the list a value";
	else if (*text == '=')
		hint = "a blank separates keyword and value, no =";
	else if (text != entry)
		hint = "no number may be above 255";
	return list_say(l, CONF_ERROR, "MGR: Bad IP address (%s) in config "
	    "file! %s \"%s\": %s", text, l->kw->name, entry, hint);
}

static enum verdict
bad_range(struct list *l, const char *text, const char *hint)
{
	return list_say(l, CONF_ERROR, "MGR: Bad %s IP range: %s: %s", l->kind,
	    text, hint);
}

static enum verdict
add_host(struct list *l, const char *text)
{
	struct in_addr addr;
	char plain[INET_ADDRSTRLEN];
	const char *tail;

	if (!lookup(text, &addr))
		return bad_address(l, text, text);
	if (l->loud)
		note_odd_address(l->ctx, l->kw, text, addr, l->last &&
		    (tail = strchr(text, '#')) != NULL &&
		    is_blank(tail[-1]));
	if (may_be_name(text) && inet_addr(text) == INADDR_NONE)
		list_say(l, CONF_NOTICE, "%s \"%s\" is %s, looked up now and "
		    "not again", l->kw->name, text, ntoa(addr, plain));
	return list_add(l, addr, text);
}

/* The form of PoPToP's ranges: 192.168.0.10-20, 10.1-9.0.1. */
static bool
is_octet_range(const char *s)
{
	unsigned dots = 0, dashes = 0;

	if (s[strspn(s, "0123456789.-")] != '\0')
		return false;
	for (; *s != '\0'; s++) {
		dots += *s == '.';
		dashes += *s == '-';
	}
	return dots == 3 && dashes == 1;
}

/* Up to max characters that are not sep, after any that are: what scanf's
 * %7s and %3s took from PoPToP's text.  Returns what follows, or NULL. */
static const char *
take_word(const char *s, char sep, char *out, size_t max)
{
	size_t n = 0;

	while (*s == sep)
		s++;
	while (n < max && *s != '\0' && *s != sep)
		out[n++] = *s++;
	out[n] = '\0';
	return n > 0 ? s : NULL;
}

/* Four words out of text, the dash's bounds out of one of them.  False where
 * PoPToP went on with what was on its stack. */
static bool
split_octets(const char *s, char oct[4][8], int *ret_dash, int *ret_lo,
    int *ret_hi)
{
	char lo[4], hi[4];
	const char *p;

	for (int i = 0; i < 4; i++)
		if ((s = take_word(s, '.', oct[i], 7)) == NULL)
			return false;
	*ret_dash = 3;
	while (*ret_dash >= 0 && strchr(oct[*ret_dash], '-') == NULL)
		(*ret_dash)--;
	if (*ret_dash < 0)
		return true;
	if ((p = take_word(oct[*ret_dash], '-', lo, 3)) == NULL ||
	    take_word(p, '-', hi, 3) == NULL)
		return false;
	*ret_lo = atoi(lo);
	*ret_hi = atoi(hi);
	return true;
}

static void
join_octets(char out[static 32], char oct[4][8], int dash, const char *with)
{
	const char *p[4] = { oct[0], oct[1], oct[2], oct[3] };

	p[dash] = with;
	/* Three digits count, as in PoPToP; with is ours and whole. */
	snprintf(out, 32, "%.*s.%.*s.%.*s.%.*s",
	    dash == 0 ? 7 : 3, p[0], dash == 1 ? 7 : 3, p[1],
	    dash == 2 ? 7 : 3, p[2], dash == 3 ? 7 : 3, p[3]);
}

/* Say how text is read where it is not read as it looks. */
static void
note_odd_range(struct list *l, const char *text, char oct[4][8], int dash,
    int lo, int hi)
{
	char bounds[16], first[32], last[32], whole[32];
	char plain_first[INET_ADDRSTRLEN], plain_last[INET_ADDRSTRLEN];
	struct in_addr a, b;

	snprintf(bounds, sizeof(bounds), "%d-%d", lo, hi);
	join_octets(whole, oct, dash, bounds);
	snprintf(bounds, sizeof(bounds), "%d", lo);
	join_octets(first, oct, dash, bounds);
	snprintf(bounds, sizeof(bounds), "%d", hi);
	join_octets(last, oct, dash, bounds);
	/* The last may be no address when the limit comes before it. */
	if (inet_aton(first, &a) == 0 || inet_aton(last, &b) == 0)
		return;
	if (strcmp(whole, text) == 0 &&
	    strcmp(ntoa(a, plain_first), first) == 0)
		return;
	list_say(l, CONF_WARNING, "%s \"%s\" is read as %s to %s, as PoPToP "
	    "did; write plain numbers", l->kw->name, text,
	    ntoa(a, plain_first), ntoa(b, plain_last));
}

static enum verdict
add_octet_range(struct list *l, const char *text)
{
	char oct[4][8], one[32], number[8];
	int dash, lo, hi;
	struct in_addr addr;
	enum verdict v;

	if (!split_octets(text, oct, &dash, &lo, &hi))
		return bad_range(l, text, "a number is missing; write it like "
		    "192.168.0.10-20");
	if (dash < 0)
		return list_say(l, CONF_WARNING, "%s \"%s\" is ignored, as "
		    "PoPToP did: a number in it is too long", l->kw->name,
		    text);
	if (hi < lo)
		return bad_range(l, text, "it ends before it starts; the end "
		    "has no short form, 192.168.0.234-238 is not 234-8");
	note_odd_range(l, text, oct, dash, lo, hi);
	for (int n = lo; n <= hi; n++) {
		snprintf(number, sizeof(number), "%d", n);
		join_octets(one, oct, dash, number);
		addr.s_addr = inet_addr(one);
		if (addr.s_addr == INADDR_NONE)
			return bad_address(l, one, text);
		if ((v = list_add(l, addr, one)) != NEXT)
			return v;
	}
	return NEXT;
}

/* first to last in host order, both included. */
static enum verdict
add_span(struct list *l, uint32_t first, uint32_t last)
{
	char plain[INET_ADDRSTRLEN];
	struct in_addr addr;
	enum verdict v;

	for (uint64_t a = first; a <= last; a++) {
		addr.s_addr = htonl((uint32_t)a);
		v = list_add(l, addr, ntoa(addr, plain));
		if (v != NEXT)
			return v;
	}
	return NEXT;
}

/* Ours: A-B with two whole addresses. */
static enum verdict
add_full_range(struct list *l, const char *text)
{
	char first[MAX_SEGMENT];
	const char *dash = strchr(text, '-');
	struct in_addr a, b;

	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	if (inet_pton(AF_INET, first, &a) != 1 ||
	    inet_pton(AF_INET, dash + 1, &b) != 1)
		return bad_address(l, text, text);
	if (ntohl(b.s_addr) < ntohl(a.s_addr))
		return bad_range(l, text, "it ends before it starts");
	return add_span(l, ntohl(a.s_addr), ntohl(b.s_addr));
}

/* Ours: ADDRESS/PREFIX, without the network's own and broadcast address. */
static enum verdict
add_network(struct list *l, const char *text)
{
	char base[MAX_SEGMENT], plain[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	struct in_addr addr;
	uint32_t first, host;
	bool clean;
	long bits = to_number(slash + 1, &clean);

	snprintf(base, sizeof(base), "%.*s", (int)(slash - text), text);
	if (inet_pton(AF_INET, base, &addr) != 1 || !clean || bits < 0 ||
	    bits > 32 || slash[1] < '0' || slash[1] > '9')
		return bad_address(l, text, text);
	host = bits == 0 ? UINT32_MAX : (1u << (32 - bits)) - 1;
	first = ntohl(addr.s_addr);
	/* 192.168.0.1/24 may mean an address or all of its network. */
	if ((first & host) != 0) {
		addr.s_addr = htonl(first & ~host);
		return list_say(l, CONF_ERROR, "%s \"%s\" is no network: "
		    "write %s/%ld for the network, or %s for the one address",
		    l->kw->name, text, ntoa(addr, plain), bits, base);
	}
	if (bits <= 30)
		return add_span(l, first + 1, (first | host) - 1);
	return add_span(l, first, first | host);
}

static enum verdict
add_segment(struct list *l, const char *text)
{
	if (is_octet_range(text))
		return add_octet_range(l, text);
	if (l->extended && strchr(text, '/') != NULL)
		return add_network(l, text);
	if (l->extended && strchr(text, '-') != NULL &&
	    text[strspn(text, "0123456789.-")] == '\0')
		return add_full_range(l, text);
	return add_host(l, text);
}

/* Cut blanks and, at a blank and #, what follows.  True if there was #. */
static bool
cut_comment(char *value)
{
	char *p = value;
	bool comment = false;

	for (; *p != '\0'; p++) {
		if (*p == '#' && (p == value || is_blank(p[-1]))) {
			*p = '\0';
			comment = true;
			break;
		}
	}
	while (p > value && is_blank(p[-1]))
		*--p = '\0';
	return comment;
}

/* Read one grammar's meaning of value into l.  False: refused. */
static bool
read_list(struct list *l, const char *value)
{
	char text[MAX_SEGMENT];
	enum verdict v = NEXT;

	l->n = 0;
	l->full = false;
	memset(l->table, 0, (l->table_mask + 1) * sizeof(l->table[0]));
	while (v == NEXT && value != NULL) {
		const char *comma = strchr(value, ',');
		size_t len = comma ? (size_t)(comma - value) : strlen(value);
		size_t skip = l->extended ? strspn(value, BLANKS) : 0;

		if (skip > len)
			skip = len;
		/* Cut like PoPToP's, which had room for no more. */
		snprintf(text, sizeof(text), "%.*s", (int)(len - skip),
		    value + skip);
		if (l->extended)
			cut_comment(text);	/* its blanks; # went before */
		l->last = comma == NULL;
		v = add_segment(l, text);
		value = comma ? comma + 1 : NULL;
	}
	return v != BAD;
}

static bool
has_address(struct list *l)
{
	return l->n > 0 || list_say(l, CONF_ERROR, "%s has no address: give "
	    "one", l->kw->name) == NEXT;
}

/* value by PoPToP's grammar or, where that refuses it, by ours. */
static bool
fill_list(struct list *l, const char *value)
{
	char *copy;
	bool ok;

	l->loud = l->extended = false;
	ok = read_list(l, value);
	l->loud = true;
	if (ok)
		return read_list(l, value);
	if ((copy = strdup(value)) == NULL) {
		list_say(l, CONF_ERROR, "out of memory at %s", l->kw->name);
		return false;
	}
	l->extended = true;
	cut_comment(copy);
	ok = read_list(l, copy);
	free(copy);
	return ok;
}

static bool
list_init(struct list *l, struct ctx *ctx, bool remote, size_t limit)
{
	size_t size = 16;

	while (size < 2 * limit)
		size *= 2;
	*l = (struct list){
		.ctx = ctx,
		.kw = keyword_of(remote ? offsetof(struct conf, remote) :
		    offsetof(struct conf, local)),
		.kind = remote ? "remote" : "local",
		.unique = remote,
		.limit = limit,
		.entry = calloc(limit, sizeof(*l->entry)),
		.table = calloc(size, sizeof(*l->table)),
		.table_mask = size - 1,
	};
	if (l->entry != NULL && l->table != NULL)
		return true;
	say(ctx, CONF_ERROR, "out of memory at %s", l->kw->name);
	return false;
}

static void
list_free(struct list *l)
{
	free(l->entry);
	free(l->table);
}

/* The first n of l as an array that the caller frees. */
static struct in_addr *
list_addresses(const struct list *l, size_t n)
{
	struct in_addr *a = calloc(n, sizeof(*a));

	for (size_t i = 0; a != NULL && i < n; i++)
		a[i] = l->entry[i].addr;
	return a;
}

/* --- lines --- */

/* The line that counts for each keyword. */
struct found {
	unsigned line;		/* 0: none */
	char *value;		/* in the text, up to its end or NUL */
	bool extension;		/* PoPToP did not see the keyword here */
};

static void
unknown_keyword(struct ctx *ctx, const char *name)
{
	size_t len = strcspn(name, "=:");

	for (size_t i = 0; i < N_KEYWORDS; i++) {
		if (strcasecmp(keywords[i].name, name) == 0) {
			say(ctx, CONF_WARNING, "unknown keyword \"%s\" is "
			    "ignored: keywords are lower case, write %s", name,
			    keywords[i].name);
			return;
		}
		if (name[len] != '\0' && strlen(keywords[i].name) == len &&
		    strncasecmp(keywords[i].name, name, len) == 0) {
			say(ctx, CONF_WARNING, "unknown keyword \"%s\" is "
			    "ignored: %c is no separator, write %s, a blank "
			    "and the value", name, name[len], keywords[i].name);
			return;
		}
	}
	say(ctx, CONF_WARNING, "unknown keyword \"%s\" is ignored", name);
}

/* First match wins; a line that only we can read never hides PoPToP's. */
static void
note_found(struct ctx *ctx, struct found *f, const char *name, char *value,
    bool extension)
{
	bool same;

	if (f->line == 0 || (f->extension && !extension)) {
		if (f->line != 0)
			say(ctx, CONF_WARNING, "%s: this line counts, not line "
			    "%u, which PoPToP could not read", name, f->line);
		*f = (struct found){ ctx->line, value, extension };
		return;
	}
	same = strcmp(f->value, value) == 0;
	say(ctx, same ? CONF_NOTICE : CONF_WARNING, "%s is given again: the "
	    "first one, line %u, counts; remove one of the two", name, f->line);
}

/* PoPToP took a CR for a part of the last word. */
enum cr { CR_NONE, CR_ALONE, CR_IN_WORD };

/* Strip what surrounds the text: NUL and after, CR, blanks at the end. */
static enum cr
trim_line(struct ctx *ctx, char *p, size_t len)
{
	char *nul = memchr(p, '\0', len);
	enum cr cr = CR_NONE;

	if (nul != NULL) {
		say(ctx, CONF_WARNING, "a NUL byte: the line ends there, as "
		    "in PoPToP; is this a text file?");
		len = (size_t)(nul - p);
	}
	if (len > 0 && p[len - 1] == '\r') {
		len--;
		cr = len > 0 && !is_blank(p[len - 1]) ? CR_IN_WORD : CR_ALONE;
	}
	p[len] = '\0';
	while (len > 0 && is_blank(p[len - 1]))
		p[--len] = '\0';
	return cr;
}

/* One line, p[0..len) with room for a NUL. */
static void
take_line(struct ctx *ctx, char *p, size_t len, struct found *found)
{
	bool bom = false, extension;
	enum cr cr;
	const struct keyword *kw;
	size_t lead, n;

	if (len > MAX_LINE) {
		if (*p != '#')
			say(ctx, CONF_WARNING, "Long config file line ignored. "
			    "%u bytes are the most, as in PoPToP", MAX_LINE);
		return;
	}
	if (ctx->line == 1 && len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;		/* a mark that some editors leave */
		len -= 3;
		bom = true;
	}
	cr = trim_line(ctx, p, len);
	lead = strspn(p, BLANKS);
	p += lead;
	if (*p == '\0' || *p == '#')
		return;
	if (cr != CR_NONE && !ctx->crlf) {
		ctx->crlf = true;
		say(ctx, CONF_WARNING, "lines end in CR LF: the CR is dropped; "
		    "PoPToP kept it and did not see keywords without a value");
	}
	n = strcspn(p, BLANKS);
	extension = bom || lead > 0 || (cr == CR_IN_WORD && p[n] == '\0');
	if (p[n] != '\0')
		p[n++] = '\0';
	if ((kw = find_keyword(p)) == NULL) {
		unknown_keyword(ctx, p);
		return;
	}
	if (bom)
		say(ctx, CONF_WARNING, "the file starts with a byte order "
		    "mark: %s is read; PoPToP ignored the line", kw->name);
	if (lead > 0)
		say(ctx, CONF_WARNING, "Config file line starts with a space: "
		    "%s is read; PoPToP ignored the line", kw->name);
	p += n;
	p += strspn(p, BLANKS);
	note_found(ctx, &found[kw - keywords], kw->name, p, extension);
}

/* text[0..len) has room for one more byte and is cut up in place. */
static void
scan_lines(struct ctx *ctx, char *text, size_t len, struct found *found)
{
	char *end = text + len;
	char *stop;

	for (char *p = text; p < end; p = stop + 1) {
		stop = memchr(p, '\n', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		ctx->line++;
		take_line(ctx, p, (size_t)(stop - p), found);
	}
}

/* --- from lines to values --- */

static void
apply_single(struct ctx *ctx, const struct keyword *kw, const struct found *f)
{
	bool comment;

	if (f->line == 0 || kw->type == KW_LIST)
		return;
	ctx->line = f->line;
	if (is_set(kw, ctx, CONF_FROM_ARGV)) {
		if (kw->type == KW_COUNT)
			say(ctx, CONF_NOTICE, "%s %s: the command line's %u "
			    "counts; in PoPToP this line did", kw->name,
			    f->value, ctx->conf->connections);
		return;
	}
	comment = cut_comment(f->value);
	if (comment && kw->type == KW_PIDFILE)
		say(ctx, CONF_WARNING, "%s \"%s\": what follows # is a comment; "
		    "PoPToP took it for a part of the file's name", kw->name,
		    f->value);
	ctx->lenient = f->extension;
	set_value(ctx, kw, f->value);
	ctx->lenient = false;
}

/* What pppd will refuse when a call comes, said now. */
static void
warn_unusable(struct ctx *ctx, const struct list *l)
{
	char plain[INET_ADDRSTRLEN];

	for (size_t i = 0; i < l->n; i++) {
		uint32_t a = ntohl(l->entry[i].addr.s_addr);

		if (a >> 24 != 0 && a >> 24 != 127 && a >> 28 < 0xe)
			continue;
		say(ctx, CONF_WARNING, "%s %s: pppd refuses this address and "
		    "ends the call; remove it", l->kw->name,
		    ntoa(l->entry[i].addr, plain));
		return;
	}
}

static bool
apply_default_list(struct ctx *ctx, struct list *l)
{
	ctx->line = 0;
	say(ctx, CONF_WARNING, "no %s: PoPToP's default %s is used, whatever "
	    "network that is here; give %s", l->kw->name, l->kw->def,
	    l->kw->name);
	return fill_list(l, l->kw->def);
}

/* The addresses of one keyword.  False: refused. */
static bool
apply_list(struct ctx *ctx, struct list *l, const struct found *f)
{
	bool ok;

	if (f->line == 0)
		return apply_default_list(ctx, l);
	ctx->line = f->line;
	ctx->lenient = f->extension;
	ok = fill_list(l, f->value) && has_address(l);
	ctx->lenient = false;
	if (!ok)
		return f->extension && apply_default_list(ctx, l);
	if (l->full)
		say(ctx, CONF_WARNING, "MGR: connections limit (%zu) reached, "
		    "extra IP addresses ignored", l->limit);
	warn_unusable(ctx, l);
	*(enum conf_source *)field(ctx->conf, l->kw->src) = CONF_FROM_FILE;
	return true;
}

static void
warn_both_ends(struct ctx *ctx, const struct list *remote,
    const struct list *local)
{
	char plain[INET_ADDRSTRLEN];

	for (size_t i = 0; i < local->n; i++) {
		if (*list_place(remote, local->entry[i].addr) == 0)
			continue;
		say(ctx, CONF_WARNING, "%s is in localip and in remoteip: a "
		    "client cannot have the server's address; remove it from "
		    "one of them", ntoa(local->entry[i].addr, plain));
		return;
	}
}

/* PoPToP's words for a list that is too short. */
static void
reduce(struct ctx *ctx, enum conf_severity severity, size_t to)
{
	if (to >= ctx->conf->connections)
		return;
	say(ctx, severity, "MGR: Maximum of %u connections reduced to %zu, "
	    "not enough IP addresses given", ctx->conf->connections, to);
	ctx->conf->connections = (unsigned)to;
}

static void
make_pool(struct ctx *ctx, const struct found *f_local,
    const struct found *f_remote)
{
	struct conf *conf = ctx->conf;
	struct list remote = { .n = 0 }, local = { .n = 0 };
	bool ok;

	/* Remote first: its length is the limit for the other. */
	ok = list_init(&remote, ctx, true, conf->connections) &&
	    apply_list(ctx, &remote, f_remote);
	if (ok)
		reduce(ctx, CONF_NOTICE, remote.n);
	/* After a failure still read the other, to report all at once. */
	ok = list_init(&local, ctx, false, conf->connections) &&
	    apply_list(ctx, &local, f_local) && ok;
	if (ok) {
		if (local.n > 1)
			reduce(ctx, CONF_WARNING, local.n);
		warn_both_ends(ctx, &remote, &local);
		conf->n_remote = conf->connections;
		conf->n_local = local.n;
		conf->remote = list_addresses(&remote, conf->n_remote);
		conf->local = list_addresses(&local, conf->n_local);
		if (conf->remote == NULL || conf->local == NULL)
			say(ctx, CONF_ERROR, "out of memory for the addresses");
	}
	list_free(&remote);
	list_free(&local);
}

static void
apply_delegate(struct ctx *ctx, const struct found *f_local,
    const struct found *f_remote)
{
	const struct keyword *kw = keyword_of(offsetof(struct conf,
	    connections));

	ctx->line = f_remote->line ? f_remote->line : f_local->line;
	if (ctx->line != 0)
		say(ctx, CONF_NOTICE, "localip and remoteip are ignored: with "
		    "delegate, pppd chooses the addresses");
	ctx->line = 0;
	/* PoPToP never counted here, and sites with thousands of RADIUS
	 * users have no "connections" in their file. */
	if (is_set(kw, ctx, CONF_FROM_DEFAULT)) {
		ctx->conf->connections = CONF_MAX_CONNECTIONS;
		say(ctx, CONF_NOTICE, "delegate without connections: no limit, "
		    "as in PoPToP; connections N would be kept here");
	}
}

static void
apply_found(struct ctx *ctx, struct found *found)
{
	struct conf *conf = ctx->conf;
	const struct found *local = &found[keyword_of(offsetof(struct conf,
	    local)) - keywords];
	const struct found *remote = &found[keyword_of(offsetof(struct conf,
	    remote)) - keywords];

	for (size_t i = 0; i < N_KEYWORDS; i++)
		apply_single(ctx, &keywords[i], &found[i]);
	free(conf->local);
	free(conf->remote);
	conf->local = conf->remote = NULL;
	conf->n_local = conf->n_remote = 0;
	if (conf->delegate)
		apply_delegate(ctx, local, remote);
	else
		make_pool(ctx, local, remote);
	ctx->line = 0;
	if (conf->port != DEFAULT_PORT)
		say(ctx, CONF_NOTICE, "port %u, from pptp/tcp in /etc/services; "
		    "clients only know %u", conf->port, DEFAULT_PORT);
	if (conf->ppp == NULL || conf->pidfile == NULL || conf->speed == NULL)
		say(ctx, CONF_ERROR, "out of memory");
}

/* --- the interface --- */

void
conf_init(struct conf *conf)
{
	struct ctx ctx = { .conf = conf, .from = CONF_FROM_DEFAULT };
	struct servent *serv = getservbyname("pptp", "tcp");

	*conf = (struct conf){ .port = DEFAULT_PORT };
	if (serv != NULL)
		conf->port = ntohs((uint16_t)serv->s_port);
	for (size_t i = 0; i < N_KEYWORDS; i++)
		if (keywords[i].def != NULL)
			set_value(&ctx, &keywords[i], keywords[i].def);
}

void
conf_free(struct conf *conf)
{
	free(conf->file);
	for (size_t i = 0; i < N_KEYWORDS; i++)
		if (keywords[i].type == KW_TEXT || keywords[i].type == KW_PATH ||
		    keywords[i].type == KW_PIDFILE)
			free(*(char **)field(conf, keywords[i].value));
	free(conf->local);
	free(conf->remote);
	*conf = (struct conf){ .file = NULL };
}

/* The text of -h, made from the table. */
static const char *
usage(void)
{
	static char text[4096];
	size_t n = 0;
	char left[64];

	n += (size_t)snprintf(text + n, sizeof(text) - n,
	    "\npptpd v%s (pptpctrl)\n"
	    "Usage: pptpd [options], where options are:\n\n"
	    " -c, --conf FILE         configuration file, default %s\n"
	    " -f, --fg                stay in the foreground\n"
	    " -h, --help              show this text\n"
	    " -v, --version           show the version\n",
	    VERSION, CONF_DEFAULT_FILE);
	for (size_t i = 0; i < N_KEYWORDS && n < sizeof(text); i++) {
		const struct keyword *kw = &keywords[i];

		if (kw->opt == 0)
			continue;
		snprintf(left, sizeof(left), "-%c, --%s%s%s", kw->opt, kw->name,
		    kw->arg ? " " : "", kw->arg ? kw->arg : "");
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    " %-23s %s%s%s\n", left, kw->doc,
		    kw->def ? ", default " : "", kw->def ? kw->def : "");
	}
	if (n < sizeof(text))
		snprintf(text + n, sizeof(text) - n,
		    "\nThe command line beats the file.  More in pptpd(8) and "
		    "pptpd.conf(5).\n");
	return text;
}

/* The command line, as getopt_long wants it. */
struct options {
	char shorts[2 * (N_OTHERS + N_KEYWORDS) + 1];
	struct option longs[N_OTHERS + N_KEYWORDS + 1];
	char opt[N_OTHERS + N_KEYWORDS];	/* short option of longs[i] */
	size_t n;
	char *end;		/* of shorts */
};

/* PoPToP gave all long options the value 0.  To glibc such options are the
 * same, so that a prefix of several means the first: --con is --conf, --de
 * is --debug, --p is --ppp.  So do we, with PoPToP's order. */
static void
add_option(struct options *o, const char *name, char opt, bool arg)
{
	o->longs[o->n] = (struct option){ name,
	    arg ? required_argument : no_argument, NULL, 0 };
	o->opt[o->n++] = opt;
	*o->end++ = opt;
	if (arg)
		*o->end++ = ':';
}

static void
make_options(struct options *o)
{
	*o = (struct options){ .n = 0 };
	o->end = o->shorts;
	for (size_t i = 0; i < N_OTHERS; i++)
		add_option(o, others[i].name, others[i].opt, others[i].arg);
	for (size_t i = 0; i < N_KEYWORDS; i++)
		if (keywords[i].opt != 0)
			add_option(o, keywords[i].name, keywords[i].opt,
			    keywords[i].arg != NULL);
}

/* One option that getopt_long understood. */
static void
take_option(struct ctx *ctx, int opt, enum conf_action *ret_action,
    const char **ret_text)
{
	char *copy;

	switch (opt) {
	case 'c':
		if ((copy = strdup(optarg)) == NULL) {
			say(ctx, CONF_ERROR, "out of memory at -c");
			break;
		}
		free(ctx->conf->file);
		ctx->conf->file = copy;
		break;
	case 'f':
		ctx->conf->foreground = true;
		break;
	case 'h':
		*ret_action = CONF_EXIT_OK;
		*ret_text = usage();
		break;
	case 'v':
		*ret_action = CONF_EXIT_OK;
		*ret_text = "pptpd v" VERSION " (pptpctrl)\n";
		break;
	default:
		for (size_t i = 0; i < N_KEYWORDS; i++)
			if (keywords[i].opt == (char)opt) {
				set_value(ctx, &keywords[i], optarg);
				return;
			}
		*ret_action = CONF_EXIT_USAGE;
		*ret_text = usage();
		break;
	}
}

bool
conf_argv(struct conf *conf, int argc, char **argv, conf_report_fn report,
    void *arg, enum conf_action *ret_action, const char **ret_text)
{
	struct ctx ctx = { .conf = conf, .name = "command line",
	    .from = CONF_FROM_ARGV, .report = report, .arg = arg };
	struct options o;
	int opt, at = 0;

	make_options(&o);
	*ret_action = CONF_RUN;
	optind = 0;		/* glibc and musl: start anew */
	while (!ctx.failed && *ret_action == CONF_RUN &&
	    (opt = getopt_long(argc, argv, o.shorts, o.longs, &at)) != -1)
		take_option(&ctx, opt == 0 ? o.opt[at] : opt, ret_action,
		    ret_text);
	if (!ctx.failed && *ret_action == CONF_RUN && optind < argc)
		say(&ctx, CONF_WARNING, "\"%s\" is no option and is ignored, "
		    "as PoPToP did", argv[optind]);
	return !ctx.failed;
}

bool
conf_parse(struct conf *conf, const char *name, const char *text, size_t len,
    conf_report_fn report, void *arg)
{
	struct ctx ctx = { .conf = conf, .name = name, .from = CONF_FROM_FILE,
	    .report = report, .arg = arg };
	struct found found[N_KEYWORDS] = { { .line = 0 } };
	char *copy;

	if (len > MAX_FILE) {
		say(&ctx, CONF_ERROR, "larger than %u bytes: this cannot be "
		    "the configuration file", MAX_FILE);
		return false;
	}
	if ((copy = malloc(len + 1)) == NULL) {
		say(&ctx, CONF_ERROR, "out of memory for %zu bytes", len);
		return false;
	}
	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	scan_lines(&ctx, copy, len, found);
	ctx.line = 0;
	apply_found(&ctx, found);
	free(copy);
	return !ctx.failed;
}

/* All of fd, up to one byte more than we take.  NULL with errno: failed. */
static char *
read_all(int fd, size_t *ret_len)
{
	char *text = malloc(MAX_FILE + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (text != NULL && n != 0 && len < MAX_FILE + 1) {
		n = read(fd, text + len, MAX_FILE + 1 - len);
		if (n > 0) {
			len += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			free(text);
			return NULL;
		}
	}
	*ret_len = len;
	return text;
}

bool
conf_load(struct conf *conf, conf_report_fn report, void *arg)
{
	struct ctx ctx = { .conf = conf, .report = report, .arg = arg };
	bool given = conf->file != NULL, ok = false;
	char *text = NULL;
	size_t len = 0;
	int fd;

	if (!given && (conf->file = strdup(CONF_DEFAULT_FILE)) == NULL)
		return false;
	ctx.name = conf->file;
	fd = open(conf->file, O_RDONLY | O_CLOEXEC);
	conf->file_missing = fd < 0 && errno == ENOENT && !given;
	if (conf->file_missing) {
		say(&ctx, CONF_NOTICE, "there is no such file: defaults are "
		    "used");
		return conf_parse(conf, conf->file, "", 0, report, arg);
	}
	if (fd < 0)
		say(&ctx, CONF_ERROR, "MGR: Config file not found! %s: %s: %s",
		    conf->file, strerror(errno),
		    given ? "check -c" : "run as root");
	else if ((text = read_all(fd, &len)) == NULL)
		say(&ctx, CONF_ERROR, "cannot be read: %s", strerror(errno));
	else
		ok = conf_parse(conf, conf->file, text, len, report, arg);
	free(text);
	if (fd >= 0)
		close(fd);
	return ok;
}
