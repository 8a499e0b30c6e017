/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/msg.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../replay/hex_text.h"
#include "proto/msg.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* RFC 2637 section 2, in the order of the types 1..15. */
static const size_t type_len[16] = {
	0, 156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24,
};

/*
 * One message of each type with a value of its own in every field, written
 * from the figures of RFC 2637 section 2 by hand: offsets are the point.
 */
static const char *const layout[16] = {
	NULL,
	/* SCCRQ: version, reserved, framing, bearer, channels, firmware */
	"009c 0001 1a2b3c4d 0001 0000 0102 0000 03040506 0708090a 0b0c 0d0e"
	" \"host\" 00*60 \"vendor\" 00*58",
	/* SCCRP: version, result, error, framing, bearer, channels, fw */
	"009c 0001 1a2b3c4d 0002 0000 0102 11 12 03040506 0708090a 0b0c 0d0e"
	" \"host\" 00*60 \"vendor\" 00*58",
	/* StopCCRQ: reason, reserved */
	"0010 0001 1a2b3c4d 0003 0000 01 00 0000",
	/* StopCCRP: result, error, reserved */
	"0010 0001 1a2b3c4d 0004 0000 01 02 0000",
	/* EchoRQ: identifier */
	"0010 0001 1a2b3c4d 0005 0000 01020304",
	/* EchoRP: identifier, result, error, reserved */
	"0014 0001 1a2b3c4d 0006 0000 01020304 05 06 0000",
	/* OCRQ: id, serial, min, max, bearer, framing, window, delay, length,
	 * reserved, number, subaddress */
	"00a8 0001 1a2b3c4d 0007 0000 0102 0304 05060708 090a0b0c 0d0e0f10"
	" 11121314 1516 1718 191a 0000 \"number\" 00*58 \"sub\" 00*61",
	/* OCRP: id, peer's id, result, error, cause, speed, window, delay,
	 * channel */
	"0020 0001 1a2b3c4d 0008 0000 0102 0304 05 06 0708 090a0b0c 0d0e 0f10"
	" 11121314",
	/* ICRQ: id, serial, bearer, channel, lengths, dialed, dialing, sub */
	"00dc 0001 1a2b3c4d 0009 0000 0102 0304 05060708 090a0b0c 0d0e 0f10"
	" \"dialed\" 00*58 \"dialing\" 00*57 \"sub\" 00*61",
	/* ICRP: id, peer's id, result, error, window, delay, reserved */
	"0018 0001 1a2b3c4d 000a 0000 0102 0304 05 06 0708 090a 0000",
	/* ICCN: peer's id, reserved, speed, window, delay, framing */
	"001c 0001 1a2b3c4d 000b 0000 0102 0000 05060708 090a 0b0c 0d0e0f10",
	/* CCR: id, reserved */
	"0010 0001 1a2b3c4d 000c 0000 0102 0000",
	/* CDN: id, result, error, cause, reserved, statistics */
	"0094 0001 1a2b3c4d 000d 0000 0102 03 04 0506 0000 \"stat\" 00*124",
	/* WEN: peer's id, reserved, crc, framing, hardware, overrun, timeout,
	 * alignment */
	"0028 0001 1a2b3c4d 000e 0000 0102 0000 05060708 090a0b0c 0d0e0f10"
	" 11121314 15161718 191a1b1c",
	/* SLI: peer's id, reserved, send, receive */
	"0018 0001 1a2b3c4d 000f 0000 0102 0000 05060708 090a0b0c",
};

static size_t
bytes(const char *text, uint8_t *buf)
{
	long n;

	memset(buf, 0xee, MSG_MAX_LEN);
	n = hex_text(text, buf, MSG_MAX_LEN);
	assert_true(n > 0);
	return (size_t)n;
}

static struct msg
decoded(const char *text)
{
	uint8_t buf[MSG_MAX_LEN];
	size_t len = bytes(text, buf);
	struct msg m;

	memset(&m, 0x5a, sizeof(m));
	assert_true(msg_decode(buf, len, &m));
	return m;
}

static void
lengths_are_the_rfcs(void **state)
{
	(void)state;
	for (unsigned type = 0; type <= 65535; type++)
		assert_int_equal(msg_len((uint16_t)type),
		    type <= 15 ? type_len[type] : 0);
}

static void
each_layout_survives_decode_and_encode(void **state)
{
	uint8_t buf[MSG_MAX_LEN], back[MSG_MAX_LEN + 1];

	(void)state;
	for (unsigned type = 1; type <= 15; type++) {
		size_t len = bytes(layout[type], buf);
		struct msg m = decoded(layout[type]);

		assert_int_equal(len, type_len[type]);
		assert_int_equal(m.type, type);
		assert_false(m.reserved);
		memset(back, 0xcc, sizeof(back));
		assert_int_equal(msg_encode(&m, back, sizeof(back)), len);
		assert_memory_equal(back, buf, len);
		assert_int_equal(back[len], 0xcc);
	}
}

static void
scc_fields(void **state)
{
	struct msg q = decoded(layout[MSG_SCCRQ]);
	struct msg p = decoded(layout[MSG_SCCRP]);

	(void)state;
	assert_int_equal(q.scc.version, 0x0102);
	assert_int_equal(q.scc.framing, 0x03040506);
	assert_int_equal(q.scc.bearer, 0x0708090a);
	assert_int_equal(q.scc.max_channels, 0x0b0c);
	assert_int_equal(q.scc.firmware, 0x0d0e);
	assert_memory_equal(q.scc.host, "host\0", 5);
	assert_memory_equal(q.scc.vendor, "vendor\0", 7);
	assert_int_equal(q.scc.result, 0);
	assert_int_equal(p.scc.version, 0x0102);
	assert_int_equal(p.scc.result, 0x11);
	assert_int_equal(p.scc.error, 0x12);
	assert_int_equal(p.scc.framing, 0x03040506);
	assert_int_equal(p.scc.bearer, 0x0708090a);
	assert_int_equal(p.scc.max_channels, 0x0b0c);
	assert_int_equal(p.scc.firmware, 0x0d0e);
	assert_memory_equal(p.scc.host, "host\0", 5);
	assert_memory_equal(p.scc.vendor, "vendor\0", 7);
}

static void
stop_and_echo_fields(void **state)
{
	struct msg m;

	(void)state;
	assert_int_equal(decoded(layout[MSG_STOPCCRQ]).stopccrq.reason, 1);
	m = decoded(layout[MSG_STOPCCRP]);
	assert_int_equal(m.stopccrp.result, 1);
	assert_int_equal(m.stopccrp.error, 2);
	assert_int_equal(decoded(layout[MSG_ECHORQ]).echorq.id, 0x01020304);
	m = decoded(layout[MSG_ECHORP]);
	assert_int_equal(m.echorp.id, 0x01020304);
	assert_int_equal(m.echorp.result, 5);
	assert_int_equal(m.echorp.error, 6);
}

static void
outgoing_call_fields(void **state)
{
	struct msg q = decoded(layout[MSG_OCRQ]);
	struct msg p = decoded(layout[MSG_OCRP]);

	(void)state;
	assert_int_equal(q.ocrq.call_id, 0x0102);
	assert_int_equal(q.ocrq.serial, 0x0304);
	assert_int_equal(q.ocrq.min_bps, 0x05060708);
	assert_int_equal(q.ocrq.max_bps, 0x090a0b0c);
	assert_int_equal(q.ocrq.bearer, 0x0d0e0f10);
	assert_int_equal(q.ocrq.framing, 0x11121314);
	assert_int_equal(q.ocrq.window, 0x1516);
	assert_int_equal(q.ocrq.delay, 0x1718);
	assert_int_equal(q.ocrq.phone_len, 0x191a);
	assert_memory_equal(q.ocrq.phone, "number\0", 7);
	assert_memory_equal(q.ocrq.subaddress, "sub\0", 4);
	assert_int_equal(p.ocrp.call_id, 0x0102);
	assert_int_equal(p.ocrp.peer_id, 0x0304);
	assert_int_equal(p.ocrp.result, 5);
	assert_int_equal(p.ocrp.error, 6);
	assert_int_equal(p.ocrp.cause, 0x0708);
	assert_int_equal(p.ocrp.speed, 0x090a0b0c);
	assert_int_equal(p.ocrp.window, 0x0d0e);
	assert_int_equal(p.ocrp.delay, 0x0f10);
	assert_int_equal(p.ocrp.channel, 0x11121314);
}

static void
incoming_call_fields(void **state)
{
	struct msg q = decoded(layout[MSG_ICRQ]);
	struct msg p = decoded(layout[MSG_ICRP]);
	struct msg n = decoded(layout[MSG_ICCN]);

	(void)state;
	assert_int_equal(q.icrq.call_id, 0x0102);
	assert_int_equal(q.icrq.serial, 0x0304);
	assert_int_equal(q.icrq.bearer, 0x05060708);
	assert_int_equal(q.icrq.channel, 0x090a0b0c);
	assert_int_equal(q.icrq.dialed_len, 0x0d0e);
	assert_int_equal(q.icrq.dialing_len, 0x0f10);
	assert_memory_equal(q.icrq.dialed, "dialed\0", 7);
	assert_memory_equal(q.icrq.dialing, "dialing\0", 8);
	assert_memory_equal(q.icrq.subaddress, "sub\0", 4);
	assert_int_equal(p.icrp.call_id, 0x0102);
	assert_int_equal(p.icrp.peer_id, 0x0304);
	assert_int_equal(p.icrp.result, 5);
	assert_int_equal(p.icrp.error, 6);
	assert_int_equal(p.icrp.window, 0x0708);
	assert_int_equal(p.icrp.delay, 0x090a);
	assert_int_equal(n.iccn.peer_id, 0x0102);
	assert_int_equal(n.iccn.speed, 0x05060708);
	assert_int_equal(n.iccn.window, 0x090a);
	assert_int_equal(n.iccn.delay, 0x0b0c);
	assert_int_equal(n.iccn.framing, 0x0d0e0f10);
}

static void
end_and_error_fields(void **state)
{
	struct msg d = decoded(layout[MSG_CDN]);
	struct msg w = decoded(layout[MSG_WEN]);
	struct msg s = decoded(layout[MSG_SLI]);

	(void)state;
	assert_int_equal(decoded(layout[MSG_CCR]).ccr.call_id, 0x0102);
	assert_int_equal(d.cdn.call_id, 0x0102);
	assert_int_equal(d.cdn.result, 3);
	assert_int_equal(d.cdn.error, 4);
	assert_int_equal(d.cdn.cause, 0x0506);
	assert_memory_equal(d.cdn.stats, "stat\0", 5);
	assert_int_equal(w.wen.peer_id, 0x0102);
	assert_int_equal(w.wen.crc, 0x05060708);
	assert_int_equal(w.wen.framing, 0x090a0b0c);
	assert_int_equal(w.wen.hardware, 0x0d0e0f10);
	assert_int_equal(w.wen.overrun, 0x11121314);
	assert_int_equal(w.wen.timeout, 0x15161718);
	assert_int_equal(w.wen.alignment, 0x191a1b1c);
	assert_int_equal(s.sli.peer_id, 0x0102);
	assert_int_equal(s.sli.send_accm, 0x05060708);
	assert_int_equal(s.sli.recv_accm, 0x090a0b0c);
}

/* PPTP_VPN_Sniffer #4 #6 #7 #8 #9, tcpdump #5 #10, ndpi-pptp #4 #8 #10 #12
 * #23: what real peers send decodes, and encodes to the same bytes. */
static void
golden_bytes_of_the_captures(void **state)
{
	static const char *const golden[] = {
		"009c 0001 1a2b3c4d 0001 0000 0100 0000 00000001 00000001"
		" 0000 0000 00*64 \"Microsoft\" 00*55",
		"009c 0001 1a2b3c4d 0001 0000 0100 0000 00000001 00000001"
		" 0000 0870 00*64 \"Microsoft Windows NT\" 00*44",
		"009c 0001 1a2b3c4d 0001 0000 0100 0000 00000003 00000003"
		" ffff 0001 \"local\" 00*59 \"cananian\" 00*56",
		"009c 0001 1a2b3c4d 0002 0000 0100 01 00 00000000 00000000"
		" 0001 0001 \"local\" 00*59 \"linux\" 00*59",
		"009c 0001 1a2b3c4d 0002 0000 0100 01 00 00000002 00000003"
		" 0000 0000 00*64 \"Microsoft\" 00*55",
		"00a8 0001 1a2b3c4d 0007 0000 44cb 0001 0000012c 05f5e100"
		" 00000003 00000003 0040 0000 0000 0000 00*128",
		"00a8 0001 1a2b3c4d 0007 0000 0000 0000 00000960 00989680"
		" 00000003 00000003 0003 0000 0000 0000 00*128",
		"0020 0001 1a2b3c4d 0008 0000 0000 44cb 01 00 0000 05f5e100"
		" 0040 0000 00000000",
		"0020 0001 1a2b3c4d 0008 0000 2deb 0000 01 00 0000 00e40b54"
		" 4000 0000 00000000",
		"0018 0001 1a2b3c4d 000f 0000 0000 0000 ffffffff ffffffff",
		"0010 0001 1a2b3c4d 000c 0000 0000 0000",
		"0094 0001 1a2b3c4d 000d 0000 0000 00 00 0000 0000 00*128",
		"0010 0001 1a2b3c4d 0003 0000 01 00 0000",
		"0010 0001 1a2b3c4d 0004 0000 01 00 0000",
	};
	uint8_t buf[MSG_MAX_LEN], back[MSG_MAX_LEN];

	(void)state;
	for (size_t i = 0; i < N(golden); i++) {
		size_t len = bytes(golden[i], buf);
		struct msg m = decoded(golden[i]);

		assert_false(m.reserved);
		assert_int_equal(msg_encode(&m, back, sizeof(back)), len);
		assert_memory_equal(back, buf, len);
	}
}

static void
golden_fields(void **state)
{
	struct msg q = decoded("009c 0001 1a2b3c4d 0001 0000 0100 0000"
	    " 00000001 00000001 0000 0870 00*64"
	    " \"Microsoft Windows NT\" 00*44");
	struct msg o = decoded("00a8 0001 1a2b3c4d 0007 0000 0000 7828"
	    " 0000012c 05f5e100 00000003 00000003 0040 0000 0000 0000"
	    " 00*128");

	(void)state;
	assert_int_equal(q.scc.version, MSG_VERSION);
	assert_int_equal(q.scc.firmware, 2160);
	assert_string_equal(q.scc.vendor, "Microsoft Windows NT");
	assert_int_equal(o.ocrq.call_id, 0);
	assert_int_equal(o.ocrq.serial, 0x7828);
	assert_int_equal(o.ocrq.min_bps, 300);
	assert_int_equal(o.ocrq.max_bps, 100000000);
	assert_int_equal(o.ocrq.window, 64);
}

/* M03, and what frame.c never lets through. */
static void
any_other_length_is_refused(void **state)
{
	uint8_t buf[512];
	struct msg m, before;

	(void)state;
	memset(&m, 0x5a, sizeof(m));
	before = m;
	for (unsigned type = 1; type <= 15; type++) {
		memset(buf, 0, sizeof(buf));
		bytes(layout[type], buf);
		for (size_t len = 0; len <= 256; len++) {
			if (len == type_len[type])
				continue;
			assert_false(msg_decode(buf, len, &m));
			buf[0] = (uint8_t)(len >> 8);
			buf[1] = (uint8_t)len;
			assert_false(msg_decode(buf, len, &m));
			assert_false(msg_decode(buf, type_len[type], &m));
			buf[0] = 0;
			buf[1] = (uint8_t)type_len[type];
		}
	}
	assert_memory_equal(&m, &before, sizeof(m));
}

static void
a_wrong_header_is_refused(void **state)
{
	static const char *const bad[] = {
		"0010 0000 1a2b3c4d 0005 0000 01020304",	/* M05 */
		"0010 0002 1a2b3c4d 0005 0000 01020304",
		"0010 ffff 1a2b3c4d 0005 0000 01020304",
		"0010 0001 1a2b3c4c 0005 0000 01020304",	/* M04 */
		"0010 0001 9a2b3c4d 0005 0000 01020304",
		"0010 0001 4d3c2b1a 0005 0000 01020304",
		"0010 0001 1a2b3c4d 0000 0000 01020304",	/* M06 */
		"0010 0001 1a2b3c4d 0010 0000 01020304",
		"0010 0001 1a2b3c4d 00ff 0000 01020304",
		"0010 0001 1a2b3c4d 0105 0000 01020304",
		"0010 0001 1a2b3c4d ffff 0000 01020304",
		"0000",
	};
	uint8_t buf[MSG_MAX_LEN];
	struct msg m;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		size_t len = bytes(bad[i], buf);

		assert_false(msg_decode(buf, len, &m));
	}
}

/* M07: every reserved byte of every type is seen; no other byte is one. */
static void
m07_reserved_is_reported(void **state)
{
	static const struct {
		unsigned type;
		size_t from, to;
	} more[] = {
		{ MSG_SCCRQ, 14, 16 }, { MSG_STOPCCRQ, 13, 16 },
		{ MSG_STOPCCRP, 14, 16 }, { MSG_ECHORP, 18, 20 },
		{ MSG_OCRQ, 38, 40 }, { MSG_ICRP, 22, 24 },
		{ MSG_ICCN, 14, 16 }, { MSG_CCR, 14, 16 },
		{ MSG_CDN, 18, 20 }, { MSG_WEN, 14, 16 },
		{ MSG_SLI, 14, 16 },
	};
	uint8_t buf[MSG_MAX_LEN];

	(void)state;
	for (unsigned type = 1; type <= 15; type++)
		for (size_t at = 10; at < type_len[type]; at++) {
			size_t len = bytes(layout[type], buf);
			bool want = at < 12;
			struct msg m;

			for (size_t i = 0; i < N(more); i++)
				want |= more[i].type == type &&
				    at >= more[i].from && at < more[i].to;
			buf[at] ^= 0x80;
			assert_true(msg_decode(buf, len, &m));
			assert_int_equal(m.reserved, want);
		}
}

/* M10: 64 bytes, no NUL, and nothing after them is touched. */
static void
m10_strings_without_nul(void **state)
{
	struct msg m = decoded("009c 0001 1a2b3c4d 0001 0000 0100 0000"
	    " 00000001 00000001 0000 0000 41*64 1b*64");
	char a[MSG_NAME_LEN], b[MSG_NAME_LEN];

	(void)state;
	memset(a, 'A', sizeof(a));
	memset(b, 0x1b, sizeof(b));
	assert_memory_equal(m.scc.host, a, sizeof(a));
	assert_memory_equal(m.scc.vendor, b, sizeof(b));
}

static void
encode_needs_room_and_a_type(void **state)
{
	uint8_t buf[MSG_MAX_LEN];

	(void)state;
	for (unsigned type = 1; type <= 15; type++) {
		struct msg m = decoded(layout[type]);

		memset(buf, 0xcc, sizeof(buf));
		assert_int_equal(msg_encode(&m, buf, type_len[type] - 1), 0);
		assert_int_equal(msg_encode(&m, buf, 0), 0);
		m.type = (enum msg_type)0;
		assert_int_equal(msg_encode(&m, buf, sizeof(buf)), 0);
		m.type = (enum msg_type)16;
		assert_int_equal(msg_encode(&m, buf, sizeof(buf)), 0);
		for (size_t i = 0; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xcc);
		m.type = (enum msg_type)type;
		assert_int_equal(msg_encode(&m, buf, type_len[type]),
		    type_len[type]);
	}
}

/* RFC 2637 2: reserved fields are sent 0 (Q1), unused string bytes too. */
static void
q1_reserved_is_sent_zero(void **state)
{
	struct msg m = { .type = MSG_STOPCCRQ, .reserved = true,
	    .stopccrq = { .reason = STOPCCRQ_SHUTDOWN } };
	uint8_t buf[MSG_MAX_LEN], want[MSG_MAX_LEN];
	size_t len = bytes("0010 0001 1a2b3c4d 0003 0000 03 00 0000", want);

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(msg_encode(&m, buf, sizeof(buf)), len);
	assert_memory_equal(buf, want, len);
	for (unsigned type = 1; type <= 15; type++) {
		struct msg back;

		m = decoded(layout[type]);
		memset(buf, 0xff, sizeof(buf));
		len = msg_encode(&m, buf, sizeof(buf));
		assert_true(msg_decode(buf, len, &back));
		assert_false(back.reserved);
	}
}

static void
constants_are_the_rfcs(void **state)
{
	(void)state;
	assert_int_equal(SCCRP_BAD_VERSION, 5);
	assert_int_equal(STOPCCRQ_SHUTDOWN, 3);
	assert_int_equal(STOPCCRP_GENERAL, 2);
	assert_int_equal(ECHORP_OK, 1);
	assert_int_equal(ECHORP_GENERAL, 2);
	assert_int_equal(OCRP_BUSY, 4);
	assert_int_equal(OCRP_NOT_ACCEPTED, 7);
	assert_int_equal(ICRP_NOT_ACCEPTED, 3);
	assert_int_equal(CDN_REQUEST, 4);
	assert_int_equal(MSG_ERR_NO_RESOURCE, 4);
	assert_int_equal(MSG_ERR_BAD_CALL_ID, 5);
	assert_int_equal(MSG_ERR_PAC, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_are_the_rfcs),
		cmocka_unit_test(each_layout_survives_decode_and_encode),
		cmocka_unit_test(scc_fields),
		cmocka_unit_test(stop_and_echo_fields),
		cmocka_unit_test(outgoing_call_fields),
		cmocka_unit_test(incoming_call_fields),
		cmocka_unit_test(end_and_error_fields),
		cmocka_unit_test(golden_bytes_of_the_captures),
		cmocka_unit_test(golden_fields),
		cmocka_unit_test(any_other_length_is_refused),
		cmocka_unit_test(a_wrong_header_is_refused),
		cmocka_unit_test(m07_reserved_is_reported),
		cmocka_unit_test(m10_strings_without_nul),
		cmocka_unit_test(encode_needs_room_and_a_type),
		cmocka_unit_test(q1_reserved_is_sent_zero),
		cmocka_unit_test(constants_are_the_rfcs),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
