/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Login records, for "last": the user, the interface and the client's public
 * address when IPCP opens, the end when it closes.  They go to /var/log/wtmp
 * where there is one, and to wtmpdb where its library is installed.
 *
 * Either may wait for locks that anybody can hold.  So each record is written
 * by a process of its own, for which nobody waits and which kills itself in
 * the end: whatever becomes of a record, the call does not notice.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include "plugin.h"

#define WTMPDB		"libwtmpdb.so.0"
#define RECORD_S	30	/* a writer that takes longer is killed */
#define BEFORE_MS	10000	/* it waits so long for the one before */

/* logwtmpdb(): as logwtmp(3), with more to say. */
typedef int64_t (*wtmpdb_fn)(const char *db, const char *tty, const char *name,
    const char *host, const char *service, char **error);

char pptp_wtmp_host[PPTP_WTMP_HOST_MAX];
int pptp_wtmp_strip;

static pid_t last_writer;

static wtmpdb_fn
wtmpdb(void)
{
	void *lib = dlopen(WTMPDB, RTLD_NOW | RTLD_LOCAL);

	return lib != NULL ? (wtmpdb_fn)dlsym(lib, "logwtmpdb") : NULL;
}

int
pptp_wtmp_possible(void)
{
	return access(_PATH_WTMP, W_OK) == 0 || wtmpdb() != NULL;
}

/*
 * Not alarm(): logwtmp() uses that itself, and sets back what it found only
 * after its own wait.
 */
static void
die_in_time(void)
{
	struct sigevent how = { .sigev_notify = SIGEV_SIGNAL,
	    .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value = { .tv_sec = RECORD_S } };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &how, &timer) < 0 ||
	    timer_settime(timer, 0, &when, NULL) < 0)
		_exit(1);
}

/* pppd catches nearly all signals to end calls, which is not for us. */
static void
own_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A logout must not overtake its login. */
static void
wait_for_writer(pid_t pid)
{
	struct pollfd pfd = { .events = POLLIN };

	if (pid <= 0)
		return;
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd.fd < 0)
		return;
	poll(&pfd, 1, BEFORE_MS);
	close(pfd.fd);
}

static void
write_wtmpdb(wtmpdb_fn log, const char *tty, const char *name)
{
	char *why = NULL;

	/* A pppd that was killed left its record open. */
	if (name[0] != '\0')
		log(NULL, tty, "", "", "pptpd", &why);
	why = NULL;
	if (log(NULL, tty, name, pptp_wtmp_host, "pptpd", &why) < 0 &&
	    name[0] != '\0')
		warn("login record in wtmpdb: %s",
		    why != NULL ? why : "failed");
}

static void
write_record(const char *tty, const char *name)
{
	wtmpdb_fn log;

	own_signals();
	die_in_time();
	wait_for_writer(last_writer);
	log = wtmpdb();
	if (log != NULL)
		write_wtmpdb(log, tty, name);
	logwtmp(tty, name, name[0] != '\0' ? pptp_wtmp_host : "");
}

static void
record(const char *tty, const char *name)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	if (null < 0)
		return;
	/* pppd's own fork closes what a child must not keep: the call. */
	pid = ppp_safe_fork(null, null, null);
	if (pid == 0) {
		write_record(tty, name);
		_exit(0);
	}
	close(null);
	if (pid > 0)
		last_writer = pid;
	else
		warn("login record of %s: fork: %m", tty);
}

void
pptp_wtmp_login(const char *tty, const char *name)
{
	const char *domain_end = strrchr(name, '\\');

	if (pptp_wtmp_host[0] == '\0')
		return;
	if (pptp_wtmp_strip && domain_end != NULL)
		name = domain_end + 1;
	/* Without a name it would be a logout. */
	if (name[0] != '\0')
		record(tty, name);
}

void
pptp_wtmp_logout(const char *tty)
{
	if (pptp_wtmp_host[0] != '\0' && last_writer != 0)
		record(tty, "");
}
