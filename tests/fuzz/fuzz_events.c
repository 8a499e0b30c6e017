/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What pppd's plugin says, from its socket through the launcher to the
 * worker: three calls, whose plugins say anything in any order.  The calls'
 * parents are dead, so that the launcher reads their sockets itself, as the
 * parents would do (shim_next_event).
 *
 * Each step: what and which call, a value, an address, a name; or a length
 * and so many bytes of a record as they are.
 */
#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "priv/launcher.h"
#include "priv/logout.h"
#include "priv/offload.h"
#include "priv/pool.h"
#include "priv/scope.h"
#include "priv/store.h"

#define N_CALLS		3u
#define N_SLOTS		4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct launcher la;
static struct lcall *call[N_CALLS];
static int plugin[N_CALLS];	/* its end of the socket */
static unsigned n_passed_on;	/* records that the worker got */
static struct in_addr local = { 0x0100000a }, remote[N_SLOTS];

/* --- what is around the launcher's calls ---------------------------------- */

void
reply(struct launcher *l, struct rep *rep)
{
	const struct ev *ev = &rep->ev;

	assert(l == &la);
	if (rep->op != REP_EVENT)
		return;
	n_passed_on++;
	assert(rep->call >= 1 && rep->call <= N_CALLS);
	assert(ev->version == EV_VERSION && ev->type != EV_ADDR);
	assert(memchr(ev->name, '\0', sizeof(ev->name)));
	assert(memchr(ev->ifname, '\0', sizeof(ev->ifname)));
}

/* Its interface is gone when it is looked for again. */
int
arm(struct launcher *l, sd_event_source **timer, unsigned ms,
    sd_event_time_handler_t fn, void *arg)
{
	(void)l;
	(void)timer;
	(void)ms;
	(void)fn;
	call_free(arg);
	return 0;
}

void finish_if_done(struct launcher *l) { (void)l; }
void notify_changed(struct launcher *l) { (void)l; }
void save_call(struct lcall *c) { (void)c; }
void forget_call(struct lcall *c) { (void)c; }
void store_remove(enum store_kind kind, uint32_t n) { (void)kind; (void)n; }
void store_put(enum store_kind kind, uint32_t n, int fd)
{ (void)kind; (void)n; (void)fd; }
void keep_drop_pty(struct keep *k, uint16_t id) { (void)k; (void)id; }
void offload_call_end(struct offload *o, uint16_t id) { (void)o; (void)id; }
void logout_write(const char *ifname) { assert(strlen(ifname) < 16); }
void logout_cancel(const char *ifname) { assert(strlen(ifname) < 16); }
void scope_move(struct scopes *s, unsigned id, struct in_addr peer,
    pid_t shim, pid_t pppd)
{ (void)s; (void)id; (void)peer; (void)shim; (void)pppd; }

static bool
busy(struct in_addr addr)
{
	(void)addr;
	return false;
}

/* --- the calls ------------------------------------------------------------ */

static void
begin(unsigned i)
{
	struct lcall *c = calloc(1, sizeof(*c));
	int pair[2], r;

	assert(c);
	r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
	assert(r == 0);
	c->la = &la;
	c->id = (uint16_t)(i + 1);
	c->stage = STAGE_RUNNING;
	c->channel = -1;
	c->plugin_status = c->exit_value = -1;
	c->slot = pool_take(la.pool, &c->local, &c->remote);
	assert(c->slot != POOL_NONE);
	c->event = pair[0];
	c->pppd_fd = eventfd(0, EFD_CLOEXEC);
	assert(orphan_begin(c));
	plugin[i] = pair[1];
	la.call[c->id] = call[i] = c;
	la.n_calls++;
}

/* The interface that it named may be there: lo is. */
static void
end(unsigned i)
{
	send_exited(call[i], REP_EXIT_LOST, 0, 0);
	assert(!la.call[i + 1]);
	close(plugin[i]);
}

/* No two calls have the same place or promised address; strings end. */
static void
check_calls(void)
{
	assert(pool_used(la.pool) == N_CALLS);
	for (unsigned i = 0; i < N_CALLS; i++) {
		const struct lcall *c = call[i];

		assert(la.call[i + 1] == c);
		assert(memchr(c->user, '\0', sizeof(c->user)));
		assert(memchr(c->ifname, '\0', sizeof(c->ifname)));
		assert(c->slot == POOL_OUTSIDE ||
		    (unsigned)c->slot < N_SLOTS);
		for (unsigned k = 0; k < i; k++)
			assert(c->slot == POOL_OUTSIDE ||
			    c->slot != call[k]->slot);
	}
}

/* The answer is an address of the pool that is this call's alone, or none. */
static void
check_answer(unsigned i, bool due)
{
	struct ev_addr_reply a;
	ssize_t n = recv(plugin[i], &a, sizeof(a), MSG_DONTWAIT);
	struct in_addr l, r;

	assert((n > 0) == due);
	if (!due)
		return;
	assert(n == sizeof(a) && a.version == EV_VERSION);
	if (a.remote == 0)
		return;
	assert(call[i]->slot >= 0 && call[i]->remote.s_addr == a.remote);
	pool_addresses(la.pool, call[i]->slot, &l, &r);
	assert(r.s_addr == a.remote && l.s_addr == local.s_addr);
}

/* The plugin of call i sends buf[0..len), and the launcher hears of it. */
static void
say(unsigned i, const void *buf, size_t len)
{
	struct ev ev;
	bool whole = len == sizeof(ev), question;

	if (whole)
		memcpy(&ev, buf, sizeof(ev));
	whole = whole && ev.version == EV_VERSION;
	question = whole && ev.type == EV_ADDR;
	n_passed_on = 0;
	assert(send(plugin[i], buf, len, 0) == (ssize_t)len);
	while (sd_event_run(la.loop, 0) > 0)
		continue;
	assert(n_passed_on == (whole && !question));
	check_answer(i, question);
	check_calls();
}

static void
say_event(unsigned i, const uint8_t *d)
{
	static const char *const name[] = { "", "alice", "bob", "alice\n",
	    "%s%n" };
	struct ev ev = { .version = EV_VERSION, .type = d[0] >> 4,
	    .value = (int8_t)d[1], .flags = d[1], .auth = d[1] % 6,
	    .local = local.s_addr };

	ev.remote = d[2] % 8 < N_SLOTS ? remote[d[2] % 8].s_addr :
	    htonl(0x0a090000u + d[2]);
	/* Without an end, too. */
	if (d[3] == 0xff)
		memset(ev.name, 'x', sizeof(ev.name));
	else
		strcpy(ev.name, name[d[3] % 5]);
	memset(ev.ifname, 'p', d[3] / 5 % (sizeof(ev.ifname) + 1));
	if (d[3] == 5)
		strcpy(ev.ifname, "lo");
	say(i, &ev, sizeof(ev));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf = { .connections = N_SLOTS, .local = &local,
	    .n_local = 1, .remote = remote, .n_remote = N_SLOTS };
	struct launch launch = { .conf = &conf };

	for (unsigned i = 0; i < N_SLOTS; i++)
		remote[i].s_addr = htonl(0x0a000101u + i);
	memset(&la, 0, sizeof(la));
	la.l = &launch;
	la.pool = pool_new(&conf, busy);
	assert(la.pool && sd_event_new(&la.loop) >= 0);
	for (unsigned i = 0; i < N_CALLS; i++)
		begin(i);
	while (size >= 4) {
		unsigned i = data[0] % 4;
		size_t given = data[1] | (size_t)data[2] << 8;

		if (i < N_CALLS && data[0] >> 4 == 15) {
			end(i);
			begin(i);
		} else if (i < N_CALLS) {
			say_event(i, data);
		} else {
			i = data[0] / 4 % N_CALLS;
			if (given > size - 4)
				given = size - 4;
			if (given > 0)
				say(i, data + 4, given);
			data += given;
			size -= given;
		}
		data += 4;
		size -= 4;
	}
	for (unsigned i = 0; i < N_CALLS; i++)
		end(i);
	assert(la.n_calls == 0 && pool_used(la.pool) == 0);
	pool_free(la.pool);
	sd_event_unref(la.loop);
	return 0;
}
