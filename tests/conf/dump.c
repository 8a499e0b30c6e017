/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Print what conf.c makes of a command line and the file in it: findings,
 * then the effective configuration.  For run.sh.
 *
 *	dump [pptpd's options] -c FILE
 *	dump --keywords			all keywords of the file, one a line
 */
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "fake_netdb.h"
#include "hosts.h"

/* Not what is in force on the machine where the tests run. */
bool
hosts_load(struct hosts **ret, conf_report_fn report, void *arg)
{
	(void)ret;
	(void)report;
	(void)arg;
	return true;
}

void
hosts_free(struct hosts *h)
{
	(void)h;
}

static const char *const severities[] = {
	[CONF_NOTICE] = "notice",
	[CONF_WARNING] = "warning",
	[CONF_ERROR] = "error",
};

static const char *const sources[] = {
	[CONF_FROM_DEFAULT] = "",
	[CONF_FROM_FILE] = "  (file)",
	[CONF_FROM_ARGV] = "  (command line)",
};

static void
print_finding(void *arg, enum conf_severity severity, const char *file,
    unsigned line, const char *text)
{
	const char *base = strrchr(file, '/');

	(void)arg;
	base = base != NULL ? base + 1 : file;
	printf("%s: %s", severities[severity], base);
	if (line != 0)
		printf(":%u", line);
	printf(": %s\n", text);
}

static void
print_text(const char *name, const char *value, enum conf_source src)
{
	printf("%s %s%s\n", name, value != NULL ? value : "-", sources[src]);
}

static void
print_number(const char *name, unsigned value, enum conf_source src)
{
	printf("%s %u%s\n", name, value, sources[src]);
}

static void
print_addr(struct in_addr addr)
{
	char text[INET_ADDRSTRLEN];

	printf("%s", inet_ntop(AF_INET, &addr, text, sizeof(text)));
}

/* Runs of following addresses on a line of their own. */
static void
print_pool(const char *name, const struct in_addr *a, size_t n,
    enum conf_source src)
{
	printf("%s %zu%s\n", name, n, sources[src]);
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && ntohl(a[j].s_addr) ==
		    ntohl(a[i].s_addr) + (j - i); j++)
			continue;
		printf("  ");
		print_addr(a[i]);
		if (j > i + 1) {
			printf(" to ");
			print_addr(a[j - 1]);
		}
		printf("\n");
	}
}

/* Those that are not the default. */
static void
print_limits(const struct conf *c)
{
	enum conf_source src;
	const char *name;
	char text[512];

	for (size_t i = 0; (name = conf_limit(c, i, text, sizeof(text),
	    &src)) != NULL; i++)
		if (src != CONF_FROM_DEFAULT)
			print_text(name, text, src);
}

static void
print_conf(const struct conf *c)
{
	print_text("option", c->option, c->src_option);
	print_text("ppp", c->ppp, c->src_ppp);
	print_text("pidfile", c->pidfile, c->src_pidfile);
	print_text("speed", c->speed, c->src_speed);
	print_text("bcrelay", c->bcrelay, c->src_bcrelay);
	print_text("vrf", c->vrf, c->src_vrf);
	printf("listen ");
	print_addr(c->listen);
	printf(":%u%s\n", c->port, sources[c->src_listen]);
	print_number("stimeout", c->stimeout, c->src_stimeout);
	print_number("debug", c->debug, c->src_debug);
	print_number("noipparam", c->noipparam, c->src_noipparam);
	print_number("logwtmp", c->logwtmp, c->src_logwtmp);
	print_number("delegate", c->delegate, c->src_delegate);
	print_text("datapath", conf_datapath_name(c->datapath),
	    c->src_datapath);
	if (c->src_offload != CONF_FROM_DEFAULT)
		print_text("relay-offload", conf_offload_name(c->offload),
	    c->src_offload);
	printf("foreground %d\n", c->foreground);
	print_number("connections", c->connections, c->src_connections);
	print_pool("localip", c->local, c->n_local, c->src_local);
	print_pool("remoteip", c->remote, c->n_remote, c->src_remote);
	print_limits(c);
}

static void
print_keywords(void)
{
	const char *name, *doc;

	for (size_t i = 0; (name = conf_keyword(i, &doc)) != NULL; i++)
		printf("%s\n", name);
}

int
main(int argc, char **argv)
{
	enum conf_action action;
	const char *text = NULL;
	struct conf conf;
	bool ok;

	if (argc == 2 && strcmp(argv[1], "--keywords") == 0) {
		print_keywords();
		return 0;
	}
	conf_init(&conf);
	ok = conf_argv(&conf, argc, argv, print_finding, NULL, &action, &text);
	if (ok && action != CONF_RUN) {
		printf("%s%s", action == CONF_EXIT_OK ? "exit 0\n" : "exit 1\n",
		    text);
	} else if (ok && (ok = conf_load(&conf, print_finding, NULL))) {
		print_conf(&conf);
	}
	if (!ok)
		printf("refused\n");
	conf_free(&conf);
	return 0;
}
