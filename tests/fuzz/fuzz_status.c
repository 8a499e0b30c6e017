/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status socket: clients who send any message, with any number of
 * descriptors, as root or not.  A model, made of the header alone, says what
 * must be answered and what must have been done.
 *
 * Each step: root or not, what, how, which call, address and user; or a
 * length and so many bytes as they are.
 */
#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/accept.h"
#include "net/status.h"
#include "net/worker.h"
#include "../conf/fake_netdb.h"

#define N_CALLS		3u
#define FDS_MAX		8u
#define FDS_READ	4u	/* for more ipc_recv has no room */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker w;
static struct session call[N_CALLS];
static struct ctrl ctrl;
static int listener;
static struct sockaddr_un where;
static socklen_t where_len;

/* What the step did. */
static bool is_root;
static unsigned ended, n_taken;	/* ended: bits, by call */
static uint32_t asked;		/* enum req_op of the launcher */

/* --- what is around the status socket ------------------------------------- */

/* The peer is who the input says. */
int
getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	struct ucred cred = { .uid = is_root ? 0 : 1000 };

	if (level != SOL_SOCKET || option != SO_PEERCRED)
		return (int)syscall(SYS_getsockopt, fd, level, option, value,
		    len);
	memcpy(value, &cred, sizeof(cred));
	return 0;
}

struct session *
session_next(struct worker *worker, unsigned from)
{
	(void)worker;
	for (unsigned i = 0; i < N_CALLS; i++)
		if (call[i].flow.own_id >= from)
			return &call[i];
	return NULL;
}

void
conn_terminate(struct conn *c, unsigned slot, enum call_end why)
{
	(void)c;
	assert(slot < N_CALLS && why == CALL_END_ADMIN);
	assert(!(ended & 1u << slot));
	ended |= 1u << slot;
}

bool
accept_take(struct worker *worker, int fd)
{
	(void)worker;
	n_taken++;
	close(fd);
	return true;
}

bool
worker_ask(struct worker *worker, struct req *req)
{
	(void)worker;
	asked = req->op;
	return true;
}

const struct ctrl *conn_ctrl(const struct conn *c) { (void)c; return &ctrl; }
uint64_t worker_now(const struct worker *worker) { (void)worker; return 9; }
unsigned sessions_count(const struct worker *worker)
{ (void)worker; return N_CALLS; }
unsigned sessions_starting(const struct worker *worker)
{ (void)worker; return 0; }
unsigned sessions_waiting(const struct worker *worker)
{ (void)worker; return 0; }
void session_ask_traffic(struct session *s) { (void)s; }
void relay_look(struct flow *f) { (void)f; }
uint32_t relay_falls(const struct relay *r) { (void)r; return 0; }
uint64_t relay_by_threads(const struct relay *r) { (void)r; return 0; }
const struct relay_counts *relay_counts(const struct relay *r)
{ (void)r; return NULL; }

/* --- the model ------------------------------------------------------------ */

enum answer { NOTHING, DENIED, BAD, DONE };

static enum answer
expected(const void *buf, size_t len, unsigned n_fds,
    struct status_request *req)
{
	if (len == 0 && n_fds <= FDS_READ)
		return NOTHING;		/* as good as hanging up */
	if (!is_root)
		return DENIED;
	if (len != sizeof(*req) || n_fds > FDS_READ)
		return BAD;
	memcpy(req, buf, sizeof(*req));
	if (req->version != STATUS_VERSION || req->op < STATUS_LIST ||
	    req->op > STATUS_TAKE ||
	    strnlen(req->user, sizeof(req->user)) == sizeof(req->user))
		return BAD;
	if (req->op == STATUS_TERMINATE)
		return req->select >= 1 && req->select <= 4 ? DONE : BAD;
	if (req->op == STATUS_UNBAN)
		return req->select == STATUS_ALL ||
		    req->select == STATUS_BY_USER ? DONE : BAD;
	return DONE;
}

static unsigned
meant(const struct status_request *req)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < N_CALLS; i++) {
		const struct session *s = &call[i];
		bool hit = req->select == STATUS_ALL ||
		    (req->select == STATUS_BY_CALL &&
		    req->call == s->flow.own_id) ||
		    (req->select == STATUS_BY_USER && s->user[0] &&
		    strcmp(req->user, s->user) == 0) ||
		    (req->select == STATUS_BY_IP &&
		    (req->ip == s->remote ||
		    req->ip == s->flow.peer.s_addr));

		bits |= hit ? 1u << i : 0;
	}
	return bits;
}

/* --- a client --------------------------------------------------------------- */

static void
run(void)
{
	while (sd_event_run(w.loop, 0) > 0)
		continue;
}

static void
send_with(int fd, const void *buf, size_t len, int given, unsigned n_fds)
{
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	memset(room, 0, sizeof(room));
	if (n_fds > 0) {
		struct cmsghdr *cm;

		mh.msg_control = room;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &given,
			    sizeof(int));
	}
	assert(sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Reads to the end; returns the last record's kind, 0: there was none. */
static uint32_t
read_all(int fd, struct status_record *last, unsigned count[STATUS_BAN + 1])
{
	uint32_t kind = 0;
	ssize_t n;

	memset(count, 0, (STATUS_BAN + 1) * sizeof(*count));
	for (;;) {
		run();
		n = recv(fd, last, sizeof(*last), MSG_DONTWAIT);
		if (n <= 0)
			break;
		assert(n == sizeof(*last));
		assert(last->version == STATUS_VERSION);
		kind = last->kind;
		assert(kind >= STATUS_CALL && kind <= STATUS_BAN);
		assert(memchr(last->user, '\0', sizeof(last->user)));
		count[kind]++;
	}
	assert(n == 0 || errno == ECONNRESET);
	return kind;
}

/* What was asked for was done and counted, and nothing else. */
static void
check_done(const struct status_request *req, unsigned n_fds,
    const struct status_record *last, const unsigned *count)
{
	unsigned bits = req->op == STATUS_TERMINATE ? meant(req) : 0;
	bool drain = req->op == STATUS_DRAIN, resume = req->op ==
	    STATUS_RESUME;

	assert(count[STATUS_DONE] == 1);
	assert(ended == bits);
	assert(asked == (drain ? REQ_DRAIN : resume ? REQ_RESUME : 0u));
	assert(n_taken == (req->op == STATUS_TAKE && n_fds > 0));
	assert(count[STATUS_CALL] == (req->op == STATUS_LIST ? N_CALLS : 0));
	assert((count[STATUS_NUMBER] > 0) == (req->op == STATUS_NUMBERS));
	switch ((enum status_op)req->op) {
	case STATUS_LIST:
	case STATUS_DRAIN:
	case STATUS_RESUME:
		assert(last->count == N_CALLS);
		break;
	case STATUS_TERMINATE:
		assert(last->count == (bits & 1) + (bits >> 1 & 1) +
		    (bits >> 2));
		break;
	case STATUS_NUMBERS:
	case STATUS_UNBAN:
		assert(last->count == 0);
		break;
	case STATUS_TAKE:
		assert(last->count == n_taken);
		break;
	}
	if (drain || resume)
		assert(admit_draining(w.admit) == drain);
}

static void
ask(const void *buf, size_t len, unsigned n_fds)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unsigned count[STATUS_BAN + 1];
	struct status_record last;
	struct status_request req;
	enum answer want = expected(buf, len, n_fds, &req);
	uint32_t kind;
	int pipefd[2];
	char byte;

	ended = n_taken = 0;
	asked = 0;
	assert(fd >= 0 && pipe2(pipefd, O_CLOEXEC | O_NONBLOCK) == 0);
	assert(connect(fd, (const struct sockaddr *)&where, where_len) == 0);
	send_with(fd, buf, len, pipefd[1], n_fds);
	close(pipefd[1]);
	kind = read_all(fd, &last, count);
	if (want == DONE) {
		check_done(&req, n_fds, &last, count);
		assert(kind == STATUS_DONE);
	} else {
		assert(ended == 0 && n_taken == 0 && asked == 0);
		assert(kind == (want == DENIED ? STATUS_DENIED :
		    want == BAD ? STATUS_BAD : 0u));
		assert(count[STATUS_DENIED] + count[STATUS_BAD] ==
		    (kind != 0));
	}
	/* Nobody kept a descriptor. */
	assert(read(pipefd[0], &byte, 1) == 0);
	close(pipefd[0]);
	close(fd);
	run();
}

static void
ask_for(const uint8_t *d, unsigned n_fds)
{
	static const char *const user[] = { "", "alice", "bob", "nobody" };
	struct status_request req = { .version = STATUS_VERSION,
	    .op = d[1] % 16, .select = d[1] / 16, .call = d[2] };

	req.ip = d[2] % 2 ? call[d[2] / 2 % N_CALLS].remote :
	    call[d[2] / 2 % N_CALLS].flow.peer.s_addr;
	strcpy(req.user, user[d[3] % 4]);
	if (d[3] > 250)
		memset(req.user, 'x', sizeof(req.user));
	ask(&req, sizeof(req), n_fds);
}

static void
prepare(void)
{
	static struct conf conf;

	if (w.loop)
		return;
	conf_init(&conf);
	w.conf = &conf;
	w.path = CONF_DP_RELAY;
	assert(sd_event_new(&w.loop) >= 0);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	where.sun_family = AF_UNIX;	/* the kernel finds a name */
	assert(bind(listener, (const struct sockaddr *)&where,
	    sizeof(where.sun_family)) == 0 && listen(listener, 8) == 0);
	where_len = sizeof(where);
	assert(getsockname(listener, (struct sockaddr *)&where,
	    &where_len) == 0);
	assert(status_start(&w, listener) >= 0);
	for (unsigned i = 0; i < N_CALLS; i++) {
		struct session *s = &call[i];

		s->worker = &w;
		s->slot = i;
		s->flow.own_id = (uint16_t)(10 + 50 * i);
		s->flow.peer.s_addr = htonl(0xc6120001u + i / 2);
		s->remote = htonl(0x0a000101u + i);
		strcpy(s->user, i == 1 ? "bob" : "alice");
	}
	call[2].user[0] = '\0';		/* not logged in yet */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prepare();
	w.admit = admit_new(&w.conf->limits, 8, 42);
	assert(w.admit);
	while (size >= 4) {
		unsigned n_fds = data[0] / 4 % (FDS_MAX + 1);
		size_t given = data[2] | (size_t)data[3] << 8;

		is_root = data[0] & 1;
		data += 4;
		size -= 4;
		if (data[-4] & 2) {
			if (given > size)
				given = size;
			ask(data, given, n_fds);
			data += given;
			size -= given;
		} else {
			ask_for(data - 4, n_fds);
		}
	}
	admit_free(w.admit);
	return 0;
}
