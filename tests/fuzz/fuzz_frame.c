/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/frame.c proto/msg.c
 *
 * The input is a byte stream, and then once more the recipe for one: a byte
 * that says which message comes and which byte of its header is wrong, then
 * the message's body.  What frame_next says of any beginning of the stream
 * must agree with what it says when more has come. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED 4711u

static void
require(int ok)
{
	if (!ok)
		abort();
}

/* A copy of its own size, so that ASan sees a byte too far. */
static enum frame_status
judge(const uint8_t *data, size_t len, size_t *ret_len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	enum frame_status st;

	require(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	st = frame_next(copy, len, ret_len);
	free(copy);
	return st;
}

/* Every beginning of the message data[0..whole), judged READY at the end. */
static void
beginnings_want_more(const uint8_t *data, size_t whole)
{
	size_t n = UNTOUCHED;

	for (size_t len = 0; len < whole; len++)
		require(judge(data, len, &n) == FRAME_MORE);
	require(n == UNTOUCHED);
}

static void
stream(const uint8_t *data, size_t size)
{
	for (size_t off = 0; off <= size;) {
		size_t n = UNTOUCHED;
		enum frame_status last = FRAME_MORE;
		struct msg m;

		switch (judge(data + off, size - off, &n)) {
		case FRAME_READY:
			require(n >= FRAME_HDR_LEN && n <= FRAME_MAX_LEN &&
			    n <= size - off);
			require(msg_decode(data + off, n, &m));
			beginnings_want_more(data + off, n);
			off += n;
			continue;
		case FRAME_MORE:
			require(n == UNTOUCHED && size - off < FRAME_MAX_LEN);
			beginnings_want_more(data + off, size - off);
			return;
		case FRAME_DESYNC:
			require(n == UNTOUCHED);
			/* Once lost, more bytes do not help; ten decide. */
			for (size_t len = 0; len <= size - off && len <= 10;
			    len++) {
				enum frame_status st = judge(data + off, len,
				    &n);

				require(st == FRAME_MORE ||
				    st == FRAME_DESYNC);
				require(st == FRAME_DESYNC ||
				    last == FRAME_MORE);
				last = st;
			}
			require(last == FRAME_DESYNC);
			return;
		}
	}
}

/* The stream by the recipe data[0..size), written to buf. */
static size_t
cook(const uint8_t *data, size_t size, uint8_t *buf, size_t room)
{
	static const uint8_t header[FRAME_HDR_LEN] = {
		0, 0, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 0, 0, 0,
	};
	size_t n = 0;

	while (size > 1 && room - n >= FRAME_MAX_LEN) {
		uint16_t type = data[0] & 15;
		size_t wrong = data[0] >> 4, body;

		memcpy(buf + n, header, sizeof(header));
		buf[n + 9] = (uint8_t)type;
		buf[n + 1] = (uint8_t)msg_len(type);
		if (wrong < sizeof(header))
			buf[n + wrong] ^= data[1];
		data += 2;
		size -= 2;
		n += sizeof(header);
		body = msg_len(type) > sizeof(header) ?
		    msg_len(type) - sizeof(header) : 0;
		if (body > size)
			body = size;
		memcpy(buf + n, data, body);
		n += body;
		data += body;
		size -= body;
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[2048];

	stream(data, size);
	stream(buf, cook(data, size, buf, sizeof(buf)));
	return 0;
}
