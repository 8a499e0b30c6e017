/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "record.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define WTMPDB		"libwtmpdb.so.0"
#define RECORD_S	30	/* a writer that takes longer is killed */
#define BEFORE_MS	10000	/* it waits so long for the one before */

/* logwtmpdb(): as logwtmp(3), with more to say. */
typedef int64_t (*wtmpdb_fn)(const char *db, const char *tty, const char *name,
    const char *host, const char *service, char **error);

static wtmpdb_fn
wtmpdb(void)
{
	void *lib = dlopen(WTMPDB, RTLD_NOW | RTLD_LOCAL);
	union { void *symbol; wtmpdb_fn function; } found = { NULL };

	/* ISO C has no way from the one to the other. */
	if (lib != NULL)
		found.symbol = dlsym(lib, "logwtmpdb");
	return found.function;
}

int
pptp_record_possible(void)
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

/* What ends calls, for pppd or the server, is not for us. */
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

static const char *
write_wtmpdb(wtmpdb_fn log, const char *tty, const char *name,
    const char *host)
{
	char *why = NULL;

	/* A pppd that was killed may have left its record open. */
	if (name[0] != '\0')
		log(NULL, tty, "", "", "pptpd", &why);
	why = NULL;
	if (log(NULL, tty, name, host, "pptpd", &why) >= 0 || name[0] == '\0')
		return NULL;
	return why != NULL ? why : "failed";
}

const char *
pptp_record_write(const char *tty, const char *name, const char *host,
    pid_t before)
{
	const char *why = NULL;
	wtmpdb_fn log;

	own_signals();
	die_in_time();
	wait_for_writer(before);
	log = wtmpdb();
	if (log != NULL)
		why = write_wtmpdb(log, tty, name, host);
	logwtmp(tty, name, host);
	return why;
}
