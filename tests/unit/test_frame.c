/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/frame.c proto/msg.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/frame.h"

/* RFC 2637 section 2, in the order of the types 1..15. */
static const size_t type_len[16] = {
	0, 156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24,
};

/* Echo-Request, identifier 7. */
static const uint8_t echo[] = {
	0x00, 0x10, 0x00, 0x01, 0x1a, 0x2b, 0x3c, 0x4d,
	0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
};

#define UNTOUCHED 4711u

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A message of this type, the body all ones. */
static size_t
make(uint8_t *buf, unsigned type)
{
	memset(buf, 0xff, FRAME_MAX_LEN);
	memcpy(buf, echo, FRAME_HDR_LEN);
	put16(buf, (unsigned)type_len[type]);
	put16(buf + 8, type);
	return type_len[type];
}

/* buf[0..whole) is judged DESYNC from byte `seen` on, MORE before. */
static void
desync_from(const uint8_t *buf, size_t whole, size_t seen)
{
	size_t n = UNTOUCHED;

	for (size_t len = 0; len <= whole; len++)
		assert_int_equal(frame_next(buf, len, &n),
		    len < seen ? FRAME_MORE : FRAME_DESYNC);
	assert_int_equal(n, UNTOUCHED);
}

static void
every_type_is_cut_at_its_length(void **state)
{
	uint8_t buf[FRAME_MAX_LEN + 3];

	(void)state;
	for (unsigned type = 1; type <= 15; type++) {
		size_t len = make(buf, type), n = UNTOUCHED;

		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(frame_next(buf, cut, &n),
			    FRAME_MORE);
		assert_int_equal(n, UNTOUCHED);
		for (size_t more = 0; more <= 3; more++) {
			n = UNTOUCHED;
			assert_int_equal(frame_next(buf, len + more, &n),
			    FRAME_READY);
			assert_int_equal(n, len);
		}
	}
}

/* T05.  accel-ppp handles only the first and waits for more bytes. */
static void
t05_two_messages_in_one_segment(void **state)
{
	uint8_t buf[2 * sizeof(echo)];
	size_t n, off = 0, count = 0;

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	memcpy(buf + sizeof(echo), echo, sizeof(echo));
	while (frame_next(buf + off, sizeof(buf) - off, &n) == FRAME_READY) {
		off += n;
		count++;
	}
	assert_int_equal(count, 2);
	assert_int_equal(off, sizeof(buf));
}

/* CVE-2003-0213 */
static void
m01_length_below_header(void **state)
{
	uint8_t buf[sizeof(echo)];

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	for (unsigned len = 0; len < FRAME_HDR_LEN; len++) {
		put16(buf, len);
		desync_from(buf, sizeof(buf), 2);
	}
}

static void
m02_length_above_longest(void **state)
{
	static const unsigned lens[] = { 221, 222, 256, 1024, 0x9c00, 65535 };
	uint8_t buf[sizeof(echo)];

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		put16(buf, lens[i]);
		desync_from(buf, sizeof(buf), 2);
	}
}

/* PoPToP answers a short Echo-Request with bytes of its stack. */
static void
m03_length_not_of_the_type(void **state)
{
	uint8_t buf[FRAME_MAX_LEN];

	(void)state;
	for (unsigned type = 1; type <= 15; type++)
		for (unsigned len = 12; len <= 220; len++) {
			make(buf, type);
			put16(buf, len);
			if (len != type_len[type])
				desync_from(buf, sizeof(buf), 10);
		}
}

static void
m04_magic_wrong_by_one_bit(void **state)
{
	static const uint8_t swapped[] = { 0x4d, 0x3c, 0x2b, 0x1a };
	uint8_t buf[sizeof(echo)];

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		memcpy(buf, echo, sizeof(echo));
		buf[4 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		desync_from(buf, sizeof(buf), 8);
	}
	memcpy(buf, echo, sizeof(echo));
	memcpy(buf + 4, swapped, sizeof(swapped));
	desync_from(buf, sizeof(buf), 8);
}

static void
m05_not_a_control_message(void **state)
{
	static const unsigned types[] = { 0, 2, 0x0100, 0x0101, 65535 };
	uint8_t buf[sizeof(echo)];

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		put16(buf + 2, types[i]);
		desync_from(buf, sizeof(buf), 4);
	}
}

static void
m06_no_such_control_type(void **state)
{
	static const unsigned types[] = { 0, 16, 17, 255, 0x0105, 65535 };
	uint8_t buf[sizeof(echo)];

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		put16(buf + 8, types[i]);
		desync_from(buf, sizeof(buf), 10);
	}
}

static void
m07_reserved_is_not_judged(void **state)
{
	uint8_t buf[sizeof(echo)];
	size_t n;

	(void)state;
	memcpy(buf, echo, sizeof(echo));
	put16(buf + 10, 0xffff);
	assert_int_equal(frame_next(buf, sizeof(buf), &n), FRAME_READY);
}

static void
t17_banners_of_other_protocols(void **state)
{
	static const char *const banner[] = {
		"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01", "\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(banner) / sizeof(banner[0]); i++) {
		uint8_t buf[64];
		size_t len = strlen(banner[i]), n;

		memcpy(buf, banner[i], len);
		assert_int_equal(frame_next(buf, len, &n), FRAME_DESYNC);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_cut_at_its_length),
		cmocka_unit_test(t05_two_messages_in_one_segment),
		cmocka_unit_test(m01_length_below_header),
		cmocka_unit_test(m02_length_above_longest),
		cmocka_unit_test(m03_length_not_of_the_type),
		cmocka_unit_test(m04_magic_wrong_by_one_bit),
		cmocka_unit_test(m05_not_a_control_message),
		cmocka_unit_test(m06_no_such_control_type),
		cmocka_unit_test(m07_reserved_is_not_judged),
		cmocka_unit_test(t17_banners_of_other_protocols),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
