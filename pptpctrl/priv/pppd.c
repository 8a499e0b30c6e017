/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/pppd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugin/event.h"
#include "priv/nofile.h"
#include "req.h"

#define PLUGIN		"pptpctrl.so"
#define CHECK_SECONDS	10
#define OUTPUT_MAX	8192

static char *
text_add(struct pppd_args *a, size_t *used, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static char *
text_add(struct pppd_args *a, size_t *used, const char *fmt, ...)
{
	char *at = a->text + *used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(at, sizeof(a->text) - *used, fmt, ap);
	va_end(ap);
	if (n > 0)
		*used += (size_t)n + 1;
	return at;
}

static void
add(struct pppd_args *a, size_t *n, const char *word)
{
	a->argv[(*n)++] = word;
}

static void
add_pair(struct pppd_args *a, size_t *n, const char *option, const char *value)
{
	add(a, n, option);
	add(a, n, value);
}

void
pppd_args(struct pppd_args *a, const struct conf *conf, struct in_addr local,
    struct in_addr remote, struct in_addr client, bool dryrun)
{
	char l[INET_ADDRSTRLEN], r[INET_ADDRSTRLEN], c[INET_ADDRSTRLEN];
	size_t used = 0, n = 0;
	const char *ip;

	inet_ntop(AF_INET, &local, l, sizeof(l));
	inet_ntop(AF_INET, &remote, r, sizeof(r));
	inet_ntop(AF_INET, &client, c, sizeof(c));
	ip = text_add(a, &used, "%s", c);
	add(a, &n, conf->ppp);
	add(a, &n, "local");
	if (conf->option)
		add_pair(a, &n, "file", conf->option);
	add(a, &n, conf->speed);
	if (remote.s_addr != 0)
		add(a, &n, text_add(a, &used, "%s:%s", l, r));
	if (!conf->noipparam)
		add_pair(a, &n, "ipparam", ip);
	/* Where PoPToP has its plugin for login records. */
	if (conf->logwtmp) {
		add_pair(a, &n, "plugin", PLUGIN);
		add_pair(a, &n, "pptpd-original-ip", ip);
	}
	add_pair(a, &n, "remotenumber", ip);
	if (!conf->logwtmp)
		add_pair(a, &n, "plugin", PLUGIN);
	add_pair(a, &n, "pptp_client", ip);
	add_pair(a, &n, "pptp_sock", text_add(a, &used, "%d", PPPD_CHANNEL_FD));
	add_pair(a, &n, "pptp_event", text_add(a, &used, "%d", PPPD_EVENT_FD));
	add(a, &n, "nodetach");
	add(a, &n, "nopersist");
	add_pair(a, &n, "maxfail", "1");
	if (dryrun)
		add(a, &n, "dryrun");
	add(a, &n, NULL);
}

/* pppd and its scripts start as from a shell. */
static void
default_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What systemd told the manager is not for pppd. */
static void
clean_environment(void)
{
	static const char *const ours[] = { "LISTEN_FDS", "LISTEN_PID",
	    "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID",
	    "WATCHDOG_USEC", "FDSTORE", "MAINPID", "PPTPCTRL_FDS",
	    NOFILE_ENV };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		unsetenv(ours[i]);
}

static int
above(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, PPPD_EVENT_FD + 1);
}

/* Descriptors 0..2 to /dev/null, first and second to 3 and 4. */
static int
place_descriptors(int channel, int event, int output)
{
	int null = open("/dev/null", O_RDWR);
	int fd[5] = { null, output >= 0 ? output : null,
	    output >= 0 ? output : null, channel, event };

	if (null < 0)
		return -1;
	for (int i = 0; i < 5; i++) {
		fd[i] = above(fd[i]);
		if (fd[i] < 0)
			return -1;
	}
	for (int i = 0; i < 5; i++)
		if (dup2(fd[i], i) < 0)
			return -1;
	return close_range(PPPD_EVENT_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

void
pppd_exec(const struct pppd_args *a, int channel, int event)
{
	char *argv[PPPD_ARGS_MAX];

	setsid();
	default_signals();
	clean_environment();
	if (chdir("/") < 0 || place_descriptors(channel, event, -1) < 0)
		return;
	nofile_restore();
	memcpy(argv, a->argv, sizeof(argv));
	execv(argv[0], argv);
}

/* Run argv and collect what it prints; its wait status, or -1. */
static int
run(const char *const *argv, int channel, int event, char *out, size_t size)
{
	struct timespec end, now;
	size_t used = 0;
	int pipefd[2], status = -1;
	pid_t pid;

	out[0] = '\0';
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid < 0) {
		close(pipefd[0]);
		close(pipefd[1]);
		return -1;
	}
	if (pid == 0) {
		char *copy[PPPD_ARGS_MAX];

		memcpy(copy, argv, sizeof(copy));
		default_signals();
		clean_environment();
		if (place_descriptors(channel, event, pipefd[1]) == 0) {
			nofile_restore();
			execv(copy[0], copy);
		}
		_exit(127);
	}
	close(pipefd[1]);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += CHECK_SECONDS;
	for (;;) {
		struct pollfd pfd = { .fd = pipefd[0], .events = POLLIN };
		char drop[256];
		ssize_t n;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= end.tv_sec) {
			kill(pid, SIGKILL);
			break;
		}
		if (poll(&pfd, 1, 1000) <= 0)
			continue;
		if (used + 1 < size)
			n = read(pipefd[0], out + used, size - 1 - used);
		else
			n = read(pipefd[0], drop, sizeof(drop));
		if (n <= 0)
			break;
		if (used + 1 < size)
			used += (size_t)n;
	}
	out[used] = '\0';
	close(pipefd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The line of pppd's output that tells most: the last that is not one of
 * its own list of options. */
static void
last_complaint(const char *out, char *line, size_t size)
{
	const char *end;

	line[0] = '\0';
	for (; *out; out = *end ? end + 1 : end) {
		size_t n;

		end = strchrnul(out, '\n');
		n = (size_t)(end - out);
		if (n == 0 || strstr(line, "for pppd version") ||
		    (n > 6 && strncmp(out, "Plugin", 6) == 0 &&
		    memmem(out, n, " loaded", 7)))
			continue;
		if (memmem(out, n, "# (from", 7) || n >= size ||
		    strncmp(out, "pppd options in effect", 22) == 0)
			continue;
		memcpy(line, out, n);
		line[n] = '\0';
	}
}

/* "2.4.9" of "pppd version 2.4.9"; empty when it does not say. */
static void
pppd_version(const struct conf *conf, char *version, size_t size)
{
	const char *argv[PPPD_ARGS_MAX] = { conf->ppp, "--version" };
	char out[512], *at;
	size_t n;

	version[0] = '\0';
	if (run(argv, STDIN_FILENO, STDIN_FILENO, out, sizeof(out)) < 0)
		return;
	at = strstr(out, "pppd version ");
	if (!at)
		return;
	at += strlen("pppd version ");
	n = strspn(at, "0123456789.abcdefghijklmnopqrstuvwxyz-+~");
	if (n < size) {
		memcpy(version, at, n);
		version[n] = '\0';
	}
}

static int
explain(const struct conf *conf, int status, const char *out,
    char why[PPPD_WHY_MAX])
{
	char line[256], version[32];

	last_complaint(out, line, sizeof(line));
	pppd_version(conf, version, sizeof(version));
	if (version[0] && strcmp(version, PPPD_VERSION) != 0)
		snprintf(why, PPPD_WHY_MAX, "%s is version %s, but plugin "
		    "pptpctrl.so was built for pppd %s: install the pptpctrl "
		    "package of this distribution release, or build it "
		    "against ppp-dev %s", conf->ppp, version, PPPD_VERSION,
		    version);
	else if (WIFSIGNALED(status))
		snprintf(why, PPPD_WHY_MAX, "%s did not finish its check of "
		    "the options in %d s or crashed (signal %d): %s",
		    conf->ppp, CHECK_SECONDS, WTERMSIG(status), line);
	else if (strstr(out, "legacy provider"))
		snprintf(why, PPPD_WHY_MAX, "%s needs OpenSSL's legacy "
		    "provider for MS-CHAPv2 and it is not there: install "
		    "package openssl-provider-legacy (pppd says: %s)",
		    conf->ppp, line);
	else if (strstr(line, "pptpctrl.so is for pppd version"))
		snprintf(why, PPPD_WHY_MAX, "plugin pptpctrl.so in %s was "
		    "built for another pppd than %s: install the pptpctrl "
		    "package of this distribution release, or build it "
		    "against the ppp-dev of this pppd (pppd says: %s)",
		    PPPD_PLUGINDIR, conf->ppp, line);
	else if (strstr(out, "load plugin") && strstr(line, "pptpctrl.so"))
		snprintf(why, PPPD_WHY_MAX, "pppd cannot load plugin "
		    "pptpctrl.so from %s: install it there (make install) "
		    "(pppd says: %s)", PPPD_PLUGINDIR, line);
	else
		snprintf(why, PPPD_WHY_MAX, "pppd refuses its options "
		    "(file %s, exit status %d): %s",
		    conf->option ? conf->option : "/etc/ppp/options",
		    WEXITSTATUS(status), line);
	return -1;
}

/* One dryrun: its wait status, what it printed, and what the plugin said. */
static int
check_once(const struct pppd_args *a, int channel, char *out, size_t size,
    uint32_t *ret_flags)
{
	int pair[2], status;
	struct ev ev, copy;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(out, size, "socketpair: %s", strerror(errno));
		return -1;
	}
	status = run(a->argv, channel, pair[1], out, size);
	close(pair[1]);
	while ((n = recv(pair[0], &ev, sizeof(ev), MSG_DONTWAIT)) > 0)
		if (ev_check(&ev, (size_t)n, &copy) && copy.type == EV_CONFIG)
			*ret_flags = copy.flags;
	close(pair[0]);
	return status;
}

static void
add_noauth(struct pppd_args *a)
{
	size_t n = 0;

	while (a->argv[n])
		n++;
	add(a, &n, "noauth");
	add(a, &n, NULL);
}

int
pppd_check(const struct conf *conf, int channel, uint32_t *ret_flags,
    char why[PPPD_WHY_MAX])
{
	struct in_addr local = { 0 }, remote = { 0 }, client;
	static char out[OUTPUT_MAX];
	bool nobody = false;
	struct pppd_args a;
	struct stat st;
	int status;

	*ret_flags = 0;
	if (access(conf->ppp, X_OK) < 0) {
		snprintf(why, PPPD_WHY_MAX, "PPP binary %s not executable: "
		    "%s (install package ppp, or set keyword ppp)",
		    conf->ppp, strerror(errno));
		return -1;
	}
	/* pppd would wait for somebody at the other end. */
	if (conf->option && stat(conf->option, &st) == 0 &&
	    !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
		snprintf(why, PPPD_WHY_MAX, "PPP options file %s: "
		    CONF_NO_FILE " (keyword option in %s)", conf->option,
		    conf->file);
		return -1;
	}
	client.s_addr = htonl(INADDR_LOOPBACK);
	if (!conf->delegate && conf->n_remote > 0) {
		local = conf->local[0];
		remote = conf->remote[0];
	}
	pppd_args(&a, conf, local, remote, client, true);
	status = check_once(&a, channel, out, sizeof(out), ret_flags);
	/* A server whose users come later; pppd reads secrets for each call. */
	if (status != 0 && strstr(out, "find any suitable secret")) {
		nobody = true;
		add_noauth(&a);
		status = check_once(&a, channel, out, sizeof(out), ret_flags);
		*ret_flags |= EV_F_AUTH_REQUIRED;
	}
	if (status != 0)
		return explain(conf, status, out, why);
	why[0] = '\0';
	if (nobody)
		snprintf(why, PPPD_WHY_MAX, "nobody can log in: "
		    "/etc/ppp/chap-secrets has no user for this server (its "
		    "second column is the options file's name, or *)");
	return 0;
}
