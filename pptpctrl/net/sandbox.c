/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* Filled before the fork: the chroot has no passwd. */
static uid_t uid;
static gid_t gid;

int
sandbox_prepare(char why[400])
{
	const struct passwd *pw = getpwnam(SANDBOX_USER);
	struct stat st;

	if (!pw) {
		snprintf(why, 400, "there is no user %s for the part that "
		    "reads the network: create it with systemd-sysusers, or "
		    "useradd --system --no-create-home --shell "
		    "/usr/sbin/nologin %s", SANDBOX_USER, SANDBOX_USER);
		return -1;
	}
	if (pw->pw_uid == 0 || pw->pw_gid == 0) {
		snprintf(why, 400, "user %s must not be root",
		    SANDBOX_USER);
		return -1;
	}
	uid = pw->pw_uid;
	gid = pw->pw_gid;
	if ((mkdir("/run/pptpd", 0755) < 0 && errno != EEXIST) ||
	    (mkdir(SANDBOX_ROOT, 0555) < 0 && errno != EEXIST) ||
	    lstat(SANDBOX_ROOT, &st) < 0) {
		snprintf(why, 400, "%s: %s", SANDBOX_ROOT, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022)) {
		snprintf(why, 400, "%s must be a directory of root that "
		    "nobody else can write to", SANDBOX_ROOT);
		return -1;
	}
	return 0;
}

/* What sd-event, the C library and our own code call once all is set up.
 * No open, no socket, no exec, no setsockopt, no signal to others. */
static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
	SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(close),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_create1),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(sched_yield), SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int
add_rules(scmp_filter_ctx ctx)
{
	int r;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
		if (r < 0)
			return r;
	}
	/* A message that waits keeps a copy of its descriptor; the table of
	 * the worker before us must be sealed. */
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
	    SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
		    SCMP_A1(SCMP_CMP_EQ, F_GET_SEALS));
	if (r < 0)
		return r;
	/* Memory, but none that can be executed. */
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect),
		    1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int
filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_rules(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

void
sandbox_enter(void)
{
	int r;

	if (chroot(SANDBOX_ROOT) < 0 || chdir("/") < 0)
		log_fatal("worker: chroot %s: %s", SANDBOX_ROOT,
		    strerror(errno));
	capng_clear(CAPNG_SELECT_BOTH);
	/* Not fatal: where CAP_SETPCAP is missing, no_new_privs does as well. */
	(void)capng_apply(CAPNG_SELECT_BOUNDS);
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		log_fatal("worker: becoming user %s: %s", SANDBOX_USER,
		    strerror(errno));
	r = capng_apply(CAPNG_SELECT_CAPS);
	if (r < 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) !=
	    CAPNG_NONE)
		log_fatal("worker: dropping capabilities failed (%d)", r);
	if (prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_fatal("worker: no_new_privs: %s", strerror(errno));
}

void
sandbox_filter(void)
{
	int r = filter_calls();

	if (r < 0)
		log_fatal("worker: seccomp: %s (the kernel needs "
		    "CONFIG_SECCOMP_FILTER)", strerror(-r));
}
