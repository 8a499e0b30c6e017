/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile code in the worker's place: the server as it is, and in its worker,
 * confined as ever, a signal handler that tries to break out.  SIGUSR1 with a
 * value runs the escape of that number; what came of it goes to standard
 * error, a line each.  tests/lab/scenarios/escape.py drives it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "req.h"
#include "state.h"

#define FDS_MAX		256
#define KILL_WAIT_MS	20000
#define OWN_CALL	7u
#define PIDS		4000L	/* a young machine has no others */

static struct state *table;

/* The worker's last step of taking over tells where its table is. */
void hostile_table(struct state *t);

void
hostile_table(struct state *t)
{
	table = t;
	state_set_complete(t);
	dprintf(STDERR_FILENO, "hostile: worker %d: confined\n",
	    (int)getpid());
}

static void
say(const char *what, const char *name)
{
	dprintf(STDERR_FILENO, "hostile: %s: %s\n", name, what);
}

/* --- system calls -------------------------------------------------------- */

/* Each must fail; names the first that did not. */
struct attempt {
	const char *name;
	long nr;
	long arg[6];
};

#define P(x)	((long)(intptr_t)(x))

static void
attempts(const char *name, const struct attempt *a, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		long r = syscall(a[i].nr, a[i].arg[0], a[i].arg[1],
		    a[i].arg[2], a[i].arg[3], a[i].arg[4], a[i].arg[5]);

		if (r >= 0) {
			dprintf(STDERR_FILENO, "hostile: %s: ESCAPED by %s: "
			    "%ld\n", name, a[i].name, r);
			return;
		}
	}
	say("held", name);
}

#define TRY(name, ...)	do {						\
	const struct attempt list[] = { __VA_ARGS__ };			\
									\
	attempts(name, list, sizeof(list) / sizeof(list[0]));		\
} while (0)

static void
open_files(const char *name)
{
	TRY(name,
	    { "open", SYS_open, { P("/etc/shadow"), O_RDONLY } },
	    { "create", SYS_open, { P("/x"), O_CREAT | O_WRONLY, 0600 } },
	    { "openat", SYS_openat, { AT_FDCWD, P("/"), O_RDONLY } },
	    { "openat2", 437, { AT_FDCWD, P("/"), P(""), 24 } },
	    { "mkdir", SYS_mkdir, { P("/d"), 0700 } },
	    { "unlink", SYS_unlink, { P("/x") } },
	    { "rename", SYS_rename, { P("/a"), P("/b") } },
	    { "symlink", SYS_symlink, { P("/a"), P("/b") } },
	    { "mknod", SYS_mknod, { P("/n"), 020666, 0x0103 } },
	    { "stat", SYS_stat, { P("/etc/passwd"), P((char[256]){ 0 }) } },
	    { "chdir", SYS_chdir, { P("..") } },
	    { "open_by_handle", SYS_open_by_handle_at, { 0, P(""), 0 } });
}

static void
run_programs(const char *name)
{
	const char *const argv[] = { "/bin/sh", NULL };

	TRY(name,
	    { "execve", SYS_execve, { P(argv[0]), P(argv), P(NULL) } },
	    { "execveat", SYS_execveat, { 0, P(""), P(argv), P(NULL),
	    AT_EMPTY_PATH } },
	    { "memfd_create", SYS_memfd_create, { P("x"), 0 } },
	    { "fork", SYS_fork, { 0 } },
	    { "vfork", SYS_vfork, { 0 } },
	    { "clone", SYS_clone, { SIGCHLD } },
	    { "clone3", 435, { P((uint64_t[11]){ 0 }), 88 } });
}

static void
executable_memory(const char *name)
{
	static uint8_t page[8192];

	TRY(name,
	    { "mmap", SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	    { "mprotect", SYS_mprotect, { P(page) & ~4095L, 4096,
	    PROT_READ | PROT_EXEC } },
	    { "pkey_mprotect", 329, { P(page) & ~4095L, 4096,
	    PROT_READ | PROT_EXEC, -1 } },
	    { "shmget", SYS_shmget, { 0, 4096, 01600 } },
	    { "remap_file_pages", SYS_remap_file_pages, { P(page), 4096, 0,
	    0, 0 } });
}

static void
other_sockets(const char *name)
{
	TRY(name,
	    { "tcp", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	    { "udp", SYS_socket, { AF_INET, SOCK_DGRAM, 0 } },
	    { "raw", SYS_socket, { AF_INET, SOCK_RAW, IPPROTO_ICMP } },
	    { "ipv6", SYS_socket, { AF_INET6, SOCK_STREAM, 0 } },
	    { "unix", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	    { "netlink", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	    { "packet", SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
	    { "pppox", SYS_socket, { AF_PPPOX, SOCK_STREAM, 1 } },
	    { "alg", SYS_socket, { 38, SOCK_SEQPACKET, 0 } },
	    { "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0,
	    P((int[2]){ 0 }) } });
}

/* With each descriptor that there is. */
static void
own_sockets(const char *name)
{
	struct sockaddr_in dns = { .sin_family = AF_INET,
	    .sin_port = htons(53), .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_un log = { .sun_family = AF_UNIX,
	    .sun_path = "/dev/log" };
	int one = 1;

	for (int fd = 3; fd < FDS_MAX; fd++) {
		const struct attempt list[] = {
			{ "connect", SYS_connect, { fd, P(&dns),
			    sizeof(dns) } },
			{ "connect unix", SYS_connect, { fd, P(&log),
			    sizeof(log) } },
			{ "bind", SYS_bind, { fd, P(&dns), sizeof(dns) } },
			{ "listen", SYS_listen, { fd, 5 } },
			{ "setsockopt", SYS_setsockopt, { fd, SOL_SOCKET,
			    SO_REUSEADDR, P(&one), sizeof(one) } },
			{ "ioctl", SYS_ioctl, { fd, 0x8927,
			    P((char[64]){ 0 }) } },
			{ "ftruncate", SYS_ftruncate, { fd, 0 } },
			{ "fchmod", SYS_fchmod, { fd, 0777 } },
			{ "dup", SYS_dup, { fd } },
			{ "fcntl", SYS_fcntl, { fd, F_SETFL, 0 } },
			{ "getdents", SYS_getdents64, { fd,
			    P((char[512]){ 0 }), 512 } },
		};

		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			const struct attempt *a = &list[i];

			if (syscall(a->nr, a->arg[0], a->arg[1], a->arg[2],
			    a->arg[3], a->arg[4]) < 0)
				continue;
			dprintf(STDERR_FILENO, "hostile: %s: ESCAPED by %s "
			    "of %d\n", name, a->name, fd);
			return;
		}
	}
	say("held", name);
}

/* Every process that there may be: the launcher, parents, pppds, clients. */
static void
others_memory(const char *name)
{
	char buf[16];
	struct iovec mine = { buf, sizeof(buf) };
	struct iovec its = { (void *)(uintptr_t)name, sizeof(buf) };

	for (long pid = 1; pid < PIDS; pid++) {
		if (pid == getpid())
			continue;
		if (syscall(SYS_ptrace, 16, pid, 0, 0) >= 0 ||
		    syscall(SYS_ptrace, 0x4206, pid, 0, 0) >= 0 ||
		    syscall(SYS_process_vm_readv, pid, &mine, 1, &its, 1,
		    0) >= 0 ||
		    syscall(SYS_process_vm_writev, pid, &mine, 1, &its, 1,
		    0) >= 0 ||
		    syscall(434, pid, 0) >= 0 || syscall(438, pid, 0, 0) >= 0) {
			say("ESCAPED", name);
			return;
		}
	}
	say("held", name);
}

/* All of them again; signal 9 where it would not be believed otherwise. */
static void
signals(const char *name)
{
	for (long pid = -PIDS; pid < PIDS; pid++) {
		if (pid == getpid() || pid == -getpid())
			continue;
		if (syscall(SYS_kill, pid, SIGKILL) >= 0 ||
		    syscall(SYS_tkill, pid, SIGKILL) >= 0 ||
		    syscall(SYS_tgkill, pid, pid, SIGKILL) >= 0 ||
		    syscall(SYS_rt_sigqueueinfo, pid, SIGKILL,
		    &(siginfo_t){ .si_code = SI_QUEUE }) >= 0 ||
		    syscall(SYS_setpriority, 0, pid, 19) >= 0 ||
		    syscall(SYS_prlimit64, pid, 7, &(uint64_t[2]){ 0 },
		    NULL) >= 0) {
			say("ESCAPED", name);
			return;
		}
	}
	say("held", name);
}

static void
become_root(const char *name)
{
	uint32_t head[2] = { 0x20080522, 0 };
	uint32_t data[6] = { ~0u, ~0u, ~0u, ~0u, ~0u, ~0u };

	TRY(name,
	    { "setuid", SYS_setuid, { 0 } },
	    { "setresuid", SYS_setresuid, { 0, 0, 0 } },
	    { "setgid", SYS_setgid, { 0 } },
	    { "setgroups", SYS_setgroups, { 0, 0 } },
	    { "setfsuid", SYS_setfsuid, { 0 } },
	    { "capset", SYS_capset, { P(head), P(data) } },
	    { "dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	    { "keepcaps", SYS_prctl, { PR_SET_KEEPCAPS, 1 } },
	    { "seccomp", SYS_seccomp, { 1, 0, P("") } },
	    { "personality", SYS_personality, { 0x0040000 } });
}

static void
leave_root_directory(const char *name)
{
	TRY(name,
	    { "chroot", SYS_chroot, { P(".") } },
	    { "pivot_root", SYS_pivot_root, { P("."), P(".") } },
	    { "mount", SYS_mount, { P("proc"), P("/"), P("proc"), 0, 0 } },
	    { "umount", SYS_umount2, { P("/"), 0 } },
	    { "open_tree", 428, { AT_FDCWD, P("/"), 1 } },
	    { "unshare", SYS_unshare, { CLONE_NEWUSER | CLONE_NEWNS } },
	    { "setns", SYS_setns, { 0, 0 } });
}

static void
kernel_doors(const char *name)
{
	TRY(name,
	    { "bpf", SYS_bpf, { 0, P((char[128]){ 0 }), 128 } },
	    { "perf_event_open", SYS_perf_event_open, { P((char[128]){ 0 }),
	    0, -1, -1, 0 } },
	    { "io_uring_setup", 425, { 8, P((char[128]){ 0 }) } },
	    { "userfaultfd", SYS_userfaultfd, { 0 } },
	    { "keyctl", SYS_keyctl, { 0, -4, 0 } },
	    { "add_key", SYS_add_key, { P("user"), P("x"), P("y"), 1, -4 } },
	    { "init_module", SYS_init_module, { P(""), 0, P("") } },
	    { "finit_module", SYS_finit_module, { 0, P(""), 0 } },
	    { "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 } },
	    { "reboot", SYS_reboot, { (int)0xfee1dead, 0x28121969, 0, 0 } },
	    { "sethostname", SYS_sethostname, { P("x"), 1 } },
	    { "settimeofday", SYS_settimeofday, { P((long[2]){ 0 }), 0 } },
	    { "iopl", SYS_iopl, { 3 } },
	    { "syslog", SYS_syslog, { 3, P((char[64]){ 0 }), 64 } },
	    { "inotify_init", SYS_inotify_init1, { 0 } },
	    { "quotactl", SYS_quotactl, { 0, 0, 0, 0 } });
}

/* --- messages to the launcher -------------------------------------------- */

/* The connected SEQPACKET socket; the listening one is for status. */
static int
launcher(void)
{
	for (int fd = 3; fd < FDS_MAX; fd++) {
		int type = 0, listens = 1;
		socklen_t len = sizeof(type);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
		    type == SOCK_SEQPACKET &&
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		    &len) == 0 && !listens)
			return fd;
	}
	return -1;
}

/* A descriptor that is no TCP connection. */
static int
strange(void)
{
	for (int fd = 3; fd < FDS_MAX; fd++) {
		int type = 0;
		socklen_t len = sizeof(type);

		if (fd != launcher() && getsockopt(fd, SOL_SOCKET, SO_TYPE,
		    &type, &len) == 0)
			return fd;
	}
	return -1;
}

/* Sends buf[0..len) with n copies of fd; waits while there is no room. */
static bool
tell(const void *buf, size_t len, int fd, unsigned n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int to = launcher();

	memset(control, 0, sizeof(control));
	if (n > 0) {
		struct cmsghdr *cm;

		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (unsigned i = 0; i < n; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &fd,
			    sizeof(int));
	}
	for (int i = 0; i < 1000; i++) {
		struct pollfd p = { .fd = to, .events = POLLOUT };

		if (sendmsg(to, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return true;
		if (errno != EAGAIN)
			return false;
		poll(&p, 1, 20);
	}
	return false;
}

static bool
ask(uint32_t op, uint32_t call, uint32_t key)
{
	struct req r = { .version = REQ_VERSION, .op = op, .call = call,
	    .key = key };

	if (op == REQ_OPEN) {
		r.peer = htonl(0xc6120201);
		r.own = htonl(0xc6120001);
	}
	return tell(&r, sizeof(r), -1, 0);
}

/* It ought to kill us for that. */
static void
expect_death(const char *name)
{
	say("waits", name);
	poll(NULL, 0, KILL_WAIT_MS);
	say("SURVIVED", name);
}

static void
cut_short(const char *name)
{
	tell("\1\0\0\0\2\0\0", 7, -1, 0);
	expect_death(name);
}

static void
empty_message(const char *name)
{
	tell("", 0, -1, 0);
	expect_death(name);
}

static void
empty_with_descriptors(const char *name)
{
	tell("", 0, strange(), 3);
	expect_death(name);
}

static void
oversized(const char *name)
{
	static uint8_t big[60000];

	tell(big, sizeof(big), -1, 0);
	expect_death(name);
}

static void
longer_by_one(const char *name)
{
	uint8_t buf[sizeof(struct req) + 1] = { REQ_VERSION, 0, 0, 0,
	    REQ_STOP, 0, 0, 0, 1 };

	tell(buf, sizeof(buf), -1, 0);
	expect_death(name);
}

static void
as_the_launcher(const char *name)
{
	struct rep rep = { .version = REQ_VERSION, .op = REP_EXITED,
	    .call = 1, .pid = 1 };

	tell(&rep, sizeof(rep), -1, 0);
	expect_death(name);
}

static void
other_version(const char *name)
{
	struct req r = { .version = REQ_VERSION + 1, .op = REQ_STOP,
	    .call = 1 };

	tell(&r, sizeof(r), -1, 0);
	expect_death(name);
}

static void
unknown_verb(const char *name)
{
	ask(77, 1, 0);
	expect_death(name);
}

static void
call_out_of_range(const char *name)
{
	ask(REQ_STOP, 70000, 0);
	expect_death(name);
}

static void
fields_without_meaning(const char *name)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_STOP, .call = 1,
	    .peer = 1 };

	tell(&r, sizeof(r), -1, 0);
	expect_death(name);
}

static void
impossible_peer(const char *name)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_OPEN, .call = 1,
	    .peer = htonl(0xe0000001), .own = htonl(0xc6120001) };

	tell(&r, sizeof(r), -1, 0);
	expect_death(name);
}

static void
open_twice(const char *name)
{
	ask(REQ_OPEN, OWN_CALL, 0);
	ask(REQ_OPEN, OWN_CALL, 0);
	expect_death(name);
}

static void
start_twice(const char *name)
{
	ask(REQ_OPEN, OWN_CALL, 0);
	ask(REQ_START, OWN_CALL, 0);
	ask(REQ_START, OWN_CALL, 0);
	expect_death(name);
}

static void
ready_twice(const char *name)
{
	/* Should the worker's own not be sent yet. */
	ask(REQ_READY, 0, 0);
	ask(REQ_READY, 0, 0);
	expect_death(name);
}

/* Draining is about no call, no key and no descriptor. */
static void
drain_a_call(const char *name)
{
	ask(REQ_DRAIN, OWN_CALL, 0);
	expect_death(name);
}

static void
drain_a_key(const char *name)
{
	ask(REQ_DRAIN, 0, 1);
	expect_death(name);
}

static void
drain_with_a_descriptor(const char *name)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_DRAIN };

	tell(&r, sizeof(r), strange(), 1);
	expect_death(name);
}

static void
resume_a_call(const char *name)
{
	ask(REQ_RESUME, OWN_CALL, 0);
	expect_death(name);
}

static void
answer_a_ping_with_a_call(const char *name)
{
	ask(REQ_PONG, OWN_CALL, 0);
	expect_death(name);
}

static void
descriptor_with_a_verb(const char *name)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_STOP, .call = 1 };

	tell(&r, sizeof(r), strange(), 1);
	expect_death(name);
}

static void
keep_without_descriptor(const char *name)
{
	ask(REQ_KEEP, 0, 1);
	expect_death(name);
}

static void
keep(uint32_t key, int fd)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_KEEP, .key = key };

	tell(&r, sizeof(r), fd, 1);
}

static void
keep_its_own_socket(const char *name)
{
	keep(900, launcher());
	expect_death(name);
}

static void
keep_something_strange(const char *name)
{
	keep(900, strange());
	expect_death(name);
}

static void
key_out_of_range(const char *name)
{
	keep(0x7fffffff, strange());
	expect_death(name);
}

static void
many_descriptors(const char *name)
{
	struct req r = { .version = REQ_VERSION, .op = REQ_KEEP, .key = 900 };

	for (int i = 0; i < 50; i++)
		tell(&r, sizeof(r), strange(), 200);
	expect_death(name);
}

/* Asks without end and reads no answer. */
static void
deaf(const char *name)
{
	/* The pool is empty soon, and each of the others is refused. */
	for (uint32_t i = 0; i < 100000; i++)
		if (!ask(REQ_OPEN, i < 1000 ? i + 1 : 1001 + i % 60000, 0))
			break;
	expect_death(name);
}

/* --- what an honest worker may ask, in bulk ------------------------------ */

static void
read_answers(void)
{
	char buf[1024];

	while (recv(launcher(), buf, sizeof(buf), MSG_DONTWAIT) > 0)
		continue;
}

/* Calls that there are not, in every order. */
static void
out_of_order(const char *name)
{
	for (uint32_t i = 0; i < 3000; i++) {
		ask(REQ_START + i % 3, 60000 + i % 100, 0);
		ask(REQ_DROP, 0, 900 + i % 100);
	}
	read_answers();
	say("done", name);
}

/* What only root asks for, without end; and answers to what nobody asked. */
static void
drain_again_and_again(const char *name)
{
	for (uint32_t i = 0; i < 3000; i++) {
		ask(i % 2 ? REQ_RESUME : REQ_DRAIN, 0, 0);
		ask(REQ_PONG, 0, 0);
		ask(REQ_DROP, 0, 900 + i % 100);
		read_answers();
	}
	say("done", name);
}

static void
drain_and_die(const char *name)
{
	ask(REQ_DRAIN, 0, 0);
	say("waits", name);
	_exit(9);
}

/* As many calls as it gets, each with its pppd. */
static void
exhaust(const char *name)
{
	for (uint32_t i = 1; i <= 3000; i++) {
		ask(REQ_OPEN, 50000 + i, 0);
		read_answers();
	}
	for (uint32_t i = 1; i <= 3; i++)
		ask(REQ_START, 50000 + i, 0);
	for (int i = 0; i < 20; i++) {
		poll(NULL, 0, 50);
		read_answers();
	}
	say("done", name);
	for (uint32_t i = 1; i <= 3000; i++) {
		ask(REQ_STOP, 50000 + i, 0);
		read_answers();
	}
	for (int i = 0; i < 40; i++) {
		poll(NULL, 0, 50);
		read_answers();
	}
	say("over", name);
}

/* What the next worker reads is nonsense. */
static void
spoil_table(const char *name)
{
	uint32_t noise = 12345;

	if (table)
		for (size_t i = 0; i < table->size; i++) {
			noise = noise * 1664525u + 1013904223u;
			if (i >= 4096 || i % 7 == 0)
				table->map[i] = (uint8_t)(noise >> 24);
		}
	say(table ? "waits" : "no table", name);
	_exit(9);
}

static const struct {
	const char *name;
	void (*run)(const char *name);
} escapes[] = {
	{ "open files", open_files },
	{ "run programs", run_programs },
	{ "executable memory", executable_memory },
	{ "sockets of other kinds", other_sockets },
	{ "other use of its sockets", own_sockets },
	{ "others' memory", others_memory },
	{ "signals", signals },
	{ "become root", become_root },
	{ "leave the root directory", leave_root_directory },
	{ "other doors of the kernel", kernel_doors },
	{ "out of order", out_of_order },
	{ "exhaust", exhaust },
	{ "drain again and again", drain_again_and_again },
	{ "drain and die", drain_and_die },
	{ "cut short", cut_short },
	{ "empty message", empty_message },
	{ "empty with descriptors", empty_with_descriptors },
	{ "oversized", oversized },
	{ "longer by one", longer_by_one },
	{ "as the launcher", as_the_launcher },
	{ "other version", other_version },
	{ "unknown verb", unknown_verb },
	{ "call out of range", call_out_of_range },
	{ "fields without meaning", fields_without_meaning },
	{ "impossible peer", impossible_peer },
	{ "open twice", open_twice },
	{ "start twice", start_twice },
	{ "ready twice", ready_twice },
	{ "drain a call", drain_a_call },
	{ "drain a key", drain_a_key },
	{ "drain with a descriptor", drain_with_a_descriptor },
	{ "resume a call", resume_a_call },
	{ "answer a ping with a call", answer_a_ping_with_a_call },
	{ "descriptor with a verb", descriptor_with_a_verb },
	{ "keep without descriptor", keep_without_descriptor },
	{ "keep its own socket", keep_its_own_socket },
	{ "keep something strange", keep_something_strange },
	{ "key out of range", key_out_of_range },
	{ "many descriptors", many_descriptors },
	{ "deaf", deaf },
	{ "spoil the table", spoil_table },
};

#define N_ESCAPES	(sizeof(escapes) / sizeof(escapes[0]))

static void
on_signal(int sig, siginfo_t *si, void *context)
{
	unsigned i = (unsigned)si->si_value.sival_int;

	(void)sig;
	(void)context;
	if (i < N_ESCAPES)
		escapes[i].run(escapes[i].name);
}

/* In the launcher, before anything else; the worker inherits it. */
static void __attribute__((constructor))
prepare(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal,
	    .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &sa, NULL);
	if (getenv("HOSTILE_LIST"))
		for (size_t i = 0; i < N_ESCAPES; i++)
			printf("%s\n", escapes[i].name);
	if (getenv("HOSTILE_LIST"))
		exit(0);
}
