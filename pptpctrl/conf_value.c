/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "conf_impl.h"

static const char *const datapath_names[] = {
	[CONF_DP_AUTO] = "auto",
	[CONF_DP_RELAY] = "relay",
	[CONF_DP_TTY] = "tty",
	[CONF_DP_KERNEL] = "kernel",
};

#define N_DATAPATHS	(sizeof(datapath_names) / sizeof(datapath_names[0]))

const char *
conf_datapath_name(enum conf_datapath dp)
{
	return (size_t)dp < N_DATAPATHS ? datapath_names[dp] : "?";
}

static const char *const offload_names[] = {
	[CONF_OFFLOAD_AUTO] = "auto",
	[CONF_OFFLOAD_ON] = "on",
	[CONF_OFFLOAD_OFF] = "off",
};

#define N_OFFLOADS	(sizeof(offload_names) / sizeof(offload_names[0]))

const char *
conf_offload_name(enum conf_offload offload)
{
	return (size_t)offload < N_OFFLOADS ? offload_names[offload] : "?";
}

long
conf_to_number(const char *text, bool *ret_clean)
{
	char *end;
	long n = strtol(text, &end, 10);

	*ret_clean = end != text && *end == '\0';
	return n;
}

/* PoPToP's atoi took anything in the file, and so do we; its command line
 * took 0 and -5 and died of it. */
static bool
set_number(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	unsigned *target = conf_field(ctx->conf, kw->value);
	long min = kw->min, max = kw->max;
	bool clean;
	long n = conf_to_number(value, &clean);

	if (ctx->from == CONF_FROM_ARGV && (!clean || n < min)) {
		conf_say(ctx, CONF_ERROR, "-%c \"%s\" (--%s): wants a number "
		    "from %ld to %ld", kw->opt, value, kw->name, min, max);
		return false;
	}
	n = (int)n;	/* atoi, for numbers that are too long too */
	if (n < min) {
		n = conf_to_number(kw->def, &(bool){ false });
		conf_say(ctx, CONF_WARNING, "%s \"%s\" is no number from %ld "
		    "to %ld: the default, %ld, is used, as PoPToP did; write a "
		    "number", kw->name, value, min, max, n);
	} else if (n > max) {
		conf_say(ctx, CONF_WARNING, "%s \"%s\" is more than the most "
		    "possible: %ld is used", kw->name, value, max);
		n = max;
	} else if (!clean) {
		conf_say(ctx, CONF_WARNING, "%s \"%s\" is read as %ld, as "
		    "PoPToP did; write the number alone", kw->name, value, n);
	}
	*target = (unsigned)n;
	return true;
}

static bool
set_stimeout(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	bool clean;

	/* PoPToP: with -t 0, and only then, the file counted. */
	if (ctx->from == CONF_FROM_ARGV && conf_to_number(value, &clean) == 0 &&
	    clean) {
		conf_say(ctx, CONF_WARNING,
		    "-t 0 is no time: the configuration "
		    "file's stimeout or the default, %s s, is used", kw->def);
		return false;
	}
	if (!set_number(ctx, kw, value))
		return false;
	if (ctx->from == CONF_FROM_FILE &&
	    ctx->conf->stimeout != CONF_DEFAULT_STIMEOUT)
		conf_say(ctx, CONF_NOTICE,
		    "stimeout %u works here; PoPToP read "
		    "this line but always waited 10 s", ctx->conf->stimeout);
	return true;
}

static bool
set_string(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	char **target = conf_field(ctx->conf, kw->value);
	char *copy = strdup(value);

	if (copy == NULL) {
		conf_say(ctx, CONF_ERROR, "out of memory at %s", kw->name);
		return false;
	}
	free(*target);
	*target = copy;
	return true;
}

/* PoPToP took an empty value, then could not open it (option, ppp, pidfile)
 * or gave it to a pppd that gave up (speed). */
static bool
set_text(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	bool path = kw->type == KW_PATH || kw->type == KW_PIDFILE;

	if (*value == '\0' && kw->type == KW_PATH) {
		conf_say(ctx, CONF_ERROR,
		    "%s has no value: give a file, or remove "
		    "it%s%s", kw->name, kw->def != NULL ? " for " : "",
		    kw->def != NULL ? kw->def : "");
		return false;
	}
	if (*value == '\0' && kw->type == KW_PIDFILE)
		conf_say(ctx, CONF_WARNING,
		    "pidfile has no value: no process id "
		    "is written");
	if (*value == '\0' && kw->type == KW_TEXT) {
		conf_say(ctx, CONF_WARNING,
		    "%s has no value and is ignored: give "
		    "one, or remove it", kw->name);
		return false;
	}
	if (path && *value != '\0' && *value != '/')
		conf_say(ctx, CONF_WARNING,
		    "%s \"%s\" does not start with /: the "
		    "server runs in / and may not find it", kw->name, value);
	return set_string(ctx, kw, value);
}

static bool
set_datapath(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	enum conf_datapath *target = conf_field(ctx->conf, kw->value);

	for (size_t i = 0; i < N_DATAPATHS; i++) {
		if (strcmp(datapath_names[i], value) == 0) {
			*target = (enum conf_datapath)i;
			return true;
		}
	}
	conf_say(ctx, CONF_ERROR, "%s \"%s\": no such data path; write auto, "
	    "relay, tty or kernel", kw->name, value);
	return false;
}

static bool
set_offload(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	enum conf_offload *target = conf_field(ctx->conf, kw->value);

	for (size_t i = 0; i < N_OFFLOADS; i++) {
		if (strcmp(offload_names[i], value) == 0) {
			*target = (enum conf_offload)i;
			return true;
		}
	}
	conf_say(ctx, CONF_ERROR, "%s \"%s\": write auto, on or off",
	    kw->name, value);
	return false;
}

/* Keeps the resolver away from what is no name: "192.168.0.1-192.168.0.9",
 * "10.0.0.0/24", " 10.0.0.1" would wait for DNS servers at start. */
bool
conf_may_be_name(const char *s)
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
bool
conf_lookup(const char *text, struct in_addr *ret_addr)
{
	struct hostent *host;

	ret_addr->s_addr = inet_addr(text);
	if (ret_addr->s_addr != INADDR_NONE)
		return true;
	if (strcmp(text, "255.255.255.255") == 0)
		return true;
	if (!conf_may_be_name(text))
		return false;
	host = gethostbyname(text);
	if (host == NULL || host->h_addrtype != AF_INET ||
	    host->h_length != (int)sizeof(*ret_addr))
		return false;
	memcpy(ret_addr, host->h_addr_list[0], sizeof(*ret_addr));
	return true;
}

const char *
conf_ntoa(struct in_addr addr, char buf[static INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &addr, buf, INET_ADDRSTRLEN);
}

void
conf_note_odd_address(struct conf_ctx *ctx, const struct conf_kw *kw,
    const char *text,
    struct in_addr addr, bool tail_ok)
{
	char plain[INET_ADDRSTRLEN];
	size_t len = strcspn(text, CONF_BLANKS);
	const char *tail = text + len + strspn(text + len, CONF_BLANKS);

	if (inet_addr(text) == INADDR_NONE)
		return;
	if (*tail != '\0' && !tail_ok)
		conf_say(ctx, CONF_WARNING,
		    "%s \"%s\": what follows the address is "
		    "ignored, as PoPToP did; remove it, or make it a comment "
		    "at the end of the line with a blank and #", kw->name,
		    text);
	conf_ntoa(addr, plain);
	if (strlen(plain) != len || strncmp(plain, text, len) != 0)
		conf_say(ctx, CONF_WARNING,
		    "%s \"%.*s\" is read as %s, as PoPToP "
		    "did; write it so", kw->name, (int)len, text, plain);
}

static bool
set_listen(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	struct in_addr *target = conf_field(ctx->conf, kw->value);
	struct in_addr addr;

	if (!conf_lookup(value, &addr)) {
		conf_say(ctx, CONF_ERROR, "MGR: Invalid listening address: %s! "
		    "%s wants one IPv4 address of this host, or a name that "
		    "resolves to one", value, kw->name);
		return false;
	}
	conf_note_odd_address(ctx, kw, value, addr, false);
	*target = addr;
	ctx->conf->listen_set = true;
	return true;
}

static bool
set_flag(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	if (value != NULL && *value != '\0')
		conf_say(ctx, CONF_WARNING,
		    "%s takes no value: \"%s\" is ignored, "
		    "%s is on; remove the line to turn it off", kw->name,
		    value, kw->name);
	*(bool *)conf_field(ctx->conf, kw->value) = true;
	return true;
}

static bool
set_by_type(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	switch (kw->type) {
	case KW_FLAG:
		return set_flag(ctx, kw, value);
	case KW_TEXT:
	case KW_PATH:
	case KW_PIDFILE:
		return set_text(ctx, kw, value);
	case KW_NUMBER:
		return set_number(ctx, kw, value);
	case KW_STIMEOUT:
		return set_stimeout(ctx, kw, value);
	case KW_LISTEN:
		return set_listen(ctx, kw, value);
	case KW_DATAPATH:
		return set_datapath(ctx, kw, value);
	case KW_OFFLOAD:
		return set_offload(ctx, kw, value);
	case KW_LIST:
		break;		/* conf_make_pool does these */
	case KW_LIMIT:
		return conf_set_limit(ctx, kw, value);
	case KW_SESSIONS:
		return conf_set_sessions(ctx, kw, value);
	case KW_NETS:
		return conf_set_nets(ctx, kw, value);
	}
	return false;
}

void
conf_set(struct conf_ctx *ctx, const struct conf_kw *kw, const char *value)
{
	if (!set_by_type(ctx, kw, value))
		return;
	*(enum conf_source *)conf_field(ctx->conf, kw->src) = ctx->from;
	if (ctx->from != CONF_FROM_DEFAULT && kw->gone != NULL)
		conf_say(ctx, CONF_NOTICE, "%s is accepted, but %s", kw->name,
		    kw->gone);
}
