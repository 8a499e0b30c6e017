/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start-up order, and nothing else: command line, configuration, machine,
 * sockets, worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/generator.h"
#include "cli/handover.h"
#include "conf.h"
#include "log.h"
#include "net/adopt.h"
#include "net/sandbox.h"
#include "net/worker.h"
#include "priv/lastgood.h"
#include "priv/launch.h"
#include "priv/nofile.h"
#include "priv/offload.h"
#include "priv/store.h"
#include "priv/title.h"

/* Where the process that was started waits for the daemon: -1 in the
 * foreground. */
static int ready_fd = -1;

static void
complain(const char *text)
{
	fprintf(stderr, "pptpd: %s\n", text);
}

/* The first error of the configuration that was read last. */
static char first_error[1024];

/* Findings about the configuration: to the log, and to a terminal. */
static void
report(void *arg, enum conf_severity severity, const char *file,
    unsigned line, const char *text)
{
	int level = severity == CONF_ERROR ? LOG_ERR :
	    severity == CONF_WARNING ? LOG_WARNING : LOG_NOTICE;
	bool poptop = strncmp(text, "MGR: ", 5) == 0;
	char where[512] = "";

	(void)arg;
	if (poptop)
		text += 5;
	if (file && line > 0)
		snprintf(where, sizeof(where), "%s line %u: ", file, line);
	else if (file)
		snprintf(where, sizeof(where), "%s: ", file);
	if (severity == CONF_ERROR && !first_error[0])
		snprintf(first_error, sizeof(first_error), "%s%s", where,
		    text);
	/* PoPToP's own lines stay as they are: scripts look for them. */
	if (poptop)
		where[0] = '\0';
	log_line(level, "MGR: %s%s", where, text);
	if (log_fd() >= 0 && isatty(STDERR_FILENO) &&
	    severity != CONF_NOTICE)
		fprintf(stderr, "pptpd: %s%s\n", where, text);
}

/* Descriptors 0, 1 and 2 are open, whatever we were started with. */
static void
have_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* The parent stays until the daemon is ready, so that its exit status and
 * its error message are the daemon's. */
static void
go_background(void)
{
	int pipefd[2];
	char byte;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		log_fatal("MGR: pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		log_fatal("MGR: fork: %s", strerror(errno));
	if (pid > 0) {
		close(pipefd[1]);
		_exit(read(pipefd[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(pipefd[0]);
	ready_fd = pipefd[1];
	setsid();
	if (chdir("/") < 0)
		log_fatal("MGR: chdir: %s", strerror(errno));
}

/* Whoever reads what a daemon prints must see its end. */
static void
leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

static void
write_pidfile(const char *path)
{
	FILE *f;

	if (!path[0])
		return;
	f = fopen(path, "we");
	if (!f) {
		log_err("MGR: pid file %s: %s", path, strerror(errno));
		return;
	}
	fprintf(f, "%d\n", (int)getpid());
	fclose(f);
}

static void
ready(void *arg)
{
	const struct conf *conf = arg;

	write_pidfile(conf->pidfile);
	sd_notify(0, "READY=1\nSTATUS=serving");
	if (ready_fd >= 0) {
		leave_terminal();
		(void)!write(ready_fd, "", 1);
		close(ready_fd);
	}
}

static int
run_worker(const struct launch *l, int control)
{
	struct worker_setup setup = { .conf = l->conf, .path = l->path,
	    .control = control, .gre_fd = l->gre_fd,
	    .udp_fd = l->tunnel.relay_fd,
	    .offload_fd = offload_state_fd(l->offload),
	    .n_send = l->n_send, .n_listen = l->n_listen,
	    .n_status = l->n_status };

	if (ready_fd >= 0)
		leave_terminal();
	for (int i = 0; i < l->n_listen; i++)
		setup.listen_fd[i] = l->listen_fd[i];
	for (int i = 0; i < l->n_status; i++)
		setup.status_fd[i] = l->status_fd[i];
	for (int i = 0; i < l->n_send; i++)
		setup.send_fd[i] = l->send_fd[i];
	setup.table = l->table;
	setup.old_table = l->old_table;
	setup.gate = l->gate;
	setup.crashed = l->crashed;
	setup.outlives = store_is_kept();
	setup.n_keys = l->keep.n_keys;
	setup.tcp = l->keep.tcp;
	setup.pty = l->keep.pty;
	return worker_main(&setup);
}

/* What the program was started with, to start it again. */
static struct start {
	int argc;
	char **argv;
	char path[4096];
} start;

/* Now, while the file is still under its name. */
static void
remember_start(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", start.path,
	    sizeof(start.path) - 1);

	start.path[n > 0 ? n : 0] = '\0';
	start.argc = argc;
	start.argv = argv;
}

/* PoPToP's own lines do not say where; who reloads must be told. */
static void
report_again(void *arg, enum conf_severity severity, const char *file,
    unsigned line, const char *text)
{
	report(arg, severity, file, line, text);
	if (severity == CONF_ERROR && file && line > 0)
		log_err("MGR: the error is in %s line %u", file, line);
}

/* The command line and the files that it names, to conf; *ret_text as from
 * conf_argv. */
static bool
read_conf(struct conf *conf, conf_report_fn fn, enum conf_action *ret_action,
    const char **ret_text)
{
	first_error[0] = '\0';
	conf_init(conf);
	return conf_argv(conf, start.argc, start.argv, fn, NULL, ret_action,
	    ret_text) && (*ret_action != CONF_RUN ||
	    conf_load(conf, fn, NULL));
}

/* What is wrong with the configuration as it is now; NULL: nothing. */
static const char *
check_again(void)
{
	enum conf_action action;
	const char *text;
	struct conf conf;
	bool fine = read_conf(&conf, report_again, &action, &text);

	conf_free(&conf);
	return fine ? NULL : first_error;
}

/* With calls of an earlier start to go on with, a configuration that is bad
 * must not end them: the one that they were made with is good enough. */
static bool
go_on_with_last_good(struct conf *conf)
{
	if (!store_inherited())
		return false;
	conf_free(conf);
	if (!lastgood_load(conf))
		return false;
	log_err("MGR: THE CONFIGURATION HAS ERRORS: %s: the calls that there "
	    "are go on with the last good one, new ones are refused; mend "
	    "it, then systemctl reload pptpd", first_error);
	return true;
}

static int
serve(struct conf *conf)
{
	static struct launch launch;
	char why[LAUNCH_WHY_MAX];
	enum launch_exit status;

	if (geteuid() != 0) {
		complain("must be started as root: it opens raw GRE sockets "
		    "and ppp devices (CAP_NET_ADMIN, CAP_NET_RAW) and starts "
		    "pppd; the part that reads the network runs without "
		    "any right");
		return LAUNCH_FAILED;
	}
	nofile_prepare(conf);
	if (sandbox_prepare(why) < 0 ||
	    launch_prepare(&launch, conf, why) < 0) {
		log_err("MGR: %s", why);
		if (log_fd() >= 0 || !conf->foreground)
			complain(why);
		if (launch.n_status > 0)
			unlink(launch.status_path);
		return LAUNCH_FAILED;
	}
	launch.worker_kind = adopt_kind();
	launch.check = check_again;
	launch.program = start.path;
	launch.argv = start.argv;
	if (conf->last_good)
		launch_trouble(&launch, first_error);
	else
		lastgood_keep(conf, start.argc, start.argv);
	conf_free_text(conf);
	status = launch_run(&launch, run_worker, ready, conf);
	unlink(conf->pidfile);
	return (int)status;
}

int
main(int argc, char **argv)
{
	enum conf_action action;
	const char *text = NULL;
	struct conf conf;
	bool fine;
	int status;

	if (argc > 0 && generator_is(argv[0]))
		return generator_run(argc, argv);
	if (handover_is(argc, argv))
		return handover_run(argc, argv);
	if (argc > 1 && cli_is_command(argv[1]))
		return cli_run(argc - 1, argv + 1);
	have_standard_descriptors();
	title_init(argc, argv);
	remember_start(argc, argv);
	umask(022);
	log_open("pptpd", true);
	if (store_init() < 0)
		log_fatal("MGR: descriptors from systemd: %s",
		    strerror(errno));
	fine = read_conf(&conf, report, &action, &text);
	if (action != CONF_RUN) {
		fputs(text, stdout);
		return action == CONF_EXIT_OK ? 0 : 1;
	}
	if (!fine && !go_on_with_last_good(&conf)) {
		if (log_fd() >= 0 && !isatty(STDERR_FILENO))
			complain("the configuration has errors, see the "
			    "system log");
		return LAUNCH_FAILED;
	}
	log_set_debug(conf.debug);
	log_open("pptpd", conf.foreground);
	/* After a reload it is there already. */
	if (!conf.foreground && !store_inherited())
		go_background();
	status = serve(&conf);
	conf_free(&conf);
	return status;
}
