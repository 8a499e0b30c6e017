/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay beside the fast path: whose turn it is.  The program and the
 * launcher are this file, by the map that they share with the relay.
 */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/offload.h"
#include "net/relay.h"
#include "proto/gre.h"
#include "unit/relay_ends.h"

#define CALL	4660
#define OTHER	4661
#define TUNNEL	99
#define MAP	(OFFLOAD_CALLS * sizeof(struct offload_state))

struct world {
	sd_event *loop;
	struct relay *relay;
	struct flow flow, other;
	struct offload_state *state;
	int network, tunnel;	/* the other ends */
};

static void
first(struct flow *f, void *arg)
{
	(void)f;
	(void)arg;
}

/* The call's client's frame of that number; it counts MPPE frames from 0. */
static void
from_client_of(struct world *w, uint16_t call, uint32_t seq)
{
	struct gre_pkt pkt = { .call_id = call, .has_seq = true, .seq = seq,
	    .payload_len = 10 };
	uint8_t ip[20 + GRE_HDR_MAX + 10] = { 0x45, [9] = 47 };
	uint8_t ppp[10] = { 0xff, 0x03, 0x00, 0xfd, 0x90, (uint8_t)seq,
	    1, 2, 3, 4 };
	size_t n = 20 + gre_build(ip + 20, &pkt);

	memcpy(ip + n, ppp, sizeof(ppp));
	n += sizeof(ppp);
	ip[3] = (uint8_t)n;
	memcpy(ip + 12, &w->flow.peer, 4);
	memcpy(ip + 16, &w->flow.own, 4);
	assert_int_equal(send(w->network, ip, n, 0), n);
}

static void
from_client(struct world *w, uint32_t seq)
{
	from_client_of(w, CALL, seq);
}

static void
turn(struct world *w)
{
	assert_true(sd_event_run(w->loop, 1000) >= 0);
}

/* The number of the next frame that reaches the tunnel, or -1. */
static int
at_tunnel(struct world *w)
{
	uint8_t frame[64];
	ssize_t n = recv(w->tunnel, frame, sizeof(frame), 0);

	if (n < 0)
		return -1;
	assert_int_equal(n, 16);
	assert_int_equal(frame[4] << 8 | frame[5], CALL);
	w->state[CALL].arrived++;
	return frame[11];
}

static void
expect_at_tunnel(struct world *w, int from, int to)
{
	for (; from <= to; from++) {
		int got = -1;

		while ((got = at_tunnel(w)) < 0)
			turn(w);
		assert_int_equal(got, from);
	}
	assert_int_equal(at_tunnel(w), -1);
}

static bool
given(const struct world *w)
{
	return w->state[CALL].word & OFFLOAD_FAST;
}

/* The program passes on all up to that number. */
static void
pass_on(struct world *w, uint32_t last)
{
	while (!given(w))
		turn(w);
	w->state[CALL].last_in = 1;
	w->state[CALL].word = OFFLOAD_WORD(last + 1, OFFLOAD_FAST);
}

static void
flow_begin(struct world *w, struct flow *f, uint16_t call)
{
	static const uint8_t ncp[] = { 0xff, 0x03, 0x80, 0x21, 1, 1, 0, 4 };
	struct in_addr peer = { htonl(0xc6120101) }, own = { htonl(0xc6120001) };

	flow_init(f, call, 17, peer, own);
	pppfilter_config(&f->filter, true, false, false, true, false, true);
	pppfilter_out(&f->filter, ncp, sizeof(ncp));
	relay_attach_l2tp(w->relay, f, TUNNEL);
}

static int
set_up(void **state)
{
	static struct world world;
	int map = memfd_create("state_map", MFD_CLOEXEC), gre[2], udp[2];
	struct world *w = &world;

	memset(w, 0, sizeof(*w));
	assert_int_equal(ftruncate(map, MAP), 0);
	w->state = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	assert_ptr_not_equal(w->state, MAP_FAILED);
	relay_ends(gre, udp);
	w->network = gre[1];
	w->tunnel = udp[1];
	assert_true(sd_event_new(&w->loop) >= 0);
	w->relay = relay_new(w->loop, gre[0], udp[0], map, first, NULL);
	assert_non_null(w->relay);
	flow_begin(w, &w->flow, CALL);
	flow_begin(w, &w->other, OTHER);
	from_client(w, 0);
	expect_at_tunnel(w, 0, 0);
	relay_up(&w->flow);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	relay_detach(w->relay, &w->flow);
	relay_detach(w->relay, &w->other);
	relay_free(w->relay);
	sd_event_unref(w->loop);
	munmap(w->state, MAP);
	return 0;
}

/* What comes to the relay is its own, and then the program's again at once:
 * after what the relay has sent. */
static void
a_frame_changes_the_turn(void **state)
{
	struct world *w = *state;

	pass_on(w, 2);
	assert_int_equal(w->state[CALL].after, 1);
	from_client(w, 3);
	from_client(w, 4);
	turn(w);
	assert_true(given(w));
	assert_int_equal(OFFLOAD_EXPECTED(w->state[CALL].word), 5);
	assert_int_equal(w->state[CALL].after, 3);
	expect_at_tunnel(w, 3, 4);
	assert_int_equal(w->flow.counts.fast_rx, 2);
	pass_on(w, 9);
	from_client(w, 10);
	expect_at_tunnel(w, 10, 10);
	assert_int_equal(w->state[CALL].after, 4);
}

/* With frames of which one is missing the program can do nothing. */
static void
not_while_one_is_missing(void **state)
{
	struct world *w = *state;

	pass_on(w, 2);
	from_client(w, 4);
	turn(w);
	assert_false(given(w));
	from_client(w, 3);
	expect_at_tunnel(w, 3, 4);
	assert_true(given(w));
	assert_int_equal(OFFLOAD_EXPECTED(w->state[CALL].word), 5);
}

/* The kernel queues what is sent at once by the first frame's call. */
static void
what_is_sent_at_once_is_of_one_call(void **state)
{
	static const struct {
		uint16_t call;
		uint32_t seq;
	} in[] = { { CALL, 1 }, { OTHER, 1 }, { OTHER, 2 }, { CALL, 2 } };
	struct world *w = *state;
	uint8_t buf[256];
	int on = 1;
	ssize_t n;
	unsigned frames = 0, together = 0;

	assert_int_equal(setsockopt(w->tunnel, IPPROTO_UDP, UDP_GRO, &on,
	    sizeof(on)), 0);
	for (unsigned i = 0; i < 4; i++)
		from_client_of(w, in[i].call, in[i].seq);
	turn(w);
	while ((n = recv(w->tunnel, buf, sizeof(buf), 0)) > 0) {
		assert_int_equal(n % 16, 0);
		for (ssize_t at = 0; at < n; at += 16)
			assert_memory_equal(buf + at, buf, 6);
		frames += (unsigned)n / 16;
		together += n > 16;
	}
	assert_int_equal(frames, 4);
	assert_int_equal(together, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_frame_changes_the_turn,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    what_is_sent_at_once_is_of_one_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(not_while_one_is_missing,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
