/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clients that come, greet, call, log in, fail and go in any order.  Each
 * step: what, who, and how much later. */
#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "net/admit.h"
#include "../conf/fake_netdb.h"

#define N	32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct admit *a;
static struct admit_client client[N];
static unsigned n_auth[N];
static uint64_t now;

/* One that has to give way: never one with a call that is up. */
static void
victim(struct admit_client *v)
{
	if (!v)
		return;
	assert(v->stage == ADMIT_LEAVING && v->n_auth == 0);
	admit_closed(a, v);
}

static void
come(struct admit_client *c, uint8_t from)
{
	struct admit_client *v;
	enum admit_count why;
	uint64_t wait;

	if (!admit_connect(a, c, (struct in_addr){ htonl(0x0a000000u + from) },
	    now, &wait, &v, &why)) {
		assert(c->stage == ADMIT_NONE && why < ADMIT_COUNTS);
		return;
	}
	assert(c->stage == ADMIT_HALF_OPEN && wait <= ADMIT_WAIT_MAX_MS);
	victim(v);
}

static void
go(unsigned i)
{
	struct admit_client *c = &client[i];

	if (!c->source)
		return;
	while (c->n_calls > 0) {
		admit_call_over(a, c, n_auth[i] > 0);
		n_auth[i] -= n_auth[i] > 0;
	}
	admit_closed(a, c);
	admit_gone(a, c);
}

static void
step(unsigned what, unsigned i, uint8_t value)
{
	static const char *const names[] = { "a", "b", "alice", "bob" };
	struct admit_client *c = &client[i];
	const char *name = names[value % 4];
	enum admit_count why;

	if (what == 0 && !c->source) {
		come(c, value % 8);
		return;
	}
	if (!c->source)
		return;
	switch (what) {
	case 1:
		victim(admit_greeted(a, c, &why));
		break;
	case 2:
		/* The control machine takes calls from those who greeted. */
		if (c->stage >= ADMIT_GREETED && c->stage < ADMIT_LEAVING &&
		    c->n_calls < 4)
			admit_call(a, c, now, &why);
		break;
	case 3:
		admit_gre(a, c);
		break;
	case 4:
		admit_login(a, c, name, now);
		break;
	case 5:
		admit_failed(a, c, name, now);
		break;
	case 6:
		if (n_auth[i] < c->n_calls) {
			admit_authenticated(a, c, name);
			n_auth[i]++;
		}
		break;
	case 7:
		if (c->n_calls > n_auth[i])
			admit_call_over(a, c, false);
		break;
	case 8:
		admit_closed(a, c);
		break;
	case 9:
		admit_unban(a, value & 1 ? name : NULL);
		break;
	default:
		go(i);
	}
}

static void
check(void)
{
	unsigned n[ADMIT_STAGES] = { 0 };

	for (unsigned i = 0; i < N; i++)
		n[client[i].stage]++;
	for (int s = ADMIT_HALF_OPEN; s < ADMIT_STAGES; s++)
		assert(admit_in_stage(a, (enum admit_stage)s) == n[s]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf conf;
	struct conf_limits *l = &conf.limits;

	if (size < 8)
		return 0;
	conf_init(&conf);
	l->max_half_open.n = data[0] % 20 + 1u;
	l->max_half_open_source.n = data[1] % 10 + 1u;
	l->max_unauthenticated.n = data[2] % 20 + 1u;
	l->max_unauthenticated_source.n = data[3] % 10 + 1u;
	l->connection_rate.n = data[4] % 5;
	l->connection_burst.n = data[5] % 30 + 1u;
	l->ban_after.n = data[6] % 4;
	l->max_calls_source.n = data[7] % 8;
	now = 1;
	memset(client, 0, sizeof(client));
	memset(n_auth, 0, sizeof(n_auth));
	a = admit_new(l, 8, 42);
	assert(a);
	for (data += 8, size -= 8; size >= 3; data += 3, size -= 3) {
		step(data[0] % 11, data[1] % N, data[2]);
		now += (uint64_t)(data[0] / 11) * data[2];
		check();
	}
	for (unsigned i = 0; i < N; i++)
		go(i);
	check();
	admit_free(a);
	conf_free(&conf);
	return 0;
}
