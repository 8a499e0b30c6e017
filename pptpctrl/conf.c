/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration: the table of keywords, findings, from lines to values.
 *
 * Rule of the house: a file that PoPToP takes means here what it meant there.
 * What we take beyond its grammar (comments after a value, leading blanks,
 * CR LF, whole ranges, networks) is tried only where PoPToP would have
 * refused or skipped the line.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_impl.h"
#include "hosts.h"

#define MAX_FINDINGS	100u	/* about lines: a binary file has many */
#define MAX_STIMEOUT	3600u
#define DEFAULT_PORT	1723u
/* PoPToP's. */
#define DEFAULT_LOCAL	"192.168.0.1-100"
#define DEFAULT_REMOTE	"192.168.1.1-100"

/* --- the keywords --- */

#define AT(field)	.value = offsetof(struct conf, field), \
			.src = offsetof(struct conf, src_##field)

#define LIMIT(keyword, field, low, high, text)				\
	.name = keyword, .type = KW_LIMIT,				\
	.value = offsetof(struct conf, limits.field.n),			\
	.src = offsetof(struct conf, limits.field.src),			\
	.min = (low), .max = (high), .arg = "N", .doc = (text)
#define AT_LIMITS(field)						\
	.value = offsetof(struct conf, limits.field),			\
	.src = offsetof(struct conf, limits.src_##field)

/* Where a prefix of a long option fits two, the first counts. */
const struct conf_kw conf_keywords[] = {
	{ .name = "bcrelay", .opt = 'b', .type = KW_TEXT, AT(bcrelay),
	    .arg = "IF",
	    .doc = "accepted, does nothing: no broadcast relay",
	    .gone = "broadcasts are not relayed; to find hosts by name, give "
	    "the clients a DNS or WINS server (ms-dns, ms-wins in pppd's "
	    "options)" },
	{ .name = "connections", .opt = 'C', .type = KW_NUMBER, AT(connections),
	    .def = "100", .min = 1, .max = CONF_MAX_CONNECTIONS,
	    .arg = "N", .doc = "most calls at once" },
	{ .name = "datapath", .type = KW_DATAPATH, AT(datapath),
	    .def = "auto", .arg = "PATH",
	    .doc = "how frames reach pppd: auto, relay, tty or kernel" },
	{ .name = "debug", .opt = 'd', .type = KW_FLAG, AT(debug),
	    .doc = "log more; pppd has a debug option of its own" },
	{ .name = "delegate", .opt = 'D', .type = KW_FLAG, AT(delegate),
	    .doc = "let pppd choose the addresses" },
	{ .name = "listen", .opt = 'l', .type = KW_LISTEN, AT(listen),
	    .arg = "ADDRESS", .doc = "local address to listen on" },
	{ .name = "localip", .type = KW_LIST, AT(local),
	    .def = DEFAULT_LOCAL,
	    .arg = "LIST", .doc = "addresses of the server's ends" },
	{ .name = "logwtmp", .opt = 'w', .type = KW_FLAG, AT(logwtmp),
	    .doc = "write login records, for last" },
	{ .name = "noipparam", .opt = 'i', .type = KW_FLAG, AT(noipparam),
	    .doc = "do not give the client's address to pppd's scripts" },
	{ .name = "option", .opt = 'o', .type = KW_PATH, AT(option),
	    .arg = "FILE", .doc = "pppd's options file" },
	{ .name = "ppp", .opt = 'e', .type = KW_PATH, AT(ppp),
	    .def = CONF_DEFAULT_PPPD,
	    .arg = "FILE", .doc = "the pppd program" },
	{ .name = "pidfile", .opt = 'p', .type = KW_PIDFILE, AT(pidfile),
	    .def = CONF_DEFAULT_PIDFILE,
	    .arg = "FILE", .doc = "where to write the process id" },
	{ .name = "relay-offload", .type = KW_OFFLOAD, AT(offload),
	    .def = "off", .arg = "HOW",
	    .doc = "the relay's fast path in the kernel: off, auto or on" },
	{ .name = "remoteip", .type = KW_LIST, AT(remote),
	    .def = DEFAULT_REMOTE,
	    .arg = "LIST", .doc = "addresses for clients" },
	{ .name = "speed", .opt = 's', .type = KW_TEXT, AT(speed),
	    .def = "115200",
	    .arg = "BAUD", .doc = "passed to pppd; changes no speed",
	    .gone = "this is passed to pppd and changes no speed: a call is "
	    "as fast as the network" },
	{ .name = "stimeout", .opt = 't', .type = KW_STIMEOUT, AT(stimeout),
	    .def = "10", .min = 1, .max = MAX_STIMEOUT,
	    .arg = "SECONDS",
	    .doc = "time for the first message of a client" },
	{ .name = "vrf", .opt = 'V', .type = KW_TEXT, AT(vrf),
	    .arg = "NAME",
	    .doc = "VRF device that clients are reached through" },
	/* Not PoPToP's. */
	{ .name = "allow", .type = KW_NETS, AT_LIMITS(allow),
	    .arg = "NETS", .doc = "only clients of these networks may connect" },
	{ LIMIT("ban-after", ban_after, 0, 1000,
	    "failed logins of a user from one source until it is banned"),
	    .def = "10" },
	{ LIMIT("ban-time", ban_time, 1, 86400 * 7,
	    "seconds that a ban lasts"),
	    .def = "600" },
	{ LIMIT("call-burst", call_burst, 1, 65535,
	    "calls that a source may ask for at once"),
	    .def = "400" },
	{ LIMIT("call-rate", call_rate, 0, 10000,
	    "calls that a source may ask for, per second"),
	    .def = "20" },
	{ LIMIT("calls-per-minute", calls_per_minute, 1, 1000,
	    "calls that one control connection may ask for"),
	    .def = "10" },
	{ LIMIT("connection-burst", connection_burst, 1, 65535,
	    "connections that a source may open at once"),
	    .def = "400" },
	{ LIMIT("connection-rate", connection_rate, 0, 10000,
	    "connections that a source may open, per second"),
	    .def = "20" },
	{ .name = "deny", .type = KW_NETS, AT_LIMITS(deny),
	    .arg = "NETS", .doc = "clients of these networks may not connect" },
	{ LIMIT("echo-interval", echo_interval, 5, 3600,
	    "seconds of silence until a client is asked for an echo"),
	    .def = "60" },
	{ LIMIT("echo-rate", echo_rate, 1, 1000,
	    "echo requests that are answered, per second"),
	    .def = "10" },
	{ LIMIT("echo-timeout", echo_timeout, 5, 3600,
	    "seconds that a client has to answer"),
	    .def = "60" },
	{ LIMIT("idle-timeout", idle_timeout, 1, 3600,
	    "seconds that a connection may be without a call"),
	    .def = "30" },
	{ LIMIT("max-calls-per-source", max_calls_source, 0,
	    65535, "most calls of one source"),
	    .def = "0" },
	{ LIMIT("max-calls-per-user", max_calls_user, 0, 65535,
	    "most calls of one user"),
	    .def = "0" },
	{ LIMIT("max-half-open", max_half_open, 1, 65535,
	    "most connections that have said nothing yet"),
	    .def = "1024" },
	{ LIMIT("max-half-open-per-source", max_half_open_source,
	    1, 65535, "the same, of one source"),
	    .def = "256" },
	{ LIMIT("max-starting", max_starting, 1, 1024,
	    "most pppds that start at once"),
	    .def = "32" },
	{ LIMIT("max-unauthenticated", max_unauthenticated, 1,
	    65535, "most connections without a login"),
	    .def = "1024" },
	{ LIMIT("max-unauthenticated-per-source",
	    max_unauthenticated_source, 1, 65535,
	    "the same, of one source"),
	    .def = "256" },
	{ LIMIT("message-burst", message_burst, 10, 65535,
	    "control messages that a client may send at once"),
	    .def = "100" },
	{ LIMIT("message-rate", message_rate, 1, 10000,
	    "control messages that a client may send, per second"),
	    .def = "50" },
	{ LIMIT("relay-threads", relay_threads, 0, CONF_SENDERS_MAX,
	    "threads that send the relay's frames; 0: by the number of CPUs"),
	    .def = "1" },
	{ LIMIT("setup-timeout", setup_timeout, 5, 3600,
	    "seconds from a call's begin until its network is up"),
	    .def = "60" },
	{ .name = "single-session", .type = KW_SESSIONS, AT_LIMITS(sessions),
	    .def = "off", .arg = "WHAT",
	    .doc = "one call for each user: off, refuse or replace" },
	{ LIMIT("source-prefix", source_prefix, 8, 32,
	    "bits of an address that make a source"),
	    .def = "32" },
	{ .name = NULL },
};

_Static_assert(sizeof(conf_keywords) / sizeof(conf_keywords[0]) <=
    CONF_MAX_KEYWORDS + 1, "raise CONF_MAX_KEYWORDS");

void *
conf_field(struct conf *conf, size_t offset)
{
	return (char *)conf + offset;
}

bool
conf_is_set(const struct conf_kw *kw, const struct conf_ctx *ctx,
    enum conf_source by)
{
	return *(enum conf_source *)conf_field(ctx->conf, kw->src) == by;
}

const struct conf_kw *
conf_kw_find(const char *name)
{
	for (size_t i = 0; conf_keywords[i].name != NULL; i++)
		if (strcmp(conf_keywords[i].name, name) == 0)
			return &conf_keywords[i];
	return NULL;
}

const struct conf_kw *
conf_kw_of(size_t offset)
{
	const struct conf_kw *kw = conf_keywords;

	while (kw->value != offset)
		kw++;
	return kw;
}

const char *
conf_keyword(size_t i, const char **ret_doc)
{
	if (i >= sizeof(conf_keywords) / sizeof(conf_keywords[0]) - 1)
		return NULL;
	*ret_doc = conf_keywords[i].doc;
	return conf_keywords[i].name;
}

/* --- findings --- */

void
conf_vsay(struct conf_ctx *ctx, enum conf_severity severity, const char *fmt,
    va_list ap)
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
	else if (ctx->many && ++ctx->n_said > MAX_FINDINGS + 1)
		return;
	if (ctx->report == NULL)
		return;
	if (severity != CONF_ERROR && ctx->many &&
	    ctx->n_said > MAX_FINDINGS) {
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

void
conf_say(struct conf_ctx *ctx, enum conf_severity severity, const char *fmt,
    ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_vsay(ctx, severity, fmt, ap);
	va_end(ap);
}

/* --- from lines to values --- */

static void
apply_single(struct conf_ctx *ctx, const struct conf_kw *kw,
    const struct conf_found *f)
{
	bool comment;

	if (f->line == 0 || kw->type == KW_LIST)
		return;
	ctx->line = f->line;
	if (conf_is_set(kw, ctx, CONF_FROM_ARGV)) {
		if (kw->value == offsetof(struct conf, connections))
			conf_say(ctx, CONF_NOTICE,
			    "%s %s: the command line's %u "
			    "counts; in PoPToP this line did", kw->name,
			    f->value, ctx->conf->connections);
		return;
	}
	comment = conf_cut_comment(f->value);
	if (comment && kw->type == KW_PIDFILE)
		conf_say(ctx, CONF_WARNING,
		    "%s \"%s\": what follows # is a comment; "
		    "PoPToP took it for a part of the file's name", kw->name,
		    f->value);
	/* PoPToP skipped all lines with our keywords: no reason to guess. */
	ctx->lenient = f->extension && kw->type < KW_LIMIT;
	conf_set(ctx, kw, f->value);
	ctx->lenient = false;
}

/* What was found for the member of struct conf at offset. */
static const struct conf_found *
found_for(const struct conf_found *found, size_t offset)
{
	return &found[conf_kw_of(offset) - conf_keywords];
}

static void
apply_found(struct conf_ctx *ctx, struct conf_found *found)
{
	struct conf *conf = ctx->conf;
	const struct conf_found *local = found_for(found,
	    offsetof(struct conf, local));
	const struct conf_found *remote = found_for(found,
	    offsetof(struct conf, remote));

	for (size_t i = 0; conf_keywords[i].name != NULL; i++)
		apply_single(ctx, &conf_keywords[i], &found[i]);
	free(conf->local);
	free(conf->remote);
	conf->local = conf->remote = NULL;
	conf->n_local = conf->n_remote = 0;
	if (conf->delegate)
		conf_apply_delegate(ctx, local, remote);
	else
		conf_make_pool(ctx, local, remote);
	ctx->line = 0;
	if (conf->port != DEFAULT_PORT)
		conf_say(ctx, CONF_NOTICE,
		    "port %u, from pptp/tcp in /etc/services; "
		    "clients only know %u", conf->port, DEFAULT_PORT);
	if (conf->ppp == NULL || conf->pidfile == NULL || conf->speed == NULL)
		conf_say(ctx, CONF_ERROR, "out of memory");
}

/* --- the interface --- */

void
conf_init(struct conf *conf)
{
	struct conf_ctx ctx = { .conf = conf, .from = CONF_FROM_DEFAULT };
	struct servent *serv = getservbyname("pptp", "tcp");

	*conf = (struct conf){ .port = DEFAULT_PORT };
	if (serv != NULL)
		conf->port = ntohs((uint16_t)serv->s_port);
	for (size_t i = 0; conf_keywords[i].name != NULL; i++)
		if (conf_keywords[i].def != NULL)
			conf_set(&ctx, &conf_keywords[i], conf_keywords[i].def);
}

void
conf_free_text(struct conf *conf)
{
	free(conf->text);
	conf->text = NULL;
	conf->text_len = 0;
}

void
conf_free(struct conf *conf)
{
	free(conf->file);
	conf_free_text(conf);
	for (const struct conf_kw *kw = conf_keywords; kw->name != NULL; kw++)
		if (kw->type == KW_TEXT || kw->type == KW_PATH ||
		    kw->type == KW_PIDFILE)
			free(*(char **)conf_field(conf, kw->value));
	free(conf->local);
	free(conf->remote);
	hosts_free(conf->hosts);
	free(conf->limits.allow.net);
	free(conf->limits.deny.net);
	*conf = (struct conf){ .file = NULL };
}

bool
conf_parse(struct conf *conf, const char *name, const char *text, size_t len,
    conf_report_fn report, void *arg)
{
	struct conf_ctx ctx = { .conf = conf, .name = name,
	    .from = CONF_FROM_FILE, .report = report, .arg = arg };
	struct conf_found found[CONF_MAX_KEYWORDS] = { { .line = 0 } };
	char *copy;

	if (len > CONF_FILE_MAX) {
		conf_say(&ctx, CONF_ERROR,
		    "larger than %u bytes: this cannot be "
		    "the configuration file", CONF_FILE_MAX);
		return false;
	}
	if ((copy = malloc(len + 1)) == NULL) {
		conf_say(&ctx, CONF_ERROR, "out of memory for %zu bytes", len);
		return false;
	}
	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	conf_scan_lines(&ctx, copy, len, found);
	ctx.line = 0;
	apply_found(&ctx, found);
	free(copy);
	return !ctx.failed;
}

int
conf_open(const char *path, const char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	*ret_why = strerror(errno);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	*ret_why = CONF_NO_FILE;
	return -1;
}

char *
conf_read(int fd, size_t *ret_len)
{
	char *text = malloc(CONF_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (text != NULL && n != 0 && len < CONF_FILE_MAX + 1) {
		n = read(fd, text + len, CONF_FILE_MAX + 1 - len);
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

static bool
load_file(struct conf *conf, conf_report_fn report, void *arg)
{
	struct conf_ctx ctx = { .conf = conf, .report = report, .arg = arg };
	bool given = conf->file != NULL, ok = false;
	const char *why;
	int fd;

	if (!given && (conf->file = strdup(CONF_DEFAULT_FILE)) == NULL)
		return false;
	ctx.name = conf->file;
	fd = conf_open(conf->file, &why);
	conf->file_missing = fd < 0 && errno == ENOENT && !given;
	if (conf->file_missing) {
		conf_say(&ctx, CONF_WARNING, "there is no such file: PoPToP's "
		    "defaults are used; make one with localip and remoteip");
		return conf_parse(conf, conf->file, "", 0, report, arg);
	}
	if (fd < 0)
		conf_say(&ctx, CONF_ERROR,
		    "MGR: Config file not found! %s: %s: %s",
		    conf->file, why,
		    given ? "check -c" : "run as root");
	else if ((conf->text = conf_read(fd, &conf->text_len)) == NULL)
		conf_say(&ctx, CONF_ERROR,
		    "cannot be read: %s", strerror(errno));
	else
		ok = conf_parse(conf, conf->file, conf->text, conf->text_len,
		    report, arg);
	if (fd >= 0)
		close(fd);
	return ok;
}

bool
conf_load(struct conf *conf, conf_report_fn report, void *arg)
{
	bool ok = load_file(conf, report, arg);

	hosts_free(conf->hosts);
	conf->hosts = NULL;
	return hosts_load(&conf->hosts, report, arg) && ok;
}
