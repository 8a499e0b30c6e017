/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/hdlc.h"

/* LCP Echo-Request, id 1, magic 7d 7e 11 5e, and how it looks on the line
 * with nothing but the two necessary escapes; FCS by RFC 1662's bitwise
 * definition, computed apart from this code. */
static const uint8_t echo[] = {
	0xff, 0x03, 0xc0, 0x21, 0x09, 0x01, 0x00, 0x08, 0x7d, 0x7e, 0x11, 0x5e,
};
static const uint8_t echo_line[] = {
	0x7e, 0xff, 0x03, 0xc0, 0x21, 0x09, 0x01, 0x00, 0x08, 0x7d,
	0x5d, 0x7d, 0x5e, 0x11, 0x5e, 0xd5, 0x87, 0x7e,
};

/* The check value of this CRC: over "123456789" it is 0x906e. */
static const uint8_t check_line[] = {
	0x7e, '1', '2', '3', '4', '5', '6', '7', '8', '9', 0x6e, 0x90, 0x7e,
};

static struct hdlc_dec dec;
static uint8_t line[HDLC_ENCODED_MAX(HDLC_FRAME_MAX)];

static size_t
decode_one(const uint8_t *in, size_t len, const uint8_t **ret_frame,
    size_t *ret_len)
{
	*ret_len = 12345;
	return hdlc_decode(&dec, in, len, ret_frame, ret_len);
}

static void
expect_frame(const uint8_t *in, size_t in_len, const uint8_t *frame,
    size_t len)
{
	const uint8_t *got;
	size_t got_len;

	assert_int_equal(decode_one(in, in_len, &got, &got_len), in_len);
	assert_non_null(got);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, frame, len);
}

static void
expect_none(const uint8_t *in, size_t in_len)
{
	const uint8_t *got;
	size_t got_len;

	assert_int_equal(decode_one(in, in_len, &got, &got_len), in_len);
	assert_null(got);
	assert_int_equal(got_len, 12345);
}

static void
known_frames_are_encoded(void **state)
{
	(void)state;
	assert_int_equal(hdlc_encode(line, sizeof(line), echo, sizeof(echo),
	    0), sizeof(echo_line));
	assert_memory_equal(line, echo_line, sizeof(echo_line));
	assert_int_equal(hdlc_encode(line, sizeof(line), check_line + 1, 9, 0),
	    sizeof(check_line));
	assert_memory_equal(line, check_line, sizeof(check_line));
}

static void
control_characters_are_escaped_as_asked(void **state)
{
	uint8_t all[256];
	size_t plain;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	plain = hdlc_encode(line, sizeof(line), all, 128, 0);
	assert_int_equal(hdlc_encode(line, sizeof(line), all, 128, 0x80000001),
	    plain + 2);
	assert_int_equal(line[1], 0x7d);
	assert_int_equal(line[2], 0x20);
	assert_int_equal(line[3], 0x01);
	assert_int_equal(line[2 + 31], 0x7d);
	assert_int_equal(line[2 + 32], 0x3f);
	hdlc_encode(line, sizeof(line), all, 256, UINT32_MAX);
	for (size_t k = 1; line[k] != 0x7e; k++)
		assert_true(line[k] >= 0x20);
	expect_frame(line, hdlc_encode(line, sizeof(line), all, 256,
	    UINT32_MAX), all, 256);
}

/* P11: the worst frame, all escapes, fits exactly what the macro says. */
static void
worst_case_fits(void **state)
{
	uint8_t worst[HDLC_FRAME_MAX];
	const size_t max = HDLC_FRAME_MAX - 2;
	size_t len, longest = 0;

	(void)state;
	for (size_t n = 1; n <= max; n++) {
		memset(worst, n % 2 ? 0x7e : 0x7d, n);
		len = hdlc_encode(line, HDLC_ENCODED_MAX(n), worst, n, 0);
		assert_true(len >= 2 * n + 4 && len <= HDLC_ENCODED_MAX(n));
		if (len - 2 * n > longest)
			longest = len - 2 * n;
		assert_int_equal(hdlc_encode(line, HDLC_ENCODED_MAX(n) - 1,
		    worst, n, 0), 0);
	}
	assert_true(longest >= 5);
	memset(worst, 0x7e, sizeof(worst));
	len = hdlc_encode(line, sizeof(line), worst, max, 0);
	expect_frame(line, len, worst, max);
	assert_int_equal(hdlc_encode(line, sizeof(line), worst, max + 1, 0), 0);
	assert_int_equal(hdlc_encode(line, sizeof(line), worst, 0, 0), 0);
}

/* Both FCS bytes escaped: found by trying; the macro's 2 for each is needed. */
static void
fcs_is_escaped_too(void **state)
{
	uint8_t frame[3] = { 0 };
	bool found = false;

	(void)state;
	for (unsigned i = 0; i < 0x100000 && !found; i++) {
		size_t len;

		frame[0] = (uint8_t)(i >> 14) | 0x80;
		frame[1] = (uint8_t)(i >> 7) | 0x80;
		frame[2] = (uint8_t)i | 0x80;
		len = hdlc_encode(line, sizeof(line), frame, 3, 0);
		found = len == 1 + 3 + 4 + 1;
		if (found)
			expect_frame(line, len, frame, 3);
	}
	assert_true(found);
}

static void
every_split_gives_the_frame(void **state)
{
	const uint8_t *got;
	size_t len;

	(void)state;
	for (size_t cut = 0; cut < sizeof(echo_line); cut++) {
		hdlc_dec_init(&dec);
		expect_none(echo_line, cut);
		expect_frame(echo_line + cut, sizeof(echo_line) - cut, echo,
		    sizeof(echo));
	}
	hdlc_dec_init(&dec);
	for (size_t i = 0; i < sizeof(echo_line); i++) {
		assert_int_equal(decode_one(echo_line + i, 1, &got, &len), 1);
		assert_int_equal(got != NULL, i == sizeof(echo_line) - 1);
	}
	assert_int_equal(dec.n_bad_fcs + dec.n_short + dec.n_abort +
	    dec.n_overrun, 0);
}

/* One flag may close a frame and open the next. */
static void
frames_come_one_at_a_time(void **state)
{
	uint8_t in[64];
	const uint8_t *got;
	size_t len, off, n = 0;

	(void)state;
	hdlc_dec_init(&dec);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(in + n, echo_line, sizeof(echo_line) - (i == 0));
		n += sizeof(echo_line) - (i == 0);
	}
	in[n] = 'x';
	off = 0;
	for (unsigned i = 0; i < 3; i++) {
		off += decode_one(in + off, n + 1 - off, &got, &len);
		assert_non_null(got);
		assert_int_equal(len, sizeof(echo));
		assert_memory_equal(got, echo, len);
	}
	assert_int_equal(off, n);
	assert_int_equal(decode_one(in + off, 1, &got, &len), 1);
	assert_null(got);
	assert_int_equal(decode_one(in, 0, &got, &len), 0);
	assert_null(got);
}

/* P09 */
static void
garbage_before_the_first_flag_is_dropped(void **state)
{
	static uint8_t garbage[3 * HDLC_FRAME_MAX];

	(void)state;
	hdlc_dec_init(&dec);
	memset(garbage, 'g', sizeof(garbage));
	garbage[sizeof(garbage) - 1] = 0x7d;	/* must not touch the flag */
	expect_none(garbage, sizeof(garbage));
	expect_frame(echo_line, sizeof(echo_line), echo, sizeof(echo));
	assert_int_equal(dec.n_bad_fcs + dec.n_short + dec.n_abort +
	    dec.n_overrun, 0);
}

static void
every_flipped_bit_is_noticed(void **state)
{
	uint8_t in[sizeof(check_line)];

	(void)state;
	for (size_t bit = 8; bit < (sizeof(in) - 1) * 8; bit++) {
		memcpy(in, check_line, sizeof(in));
		in[bit / 8] ^= (uint8_t)(1u << bit % 8);
		hdlc_dec_init(&dec);
		expect_none(in, sizeof(in));
		assert_int_equal(dec.n_bad_fcs + dec.n_abort, 1);
		expect_frame(check_line, sizeof(check_line), check_line + 1,
		    9);
	}
}

static void
short_frames_are_dropped(void **state)
{
	/* 00 00 f0 b8: right FCS of nothing would be 00 00. */
	static const uint8_t in[] = {
		0x7e, 0x00, 0x00, 0x7e, 1, 0x7e, 1, 2, 3, 0x7e, 0x7e, 0x7e,
	};
	uint8_t two[2] = { 0x21, 0x45 }, one[1] = { 0x21 };

	(void)state;
	hdlc_dec_init(&dec);
	expect_none(in, sizeof(in));
	assert_int_equal(dec.n_short, 3);
	assert_int_equal(dec.n_bad_fcs, 0);
	expect_none(line, hdlc_encode(line, sizeof(line), one, 1, 0));
	assert_int_equal(dec.n_short, 4);
	expect_frame(line, hdlc_encode(line, sizeof(line), two, 2, 0), two, 2);
}

/* RFC 1662 4.3: 7d 7e aborts the frame, even one with the right FCS. */
static void
abort_sequence_drops_the_frame(void **state)
{
	uint8_t in[sizeof(echo_line) + 1];

	(void)state;
	hdlc_dec_init(&dec);
	memcpy(in, echo_line, sizeof(echo_line));
	in[sizeof(in) - 2] = 0x7d;
	in[sizeof(in) - 1] = 0x7e;
	expect_none(in, sizeof(in));
	assert_int_equal(dec.n_abort, 1);
	/* The escape does not reach into the next frame. */
	expect_frame(echo_line, sizeof(echo_line), echo, sizeof(echo));
	expect_none(in, sizeof(in) - 1);
	expect_none(in + sizeof(in) - 1, 1);
	assert_int_equal(dec.n_abort, 2);
}

/* G08 */
static void
overlong_frames_are_dropped(void **state)
{
	static uint8_t in[HDLC_FRAME_MAX + 3];

	(void)state;
	hdlc_dec_init(&dec);
	memset(in, 'a', sizeof(in));
	in[0] = in[HDLC_FRAME_MAX + 1] = 0x7e;
	expect_none(in, HDLC_FRAME_MAX + 2);	/* just fits; FCS is wrong */
	assert_int_equal(dec.n_bad_fcs, 1);
	assert_int_equal(dec.n_overrun, 0);

	in[HDLC_FRAME_MAX + 1] = 'a';
	in[HDLC_FRAME_MAX + 2] = 0x7e;
	expect_none(in, sizeof(in));
	assert_int_equal(dec.n_overrun, 1);
	assert_int_equal(dec.n_bad_fcs, 1);
	expect_frame(echo_line, sizeof(echo_line), echo, sizeof(echo));

	/* The same in bytes, the last of them escaped. */
	for (size_t i = 0; i < HDLC_FRAME_MAX + 1; i++)
		expect_none(in + i, 1);
	expect_none(in + 1, 0);
	expect_none((const uint8_t[]){ 0x7d }, 1);
	expect_none((const uint8_t[]){ 0x5e }, 1);
	expect_none((const uint8_t[]){ 'a' }, 1);
	assert_int_equal(dec.n_overrun, 2);
	expect_frame(echo_line, sizeof(echo_line), echo, sizeof(echo));
}

/* RFC 1662 appendix C.1, bit by bit. */
static uint16_t
fcs_of(const uint8_t *p, size_t len)
{
	unsigned fcs = 0xffff;

	while (len-- > 0) {
		fcs ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			fcs = fcs & 1 ? fcs >> 1 ^ 0x8408 : fcs >> 1;
	}
	return (uint16_t)~fcs;
}

static size_t
put(uint8_t *to, size_t at, uint8_t byte)
{
	if (byte == 0x7d || byte == 0x7e) {
		to[at++] = 0x7d;
		byte ^= 0x20;
	}
	to[at++] = byte;
	return at;
}

static void
expect_line(const uint8_t *frame, size_t len)
{
	uint8_t expected[HDLC_ENCODED_MAX(64)] = { 0x7e };
	uint16_t fcs = fcs_of(frame, len);
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n = put(expected, n, frame[i]);
	n = put(expected, n, (uint8_t)fcs);
	n = put(expected, n, (uint8_t)(fcs >> 8));
	expected[n++] = 0x7e;
	assert_int_equal(hdlc_encode(line, sizeof(line), frame, len, 0), n);
	assert_memory_equal(line, expected, n);
}

/* A byte of each value in each place of the eight that are taken at a time, and
 * behind them: each entry of the tables is used. */
static void
the_checksum_is_that_of_the_standard(void **state)
{
	(void)state;
	for (size_t place = 0; place < 9; place++)
		for (unsigned v = 0; v < 256; v++) {
			uint8_t frame[9] = { 0 };

			frame[place] = (uint8_t)v;
			expect_line(frame, sizeof(frame));
		}
}

/* Whatever is left behind the last eight. */
static void
frames_of_any_length_have_their_checksum(void **state)
{
	uint8_t frame[64];

	(void)state;
	srand(1);
	for (size_t len = 1; len <= sizeof(frame); len++)
		for (unsigned i = 0; i < 100; i++) {
			for (size_t k = 0; k < len; k++)
				frame[k] = (uint8_t)rand();
			expect_line(frame, len);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_that_of_the_standard),
		cmocka_unit_test(frames_of_any_length_have_their_checksum),
		cmocka_unit_test(known_frames_are_encoded),
		cmocka_unit_test(control_characters_are_escaped_as_asked),
		cmocka_unit_test(worst_case_fits),
		cmocka_unit_test(fcs_is_escaped_too),
		cmocka_unit_test(every_split_gives_the_frame),
		cmocka_unit_test(frames_come_one_at_a_time),
		cmocka_unit_test(garbage_before_the_first_flag_is_dropped),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(short_frames_are_dropped),
		cmocka_unit_test(abort_sequence_drops_the_frame),
		cmocka_unit_test(overlong_frames_are_dropped),
	};

	hdlc_dec_init(&dec);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
