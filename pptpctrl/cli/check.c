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

#include "conf.h"
#include "log.h"
#include "plugin/event.h"
#include "priv/pppd.h"
#include "priv/probe.h"

#define SECRETS		"/etc/ppp/chap-secrets"
#define SECRETS_LINE	1024

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
	printf("stimeout %u\npidfile %s\nspeed %s\n", conf->stimeout,
	    conf->pidfile, conf->speed);
	printf("%s%s%s\n", conf->debug ? "debug\n" : "",
	    conf->noipparam ? "noipparam\n" : "",
	    conf->logwtmp ? "logwtmp\n" : "");
}

/* --- the machine -------------------------------------------------------- */

static void
check_machine(struct verdict *v, const struct conf *conf)
{
	struct tunnel t = TUNNEL_INIT;
	enum conf_datapath path;
	char why[1024];
	uint32_t flags;
	int channel, other;

	if (geteuid() != 0) {
		say(v, CONF_WARNING, "not started as root: kernel, modules, "
		    "pppd and secrets were not looked at");
		return;
	}
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
		if (!(flags & EV_F_AUTH_REQUIRED))
			say(v, CONF_WARNING, "the options file lets clients "
			    "in without a password (require-mschap-v2)");
		if (!(flags & EV_F_MPPE_REQUIRED))
			say(v, CONF_WARNING, "the options file lets clients "
			    "in without encryption (require-mppe-128)");
		else if (probe_mppe(why) < 0)
			say(v, CONF_ERROR, "%s", why);
	}
	close(channel);
	if (other >= 0)
		close(other);
	tunnel_close(&t);
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
	say(v, CONF_NOTICE, "a firewall must let in TCP port 1723 and IP "
	    "protocol 47 (GRE), and everything on lo");
}

/* --- secrets ------------------------------------------------------------ */

static void
check_mode(struct verdict *v, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		say(v, CONF_WARNING, "%s: %s: no user can log in by password "
		    "from this file", path, strerror(errno));
		return;
	}
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

/* The fourth word of a line of secrets: one plain address is that user's. */
static void
check_secret_line(struct verdict *v, const struct conf *conf, char *line,
    unsigned number)
{
	char *word[4], *save, *at = line;
	char user[LOG_ESCAPED_MAX(64)];
	struct in_addr addr;
	int n = 0;

	while (n < 4 && (word[n] = strtok_r(at, " \t\r\n", &save))) {
		at = NULL;
		if (word[n][0] == '#')
			return;
		n++;
	}
	if (n == 4 && inet_pton(AF_INET, word[3], &addr) == 1 &&
	    in_pool(conf, addr))
		say(v, CONF_WARNING, "%s line %u: %s is the address of user "
		    "%s and in remoteip as well: take it out of remoteip, or "
		    "another client may have it when that user comes",
		    SECRETS, number, word[3],
		    log_escape(user, sizeof(user), word[0]));
}

static void
check_secrets(struct verdict *v, const struct conf *conf)
{
	char line[SECRETS_LINE];
	unsigned number = 0;
	FILE *f;

	check_mode(v, SECRETS);
	f = fopen(SECRETS, "re");
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
		check_machine(&v, &conf);
		if (geteuid() == 0)
			check_secrets(&v, &conf);
		check_forwarding(&v);
	}
	conf_free(&conf);
	printf("%u error%s, %u warning%s\n", v.errors,
	    v.errors == 1 ? "" : "s", v.warnings, v.warnings == 1 ? "" : "s");
	return v.errors > 0 ? 2 : v.warnings > 0 ? 1 : 0;
}
