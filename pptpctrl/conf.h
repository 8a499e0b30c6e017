/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration: text of /etc/pptpd.conf and the command line to one struct
 * conf.  The grammar is PoPToP's (first match of a keyword wins, lists of
 * addresses with a range in one octet), with the extensions named in
 * pptpd.conf(5).  No globals; nothing here opens a socket or looks at the
 * kernel.
 */
#ifndef PPTPCTRL_CONF_H
#define PPTPCTRL_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hosts;

#define CONF_DEFAULT_FILE	"/etc/pptpd.conf"
#define CONF_DEFAULT_PPPD	"/usr/sbin/pppd"
#define CONF_DEFAULT_PIDFILE	"/var/run/pptpd.pid"
#define CONF_DEFAULT_CONNECTIONS 100u
#define CONF_DEFAULT_STIMEOUT	10u
#define CONF_MAX_CONNECTIONS	65535u

enum conf_datapath {
	CONF_DP_AUTO,
	CONF_DP_RELAY,
	CONF_DP_TTY,
	CONF_DP_KERNEL,
};

enum conf_offload {
	CONF_OFFLOAD_OFF,
	CONF_OFFLOAD_AUTO,
	CONF_OFFLOAD_ON,	/* do not start without */
};

/* Where a value came from: the command line beats the file (pptpd(8)). */
enum conf_source {
	CONF_FROM_DEFAULT,
	CONF_FROM_FILE,
	CONF_FROM_ARGV,
};

/* May a user have more than one call? */
enum conf_sessions {
	CONF_SESSIONS_ANY,
	CONF_SESSIONS_REFUSE,	/* no: the new one is ended */
	CONF_SESSIONS_REPLACE,	/* no: the old one is ended */
};

/* Host byte order; addr has no bit outside mask. */
struct conf_net {
	uint32_t addr, mask;
};

struct conf_nets {
	struct conf_net *net;
	size_t n;
};

/* A number with its origin. */
struct conf_limit {
	unsigned n;
	enum conf_source src;
};

#define CONF_SENDERS_MAX 16	/* relay-threads */

/* Who may take how much; pptpd.conf(5) has the meaning of each.  Rates are
 * per second, times in seconds, 0 where allowed: no limit. */
struct conf_limits {
	struct conf_limit max_half_open, max_half_open_source,
	    max_unauthenticated, max_unauthenticated_source,
	    max_calls_source, max_calls_user, max_starting, source_prefix,
	    connection_rate, connection_burst, call_rate, call_burst,
	    calls_per_minute, message_rate, message_burst, echo_rate,
	    setup_timeout, idle_timeout, echo_interval, echo_timeout,
	    ban_after, ban_time, relay_threads;
	unsigned most_open;	/* control connections, where the machine
				 * allows less than CONF_OPEN; 0: it does not */
	enum conf_sessions sessions;
	struct conf_nets allow, deny;
	enum conf_source src_sessions, src_allow, src_deny;
};

/* Control connections that may be open at once, beside so many calls: those
 * that are not so far yet, and those that get a last message. */
#define CONF_LEAVING_MAX 256u
#define CONF_OPEN(limits, calls) ((calls) + (limits)->max_half_open.n +	\
	(limits)->max_unauthenticated.n + CONF_LEAVING_MAX)

struct conf {
	char *file;		/* the file read, never NULL after conf_load */
	bool file_missing;	/* the default file does not exist: defaults */
	char *text;		/* what was read from it; NULL: nothing was,
				 * or conf_free_text */
	size_t text_len;
	bool last_good;		/* of an earlier start, because the present
				 * one has errors: takes no new calls */
	char *option;		/* pppd options file or NULL */
	char *ppp;		/* path of pppd, never NULL */
	char *pidfile;		/* never NULL; "" means: write none */
	char *speed;		/* tty speed for pppd's arguments, never NULL */
	struct in_addr listen;	/* INADDR_ANY when not given */
	bool listen_set;
	uint16_t port;		/* host order; "pptp" in services, else 1723 */
	unsigned connections;	/* most calls at once, after the lists' cut;
				 * with delegate and no limit given, the
				 * most there is: PoPToP had none there */
	unsigned stimeout;	/* seconds to the first whole message */
	bool debug;
	bool noipparam;
	bool delegate;		/* pppd chooses addresses: no pool, no L:R */
	bool logwtmp;
	enum conf_datapath datapath;
	enum conf_offload offload;	/* fast path of the relay */
	bool foreground;	/* -f */
	char *bcrelay;		/* NULL unless given; only recorded */
	char *vrf;		/* device of the public side; NULL: none */

	struct hosts *hosts;	/* hosts.allow and hosts.deny; NULL: no rule */

	/* Pool: slot i offers local[n_local == 1 ? 0 : i] and remote[i].
	 * Both NULL and 0 with delegate.  Else, after success, n_remote is
	 * connections and n_local is 1 or connections: no slot lacks an
	 * address. */
	struct in_addr *local;
	size_t n_local;
	struct in_addr *remote;
	size_t n_remote;

	struct conf_limits limits;

	/* Where each came from, by keyword, for precedence and for check. */
	enum conf_source src_connections, src_stimeout, src_debug, src_listen,
	    src_option, src_ppp, src_pidfile, src_speed, src_noipparam,
	    src_delegate, src_logwtmp, src_local, src_remote, src_datapath,
	    src_offload,
	    src_bcrelay, src_vrf;
};

enum conf_severity {
	CONF_NOTICE,		/* accepted, says what no longer happens */
	CONF_WARNING,		/* accepted, probably not what was meant */
	CONF_ERROR,		/* will not start */
};

/*
 * One finding.  line is 0 when it is not about a line.  file is never NULL:
 * the configuration file, or "command line".  text has no newline and no
 * byte outside printable ASCII, whatever was in the file.
 */
typedef void (*conf_report_fn)(void *arg, enum conf_severity severity,
    const char *file, unsigned line, const char *text);

/* What main is to do after the command line was read. */
enum conf_action {
	CONF_RUN,
	CONF_EXIT_OK,		/* -h or -v: ret_text is for stdout */
	CONF_EXIT_USAGE,	/* bad option: ret_text is for stdout, rc 1 */
};

/* Set every field to its default.  conf must later go to conf_free. */
void conf_init(struct conf *conf);

/* Free what conf owns and leave it as after conf_init, without defaults. */
void conf_free(struct conf *conf);

/* Of these its text alone, once that was kept elsewhere. */
void conf_free_text(struct conf *conf);

/*
 * Read PoPToP's command line (pptpd(8)): -c -o -p -l -e -s -t -C -d -f -i -D
 * -w -b -V -h -v and their long names.  Only records; the file comes with
 * conf_load.  Findings go to report.  Returns false if one was CONF_ERROR.
 * *ret_text is static storage, set for CONF_EXIT_*.
 */
bool conf_argv(struct conf *conf, int argc, char **argv,
    conf_report_fn report, void *arg, enum conf_action *ret_action,
    const char **ret_text);

/*
 * Read conf->file (or the default file) on top of what conf_argv set, work
 * out the pool, read hosts.allow and hosts.deny.  Returns false if a finding was CONF_ERROR.
 */
bool conf_load(struct conf *conf, conf_report_fn report, void *arg);

/* What is said of a FIFO, a socket or a disk where a file should be. */
#define CONF_NO_FILE	"this is no regular file"

/*
 * Open a file of the configuration for reading, without ever waiting for
 * somebody at its other end.  Returns the descriptor, the caller's to close;
 * or -1 with errno, and why in *ret_why: CONF_NO_FILE, or errno's text.
 */
int conf_open(const char *path, const char **ret_why);

#define CONF_FILE_MAX	(1024u * 1024u)		/* bytes that we take */

/* All that fd has, but no more than CONF_FILE_MAX + 1 bytes, to be freed.  Not
 * ended by NUL, for which there is room up to CONF_FILE_MAX.  NULL with errno:
 * it cannot be read. */
char *conf_read(int fd, size_t *ret_len);

/*
 * The same for text in memory, text[0..len), named name in findings:
 * what tests and the fuzzer call.  Does not touch the file system except to
 * resolve host names in lists.
 */
bool conf_parse(struct conf *conf, const char *name, const char *text,
    size_t len, conf_report_fn report, void *arg);

const char *conf_datapath_name(enum conf_datapath dp);
const char *conf_offload_name(enum conf_offload offload);

/* Keyword number i of the file, with its one-line description; NULL and
 * *ret_doc untouched past the last.  For the test of the manual pages. */
const char *conf_keyword(size_t i, const char **ret_doc);

/*
 * Keyword number i of struct conf_limits; its value as text goes to buf, its
 * origin to *ret_src.  NULL past the last.
 */
const char *conf_limit(const struct conf *conf, size_t i, char *buf,
    size_t size, enum conf_source *ret_src);

/* Is addr in one of the networks? */
bool conf_nets_match(const struct conf_nets *nets, struct in_addr addr);

#endif
