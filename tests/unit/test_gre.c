/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/gre.h"

/* PPTP_VPN_Sniffer #10 from its IP header: Windows 10's first packet, LCP
 * request for MRU 1400, magic, PFC, ACFC, callback. */
static const uint8_t win10_ip[] = {
	0x45, 0x00, 0x00, 0x39, 0x6c, 0xc6, 0x00, 0x00, 0x80, 0x2f,
	0x2f, 0xfd, 0xc0, 0xa8, 0x8e, 0x01, 0xc0, 0xa8, 0x8e, 0x80,
	0x30, 0x01, 0x88, 0x0b, 0x00, 0x19, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0xff, 0x03, 0xc0, 0x21, 0x01, 0x00, 0x00, 0x15,
	0x01, 0x04, 0x05, 0x78, 0x05, 0x06, 0x6f, 0x02, 0x3e, 0x93,
	0x07, 0x02, 0x08, 0x02, 0x0d, 0x03, 0x06,
};

/* PPTP_VPN_Sniffer #30: pppd's CCP request, with ack. */
static const uint8_t pppd_ccp[] = {
	0x30, 0x81, 0x88, 0x0b, 0x00, 0x0c, 0x44, 0xcb, 0x00, 0x00,
	0x00, 0x06, 0x00, 0x00, 0x00, 0x0a, 0x80, 0xfd, 0x01, 0x01,
	0x00, 0x0a, 0x12, 0x06, 0x01, 0x00, 0x00, 0x40,
};

/* PPTP_VPN_Sniffer #39 from its IP header, with Ethernet's padding: PoPToP
 * acknowledges 13 alone. */
static const uint8_t poptop_ack_ip[] = {
	0x45, 0x00, 0x00, 0x20, 0xdb, 0x20, 0x40, 0x00, 0x40, 0x2f,
	0xc1, 0xbb, 0xc0, 0xa8, 0x8e, 0x80, 0xc0, 0xa8, 0x8e, 0x01,
	0x20, 0x81, 0x88, 0x0b, 0x00, 0x00, 0x44, 0xcb, 0x00, 0x00,
	0x00, 0x0d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* packetlife-GRE #1 from its IP header, cut: GRE version 0 around IPv4. */
static const uint8_t gre0_ip[] = {
	0x45, 0x00, 0x00, 0x1c, 0x00, 0x0a, 0x00, 0x00, 0xff, 0x2f,
	0xa7, 0x46, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x08, 0x00, 0x45, 0x00, 0x00, 0x64,
};

static enum gre_status
status_of(const uint8_t *buf, size_t len)
{
	struct gre_pkt pkt;

	return gre_parse(buf, len, &pkt);
}

static void
addr_is(uint32_t net, unsigned a, unsigned b, unsigned c, unsigned d)
{
	uint8_t bytes[4] = { (uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d };

	assert_memory_equal(&net, bytes, 4);
}

static void
windows_first_packet_is_read(void **state)
{
	uint32_t src, dst;
	const uint8_t *gre;
	size_t len;
	struct gre_pkt pkt;

	(void)state;
	assert_true(gre_strip_ip(win10_ip, sizeof(win10_ip), &src, &dst, &gre,
	    &len));
	addr_is(src, 192, 168, 142, 1);
	addr_is(dst, 192, 168, 142, 128);
	assert_ptr_equal(gre, win10_ip + 20);
	assert_int_equal(len, 37);
	assert_int_equal(gre_parse(gre, len, &pkt), GRE_OK);
	assert_int_equal(pkt.call_id, 0);
	assert_true(pkt.has_seq);
	assert_false(pkt.has_ack);
	assert_int_equal(pkt.seq, 0);
	assert_int_equal(pkt.payload_len, 25);
	assert_ptr_equal(pkt.payload, gre + 12);
}

static void
data_with_ack_is_read_and_built(void **state)
{
	struct gre_pkt pkt;
	uint8_t buf[GRE_HDR_MAX];

	(void)state;
	assert_int_equal(gre_parse(pppd_ccp, sizeof(pppd_ccp), &pkt), GRE_OK);
	assert_int_equal(pkt.call_id, 0x44cb);
	assert_true(pkt.has_seq);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.seq, 6);
	assert_int_equal(pkt.ack, 10);
	assert_int_equal(pkt.payload_len, 12);
	assert_ptr_equal(pkt.payload, pppd_ccp + 16);
	assert_int_equal(gre_build(buf, &pkt), 16);
	assert_memory_equal(buf, pppd_ccp, 16);
}

static void
lone_ack_with_padding_is_read_and_built(void **state)
{
	uint32_t src, dst;
	const uint8_t *gre;
	size_t len;
	struct gre_pkt pkt;
	uint8_t buf[GRE_HDR_MAX];

	(void)state;
	assert_true(gre_strip_ip(poptop_ack_ip, sizeof(poptop_ack_ip), &src,
	    &dst, &gre, &len));
	assert_int_equal(len, 12);
	assert_int_equal(gre_parse(gre, len, &pkt), GRE_OK);
	assert_false(pkt.has_seq);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 13);
	assert_int_equal(pkt.payload_len, 0);
	assert_int_equal(gre_build(buf, &pkt), 12);
	assert_memory_equal(buf, gre, 12);
}

static void
data_without_ack_is_built(void **state)
{
	struct gre_pkt pkt = {
		.call_id = 0xfffe, .has_seq = true, .seq = 0x89abcdef,
		.payload_len = 0x1234,
	};
	static const uint8_t want[] = {
		0x30, 0x01, 0x88, 0x0b, 0x12, 0x34, 0xff, 0xfe,
		0x89, 0xab, 0xcd, 0xef,
	};
	uint8_t buf[GRE_HDR_MAX];

	(void)state;
	assert_int_equal(gre_build(buf, &pkt), 12);
	assert_memory_equal(buf, want, 12);
	pkt.has_seq = false;
	pkt.payload_len = 0;
	assert_int_equal(gre_build(buf, &pkt), 8);
	assert_int_equal(buf[0], 0x20);
}

/* G01, G24: what is no whole IPv4 packet. */
static void
bad_ip_headers_are_refused(void **state)
{
	uint8_t buf[80];
	uint32_t src = 1, dst = 2;
	const uint8_t *gre = NULL;
	size_t len = 99;
	static const struct { unsigned at, value; } bad[] = {
		{ 0, 0x44 }, { 0, 0x40 }, { 0, 0x65 }, { 0, 0x05 },
		{ 9, 6 }, { 9, 17 },
		{ 6, 0x20 }, { 6, 0x1f }, { 7, 1 },	/* fragments */
		{ 3, 0x3a }, { 2, 0x01 },		/* longer than it is */
		{ 3, 19 }, { 3, 0 },		/* shorter than its header */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(buf, win10_ip, sizeof(win10_ip));
		buf[bad[i].at] = (uint8_t)bad[i].value;
		assert_false(gre_strip_ip(buf, sizeof(win10_ip), &src, &dst,
		    &gre, &len));
	}
	for (size_t cut = 0; cut < sizeof(win10_ip); cut++)
		assert_false(gre_strip_ip(win10_ip, cut, &src, &dst, &gre,
		    &len));
	assert_int_equal(src, 1);
	assert_int_equal(dst, 2);
	assert_null(gre);
	assert_int_equal(len, 99);
}

static void
ip_options_of_every_length_are_skipped(void **state)
{
	uint8_t buf[128];
	uint32_t src, dst;
	const uint8_t *gre;
	size_t len;

	(void)state;
	for (unsigned ihl = 5; ihl <= 15; ihl++) {
		memset(buf, 0, sizeof(buf));
		memcpy(buf, win10_ip, 20);
		buf[0] = (uint8_t)(0x40 | ihl);
		buf[3] = (uint8_t)(ihl * 4 + 12);
		buf[6] = 0xc0 & 0x40;		/* don't fragment is allowed */
		assert_true(gre_strip_ip(buf, sizeof(buf), &src, &dst, &gre,
		    &len));
		assert_ptr_equal(gre, buf + (size_t)ihl * 4);
		assert_int_equal(len, 12);
		addr_is(dst, 192, 168, 142, 128);
		/* A header that is all there is. */
		buf[3] = (uint8_t)(ihl * 4);
		assert_true(gre_strip_ip(buf, (size_t)ihl * 4, &src, &dst,
		    &gre, &len));
		assert_int_equal(len, 0);
		assert_false(gre_strip_ip(buf, (size_t)ihl * 4 - 1, &src, &dst,
		    &gre, &len));
	}
}

/* G02, G04 */
static void
other_gre_users_are_told_apart(void **state)
{
	uint32_t src, dst;
	const uint8_t *gre;
	size_t len;
	uint8_t buf[sizeof(pppd_ccp)];

	(void)state;
	assert_true(gre_strip_ip(gre0_ip, sizeof(gre0_ip), &src, &dst, &gre,
	    &len));
	assert_int_equal(status_of(gre, len), GRE_NOT_PPTP);
	memcpy(buf, pppd_ccp, sizeof(buf));
	for (unsigned version = 0; version < 8; version++) {
		buf[1] = (uint8_t)(0x80 | version);
		assert_int_equal(status_of(buf, sizeof(buf)),
		    version == 1 ? GRE_OK : GRE_NOT_PPTP);
	}
	buf[1] = 0x81;
	buf[3] = 0x0c;
	assert_int_equal(status_of(buf, sizeof(buf)), GRE_NOT_PPTP);
}

/* G03: all 64 Ki flag words; only K with any of S and A, version 1, is ours. */
static void
forbidden_flags_are_refused(void **state)
{
	uint8_t buf[32] = { 0, 0, 0x88, 0x0b, 0, 1 };
	unsigned ok = 0;

	(void)state;
	for (unsigned flags = 0; flags <= 0xffff; flags++) {
		enum gre_status st;
		unsigned plain = flags & ~0x1080u;

		buf[0] = (uint8_t)(flags >> 8);
		buf[1] = (uint8_t)flags;
		buf[5] = (flags & 0x1000) != 0;
		st = status_of(buf, sizeof(buf));
		if ((flags & 7) != 1)
			assert_int_equal(st, GRE_NOT_PPTP);
		else
			assert_int_equal(st,
			    plain == 0x2001 ? GRE_OK : GRE_BAD);
		ok += st == GRE_OK;
	}
	assert_int_equal(ok, 4);
}

/* G05, G06 */
static void
every_prefix_is_short(void **state)
{
	struct gre_pkt pkt = { .call_id = 77 };

	(void)state;
	for (size_t cut = 0; cut < sizeof(pppd_ccp); cut++)
		assert_int_equal(gre_parse(pppd_ccp, cut, &pkt), GRE_SHORT);
	for (size_t cut = 0; cut < 12; cut++)
		assert_int_equal(gre_parse(poptop_ack_ip + 20, cut, &pkt),
		    GRE_SHORT);
	assert_int_equal(pkt.call_id, 77);
}

/* G07, G08 */
static void
payload_is_trimmed_to_its_length(void **state)
{
	static uint8_t buf[12 + 65535 + 1];
	struct gre_pkt pkt;

	(void)state;
	memcpy(buf, win10_ip + 20, 12);
	buf[5] = 3;
	assert_int_equal(gre_parse(buf, 20, &pkt), GRE_OK);
	assert_int_equal(pkt.payload_len, 3);
	buf[4] = buf[5] = 0xff;
	assert_int_equal(gre_parse(buf, sizeof(buf) - 2, &pkt), GRE_SHORT);
	assert_int_equal(gre_parse(buf, sizeof(buf), &pkt), GRE_OK);
	assert_int_equal(pkt.payload_len, 65535);
}

/* G09 */
static void
payload_needs_a_number_and_a_number_payload(void **state)
{
	static const uint8_t s0_payload[] = {
		0x20, 0x81, 0x88, 0x0b, 0, 1, 0, 5, 0, 0, 0, 1, 0xc0,
	};
	static const uint8_t s1_empty[] = {
		0x30, 0x01, 0x88, 0x0b, 0, 0, 0, 5, 0, 0, 0, 1,
	};
	static const uint8_t nothing[] = {
		0x20, 0x01, 0x88, 0x0b, 0, 0, 0, 5,
	};
	struct gre_pkt pkt;

	(void)state;
	assert_int_equal(status_of(s0_payload, sizeof(s0_payload)), GRE_BAD);
	assert_int_equal(gre_parse(s1_empty, sizeof(s1_empty), &pkt), GRE_OK);
	assert_true(pkt.has_seq);
	assert_int_equal(pkt.payload_len, 0);
	assert_int_equal(gre_parse(nothing, sizeof(nothing), &pkt), GRE_OK);
	assert_false(pkt.has_seq || pkt.has_ack);
}

static void
numbers_start_at_zero_without_ack(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt = { .has_ack = true };

	(void)state;
	gre_flow_init(&f);
	assert_int_equal(gre_flow_deadline(&f), 0);
	assert_false(gre_flow_lone_ack(&f, &pkt, UINT64_MAX));
	assert_false(f.tx_any);
	for (uint32_t i = 0; i < 3; i++) {
		gre_flow_send(&f, &pkt);
		assert_true(f.tx_any);
		assert_true(pkt.has_seq);
		assert_false(pkt.has_ack);
		assert_int_equal(pkt.seq, i);
	}
}

static void
ack_rides_on_data_once(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt = { .payload_len = 5 };

	(void)state;
	gre_flow_init(&f);
	gre_flow_received(&f, 41, 1000);
	assert_int_equal(gre_flow_deadline(&f), 1000 + GRE_ACK_DELAY_US);
	gre_flow_send(&f, &pkt);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 41);
	assert_int_equal(pkt.payload_len, 5);
	assert_int_equal(gre_flow_deadline(&f), 0);
	gre_flow_send(&f, &pkt);
	assert_false(pkt.has_ack);
}

static void
lone_ack_leaves_at_its_time(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt = {
		.call_id = 9, .has_seq = true, .seq = 7,
		.payload = win10_ip, .payload_len = 5,
	};

	(void)state;
	gre_flow_init(&f);
	gre_flow_received(&f, 0, 1000);
	gre_flow_received(&f, 1, 50000);	/* does not put it off */
	assert_false(gre_flow_lone_ack(&f, &pkt, 1000 + GRE_ACK_DELAY_US - 1));
	assert_int_equal(pkt.payload_len, 5);
	assert_true(gre_flow_lone_ack(&f, &pkt, 1000 + GRE_ACK_DELAY_US));
	assert_false(pkt.has_seq);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 1);
	assert_int_equal(pkt.payload_len, 0);
	assert_null(pkt.payload);
	assert_int_equal(pkt.seq, 0);
	assert_int_equal(pkt.call_id, 9);
	assert_false(gre_flow_lone_ack(&f, &pkt, UINT64_MAX));
	assert_int_equal(f.tx_next, 0);		/* uses no number */
}

static void
quarter_window_is_acknowledged_at_once(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	for (uint64_t now = 0; now < 2; now++) {
		gre_flow_init(&f);
		for (uint32_t i = 0; i < GRE_ACK_EVERY - 1; i++)
			gre_flow_received(&f, i, now);
		assert_int_equal(gre_flow_deadline(&f),
		    now + GRE_ACK_DELAY_US);
		gre_flow_received(&f, GRE_ACK_EVERY - 1, now);
		assert_int_equal(gre_flow_deadline(&f), 1);
		gre_flow_received(&f, GRE_ACK_EVERY, now + 5);
		assert_int_equal(gre_flow_deadline(&f), 1);
		assert_true(gre_flow_lone_ack(&f, &pkt, 1));
		assert_int_equal(pkt.ack, GRE_ACK_EVERY);
		/* and the count begins again */
		for (uint32_t i = 1; i < GRE_ACK_EVERY; i++)
			gre_flow_received(&f, GRE_ACK_EVERY + i, 7);
		assert_int_equal(gre_flow_deadline(&f), 7 + GRE_ACK_DELAY_US);
		gre_flow_received(&f, 2 * GRE_ACK_EVERY, 8);
		assert_int_equal(gre_flow_deadline(&f), 8);
	}
}

/* G14, G20: highest received, whatever the order; late ones are acknowledged
 * again, acks never are. */
static void
highest_number_is_acknowledged(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	gre_flow_init(&f);
	gre_flow_received(&f, 0xfffffffe, 1);
	gre_flow_received(&f, 1, 1);
	gre_flow_received(&f, 0xffffffff, 1);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.ack, 1);
	gre_flow_received(&f, 0x80000001, 1);	/* half way: not above */
	gre_flow_send(&f, &pkt);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 1);
	gre_flow_received(&f, 1, 1);		/* again the same */
	gre_flow_send(&f, &pkt);
	assert_true(pkt.has_ack);
	assert_int_equal(pkt.ack, 1);
	gre_flow_received(&f, 0x80000000, 1);	/* the farthest above */
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.ack, 0x80000000);
	gre_flow_acked(&f, 0);
	assert_int_equal(gre_flow_deadline(&f), 0);
}

static void
restarted_numbers_are_acknowledged(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	gre_flow_init(&f);
	gre_flow_received(&f, 5000, 1);
	gre_flow_rebase(&f);
	gre_flow_received(&f, 2, 1);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.ack, 2);
}

/* G19 */
static void
impossible_acks_are_counted(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	gre_flow_init(&f);
	gre_flow_acked(&f, 0);			/* Apple, before we sent */
	gre_flow_acked(&f, 0xffffffff);		/* Cisco */
	assert_int_equal(f.bad_acks, 2);
	assert_false(f.peer_acked_any);
	for (unsigned i = 0; i < 4; i++)
		gre_flow_send(&f, &pkt);
	gre_flow_acked(&f, 0xffffffff);
	gre_flow_acked(&f, 4);			/* one too many */
	assert_int_equal(f.bad_acks, 4);
	gre_flow_acked(&f, 0);
	assert_true(f.peer_acked_any);
	assert_int_equal(f.peer_acked, 0);
	gre_flow_acked(&f, 3);
	assert_int_equal(f.peer_acked, 3);
	gre_flow_acked(&f, 3);			/* repeated: fine */
	gre_flow_acked(&f, 1);			/* overtaken: fine */
	assert_int_equal(f.peer_acked, 3);
	assert_int_equal(f.bad_acks, 4);
	gre_flow_acked(&f, 4);
	gre_flow_acked(&f, 0x7fffffff);
	gre_flow_acked(&f, 0x80000003);		/* half way: not the past */
	assert_int_equal(f.bad_acks, 7);
	gre_flow_acked(&f, 0x80000004);
	assert_int_equal(f.bad_acks, 7);
	assert_int_equal(f.peer_acked, 3);
}

/* G14, G21 */
static void
our_numbers_wrap(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	gre_flow_init(&f);
	f.tx_next = 0xfffffffe;			/* never acknowledged so far */
	gre_flow_acked(&f, 0xfffffffd);
	assert_int_equal(f.peer_acked, 0xfffffffd);
	gre_flow_send(&f, &pkt);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.seq, 0xffffffff);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.seq, 0);
	gre_flow_acked(&f, 1);
	assert_int_equal(f.bad_acks, 1);
	gre_flow_acked(&f, 0);
	assert_int_equal(f.peer_acked, 0);
}

/* It sends the next number and acknowledges what comes next. */
static void
another_process_goes_on(void **state)
{
	struct gre_flow f;
	struct gre_pkt pkt;

	(void)state;
	gre_flow_resume(&f, 1000, true, 77);
	gre_flow_acked(&f, 990);
	gre_flow_acked(&f, 999);
	gre_flow_received(&f, 76, 1);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.seq, 1000);
	assert_int_equal(pkt.ack, 77);
	gre_flow_received(&f, 78, 1);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.seq, 1001);
	assert_int_equal(pkt.ack, 78);
	gre_flow_acked(&f, 1000);
	assert_int_equal(f.peer_acked, 1000);
	gre_flow_resume(&f, 0, false, 0);
	gre_flow_send(&f, &pkt);
	assert_int_equal(pkt.seq, 0);
	assert_false(pkt.has_ack);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_first_packet_is_read),
		cmocka_unit_test(data_with_ack_is_read_and_built),
		cmocka_unit_test(lone_ack_with_padding_is_read_and_built),
		cmocka_unit_test(data_without_ack_is_built),
		cmocka_unit_test(bad_ip_headers_are_refused),
		cmocka_unit_test(ip_options_of_every_length_are_skipped),
		cmocka_unit_test(other_gre_users_are_told_apart),
		cmocka_unit_test(forbidden_flags_are_refused),
		cmocka_unit_test(every_prefix_is_short),
		cmocka_unit_test(payload_is_trimmed_to_its_length),
		cmocka_unit_test(payload_needs_a_number_and_a_number_payload),
		cmocka_unit_test(numbers_start_at_zero_without_ack),
		cmocka_unit_test(ack_rides_on_data_once),
		cmocka_unit_test(lone_ack_leaves_at_its_time),
		cmocka_unit_test(quarter_window_is_acknowledged_at_once),
		cmocka_unit_test(highest_number_is_acknowledged),
		cmocka_unit_test(restarted_numbers_are_acknowledged),
		cmocka_unit_test(impossible_acks_are_counted),
		cmocka_unit_test(our_numbers_wrap),
		cmocka_unit_test(another_process_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
