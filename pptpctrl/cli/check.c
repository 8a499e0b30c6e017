/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/firewall.h"
#include "conf.h"
#include "log.h"
#include "plugin/event.h"
#include "priv/nofile.h"
#include "priv/pppd.h"
#include "priv/probe.h"

#define SECRETS		"/etc/ppp/chap-secrets"
#define SECRETS_LINE	1024
#define RULES_MAX	(256u * 1024u)

/* What was found so far. */
struct verdict {
	unsigned warnings, errors;
};

static void say(struct verdict *v, enum conf_severity severity,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
say(struct verdict *v, enum conf_severity severity, const char *fmt, ...)
{
	static const char *const word[] = { "note", "WARNING", "ERROR" };
	va_list ap;

	if (severity == CONF_WARNING)
		v->warnings++;
	else if (severity == CONF_ERROR)
		v->errors++;
	printf("%-7s ", word[severity]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void
report(void *arg, enum conf_severity severity, const char *file,
    unsigned line, const char *text)
{
	if (strncmp(text, "MGR: ", 5) == 0)
		text += 5;
	if (file && line > 0)
		say(arg, severity, "%s line %u: %s", file, line, text);
	else if (file)
		say(arg, severity, "%s: %s", file, text);
	else
		say(arg, severity, "%s", text);
}

/* --- the effective configuration --------------------------------------- */

/* A list as ranges of consecutive addresses. */
static void
print_addresses(const char *keyword, const struct in_addr *list, size_t n)
{
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	printf("%s ", keyword);
	for (size_t i = 0; i < n;) {
		size_t k = i;

		while (k + 1 < n && ntohl(list[k + 1].s_addr) ==
		    ntohl(list[k].s_addr) + 1)
			k++;
		inet_ntop(AF_INET, &list[i], from, sizeof(from));
		inet_ntop(AF_INET, &list[k], to, sizeof(to));
		printf("%s%s%s%s", i > 0 ? "," : "", from, k > i ? "-" : "",
		    k > i ? to : "");
		i = k + 1;
	}
	printf("\n");
}

static void
print_limits(const struct conf *conf)
{
	enum conf_source src;
	const char *name;
	char text[512];

	for (size_t i = 0; (name = conf_limit(conf, i, text, sizeof(text),
	    &src)) != NULL; i++)
		if (text[0])
			printf("%s %s\n", name, text);
}

static void
print_conf(const struct conf *conf)
{
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &conf->listen, ip, sizeof(ip));
	printf("# effective configuration (%s)\n", conf->file);
	printf("listen %s\n# port %u\n", ip, conf->port);
	printf("ppp %s\n", conf->ppp);
	if (conf->option)
		printf("option %s\n", conf->option);
	printf("connections %u\n", conf->connections);
	if (conf->delegate)
		printf("delegate\n");
	else {
		print_addresses("localip", conf->local, conf->n_local);
		print_addresses("remoteip", conf->remote, conf->n_remote);
	}
	printf("datapath %s\n", conf_datapath_name(conf->datapath));
	printf("relay-offload %s\n", conf_offload_name(conf->offload));
	printf("stimeout %u\npidfile %s\n", conf->stimeout, conf->pidfile);
	if (conf->src_speed != CONF_FROM_DEFAULT)
		printf("speed %s\n", conf->speed);
	if (conf->vrf)
		printf("vrf %s\n", conf->vrf);
	printf("%s%s%s", conf->debug ? "debug\n" : "",
	    conf->noipparam ? "noipparam\n" : "",
	    conf->logwtmp ? "logwtmp\n" : "");
	print_limits(conf);
	printf("\n");
}

/* --- the machine -------------------------------------------------------- */

static void
check_machine(struct verdict *v, const struct conf *conf)
{
	struct tunnel t = TUNNEL_INIT;
	struct utsname kernel;
	enum conf_datapath path;
	char why[1024];
	uint32_t flags;
	int channel, other;

	if (geteuid() != 0) {
		say(v, CONF_WARNING, "not started as root: kernel, modules, "
		    "pppd and secrets were not looked at");
		return;
	}
	if (uname(&kernel) == 0)
		say(v, CONF_NOTICE, "kernel %s", kernel.release);
	if (access(conf->ppp, X_OK) < 0) {
		say(v, CONF_ERROR, "PPP binary %s not executable: %s",
		    conf->ppp, strerror(errno));
		return;
	}
	if (probe_ppp(why) < 0 ||
	    probe_datapath(conf, &t, &path, why) < 0) {
		say(v, CONF_ERROR, "%s", why);
		return;
	}
	if (why[0])
		say(v, CONF_WARNING, "%s", why);
	else
		say(v, CONF_NOTICE, "data path %s", conf_datapath_name(path));
	if (probe_channel(path, &t, &channel, &other, why) < 0) {
		say(v, CONF_ERROR, "%s", why);
		tunnel_close(&t);
		return;
	}
	if (pppd_check(conf, channel, &flags, why) < 0) {
		say(v, CONF_ERROR, "%s", why);
	} else {
		say(v, CONF_NOTICE, "%s accepts the options and the plugin "
		    "(built for pppd %s)", conf->ppp, PPPD_VERSION);
		if (why[0])
			say(v, CONF_WARNING, "%s", why);
		if (!(flags & EV_F_AUTH_REQUIRED))
			say(v, CONF_WARNING, "the options file lets clients "
			    "in without a password (require-mschap-v2)");
		if (!(flags & EV_F_MPPE_REQUIRED))
			say(v, CONF_WARNING, "the options file lets clients "
			    "in without encryption (require-mppe-128)");
		else if (probe_mppe(why) < 0)
			say(v, CONF_ERROR, "%s", why);
		else
			say(v, CONF_NOTICE, "the kernel has MPPE, and the "
			    "options require it");
	}
	close(channel);
	if (other >= 0)
		close(other);
	tunnel_close(&t);
}

/* The limit of the shell that asks says nothing about the service. */
static void
check_limit(struct verdict *v, const struct conf *conf)
{
	unsigned long needed = nofile_needed(conf), most = nofile_most();

	if (needed > most)
		say(v, CONF_WARNING, "connections %u may need %lu open files "
		    "and the kernel allows %lu: set fs.nr_open in "
		    "/etc/sysctl.d, or there will be less calls",
		    conf->connections, needed, most);
	else
		say(v, CONF_NOTICE, "connections %u may need %lu open files "
		    "(LimitNOFILE=, ulimit -n)", conf->connections, needed);
}

static void
check_forwarding(struct verdict *v)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_forward", "re");
	int c = f ? fgetc(f) : '1';

	if (f)
		fclose(f);
	if (c == '0')
		say(v, CONF_WARNING, "net.ipv4.ip_forward is 0: clients reach "
		    "this host only; if they are to reach others, set it to 1 "
		    "in /etc/sysctl.d");
}

/* --- the packet filter -------------------------------------------------- */

/* What command prints, or NULL when there is no such program; to be freed. */
static char *
output_of(const char *program, const char *command)
{
	char *text;
	size_t n;
	FILE *f;

	if (access(program, X_OK) < 0)
		return NULL;
	text = malloc(RULES_MAX);
	f = text ? popen(command, "re") : NULL;
	if (!f) {
		free(text);
		return NULL;
	}
	n = fread(text, 1, RULES_MAX - 1, f);
	text[n] = '\0';
	/* The rest is read away: the program must not die of SIGPIPE. */
	while (fgetc(f) != EOF)
		;
	pclose(f);
	return text;
}

static void
say_dropped(struct verdict *v, const char *program, enum fw_packet packet,
    const char *rule)
{
	say(v, CONF_WARNING, "the firewall seems to drop %s (%s: %s): let in "
	    "TCP port 1723 and IP protocol 47 (GRE)",
	    packet == FW_GRE ? "GRE, so that clients connect and then time "
	    "out" : "TCP port 1723", program, rule);
}

/* GRE that only conntrack's PPTP helper lets in. */
static void
say_related(struct verdict *v, const char *save)
{
	if (access("/sys/module/nf_conntrack_pptp", F_OK) == 0 &&
	    strstr(save, "--helper pptp") != NULL)
		return;
	say(v, CONF_WARNING, "the firewall lets in GRE only as RELATED to a "
	    "control connection, and conntrack's PPTP helper is not at work: "
	    "accept IP protocol 47, or load module nf_conntrack_pptp and add "
	    "iptables -t raw -A PREROUTING -p tcp --dport 1723 -j CT "
	    "--helper pptp");
}

static void
check_iptables(struct verdict *v, const char *program, const char *command)
{
	char *save = output_of(program, command);
	char rule[FW_RULE_MAX];
	int related = 0;

	if (!save)
		return;
	for (int p = FW_CONTROL; p <= FW_GRE; p++) {
		if (fw_iptables(save, (enum fw_packet)p, rule, &related) !=
		    FW_DROPS)
			continue;
		if (p == FW_GRE && related)
			say_related(v, save);
		else
			say_dropped(v, program, (enum fw_packet)p, rule);
	}
	free(save);
}

static void
check_nft(struct verdict *v)
{
	static const char program[] = "/usr/sbin/nft";
	char *set = output_of(program, "/usr/sbin/nft list ruleset "
	    "2>/dev/null");
	char rule[FW_RULE_MAX];

	if (!set)
		return;
	for (int p = FW_CONTROL; p <= FW_GRE; p++)
		if (fw_nft(set, (enum fw_packet)p, rule) == FW_DROPS)
			say_dropped(v, program, (enum fw_packet)p, rule);
	free(set);
}

/* nft shows what iptables-nft made as well: ask iptables for its own only. */
static void
check_firewall(struct verdict *v)
{
	check_iptables(v, "/usr/sbin/iptables-legacy-save",
	    "/usr/sbin/iptables-legacy-save 2>/dev/null");
	if (access("/usr/sbin/nft", X_OK) == 0)
		check_nft(v);
	else
		check_iptables(v, "/usr/sbin/iptables-nft-save",
		    "/usr/sbin/iptables-nft-save 2>/dev/null");
}

/* --- secrets ------------------------------------------------------------ */

/* Passwords that others may read. */
static void
check_mode(struct verdict *v, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		say(v, CONF_WARNING, "%s: %s: no user can log in by password "
		    "from this file", path, strerror(errno));
		return;
	}
	if (!S_ISREG(st.st_mode))
		say(v, CONF_WARNING, "%s: " CONF_NO_FILE, path);
	if (st.st_mode & 077)
		say(v, CONF_WARNING, "%s has mode %04o: others can read the "
		    "passwords; chmod 600 it", path,
		    (unsigned)st.st_mode & 07777);
	if (st.st_uid != 0)
		say(v, CONF_WARNING, "%s belongs to user %u, not to root",
		    path, (unsigned)st.st_uid);
}

static bool
in_pool(const struct conf *conf, struct in_addr addr)
{
	for (size_t i = 0; i < conf->n_remote; i++)
		if (conf->remote[i].s_addr == addr.s_addr)
			return true;
	return false;
}

/* One word of a file of pppd: quotes of either kind and backslashes as pppd
 * reads them.  Cuts it out of *line; NULL at the end or a comment. */
static char *
secrets_word(char **line)
{
	char *in = *line + strspn(*line, " \t\r\n"), *word = in, *out = in;
	char quote = '\0';

	if (*in == '\0' || *in == '#')
		return NULL;
	for (; *in != '\0' && (quote || !strchr(" \t\r\n", *in)); in++) {
		if (quote ? *in == quote : *in == '"' || *in == '\'') {
			quote = quote ? '\0' : *in;
			continue;
		}
		if (*in == '\\' && in[1] != '\0')
			in++;
		*out++ = *in;
	}
	*line = *in != '\0' ? in + 1 : in;
	*out = '\0';
	return word;
}

/* User, server, password, then addresses: each plain one is that user's. */
static void
check_secret_line(struct verdict *v, const struct conf *conf, char *line,
    unsigned number)
{
	char *user = secrets_word(&line), *word;
	char shown[LOG_ESCAPED_MAX(64)];
	struct in_addr addr;

	if (!user || !secrets_word(&line) || !secrets_word(&line))
		return;
	while ((word = secrets_word(&line)) != NULL) {
		if (strcmp(word, "--") == 0)
			return;		/* options follow */
		if (inet_pton(AF_INET, word, &addr) != 1 ||
		    !in_pool(conf, addr))
			continue;
		say(v, CONF_WARNING, "%s line %u: %s is the address of user "
		    "%s and in remoteip as well: take it out of remoteip, or "
		    "another client may have it when that user comes",
		    SECRETS, number, word,
		    log_escape(shown, sizeof(shown), user));
	}
}

static void
check_secrets(struct verdict *v, const struct conf *conf)
{
	char line[SECRETS_LINE];
	unsigned number = 0;
	const char *why;
	FILE *f;
	int fd;

	check_mode(v, SECRETS);
	fd = conf_open(SECRETS, &why);
	f = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		check_secret_line(v, conf, line, ++number);
	fclose(f);
}

int
check_run(int argc, char **argv)
{
	struct verdict v = { 0, 0 };
	enum conf_action action;
	const char *text = NULL;
	struct conf conf;

	conf_init(&conf);
	if (!conf_argv(&conf, argc, argv, report, &v, &action, &text) ||
	    action == CONF_EXIT_USAGE)
		return 2;
	if (conf_load(&conf, report, &v)) {
		print_conf(&conf);
		check_limit(&v, &conf);
		check_machine(&v, &conf);
		if (geteuid() == 0)
			check_secrets(&v, &conf);
		check_forwarding(&v);
		if (geteuid() == 0)
			check_firewall(&v);
	}
	conf_free(&conf);
	printf("%u error%s, %u warning%s\n", v.errors,
	    v.errors == 1 ? "" : "s", v.warnings, v.warnings == 1 ? "" : "s");
	return v.errors > 0 ? 2 : v.warnings > 0 ? 1 : 0;
}
