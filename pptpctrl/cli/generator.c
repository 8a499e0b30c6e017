/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/generator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf.h"
#include "priv/listen.h"
#include "priv/nofile.h"

#define DEFAULTS	"/etc/default/pptpd"
#define OPTS_NAME	"DAEMON_OPTS="
#define OPTS_MAX	64
#define LINE		4096

/*
 * What the service may have for one call, and at rest.  A call is a per-call
 * parent and a pppd, for moments the scripts of ip-up; of the descriptors that
 * the manager has for it most are in systemd's store too.
 */
#define TASKS_BASE	64u
#define TASKS_CALL	12u
#define STORE_BASE	576u	/* connections without a call are kept too */
#define STORE_CALL	4u
#define MEMORY_BASE	256u	/* MiB */
#define MEMORY_CALL	8u

bool
generator_is(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	return argv0 && strcmp(slash ? slash + 1 : argv0,
	    GENERATOR_NAME) == 0;
}

/* The server itself reports; here it would come at each daemon-reload. */
static void
note_error(void *arg, enum conf_severity severity, const char *file,
    unsigned line, const char *text)
{
	bool *failed = arg;

	(void)file;
	(void)line;
	(void)text;
	if (severity == CONF_ERROR)
		*failed = true;
}

/* Words of DAEMON_OPTS, in buf, as the unit's EnvironmentFile= gives them to
 * the server.  Returns how many. */
static int
daemon_opts(char *buf, size_t size, char *argv[OPTS_MAX])
{
	FILE *f = fopen(DEFAULTS, "re");
	int n = 1;
	char *p;

	argv[0] = NULL;
	while (f && fgets(buf, (int)size, f)) {
		if (strncmp(buf, OPTS_NAME, strlen(OPTS_NAME)) != 0)
			continue;
		/* The last line counts, so words of an earlier one go. */
		n = 1;
		p = strtok(buf + strlen(OPTS_NAME), " \t\r\n\"'");
		for (; p && n < OPTS_MAX; n++) {
			argv[n] = strdup(p);
			p = strtok(NULL, " \t\r\n\"'");
		}
	}
	if (f)
		fclose(f);
	return n;
}

static FILE *
drop_in(const char *dir, const char *unit, const char *name)
{
	char path[LINE];
	FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/%s.d", dir, unit);
	if (mkdir(path, 0755) == 0 || errno == EEXIST) {
		snprintf(path, sizeof(path), "%s/%s.d/%s", dir, unit, name);
		f = fopen(path, "we");
	}
	if (!f)
		fprintf(stderr, "pptpd-generator: %s: %s\n", path,
		    strerror(errno));
	return f;
}

static void
write_socket(const struct conf *conf, const char *dir)
{
	char ip[INET_ADDRSTRLEN];
	FILE *f;

	if (!conf->listen_set && conf->port == 1723)
		return;
	f = drop_in(dir, "pptpd.socket", "50-listen.conf");
	if (!f)
		return;
	inet_ntop(AF_INET, &conf->listen, ip, sizeof(ip));
	fprintf(f, "# From %s and %s.\n[Socket]\nListenStream=\n"
	    "ListenStream=%s:%u\n", conf->file ? conf->file :
	    CONF_DEFAULT_FILE, DEFAULTS, ip, conf->port);
	fclose(f);
}

/* The status socket of an instance with a pid file of its own. */
static void
write_admin(const struct conf *conf, const char *dir)
{
	char path[LINE];
	FILE *f;

	listen_status_path(conf->pidfile, path, sizeof(path));
	if (strcmp(path, STATUS_PATH) == 0)
		return;
	f = drop_in(dir, "pptpd-admin.socket", "50-listen.conf");
	if (!f)
		return;
	fprintf(f, "# From %s and %s.\n[Socket]\nListenSequentialPacket=\n"
	    "ListenSequentialPacket=%s\n", conf->file ? conf->file :
	    CONF_DEFAULT_FILE, DEFAULTS, path);
	fclose(f);
}

static void
write_limits(FILE *f, const struct conf *conf)
{
	unsigned n = conf->connections;

	fprintf(f, "# For %u calls.\n[Service]\nTasksMax=%u\n"
	    "LimitNOFILE=%lu\n"
	    "FileDescriptorStoreMax=%u\nMemoryHigh=%uM\nMemoryMax=%uM\n", n,
	    TASKS_BASE + TASKS_CALL * n, nofile_needed(conf),
	    STORE_BASE + STORE_CALL * n, MEMORY_BASE + MEMORY_CALL * n,
	    2 * (MEMORY_BASE + MEMORY_CALL * n));
}

static void
write_service(const struct conf *conf, bool failed, const char *dir)
{
	FILE *f = drop_in(dir, "pptpd.service", "50-limits.conf");

	if (!f)
		return;
	/* What is no number may be a name, which needs a name server. */
	if (failed)
		fprintf(f, "[Unit]\nWants=network-online.target\n"
		    "After=network-online.target\n");
	/* The error may be what connections says, while calls of before it go
	 * on: the unit's own numbers are high enough. */
	if (!failed || conf->src_connections != CONF_FROM_DEFAULT)
		write_limits(f, conf);
	fclose(f);
}

int
generator_run(int argc, char **argv)
{
	char line[LINE], name[] = "pptpd", *opts[OPTS_MAX];
	const char *text = NULL;
	enum conf_action action;
	bool failed = false;
	struct conf conf;
	int n;

	if (argc < 2) {
		fprintf(stderr, "pptpd-generator: is for systemd to call, with "
		    "a folder to write to\n");
		return 1;
	}
	/* There is no network yet, and PID 1 waits for us. */
	__nss_configure_lookup("hosts", "files");
	__nss_configure_lookup("services", "files");
	conf_init(&conf);
	n = daemon_opts(line, sizeof(line), opts);
	opts[0] = name;
	if (!conf_argv(&conf, n, opts, note_error, &failed, &action, &text) ||
	    action != CONF_RUN) {
		conf_free(&conf);
		return 0;
	}
	if (!conf_load(&conf, note_error, &failed))
		failed = true;
	write_socket(&conf, argv[1]);
	write_admin(&conf, argv[1]);
	write_service(&conf, failed, argv[1]);
	conf_free(&conf);
	return 0;
}
