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

#define FRAME_MAX	10

static void
frame_from_client(struct world *w, uint16_t call, uint32_t seq,
    const uint8_t *ppp, size_t len)
{
	struct gre_pkt pkt = { .call_id = call, .has_seq = true, .seq = seq,
	    .payload_len = len };
	uint8_t ip[20 + GRE_HDR_MAX + FRAME_MAX] = { 0x45, [9] = 47 };
	size_t n = 20 + gre_build(ip + 20, &pkt);

	memcpy(ip + n, ppp, len);
	n += len;
	ip[3] = (uint8_t)n;
	memcpy(ip + 12, &w->flow.peer, 4);
	memcpy(ip + 16, &w->flow.own, 4);
	assert_int_equal(send(w->network, ip, n, 0), n);
}

/* The call's client's frame of that number; it counts MPPE frames from 0. */
static void
from_client_of(struct world *w, uint16_t call, uint32_t seq)
{
	uint8_t ppp[FRAME_MAX] = { 0xff, 0x03, 0x00, 0xfd,
	    (uint8_t)(0x90 | (seq >> 8 & 0x0f)), (uint8_t)seq, 1, 2, 3, 4 };

	frame_from_client(w, call, seq, ppp, sizeof(ppp));
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

static void
expect_frame(struct world *w, const uint8_t *ppp, size_t len)
{
	uint8_t frame[64];
	ssize_t n = -1;

	for (int i = 0; i < 1000 && n < 0; i++) {
		turn(w);
		n = recv(w->tunnel, frame, sizeof(frame), 0);
	}
	assert_int_equal(n, 6 + len);
	assert_memory_equal(frame + 6, ppp, len);
}

/* The kernel's L2TP takes none of less than 8 bytes. */
static void
short_frames_are_filled(void **state)
{
	static const uint8_t ccp[8] = { 0x80, 0xfd, 15, 1, 0, 4 },
	    mppe[8] = { 0xfd, 0x90, 1, 9, 9 },
	    eight[8] = { 0x00, 0xfd, 0x90, 2, 1, 2, 3, 4 };
	struct world *w = *state;

	frame_from_client(w, CALL, 1, ccp, 6);
	expect_frame(w, ccp, sizeof(ccp));
	frame_from_client(w, CALL, 2, mppe, 5);
	expect_frame(w, mppe, sizeof(mppe));
	frame_from_client(w, CALL, 3, eight, sizeof(eight));
	expect_frame(w, eight, sizeof(eight));
}

/* What moves the kernel's keys over a long gap has just enough. */
static void
so_are_steps_of_keys(void **state)
{
	static const uint8_t step[8] = { 0xff, 0x03, 0x00, 0xfd, 0x98 };
	struct world *w = *state;

	/* Until a silence shows that so many were lost. */
	for (uint32_t seq = 3000; seq < 4000 &&
	    recv(w->tunnel, NULL, 0, MSG_PEEK) < 0; seq++) {
		from_client(w, seq);
		turn(w);
		turn(w);
	}
	expect_frame(w, step, sizeof(step));
}

/* Before pppd asks for a network protocol the client's request waits. */
static void
and_held_ones(void **state)
{
	static const uint8_t lcp[] = { 0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4 },
	    ask[] = { 0xff, 0x03, 0x80, 0x21, 1, 1, 0, 4 },
	    held[8] = { 0x80, 0x21, 1, 9, 0, 4 };
	struct world *w = *state;
	uint8_t out[6 + 8] = { 0, 2, 0, TUNNEL, CALL >> 8, CALL & 0xff };

	memcpy(out + 6, lcp, 8);
	assert_int_equal(send(w->tunnel, out, sizeof(out), 0), sizeof(out));
	turn(w);
	frame_from_client(w, CALL, 1, held, 6);
	turn(w);
	memcpy(out + 6, ask, 8);
	assert_int_equal(send(w->tunnel, out, sizeof(out), 0), sizeof(out));
	expect_frame(w, held, sizeof(held));
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
		cmocka_unit_test_setup_teardown(short_frames_are_filled,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(so_are_steps_of_keys,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(and_held_ones,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
